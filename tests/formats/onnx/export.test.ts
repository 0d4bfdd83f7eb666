/**
 * Exported models in onnxruntime and in our own reader: one model per architecture with its dynamic axes, and
 * operators that no model uses. zoo.test.ts has every model.
 */
import { cat, F, geqrf, linalg, manualSeed, Parameter, randint, randn, type Tensor, topk } from 'tenon';
import { onnx } from 'tenon/formats';
import * as models from 'tenon/models';
import * as nn from 'tenon/nn';
import { expect, it } from 'vitest';
import { type AnyModel, compare, unsettle } from './agreement.ts';

interface Subject {
  readonly make: () => AnyModel;
  readonly args: () => unknown[];
  /** Axes of the first input that are dynamic. */
  readonly dynamic: Readonly<Record<number, string>>;
  /** Arguments of another size. */
  readonly other: () => unknown[];
  readonly opset?: number;
}

const image = (n: number, size: number, channels = 3) => [randn([n, channels, size, size])];
const tokens = (n: number, length: number) => [randint(0, 60, [n, length])];
const batch = { 0: 'batch' } as const;
const few = { numClasses: 7 } as const;
// Their width says nothing of the export; at full width it is most of the time.
const narrow = { ...few, width: 16 } as const;
const thin = { ...few, widthMult: 0.25 } as const;
const vision = (make: () => AnyModel, size = 32, more: Partial<Subject> = {}): Subject => ({
  make,
  args: () => image(1, size),
  dynamic: batch,
  other: () => image(3, size),
  ...more,
});
const language = (make: () => AnyModel): Subject => ({
  make,
  args: () => tokens(2, 5),
  dynamic: { 0: 'batch', 1: 'sequence' },
  other: () => tokens(1, 9),
});

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'LeNet': vision(() => new models.LeNet(), 28, { args: () => image(1, 28, 1), other: () => image(3, 28, 1) }),
  'MLP': vision(() => new models.MLP({ inputs: 48, hidden: 32, numClasses: 10 }), 4, { args: () => [randn([1, 48])], other: () => [randn([5, 48])] }),
  'AlexNet': vision(() => models.alexnet({ ...few, shrink: 8 }), 64),
  'VGG-11 with batch norm': vision(() => new models.VGG({ ...few, depth: 11, batchNorm: true, shrink: 8 })),
  'ResNet-18, any size': vision(() => models.resnet18(narrow), 64, {
    dynamic: { 0: 'batch', 2: 'height', 3: 'width' },
    other: () => [randn([2, 3, 96, 64])],
  }),
  'ResNet-50': vision(() => models.resnet50(narrow)),
  'ResNeXt-50': vision(() => models.resnext50_32x4d(narrow)),
  'MobileNetV2': vision(() => models.mobilenetV2(thin)),
  'MobileNetV3 small': vision(() => models.mobilenetV3Small(thin)),
  'MobileNetV3 large': vision(() => models.mobilenetV3Large(thin)),
  'ShuffleNetV2': vision(() => models.shufflenetV2_x0_5(few)),
  'EfficientNet-B0': vision(() => new models.EfficientNet({ ...thin, depthMult: 1 })),
  'ViT': vision(() => new models.VisionTransformer({ ...few, imageSize: 32, patchSize: 8, numLayers: 2, numHeads: 2, hiddenDim: 16, mlpDim: 32 })),
  'U-Net': vision(() => new models.UNet({ width: 8 })),
  'U-Net that resamples': vision(() => new models.UNet({ width: 8, bilinear: true })),
  'GPT': language(() => new models.GPT({ vocab: 60, block: 32, layers: 2, heads: 2, d: 16 })),
  'GPT-2': language(() => new models.GPT2LMHeadModel({ vocabSize: 60, nPositions: 32, nEmbd: 16, nLayer: 2, nHead: 2 })),
  'BERT': language(() => new models.BertModel({ vocabSize: 60, hiddenSize: 16, numHiddenLayers: 2, numAttentionHeads: 2, intermediateSize: 32, maxPositionEmbeddings: 32 })),
  'LLaMA': language(() => new models.LlamaForCausalLM({ vocabSize: 60, hiddenSize: 16, intermediateSize: 32, numHiddenLayers: 2, numAttentionHeads: 4, numKeyValueHeads: 2, maxPositionEmbeddings: 32 })),
  'LSTM': vision(() => new models.LSTMNet({ inputs: 5, hidden: 8, numClasses: 3 }), 4, { args: () => [randn([2, 6, 5])], other: () => [randn([5, 6, 5])] }),
  'LLaMA, opset 23': {
    ...language(() => new models.LlamaForCausalLM({ vocabSize: 60, hiddenSize: 16, intermediateSize: 32, numHiddenLayers: 1, numAttentionHeads: 2, numKeyValueHeads: 2, maxPositionEmbeddings: 32 })),
    opset: 23,
  },
}; // biome-ignore format: a table

