/**
 * Values and gradients against PyTorch 1.13 in f64; the figures and the expressions that made them are in
 * fixtures/torch-cases.json (support/make_torch_cases.py).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cat, einsum, F, stack, Tensor } from '../../src/index.ts';
import { checkCase, type Figures } from '../support/check.ts';

interface TorchCase {
  readonly torch: string;
  readonly inputs: readonly Figures[];
  readonly index?: Figures;
  readonly value: Figures;
  readonly grads: readonly (readonly number[] | null)[];
}

const file = new URL('../fixtures/torch-cases.json', import.meta.url);
const figures = JSON.parse(readFileSync(file, 'utf8')) as { readonly [name: string]: TorchCase };

type Case = (a: Tensor, b: Tensor, c: Tensor, i: Tensor) => Tensor;

const CASES: { readonly [name: string]: Case } = {
  'sum over broadcast': (a, b) => a.mul(b).sum(1),
  'div floor': (a, b) => a.div(b, { roundingMode: 'floor' }),
  remainder: (a, b) => a.remainder(b),
  fmod: (a, b) => a.fmod(b),
  tan: a => a.tan(),
  asin: a => a.asin(),
  acos: a => a.acos(),
  sinh: a => a.sinh(),
  asinh: a => a.asinh(),
  acosh: a => a.acosh(),
  atanh: a => a.atanh(),
  erf: a => a.erf(),
  lgamma: a => a.lgamma(),
  logaddexp: (a, b) => a.logaddexp(b),
  lerp: (a, b) => a.lerp(b, 0.3),
  clamp: a => a.clamp(-0.5, 0.5),
  var: a => a.var(1),
  'std all': a => a.std(),
  prod: a => a.prod(1),
  logsumexp: a => a.logsumexp(1),
  'norm 3': a => a.norm(3, 1),
  cumsum: a => a.cumsum(0),
  cumprod: a => a.cumprod(1),
  'amax ties': a => cat([a, a.mul(2).sub(a.detach())], 1).amax(1),
  'max dim': a => a.max(1).values,
  sort: a => a.sort(1, { descending: true }).values,
  topk: a => a.topk(2, 1).values,
  diagonal: a => a.diagonal(1, 0, 2),
  tril: a => a.tril(-1),
  roll: a => a.roll([1, -2], [0, 1]),
  unfold: a => a.unfold(1, 3, 2),
  cat: (a, b) => cat([a, b], 1),
  stack: (a, b) => stack([a, b], 1),
  gather: (a, _b, _c, i) => a.gather(1, i),
  'scatter add': (a, b, _c, i) => a.scatterAdd(1, i, b),
  'index two tensors': (a, _b, _c, i) => a.index([i.select(0, 0), ':', i.select(0, 1)]),
  einsum: (a, b, c) => einsum('bij,bjk,k->bi', a, b, c),
  'einsum diagonal': (a, b) => einsum('ii,i...->...', a, b),
  'matmul batch': (a, b) => a.matmul(b),
  baddbmm: (a, b, c) => a.baddbmm(b, c, { beta: 0.5, alpha: 2 }),
  softmax: a => a.softmax(1),
  'log softmax': a => a.logSoftmax(0),
  gelu: a => F.gelu(a),
  'gelu tanh': a => F.gelu(a, { approximate: 'tanh' }),
  elu: a => F.elu(a, { alpha: 0.7 }),
  softplus: a => F.softplus(a, { beta: 2 }),
  mish: a => F.mish(a),
  glu: a => F.glu(a, 1),
  linear: (a, b, c) => F.linear(a, b, c),
  'conv1d dilated': (a, b, c) => F.conv1d(a, b, c, { stride: 2, padding: 3, dilation: 2 }),
  'conv2d groups': (a, b, c) => F.conv2d(a, b, c, { padding: [1, 0], groups: 2 }),
  'conv2d same': (a, b) => F.conv2d(a, b, null, { padding: 'same' }),
  conv3d: (a, b) => F.conv3d(a, b, null, { stride: 2, padding: 1 }),
  'conv transpose 2d': (a, b, c) => F.convTranspose2d(a, b, c, { stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
  'conv transpose 1d dilated': (a, b) => F.convTranspose1d(a, b, null, { stride: 3, dilation: 2 }),
  'max pool overlapping': a => F.maxPool2d(a, 3, { stride: 2, padding: 1 }),
  'max pool ties': a => F.maxPool1d(a.relu(), 3, { stride: 2, ceilMode: true }),
  'avg pool without padding': a => F.avgPool2d(a, 3, { stride: 2, padding: 1, countIncludePad: false }),
  'avg pool ceil': a => F.avgPool1d(a, 3, { stride: 2, padding: 1, ceilMode: true }),
  'adaptive avg pool': a => F.adaptiveAvgPool2d(a, [3, 2]),
  'adaptive max pool': a => F.adaptiveMaxPool2d(a, [3, 2]),
  'batch norm': (a, b, c) => F.batchNorm(a, null, null, b, c, { training: true }),
  'layer norm': (a, b, c) => F.layerNorm(a, [2, 3], b, c),
  'group norm': (a, b, c) => F.groupNorm(a, 2, b, c),
  'local response norm': a => F.localResponseNorm(a, 3),
  'pad reflect': a => F.pad(a, [1, 2, 2, 0], { mode: 'reflect' }),
  'pad circular': a => F.pad(a, [2, 1], { mode: 'circular' }),
  'bilinear resize': a => F.interpolate(a, { size: [5, 3], mode: 'bilinear' }),
  fold: a => F.fold(a, [4, 5], [2, 3], { stride: [2, 1] }),
  'cross entropy': (a, _b, _c, i) => F.crossEntropy(a, i),
  'cross entropy weighted': (a, b, _c, i) => F.crossEntropy(a, i, { weight: b.detach(), labelSmoothing: 0.2 }),
  'cross entropy images': (a, _b, _c, i) => F.crossEntropy(a, i, { ignoreIndex: 1, reduction: 'none' }),
  'cross entropy probabilities': (a, b) => F.crossEntropy(a, b.softmax(1)),
  'bce logits': (a, b, c) => F.binaryCrossEntropyWithLogits(a, b.detach(), { posWeight: c.detach() }),
  bce: (a, b) => F.binaryCrossEntropy(a, b.detach()),
  'kl div': (a, b) => F.klDiv(a.logSoftmax(1), b.softmax(1).detach(), { reduction: 'batchmean' }),
  'smooth l1': (a, b) => F.smoothL1Loss(a, b, { beta: 0.5 }),
  huber: (a, b) => F.huberLoss(a, b, { delta: 0.7 }),
  triplet: (a, b, c) => F.tripletMarginLoss(a, b, c, { margin: 2 }),
  'cosine embedding': (a, b) => F.cosineEmbeddingLoss(a, b, Tensor.from([1, -1, 1, -1], { dtype: 'f64' })),
};

describe('values and gradients are PyTorch’s', () => {
  test('every recorded case has its counterpart here', () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(figures).sort());
  });

  test.each(Object.keys(CASES))('%s', name => {
    const { inputs, index, value, grads } = figures[name]!;
    const i = index ? Tensor.from([...index.data], { dtype: 'i64', shape: index.shape }) : undefined;
    checkCase((a, b, c) => CASES[name]!(a!, b!, c!, i!), inputs, value, grads);
  });
});
