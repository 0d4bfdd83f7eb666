/**
 * Models by name, as config files and published cards have them.
 */
import type { BatchSchema } from '../batch.ts';
import {
  check,
  count,
  either,
  flag,
  type Kind,
  list,
  named,
  notNegative,
  options,
  positive,
  share,
  text,
} from '../check.ts';
import {
  AutoInt,
  type AutoIntOptions,
  type CrossOptions,
  DCN,
  DCNv2,
  type DCNv2Options,
  DeepFM,
  type DeepOptions,
  DLRM,
  type DLRMOptions,
  DNN,
  FiBiNET,
  type FiBiNETOptions,
  SlotDNN,
  WideDeep,
  XDeepFM,
  type XDeepFMOptions,
} from './deep.ts';
import type { ModelOptions, SparseModel } from './model.ts';
import { ESMM, type ExpertOptions, MMoE, PLE, type PLEOptions } from './multitask.ts';
import { MIND, type MINDOptions, type RetrievalOptions, TwoTower } from './retrieval.ts';
import { BST, type BSTOptions, DIEN, type DIENOptions, DIN, type SequenceOptions } from './sequence.ts';
import { FFM, FM, LR } from './shallow.ts';

/** The options of a class beside the schema. */
type Own<T> = Omit<T, 'schema'>;

const counts = list(count);
const sized = { dim: count };
const deep = { dim: count, hidden: counts, dropout: share };
const sequence = { ...deep, histories: named(text), length: count, activation: either('relu', 'leakyRelu', 'dice') };
const experts = { dim: count, dropout: share, experts: count, expert: counts, towers: counts };
const retrieval = { ...deep, items: list(text), temperature: positive, logQ: flag };

interface Entry {
  readonly Model: new (options: never) => SparseModel;
  readonly options: Kind;
}

const MODELS = {
  lr: { Model: LR, options: options<object>({}) },
  fm: { Model: FM, options: options<Own<ModelOptions>>(sized) },
  ffm: { Model: FFM, options: options<Own<ModelOptions>>(sized) },
  dnn: { Model: DNN, options: options<Own<DeepOptions>>(deep) },
  slotdnn: { Model: SlotDNN, options: options<Own<DeepOptions>>(deep) },
  widedeep: { Model: WideDeep, options: options<Own<DeepOptions>>(deep) },
  deepfm: { Model: DeepFM, options: options<Own<DeepOptions>>(deep) },
  xdeepfm: { Model: XDeepFM, options: options<Own<XDeepFMOptions>>({ ...deep, maps: counts }) },
  dcn: { Model: DCN, options: options<Own<CrossOptions>>({ ...deep, crosses: count }) },
  dcnv2: {
    Model: DCNv2,
    options: options<Own<DCNv2Options>>({
      ...deep,
      crosses: count,
      rank: count,
      experts: count,
      structure: either('parallel', 'stacked'),
    }),
  },
  autoint: {
    Model: AutoInt,
    options: options<Own<AutoIntOptions>>({ ...deep, layers: count, heads: count, headSize: count }),
  },
  dlrm: { Model: DLRM, options: options<Own<DLRMOptions>>({ ...sized, bottom: counts, top: counts }) },
  fibinet: {
    Model: FiBiNET,
    options: options<Own<FiBiNETOptions>>({ ...deep, bilinear: either('all', 'each', 'interaction') }),
  },
  din: { Model: DIN, options: options<Own<SequenceOptions>>(sequence, ['histories']) },
  dien: { Model: DIEN, options: options<Own<DIENOptions>>({ ...sequence, auxiliary: notNegative }, ['histories']) },
  bst: { Model: BST, options: options<Own<BSTOptions>>({ ...sequence, heads: count, lags: text }, ['histories']) },
  mmoe: { Model: MMoE, options: options<Own<ExpertOptions>>(experts) },
  ple: { Model: PLE, options: options<Own<PLEOptions>>({ ...experts, own: count, levels: count }) },
  esmm: { Model: ESMM, options: options<Own<DeepOptions>>(deep) },
  twotower: { Model: TwoTower, options: options<Own<RetrievalOptions>>(retrieval, ['items']) },
  mind: {
    Model: MIND,
    options: options<Own<MINDOptions>>(
      { ...retrieval, history: text, length: count, interests: count, rounds: count, dynamic: flag, power: positive },
      ['items', 'history'],
    ),
  },
} as const satisfies Record<string, Entry>;

/** Names of models in config files. */
export type ModelName = keyof typeof MODELS;
/** What `model` may be in a config. */
export const MODEL_NAMES = Object.keys(MODELS) as readonly ModelName[];

/** A model as a config file has it: its name and the options of its class, without the schema. */
export interface ModelConfig {
  readonly model: ModelName;
  readonly [option: string]: unknown;
}

/**
 * The model a config describes.
 * @throws Error in one sentence for a name that is none, or an option that is not known or cannot be
 */
export function buildModel(config: ModelConfig, schema: BatchSchema): SparseModel {
  if (typeof config !== 'object' || config === null)
    throw new Error(`model: ${JSON.stringify(config)} came, expected an object, for instance { "model": "deepfm" }`);
  const { model, ...given } = config;
  const entry = MODELS[model] as Entry | undefined;
  if (!entry) throw new Error(`model: "${String(model)}" came, expected one of ${MODEL_NAMES.join(', ')}`);
  check(`model ${model}`, entry.options, given);
  return new entry.Model({ ...given, schema } as never);
}