for (const [name, { make, args, dynamic, other, opset }] of Object.entries(SUBJECTS))
  it(`exports ${name}`, async () => {
    manualSeed(1);
    const model = make().eval();
    unsettle(model);
    const example = args();
    const options = opset === undefined ? {} : { opset };
    const free = onnx.export(model, example, { ...options, dynamicAxes: { input: dynamic } });
    await compare(free, model, example, other());
    await compare(onnx.export(model, example, options), model, example);
    // Parameters keep their names, and none is missing or made up.
    const names = onnx.parse(free, name).namedParameters().map(([key]) => key); // biome-ignore format: one call
    const own = new Set(Object.keys(model.stateDict()));
    expect(names.filter(key => !own.has(key) && !key.startsWith('constant'))).toEqual([]);
    expect(names.length).toBeGreaterThan(0);
  }, 180_000);

/** A module of one function, for operators that no model of the zoo uses. */
class Applied extends nn.Module<Tensor[], Tensor> {
  readonly weight = new Parameter(randn([4, 3]));
  readonly fn: (x: Tensor, weight: Tensor) => Tensor;

  constructor(fn: (x: Tensor, weight: Tensor) => Tensor) {
    super();
    this.fn = fn;
  }

  override forward(x: Tensor): Tensor {
    return this.fn(x, this.weight);
  }
}

