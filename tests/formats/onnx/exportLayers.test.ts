/**
 * Every layer and loss of the comparison with PyTorch (tests/nn/cases.ts), and every sparse model, as ONNX files in
 * onnxruntime and in our own reader.
 */
import { readFileSync } from 'node:fs';
import { isFloat, manualSeed, ones, randint, randn, type Tensor, zeros } from 'tenon';
import { onnx } from 'tenon/formats';
import * as nn from 'tenon/nn';
import { type BatchSchema, buildModel, MODEL_NAMES, type ModelConfig, type SparseInput } from 'tenon/recsys'; // biome-ignore format: one list
import { describe, expect, it } from 'vitest';
import { callCase, type Input, inputOf as layerInput, MODULES } from '../../nn/cases.ts';
import { compare, unsettle } from './agreement.ts';

const CASES = JSON.parse(readFileSync(new URL('../../fixtures/nn.json', import.meta.url), 'utf8')) as Record<string, { inputs: Input[] }>; // biome-ignore format: one call

/** A layer as its case calls it. */
class Called extends nn.Module<Tensor[], unknown> {
  readonly name: string;
  readonly layer: nn.AnyModule;

  constructor(name: string, layer: nn.AnyModule) {
    super();
    this.name = name;
    this.layer = layer;
  }

  override forward(...inputs: Tensor[]): unknown {
    return callCase(this.name, this.layer, inputs);
  }
}

describe('layers and losses', () => {
  it.each(Object.keys(MODULES))('exports %s', async name => {
    manualSeed(1);
    const model = new Called(name, MODULES[name]!()).eval();
    unsettle(model);
    const inputs = CASES[name]!.inputs.map((input, i) => {
      const x = layerInput(input, i).detach();
      return isFloat(x.dtype) ? x.to('f32') : x;
    });
    await compare(onnx.export(model, inputs, { opset: 18 }), model, inputs);
  });
});

const SEQUENCE = { histories: { history: 'item' }, length: 4, dim: 8, hidden: [16] };
const DEEP = { dim: 8, hidden: [16, 8] };
/** Options of each sparse model; pooled slots have vectors of 8 unless it says otherwise. */
const SPARSE: Readonly<Record<string, { readonly dim?: number; readonly [option: string]: unknown }>> = {
  lr: {}, fm: { dim: 8 }, ffm: { dim: 4 }, dnn: DEEP, slotdnn: { hidden: [32, 16] }, widedeep: DEEP, deepfm: DEEP,
  xdeepfm: { ...DEEP, maps: [8, 4] }, dcn: DEEP, dcnv2: { ...DEEP, rank: 4 }, autoint: { ...DEEP, headSize: 4 },
  dlrm: { dim: 8, bottom: [16], top: [16] }, fibinet: DEEP, din: SEQUENCE, dien: SEQUENCE, bst: SEQUENCE,
  mmoe: { dim: 8, expert: [16], towers: [8] }, ple: { dim: 8, expert: [16], towers: [8] }, esmm: DEEP,
  twotower: { ...DEEP, items: ['item'] }, mind: { ...DEEP, items: ['item'], history: 'history', length: 4, interests: 2 },
}; // biome-ignore format: a table

describe('sparse models', () => {
  it.each(MODEL_NAMES)('exports %s', async name => {
    manualSeed(2);
    const labels = ['mmoe', 'ple', 'esmm'].includes(name) ? ['click', 'buy'] : ['click'];
    const schema: BatchSchema = { slots: ['user', 'item', 'context', 'history'], dense: ['x', 'z'], labels };
    const model = buildModel({ model: name, ...SPARSE[name] } as ModelConfig, schema).eval();
    unsettle(model);
    const { fields } = model;
    const { dim, wide } = model.needs;
    const inputOf = (rows: number): SparseInput => ({
      wide: randn([rows, wide ? fields.length : 0]),
      vectors: randn([rows, fields.length, dim]),
      sequences: Object.fromEntries(
        Object.entries(model.sequences).map(([slot, length]) => {
          const mask = randint(0, 2, [rows, length]).to('f32');
          return [slot, { vectors: randn([rows, length, dim]).mul(mask.unsqueeze(2)), mask }];
        }),
      ),
      dense: randn([rows, 2]),
      weights: ones([rows]),
      ids: zeros([rows, fields.length], { dtype: 'i32' }),
      shows: zeros([rows, fields.length]),
    });
    const count = 6 + 2 * Object.keys(model.sequences).length;
    const inputNames = Array.from({ length: count }, (_, i) => `input ${i}`);
    const dynamicAxes = Object.fromEntries(inputNames.map(input => [input, { 0: 'batch' }]));
    const example = inputOf(5);
    await compare(onnx.export(model, [example], { inputNames, dynamicAxes }), model, [example], [inputOf(3)]);
  });

  it('has options for each', () => {
    expect(Object.keys(SPARSE)).toEqual(MODEL_NAMES);
  });
});
