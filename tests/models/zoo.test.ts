/**
 * Every architecture of the zoo at a small size against PyTorch in f64: names and shapes, the output, the loss, the
 * norm of its gradient, and the loss after one training step. Figures: python3 tests/support/torch_zoo.py
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as models from '../../src/models/index.ts';
import type { AnyModule } from '../../src/nn/index.ts';
import { whyUnavailable } from '../../src/runtime/index.ts';
import { cat, F, ones, Tensor } from '../../src/tensor/index.ts';
import { formula, probe, setFormulaState } from '../support/formula.ts';
import { namesOf } from './digest.ts';

type Probe = readonly [number, number];

interface Spec {
  readonly kind: 'image' | 'pixels' | 'tokens' | 'bert';
  readonly size?: number;
  readonly classes?: number;
  readonly dropout?: boolean;
}

interface Small {
  readonly spec: Spec;
  readonly names: string;
  readonly outputs: readonly { readonly shape: readonly number[]; readonly probe: Probe }[];
  readonly loss: number;
  readonly grad_norm: number;
  readonly loss_after: number;
}

const FIGURES = JSON.parse(readFileSync(new URL('../fixtures/zoo.json', import.meta.url), 'utf8')) as Record<
  string,
  Small
>;

const classes = { numClasses: 10 };
const bert = {
  vocabSize: 31,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  maxPositionEmbeddings: 16,
  hiddenDropoutProb: 0,
  attentionProbsDropoutProb: 0,
};
const llama = {
  vocabSize: 31,
  hiddenSize: 16,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  intermediateSize: 24,
  ropeTheta: 100,
  rmsNormEps: 1e-5,
};
const vit = { imageSize: 32, ...classes };
const eff = { ...classes, dropout: 0, stochasticDepthProb: 0 };
const quiet = { ...classes, dropout: 0 };

/** The small models of torch_zoo.py, without dropout. */
const SMALL: Readonly<Record<string, () => AnyModule>> = {
  lenet: () => new models.LeNet({ channels: 3, ...classes }),
  alexnet: () => models.alexnet({ ...quiet, shrink: 8 }),
  vgg11: () => new models.VGG({ ...quiet, depth: 11, shrink: 8 }),
  vgg16Bn: () => new models.VGG({ ...quiet, depth: 16, batchNorm: true, shrink: 8 }),
  'resnet.basic': () => new models.ResNet({ ...classes, block: models.BasicBlock, layers: [2, 1, 1, 2], width: 16 }),
  'resnet.bottleneck': () =>
    new models.ResNet({ ...classes, block: models.Bottleneck, layers: [1, 2, 2, 1], width: 8 }),
  resnext: () =>
    new models.ResNet({
      ...classes,
      block: models.Bottleneck,
      layers: [1, 1, 1, 1],
      groups: 4,
      widthPerGroup: 16,
      width: 16,
    }),
  mobilenetV2: () => models.mobilenetV2({ ...quiet, widthMult: 0.5 }),
  mobilenetV3Small: () => models.mobilenetV3Small({ ...quiet, widthMult: 0.5 }),
  mobilenetV3Large: () => models.mobilenetV3Large({ ...quiet, widthMult: 0.5 }),
  shufflenetV2: () => models.shufflenetV2_x0_5(classes),
  efficientnet: () =>
    new models.EfficientNet({ ...eff, widthMult: 0.4, depthMult: 1.2, norm: { eps: 1e-3, momentum: 0.01 } }),
  vit: () =>
    new models.VisionTransformer({ ...vit, patchSize: 8, numLayers: 2, numHeads: 4, hiddenDim: 32, mlpDim: 48 }),
  'vit.representation': () =>
    new models.VisionTransformer({
      ...vit,
      patchSize: 16,
      numLayers: 1,
      numHeads: 2,
      hiddenDim: 16,
      mlpDim: 24,
      representationSize: 12,
    }),
  UNet: () => new models.UNet({ numClasses: 4, width: 8 }),
  'UNet.bilinear': () => new models.UNet({ numClasses: 4, width: 8, bilinear: true }),
  gpt2: () =>
    models.gpt2({
      vocabSize: 31,
      nPositions: 16,
      nEmbd: 16,
      nLayer: 2,
      nHead: 4,
      embdPdrop: 0,
      attnPdrop: 0,
      residPdrop: 0,
    }),
  llama: () => new models.LlamaForCausalLM(llama),
  'llama.grouped': () =>
    new models.LlamaForCausalLM({
      ...llama,
      numKeyValueHeads: 2,
      headDim: 6,
      qkvBias: true,
      tieWordEmbeddings: true,
      ropeScaling: {
        ropeType: 'llama3',
        factor: 4,
        lowFreqFactor: 1,
        highFreqFactor: 4,
        originalMaxPositionEmbeddings: 16,
      },
    }),
  'llama.qwen3': () => new models.LlamaForCausalLM({ ...llama, numKeyValueHeads: 1, qkNorm: true, slidingWindow: 3 }),
  BertModel: () => new models.BertModel(bert),
  BertForMaskedLM: () => new models.BertForMaskedLM(bert),
  BertForSequenceClassification: () => new models.BertForSequenceClassification(bert, { numLabels: 3 }),
};

