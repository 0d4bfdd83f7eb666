/**
 * Whether a run's lasting leaves are what they were before the last run: a model of some hundred parameters is not
 * looked through again for that. Knows bindings only.
 */
import type { Binding } from '../../compiler/program.ts';
import { variableChanges } from '../../graph/storage.ts';

export class LastBindings {
  /** Not kept: arguments are among them in a run that the event loop does not wait for. */
  private bindings: WeakRef<readonly Binding[]> | null = null;
  private changes = 0;

  /** Whether these came last, and no variable has been written or moved since. */
  are(bindings: readonly Binding[]): boolean {
    return variableChanges() === this.changes && bindings === this.bindings?.deref();
  }

  note(bindings: readonly Binding[]): void {
    this.bindings = new WeakRef(bindings);
    this.changes = variableChanges();
  }

  forget(): void {
    this.bindings = null;
  }
}
