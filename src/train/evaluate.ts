/**
 * Measuring a model on a data set: mean loss and metrics, in evaluation mode.
 */
import type { AnyModule } from '../nn/index.ts';
import { compile, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { type BatchReading, batchesOf, readingOf, sampleCount } from './batches.ts';
import type { Loader } from './run.ts';

/** A metric of outputs and targets, as those of `tenon/metrics`. */
export interface OutputMetric {
  /** Takes in a batch: the model's output and the target. */
  update(output: Tensor, target: Tensor): unknown;
  /** The metric over everything seen since the last `reset`. */
  compute(): number;
  /** Forgets everything seen. */
  reset(): void;
}

export interface EvaluateOptions<B> extends BatchReading<B> {
  /** Mean loss of output and target. */
  readonly loss?: (output: Tensor, target: Tensor) => Tensor;
  /** Metrics by name; they are reset first. */
  readonly metrics?: Readonly<Record<string, OutputMetric>>;
  /** Whether each batch is one compiled program; true by default. */
  readonly compile?: boolean;
}

/** A function that measures a model; made once, so that its programs are compiled once. */
export function evaluator<B>(
  model: AnyModule,
  options: EvaluateOptions<B>,
): (loader: Loader<B>) => Promise<Record<string, number>> {
  checkOptions('evaluate', options, ['loss', 'metrics', 'compile', 'forward', 'target']);
  const { forward, target } = readingOf(model, options);
  const { loss, metrics = {} } = options;
  const plain = (batch: B): { output: Tensor; target: Tensor; loss: Tensor | null } => {
    const output = forward(batch);
    const wanted = target(batch);
    return { output, target: wanted, loss: loss ? loss(output, wanted) : null };
  };
  const run = (options.compile ?? true) ? compile(plain) : plain;
  return async loader => {
    const wasTraining = model.training;
    model.eval();
    for (const metric of Object.values(metrics)) metric.reset();
    let lossSum = 0;
    let samples = 0;
    try {
      for await (const batch of batchesOf(loader)) {
        const result = run(batch);
        const count = sampleCount(batch);
        samples += count;
        if (result.loss) lossSum += result.loss.item() * count;
        for (const metric of Object.values(metrics)) metric.update(result.output, result.target);
      }
    } finally {
      model.train(wasTraining);
    }
    const values = Object.entries(metrics).map(([name, metric]) => [name, metric.compute()] as const);
    return { ...(loss ? { loss: lossSum / samples } : {}), ...Object.fromEntries(values) };
  };
}

/** Mean loss (as `loss`, where one is given) and metrics of `model` over one pass of `loader`, in evaluation mode. */
export function evaluate<B>(
  model: AnyModule,
  loader: Loader<B>,
  options: EvaluateOptions<B>,
): Promise<Record<string, number>> {
  return evaluator(model, options)(loader);
}