const whole = (seed: number, shape: readonly number[], n: number): Tensor =>
  formula(seed, shape).add(0.5).mul(n).floor().to('i64');

/** The inputs of a case, and its loss. */
function task(spec: Spec): { readonly inputs: unknown[]; readonly loss: (output: unknown) => Tensor } {
  const n = spec.classes ?? 0;
  switch (spec.kind) {
    case 'image':
    case 'pixels': {
      const size = spec.size!;
      const labels = whole(9002, spec.kind === 'image' ? [2] : [2, size, size], n);
      return {
        inputs: [formula(9001, [2, 3, size, size], 1)],
        loss: output => F.crossEntropy(output as Tensor, labels),
      };
    }
    case 'tokens': {
      const ids = whole(9001, [2, 9], n);
      const next = ids.narrow(1, 1, 8).flatten();
      return {
        inputs: [ids.narrow(1, 0, 8)],
        loss: output => F.crossEntropy((output as Tensor).flatten(0, 1), next),
      };
    }
    case 'bert': {
      const keep = ones([1, 7]).cumsum(1).le(5);
      const attentionMask = cat([ones([1, 7]), keep.to('f32')], 0);
      const tokenTypeIds = formula(9003, [2, 7]).gt(0).to('i64');
      return {
        inputs: [whole(9001, [2, 7], 31), { attentionMask, tokenTypeIds }],
        loss: output => {
          const flat = cat(
            tensorsOf(output).map(t => t.flatten()),
            0,
          );
          return flat.mul(formula(9002, flat.shape)).sum();
        },
      };
    }
  }
}

const tensorsOf = (output: unknown): Tensor[] =>
  output instanceof Tensor ? [output] : (Object.values(output as object) as Tensor[]);

const near = (got: number, want: number, what: string, tolerance = 1e-7): void =>
  expect(Math.abs(got - want), `${what}: ${got} instead of ${want}`).toBeLessThan(tolerance * (1 + Math.abs(want)));

const NAMES = Object.keys(FIGURES).flatMap(key => (key.startsWith('small ') ? [key.slice('small '.length)] : []));

it('covers every case', () => {
  expect(Object.keys(SMALL).sort()).toEqual([...NAMES].sort());
});

/**
 * Images take their time: they run on the backend that is the default here; their ops are checked on every one
 * elsewhere.
 */
const usual = whyUnavailable('x86') === null ? 'x86' : 'wasm';
const tooSlow = (name: string): boolean =>
  (process.env['TENON_BACKEND'] ?? usual) !== usual && /image|pixels/.test(FIGURES[`small ${name}`]!.spec.kind);

it.each(NAMES.filter(name => !tooSlow(name)))('%s', name => {
  const figures = FIGURES[`small ${name}`]!;
  const { spec } = figures;
  const model = SMALL[name]!().to('f64');
  expect(namesOf(model)).toBe(figures.names);
  setFormulaState(model);
  const { inputs, loss } = task(spec);
  const run = (): unknown => (model.forward as (...args: unknown[]) => unknown)(...inputs);

  model.eval();
  const outputs = tensorsOf(run());
  expect(outputs.map(({ shape }) => [...shape])).toEqual(figures.outputs.map(({ shape }) => shape));
  outputs.forEach((output, i) => {
    probe(output).forEach((sum, k) => {
      near(sum, figures.outputs[i]!.probe[k]!, `output ${i}`);
    });
  });

  // One step of SGD whose length is 0.1.
  model.train(!spec.dropout && spec.kind !== 'bert');
  const before = loss(run());
  before.backward();
  const trained = model.parameters().filter(({ grad }) => grad !== null);
  const squares = trained.map(({ grad }) => grad!.mul(grad!).sum());
  const norm = squares.reduce((a, b) => a.add(b)).sqrt();
  near(before.item(), figures.loss, 'loss');
  near(norm.item(), figures.grad_norm, 'gradient norm');
  for (const parameter of trained)
    parameter.assign(parameter.detach().sub(parameter.grad!.mul(norm.reciprocal().mul(0.1))));
  near(loss(run()).item(), figures.loss_after, 'loss after a step');
});
