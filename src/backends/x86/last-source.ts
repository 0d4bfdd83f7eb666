/**
 * Whether a run's lasting leaves are what they were before the last run: a model of some hundred parameters is not
 * looked through again for that. Knows sources of bindings (compiler/program.ts) only.
 */
import { variableWrites } from '../../graph/storage.ts';

export class LastSource {
  private source = 0;
  private writes = 0;

  /** Whether bindings of this source came last, and no variable has been written since. */
  is(source: number): boolean {
    return source !== 0 && source === this.source && variableWrites() === this.writes;
  }

  note(source: number): void {
    this.source = source;
    this.writes = variableWrites();
  }

  forget(): void {
    this.source = 0;
  }
}
