/**
 * A learner as plain data: what `tenon stream --config` reads and what stands beside a published model.
 */
import {
  Adagrad,
  type AdagradOptions,
  Adam,
  type AdamOptions,
  AdamW,
  type AnyOptimizer,
  SGD,
  type SGDOptions,
} from '../optim/index.ts';
import type { Parameter } from '../tensor/index.ts';
import {
  anything,
  byType,
  check,
  either,
  flag,
  type Kind,
  named,
  notNegative,
  number,
  options,
  pair,
  positive,
  share,
} from './check.ts';
import { Features } from './features/features.ts';
import type { FeatureSpec } from './features/spec.ts';
import { buildModel, type ModelConfig } from './models/config.ts';
import { checkFormat, type Format } from './read/format.ts';
import { checkTable, type TableOptions } from './table/options.ts';
import { POOLINGS, type Pooling } from './train/pooling.ts';
import { SparseTrainer } from './train/trainer.ts';

/** A dense optimizer as a config file has it: its name and the options of its class. */
export type OptimizerConfig =
  | ({ readonly type: 'adam' | 'adamw' } & AdamOptions)
  | ({ readonly type: 'sgd' } & SGDOptions)
  | ({ readonly type: 'adagrad' } & AdagradOptions);

/** What learns. */
export interface LearnerConfig {
  readonly model: ModelConfig;
  /** Of the table, beside what the model needs (dim, wide). */
  readonly table?: Partial<TableOptions>;
  /** How the bag of a slot becomes one vector; sum by default. */
  readonly pooling?: Readonly<Record<string, Pooling>>;
  /** Of the dense weights; { type: 'adam', lr: 1e-3 } by default. */
  readonly optimizer?: OptimizerConfig;
  /** Mini-batch aware regularisation of rows, as in SparseTrainer's options; 0 by default. */
  readonly l2?: number;
  /** Computes the products of the dense part in bf16; f32 by default. */
  readonly autocast?: 'bf16';
}

/** How logs are read, what is made of them, and what learns it. */
export interface StreamConfig extends LearnerConfig {
  readonly format: Format;
  readonly features: FeatureSpec;
}

const OPTIMIZERS = { adam: Adam, adamw: AdamW, sgd: SGD, adagrad: Adagrad } as const;

const each = { lr: positive, maximize: flag, weightDecay: notNegative };
const adam = { ...each, betas: pair(share), eps: notNegative, amsgrad: flag };
const OPTIMIZER: Kind = byType<OptimizerConfig>(
  {
    adam,
    adamw: adam,
    sgd: { ...each, momentum: notNegative, dampening: number, nesterov: flag },
    adagrad: { ...each, lrDecay: notNegative, initialAccumulatorValue: notNegative, eps: notNegative },
  },
  { sgd: ['lr'] },
);
const CONFIG: Kind = options<StreamConfig>(
  {
    format: anything,
    features: anything,
    model: anything,
    table: anything,
    pooling: named(either(...POOLINGS)),
    optimizer: OPTIMIZER,
    l2: notNegative,
    autocast: either('bf16'),
  },
  ['format', 'features', 'model'],
);

/**
 * @throws Error in one sentence, which begins with `where`, for a key that is not known or a value that cannot be, at
 * any depth
 */
export function checkConfig(where: string, config: unknown): StreamConfig {
  check(where, CONFIG, config);
  const { format, features, ...learner } = config as StreamConfig;
  try {
    checkFormat(format);
    if (learner.table) checkTable('table', learner.table);
    learnerOf(learner, new Features(features));
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
  return config as StreamConfig;
}

/** A learner as a config or a card describes it, untrained. @throws Error in one sentence for what cannot be */
export function learnerOf(
  { model, table, pooling, optimizer, l2, autocast }: LearnerConfig,
  features: Features,
): SparseTrainer {
  return new SparseTrainer({
    model: buildModel(model, features.schema),
    table,
    pooling,
    optimizer: optimizer && optimizerOf(optimizer),
    l2,
    autocast,
  });
}

function optimizerOf({ type, ...options }: OptimizerConfig): (parameters: Parameter[]) => AnyOptimizer {
  const Optimizer = OPTIMIZERS[type] as new (parameters: Parameter[], options: object) => AnyOptimizer;
  return parameters => new Optimizer(parameters, options);
}
