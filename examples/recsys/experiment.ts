/**
 * What the examples share: data from ../shared/data/recsys, training over seeds, means with confidence intervals, and
 * the table in README.md.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { manualSeed } from 'tenon';
import { writeAtomic } from 'tenon/formats';
import { auc } from 'tenon/metrics';
import { Adam } from 'tenon/optim';
import {
  BatchReader,
  buildModel,
  type FeatureSpec,
  type Features,
  type Format,
  type ModelConfig,
  type RowOptimizer,
  type SparseBatch,
  SparseTrainer,
} from 'tenon/recsys';

/** Every experiment is run with these seeds: of initial weights and of the order of examples. */
export const SEEDS: readonly number[] = [1, 2, 3, 4, 5];

/** A file of the data folder. @throws Error when it is not there */
export function dataFile(name: string): string {
  const folder = process.env['TENON_DATA'] ?? path.resolve(process.env['TENON_SHARED'] ?? '../shared', 'data');
  const file = path.join(folder, 'recsys', name);
  if (!existsSync(file)) throw new Error(`${file} is not there; set TENON_DATA to the folder that holds recsys/`);
  return file;
}

export interface Reading {
  readonly format: Format;
  readonly features: FeatureSpec | Features;
  readonly batchSize: number;
  /** Order of examples; as in the file without. */
  readonly seed?: number;
}

/** All batches of a file. */
export async function read(file: string, { seed, ...options }: Reading): Promise<SparseBatch[]> {
  const shuffle = seed === undefined ? undefined : { buffer: 1 << 20, seed };
  const batches: SparseBatch[] = [];
  for await (const batch of new BatchReader([file], { ...options, shuffle, threads: 0 })) batches.push(batch);
  return batches;
}

export interface TrainingOptions {
  readonly model: ModelConfig;
  readonly seed: number;
  readonly epochs: number;
  /** Of the dense weights; 1e-3 by default. */
  readonly lr?: number;
  /** Of rows; Adagrad by default. */
  readonly rows?: RowOptimizer;
  readonly clickLabel?: string | null;
}

/** Trains a model on batches. */
export function train(batches: readonly SparseBatch[], options: TrainingOptions): SparseTrainer {
  const { model, seed, epochs, lr = 1e-3, rows, clickLabel } = options;
  manualSeed(seed);
  const trainer = new SparseTrainer({
    model: buildModel(model, batches[0]!.schema),
    optimizer: parameters => new Adam(parameters, { lr }),
    table: { seed, ...(rows ? { optimizer: rows } : {}) },
    clickLabel,
  });
  for (let epoch = 0; epoch < epochs; epoch++) for (const batch of batches) trainer.step(batch);
  return trainer;
}

/** What a model says about batches, and what was right, per task. */
export function judge(
  trainer: SparseTrainer,
  batches: readonly SparseBatch[],
): { readonly scores: number[]; readonly labels: number[] }[] {
  const { tasks } = trainer.model;
  const judged = tasks.map(() => ({ scores: [] as number[], labels: [] as number[] }));
  for (const batch of batches) {
    const columns = batch.schema.labels.length;
    const predictions = trainer.predict(batch);
    for (let b = 0; b < batch.size; b++)
      for (const [t, label] of tasks.entries()) {
        judged[t]!.scores.push(predictions[b * tasks.length + t]!);
        judged[t]!.labels.push(batch.labels[b * columns + label]!);
      }
  }
  return judged;
}

/** AUC of the first task over batches. */
export function areaOf(trainer: SparseTrainer, batches: readonly SparseBatch[]): number {
  const [{ scores, labels }] = judge(trainer, batches) as [{ scores: number[]; labels: number[] }];
  return auc(scores, labels);
}

/** Mean and half of the 95 % confidence interval (Student's t). */
export function summary(values: readonly number[]): { readonly mean: number; readonly half: number } {
  const n = values.length;
  const mean = values.reduce((a, v) => a + v, 0) / n;
  const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / Math.max(1, n - 1);
  const quantile = [Number.NaN, 12.706, 4.303, 3.182, 2.776, 2.571][n - 1]!;
  return { mean, half: n > 1 ? quantile * Math.sqrt(variance / n) : Number.NaN };
}

/** `0.9123 ± 0.0004` */
export const interval = (values: readonly number[]): string => {
  const { mean, half } = summary(values);
  return Number.isNaN(half) ? mean.toFixed(4) : `${mean.toFixed(4)} ± ${half.toFixed(4)}`;
};

/** One line of the table: what was measured, by which command, and what came out. */
export interface Finding {
  readonly data: string;
  readonly model: string;
  readonly measure: string;
  readonly value: string;
}

const README = path.resolve('examples/recsys/README.md');

/** A finding as a line of a table. */
export const line = ({ data, model, measure, value }: Finding): string =>
  `| ${data} | ${model} | ${measure} | ${value} |`;

/** Prints findings, and puts them into README.md in place of what the same example found before. */
export function report(example: string, findings: readonly Finding[]): void {
  for (const finding of findings) console.log(line(finding));
  const [begin, end] = [`<!-- ${example} -->`, `<!-- /${example} -->`];
  const text = readFileSync(README, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${README} has no place for ${example}`);
  const table = ['| data | model | measure | value |', '| --- | --- | --- | --- |', ...findings.map(line)];
  writeAtomic(README, [`${text.slice(0, from + begin.length)}\n\n${table.join('\n')}\n\n${text.slice(to)}`]);
}