const FUNCTIONS: Readonly<Record<string, (x: Tensor, weight: Tensor) => Tensor>> = {
  'views that cut, turn and fill': x => x.flip(1).narrow(2, 1, 2).constantPad([1, 2, 0, 1], 5).transpose(0, 2),
  'every second element, backwards': x => x.slice(2, 0, null, 2).flip(2),
  'rows added behind the only one': x => x.narrow(1, 0, 1).constantPad([0, 0, 0, 2]).add(x.narrow(1, 0, 3)),
  'windows': x => x.unfold(2, 2, 1).sum(-1),
  'a diagonal': x => x.diagonal(0, 1, 2),
  'sums over all axes, and extremes': x => x.sum().add(x.amax()).sub(x.amin([0, 2])),
  'a mean of bools': x => x.gt(0).all(1).logicalOr(x.lt(-1).any(1)).to('f32'),
  'sorting': x => x.sort(2).values.add(x.argsort(1).to('f32')),
  'largest elements': x => topk(x, 2, 2).values,
  'running sums': x => x.cumsum(1).flip(2),
  'whole and rest of a division': x => x.remainder(0.7).add(x.floorDivide(0.3)).add(x.fmod(1.1)),
  'angles': x => x.atan2(x.flip(1).add(0.1)),
  'logarithms near 0': x => x.mul(1e-4).log1p().add(x.mul(1e-4).expm1()),
  'scattering': x => x.scatter(2, x.argsort(2), x.mul(2)),
  'gathering': x => x.indexSelect(1, x.argmax(1).reshape([-1]).remainder(3)),
  'einsum with its own weight': (x, w) => x.transpose(1, 2).matmul(w.T.transpose(0, 1)).relu(),
  'a join of many': x => cat([x, x.mul(2), x.neg(), x.exp(), x.tanh()], 1),
  'a join of two': x => cat([x, x.mul(2)], 2),
  'group norm': x => F.groupNorm(x, 2),
  'instance norm': x => F.instanceNorm(x),
  'average pools that count or do not': x => F.avgPool1d(x, 3, { stride: 1, padding: 1 }).add(F.avgPool1d(x, 3, { stride: 1, padding: 1, countIncludePad: false })),
  'a pool whose last window leaves the input': x => F.maxPool1d(x, 2, { stride: 2, ceilMode: true }),
  'resizing': x => F.interpolate(x, { scaleFactor: 2, mode: 'linear' }).add(F.interpolate(x, { scaleFactor: 2 })),
  'resizing to a size': x => F.interpolate(x, { size: 5, mode: 'linear', alignCorners: true }),
  'a transposed convolution': (x, w) => F.convTranspose1d(x, w.reshape([4, 3, 1]).expand([4, 3, 2]), null, { stride: 2 }),
  'activations': x => F.hardswish(x).add(F.hardsigmoid(x)).add(F.leakyRelu(x)).add(F.elu(x)).add(F.softplus(x)).add(F.gelu(x)).add(F.gelu(x, { approximate: 'tanh' })).add(F.softsign(x)).add(F.mish(x)),
  'the gamma function': x => x.abs().lgamma().add(x.mul(3).lgamma()).add(x.mul(9).digamma().clamp(-9, 9)),
  'a system of equations': (x, w) => linalg.solve(w.T.matmul(w).add(x.select(0, 0).T.matmul(x.select(0, 0))), x.transpose(1, 2)),
  'an inverse and a determinant': x => linalg.inv(x.transpose(1, 2).matmul(x)).mul(linalg.det(x.transpose(1, 2).matmul(x)).reshape([2, 1, 1])),
  'a Cholesky factor and what it solves': x => { const l = linalg.cholesky(x.transpose(1, 2).matmul(x)); return l.add(linalg.solveTriangular(l, x.narrow(1, 0, 3), { upper: false })); },
  'an LU factorisation': x => { const { p, l, u } = linalg.lu(x); return p.sum(-2).add(l.matmul(u).sum(-1)).add(u.sum(-1).mean(-1, { keepdim: true })); },
  'a QR factorisation': x => { const { q, r } = linalg.qr(x.transpose(1, 2)); return cat([q, r, q.matmul(r)], -1); },
  'a complete QR factorisation': x => { const { q, r } = linalg.qr(x.transpose(1, 2), 'complete'); return cat([q, r], -1); },
  'reflections': x => { const { a, tau } = geqrf(x); return a.add(tau.unsqueeze(1)); },
  'eigenvalues': x => linalg.eigvalsh(x.transpose(1, 2).matmul(x)),
  'the root of a symmetric matrix': x => { const { eigenvalues, eigenvectors } = linalg.eigh(x.transpose(1, 2).matmul(x), 'U'); return eigenvectors.mul(eigenvalues.sqrt().unsqueeze(1)).matmul(eigenvectors.transpose(1, 2)); },
  'singular values': x => linalg.svdvals(x),
  'a polar factor': x => { const { u, vh } = linalg.svd(x.transpose(1, 2), { fullMatrices: false }); return u.matmul(vh); },
  'a pseudo-inverse': x => linalg.pinv(x),
  'limits': x => x.clamp(-0.5, 0.5).add(x.clampMin(0.1)).add(F.relu6(x)),
}; // biome-ignore format: a table

for (const [name, fn] of Object.entries(FUNCTIONS))
  it(`exports ${name}`, async () => {
    manualSeed(2);
    const model = new Applied(fn).eval();
    const x = randn([2, 4, 3]);
    for (const opset of [17, 21]) await compare(onnx.export(model, [x], { opset }), model, [x]);
  });

it('names what cannot be exported', () => {
  const refused = (fn: (x: Tensor) => Tensor, options = {}): string => {
    try {
      onnx.export(new Applied(fn), [randn([2, 4, 3])], options);
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing was refused';
  };
  expect(refused(x => linalg.ldlFactor(x.transpose(1, 2).matmul(x)).ld)).toContain('ONNX has no operator for the matrix routine ldl');
  expect(refused(x => x.scatterReduce(2, x.argsort(2), x, 'amax'))).toBe('export: opset 17 has no scatter by max');
  expect(refused(x => x, { opset: 3 })).toBe('export: opset: expected a whole number from 17 to 26, got 3');
  expect(refused(x => x, { dynamicAxes: { image: { 0: 'n' } } })).toContain('names an input "image"; the inputs are "input"');
  expect(refused(x => x.unfold(2, 2, 1), { dynamicAxes: { input: { 2: 'n' } } })).toContain('a dynamic axis cannot be written');
}); // biome-ignore format: messages in one line

it('a printed model says what it is made of', () => {
  const model = onnx.parse(onnx.export(new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU()), randn([1, 2])));
  expect(String(model)).toBe("OnnxModel(operators=[Gemm, Relu], ai.onnx=17, producer='tenon')");
});
