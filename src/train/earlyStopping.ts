/**
 * Stopping when a metric has stopped improving.
 */
import type { HostArray } from '../graph/dtype.ts';
import { Tensor } from '../tensor/index.ts';
import { type Best, isBetter, type MetricDirection, metricOf } from './monitor.ts';
import type { Callback, EpochReport, Run } from './run.ts';

export interface EarlyStoppingOptions extends MetricDirection {
  /** Epochs without improvement that are borne; 3 by default. */
  readonly patience?: number;
  /** Smallest change that counts as an improvement; 0 by default. */
  readonly minDelta?: number;
  /** Whether the model gets the values of its best epoch back at the end; false by default. */
  readonly restoreBest?: boolean;
}

/** Ends a run when the monitored metric (`val_loss` by default) has not improved for `patience` epochs. */
export class EarlyStopping implements Callback {
  readonly name = 'earlyStopping';
  readonly #options: EarlyStoppingOptions;
  #best: Best | null = null;
  #kept: Record<string, HostArray> | null = null;

  constructor(options: EarlyStoppingOptions = {}) {
    this.#options = options;
  }

  /** The best epoch so far. */
  get best(): Best | null {
    return this.#best;
  }

  onEpoch(run: Run, { epoch, metrics }: EpochReport): void {
    const { patience = 3, minDelta = 0, restoreBest = false } = this.#options;
    const { value, monitor } = metricOf('EarlyStopping', metrics, this.#options);
    if (isBetter(value, this.#best?.value, this.#options, minDelta)) {
      this.#best = { epoch, value };
      if (restoreBest)
        this.#kept = Object.fromEntries(
          Object.entries(run.model.stateDict()).map(([key, tensor]) => [key, tensor.data().slice() as HostArray]),
        );
    } else if (epoch - (this.#best?.epoch ?? 0) >= patience)
      run.stop(`${monitor} has not improved since epoch ${this.#best?.epoch ?? 0}`);
  }

  onEnd(run: Run): void {
    const kept = this.#kept;
    if (!kept) return;
    const state = Object.entries(run.model.stateDict()).map(([key, { shape, dtype }]) => {
      const data = kept[key]!;
      return [key, Tensor.from(data, { shape, dtype })] as const;
    });
    run.model.loadStateDict(Object.fromEntries(state));
  }

  state(): Best | null {
    return this.#best;
  }

  loadState(best: Best | null): void {
    this.#best = best;
  }
}
