/**
 * Stopping when a metric has stopped improving.
 */
import { Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { type Best, checkMode, isBetter, type MetricDirection, metricOf } from './monitor.ts';
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
  #reason: string | null = null;
  /** Copies of the model's tensors after the best epoch. */
  #kept: Readonly<Record<string, Tensor>> | null = null;

  constructor(options: EarlyStoppingOptions = {}) {
    checkOptions('EarlyStopping', options, ['patience', 'minDelta', 'restoreBest', 'monitor', 'mode']);
    checkMode('EarlyStopping', options);
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
      if (restoreBest) this.#kept = copyOf(run.model.stateDict());
    } else if (epoch - (this.#best?.epoch ?? 0) >= patience) {
      this.#reason = `${monitor} has not improved since epoch ${this.#best?.epoch ?? 0}`;
      run.stop(this.#reason);
    }
  }

  onEnd(run: Run): void {
    // An interrupted or failed run may be resumed, and must then find the weights it had.
    const over = run.position.epoch >= run.epochs || (run.stopped !== null && run.stopped === this.#reason);
    if (this.#kept && over) run.model.loadStateDict(this.#kept);
  }

  state(): Best | null {
    return this.#best;
  }

  tensors(): Readonly<Record<string, Tensor>> {
    return this.#kept ?? {};
  }

  loadState(best: Best | null, tensors: Readonly<Record<string, Tensor>>): void {
    this.#best = best;
    this.#kept = Object.keys(tensors).length > 0 ? tensors : null;
  }
}

/** The values of a state dict now, which training does not change. */
function copyOf(state: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const copies = Object.entries(state).map(([key, tensor]) => {
    const data = tensor.data() as Float32Array;
    return [key, Tensor.from(data, { shape: tensor.shape, dtype: tensor.dtype })] as const;
  });
  return Object.fromEntries(copies);
}
