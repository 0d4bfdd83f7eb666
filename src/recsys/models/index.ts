/**
 * Models over sparse inputs, each from its paper, and their names for config files. Interactions are those of tenon/models.
 */
import type { BatchSchema } from '../batch.ts';
import { AutoInt, DCN, DCNv2, DeepFM, DLRM, DNN, FiBiNET, SlotDNN, WideDeep, XDeepFM } from './deep.ts';
import type { SparseModel } from './model.ts';
import { ESMM, MMoE, PLE } from './multitask.ts';
import { MIND, TwoTower } from './retrieval.ts';
import { BST, DIEN, DIN } from './sequence.ts';
import { FFM, FM, LR } from './shallow.ts';

export * from './deep.ts';
export * from './itemToItem.ts';
export * from './model.ts';
export * from './multitask.ts';
export * from './retrieval.ts';
export * from './sequence.ts';
export * from './shallow.ts';

const MODELS = {
  lr: LR,
  fm: FM,
  ffm: FFM,
  dnn: DNN,
  slotdnn: SlotDNN,
  widedeep: WideDeep,
  deepfm: DeepFM,
  xdeepfm: XDeepFM,
  dcn: DCN,
  dcnv2: DCNv2,
  autoint: AutoInt,
  dlrm: DLRM,
  fibinet: FiBiNET,
  din: DIN,
  dien: DIEN,
  bst: BST,
  mmoe: MMoE,
  ple: PLE,
  esmm: ESMM,
  twotower: TwoTower,
  mind: MIND,
} as const;

/** Names of models in config files. */
export type ModelName = keyof typeof MODELS;
export const MODEL_NAMES = Object.keys(MODELS) as readonly ModelName[];

/** A model as a config file has it: its name and the options of its class, without the schema. */
export interface ModelConfig {
  readonly model: ModelName;
  readonly [option: string]: unknown;
}

/** The model a config describes. @throws Error for a name or options that cannot be */
export function buildModel({ model, ...options }: ModelConfig, schema: BatchSchema): SparseModel {
  const Model = MODELS[model] as (new (options: never) => SparseModel) | undefined;
  if (!Model) throw new Error(`model: "${String(model)}" came, expected one of ${MODEL_NAMES.join(', ')}`);
  return new Model({ ...options, schema } as never);
}
