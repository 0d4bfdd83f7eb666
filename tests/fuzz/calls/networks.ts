/** Calls that layers make: convolutions, pooling, resampling, normalisation, attention, losses. */
import { F, isFloat, type Tensor } from '../../../src/index.ts';
import { call, type Draw, type Held, type Maker } from './draw.ts';

/** A value as images [N, C, ...spatial] of so many spatial dims, or null. */
const isImages = (x: Held, spatial: number): boolean => isFloat(x.dtype) && x.shape.length === spatial + 2;

const CHANNELS = [1, 1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 32, 33];
const LARGE_CHANNELS = [...CHANNELS, 16, 32, 47, 48, 64, 65, 96, 128];

const CONVOLUTIONS = [F.conv1d, F.conv2d, F.conv3d];
const TRANSPOSED = [F.convTranspose1d, F.convTranspose2d, F.convTranspose3d];

/** Images of so many spatial dims: the value if it is, a leaf otherwise. */
function images(d: Draw, x: Held, spatial: number): Held {
  if (isImages(x, spatial)) return x;
  const { r } = d;
  const most = [0, 40, 14, 6][spatial]!;
  const shape = [
    1 + r.int(3),
    r.pick(d.mostWork > 1e6 ? LARGE_CHANNELS : CHANNELS),
    ...Array.from({ length: spatial }, () => 1 + r.int(most)),
  ];
  return d.like(shape, r.pick(['f32', 'f32', 'f32', 'f64', 'bf16', 'f16'] as const));
}

const convolution: Maker = (d, from) => {
  const { r } = d;
  const spatial = r.pick([1, 2, 2, 2, 3]);
  const x = images(d, from, spatial);
  const [, channels, ...sizes] = x.shape as number[];
  const each = <T>(of: () => T): T[] => sizes.map(of);
  const kernel = sizes.map(() => r.pick([1, 1, 2, 3, 3, 4, 5]));
  const [stride, dilation, padding] = [each(() => r.pick([1, 1, 2, 3])), each(() => r.pick([1, 1, 1, 2])), each(() => r.int(3))]; // biome-ignore format: one line
  const divisors = [1, 1, 1, channels!, 2, 3].filter(g => channels! % g === 0);
  const groups = r.pick(divisors);
  const bias = r.once(2);
  const work = x.tensor.numel() * kernel.reduce((a, b) => a * b, 1);
  if (r.once(3)) {
    const out = r.pick([1, 2, 3, 8]) * groups;
    const outputPadding = stride.map((s, k) => (Math.max(s, dilation[k]!) > 1 ? r.int(Math.max(s, dilation[k]!)) : 0));
    if ((work * out) / groups > d.mostWork) return null;
    const w = d.like([channels!, out / groups, ...kernel], x.dtype);
    const options = { stride, dilation, padding: padding.map((p, k) => Math.min(p, dilation[k]! * (kernel[k]! - 1))), groups, outputPadding }; // biome-ignore format: one line
    const scale = 1 / Math.sqrt((channels! / groups) * kernel.reduce((a, b) => a * b, 1));
    return call(`convTranspose${spatial}d`, options, [x, w, ...(bias ? [d.like([out], x.dtype)] : [])], (a, b, c) =>
      TRANSPOSED[spatial - 1]!(a, b.mul(scale), c ?? null, options),
    );
  }
  const out = groups === 1 ? r.pick(d.mostWork > 1e6 ? LARGE_CHANNELS : CHANNELS) : groups * r.pick([1, 1, 2, 3]);
  if ((work * out) / groups > d.mostWork) return null;
  const same = r.once(6) && stride.every(s => s === 1);
  const options = { stride, dilation, padding: same ? ('same' as const) : padding, groups };
  const w = d.like([out, channels! / groups, ...kernel], x.dtype);
  const scale = 1 / Math.sqrt((channels! / groups) * kernel.reduce((a, b) => a * b, 1));
  return call(`conv${spatial}d`, options, [x, w, ...(bias ? [d.like([out], x.dtype)] : [])], (a, b, c) =>
    CONVOLUTIONS[spatial - 1]!(a, b.mul(scale), c ?? null, options),
  );
};

const MAX = [F.maxPool1d, F.maxPool2d, F.maxPool3d];
const UNPOOL = [F.maxUnpool1d, F.maxUnpool2d, F.maxUnpool3d];
const AVERAGE = [F.avgPool1d, F.avgPool2d, F.avgPool3d];
const ADAPTIVE_AVERAGE = [F.adaptiveAvgPool1d, F.adaptiveAvgPool2d, F.adaptiveAvgPool3d];
const ADAPTIVE_MAX = [F.adaptiveMaxPool1d, F.adaptiveMaxPool2d, F.adaptiveMaxPool3d];

const pool: Maker = (d, from) => {
  const { r } = d;
  const spatial = r.pick([1, 2, 2, 2, 3]);
  const x = images(d, from, spatial);
  const sizes = x.shape.slice(2);
  const kernel = sizes.map(n => 1 + r.int(Math.min(n, 4)));
  const stride = sizes.map(() => 1 + r.int(3));
  const padding = kernel.map(k => r.int(Math.floor(k / 2) + 1));
  const ceilMode = r.once(3);
  const i = spatial - 1;
  switch (r.int(6)) {
    case 0: {
      const dilation = kernel.map((k, n) => ((k - 1) * 2 + 1 <= sizes[n]! ? r.pick([1, 2]) : 1));
      const options = { stride, padding, dilation, ceilMode };
      return call(`maxPool${spatial}d`, [kernel, options], [x], a => MAX[i]!(a, kernel, options));
    }
    case 1: {
      const options = { stride, padding, ceilMode, countIncludePad: r.once(2) };
      return call(`avgPool${spatial}d`, [kernel, options], [x], a => AVERAGE[i]!(a, kernel, options));
    }
    case 2: {
      const to = sizes.map(() => 1 + r.int(5));
      return call(`adaptiveAvgPool${spatial}d`, to, [x], a => ADAPTIVE_AVERAGE[i]!(a, to));
    }
    case 3: {
      const to = sizes.map(() => 1 + r.int(5));
      return call(`adaptiveMaxPool${spatial}d`, to, [x], a => ADAPTIVE_MAX[i]!(a, to));
    }
    case 4:
      if (sizes.some((n, k) => n % kernel[k]! !== 0)) return null;
      return call(`maxUnpool${spatial}d`, kernel, [x], a => {
        const { values, indices } = MAX[i]!(a, kernel, { returnIndices: true });
        return UNPOOL[i]!(values, indices, kernel);
      });
    default:
      return spatial === 2 ? call('lpPool2d', [2, kernel, stride], [x], a => F.lpPool2d(a.abs().add(0.1), 2, kernel, { stride, ceilMode })) : null; // biome-ignore format: one line
  }
};

const resample: Maker = (d, from) => {
  const { r } = d;
  const spatial = r.pick([1, 2, 2, 3]);
  const x = images(d, from, spatial);
  if (x.tensor.numel() > d.mostElements / 2) return null;
  const linear = (['linear', 'bilinear', 'trilinear'] as const)[spatial - 1]!;
  const mode = r.pick(['nearest', 'nearest-exact', 'area', linear, linear, ...(spatial === 2 ? (['bicubic'] as const) : [])] as const); // biome-ignore format: one line
  const alignCorners = (mode === linear || mode === 'bicubic') && r.once(2);
  const size = x.shape.slice(2).map(n => 1 + r.int(2 * n));
  const options = { size, mode, ...(alignCorners ? { alignCorners } : {}) };
  return call('interpolate', options, [x], a => F.interpolate(a, options));
};

const sampled: Maker = (d, from) => {
  const { r } = d;
  const x = images(d, from, 2);
  const grid = d.like([x.shape[0]!, 1 + r.int(4), 1 + r.int(4), 2], x.dtype);
  const mode = r.pick(['bilinear', 'nearest', 'bicubic'] as const);
  const options = { mode, paddingMode: r.pick(['zeros', 'border', 'reflection'] as const), alignCorners: r.once(2) };
  return call('gridSample', options, [x, grid], (a, b) => F.gridSample(a, b, options));
};

const blocks: Maker = (d, from) => {
  const { r } = d;
  const x = images(d, from, 2);
  const [h, w] = [x.shape[2]!, x.shape[3]!];
  const kernel = [1 + r.int(Math.min(3, h)), 1 + r.int(Math.min(3, w))];
  const options = { stride: 1 + r.int(2), padding: r.int(2) };
  if (r.once(2)) return call('unfold', [kernel, options], [x], a => F.unfold(a, kernel, options));
  return call('fold of unfold', [kernel, options], [x], a => F.fold(F.unfold(a, kernel, options), [h, w], kernel, options)); // biome-ignore format: one line
};

const normalised: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype) || x.shape.length === 0) return null;
  const eps = 0.1;
  const affine = (shape: readonly number[]): Held[] =>
    r.once(2) ? [d.like(shape, x.dtype), d.like(shape, x.dtype)] : [];
  switch (r.int(6)) {
    case 0: {
      const shape = x.shape.slice(r.int(x.shape.length));
      return call('layerNorm', shape, [x, ...affine(shape)], (a, w, b) => F.layerNorm(a, shape, w ?? null, b ?? null, eps)); // biome-ignore format: one line
    }
    case 1: {
      const shape = x.shape.slice(r.int(x.shape.length));
      const [w] = affine(shape);
      return call('rmsNorm', shape, [x, ...(w ? [w] : [])], (a, b) => F.rmsNorm(a, shape, b ?? null, eps));
    }
    case 2: {
      if (x.shape.length < 2) return null;
      const c = x.shape[1]!;
      const groups = r.pick([1, c, 2, 3].filter(g => c % g === 0));
      return call('groupNorm', [groups], [x, ...affine([c])], (a, w, b) => F.groupNorm(a, groups, w ?? null, b ?? null, eps)); // biome-ignore format: one line
    }
    case 3: {
      if (x.shape.length < 2 || x.tensor.numel() / x.shape[1]! < 2) return null;
      return call('batchNorm', null, [x, ...affine([x.shape[1]!])], (a, w, b) => F.batchNorm(a, null, null, w ?? null, b ?? null, { training: true, eps })); // biome-ignore format: one line
    }
    case 4: {
      if (x.shape.length < 3 || x.shape.slice(2).reduce((p, q) => p * q, 1) < 2) return null;
      return call('instanceNorm', null, [x, ...affine([x.shape[1]!])], (a, w, b) => F.instanceNorm(a, { weight: w ?? null, bias: b ?? null, eps })); // biome-ignore format: one line
    }
    default: {
      if (x.shape.length >= 3 && r.once(2)) return call('localResponseNorm', [3], [x], a => F.localResponseNorm(a, 3, { alpha: 0.1 })); // biome-ignore format: one line
      const dim = d.dim(x);
      return call('normalize', [dim], [x], a => F.normalize(a, { dim, eps }));
    }
  }
};

const attention: Maker = (d, x) => {
  const { r } = d;
  const lead = r.pick([[], [2], [1, 2], [2, 3]]);
  const [l, s, e, v] = [
    r.pick([1, 2, 5, 8, 17, 33]),
    r.pick([1, 3, 8, 16, 31]),
    r.pick([1, 4, 8, 13, 16, 32]),
    r.pick([1, 4, 8, 15, 16]),
  ];
  const dtype = isFloat(x.dtype) ? x.dtype : 'f32';
  const causal = r.once(3);
  const [q, k, w] = [d.like([...lead, l, e], dtype), d.like([...lead, s, e], dtype), d.like([...lead, s, v], dtype)];
  const scale = r.once(3) ? 0.3 : null;
  const kind = causal ? 'causal' : r.pick(['none', 'bool', 'float'] as const);
  if (kind === 'none' || kind === 'causal') return call('scaledDotProductAttention', [kind, scale], [q, k, w], (a, b, c) => F.scaledDotProductAttention(a, b, c, { isCausal: causal, scale })); // biome-ignore format: one line
  const shape = r.pick([
    [l, s],
    [...lead, l, s],
    [1, s],
  ]);
  const mask = d.like(shape, kind === 'bool' ? 'bool' : dtype);
  // A row that may look nowhere is NaN: the first position is open to all.
  return call('scaledDotProductAttention', [kind, scale], [q, k, w, mask], (a, b, c, m) =>
    F.scaledDotProductAttention(a, b, c, { attnMask: m!.dtype === 'bool' ? openFirst(m!) : m!, scale }),
  );
};

const openFirst = (mask: Tensor): Tensor => {
  const n = mask.shape.at(-1)!;
  const first = mask.narrow(-1, 0, 1).logicalOr(mask.narrow(-1, 0, 1).logicalNot());
  return n === 1 ? first : first.expand(mask.shape).logicalAnd(mask.logicalOr(F.oneHot(mask.narrow(-1, 0, 1).to('i64').mul(0).squeeze(-1), n).to('bool'))); // biome-ignore format: one line
};

const loss: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype) || x.shape.length === 0) return null;
  const reduction = r.pick(['mean', 'sum', 'none'] as const);
  const y = d.like(x.shape, x.dtype);
  switch (r.int(12)) {
    case 0:
    case 1: {
      if (x.shape.length < 2) return null;
      const target = d.indices([x.shape[0]!, ...x.shape.slice(2)], x.shape[1]!);
      const ignoreIndex = r.once(3) ? 0 : -100;
      const labelSmoothing = r.once(2) ? 0.1 : 0;
      return call('crossEntropy', [target, ignoreIndex, labelSmoothing], [x], a => F.crossEntropy(a, target, { reduction: 'sum', ignoreIndex, labelSmoothing })); // biome-ignore format: one line
    }
    case 2:
      return call('binaryCrossEntropyWithLogits', [reduction], [x, y], (a, b) => F.binaryCrossEntropyWithLogits(a, b.sigmoid(), { reduction })); // biome-ignore format: one line
    case 3:
      return call('binaryCrossEntropy', [reduction], [x, y], (a, b) => F.binaryCrossEntropy(a.tanh().mul(0.4).add(0.5), b.sigmoid(), { reduction })); // biome-ignore format: one line
    case 4:
      return call('klDiv', [reduction], [x, y], (a, b) => F.klDiv(a, b.sigmoid(), { reduction }));
    case 5:
      return call('gaussianNllLoss', [reduction], [x, y], (a, b) => F.gaussianNllLoss(a, b, b.abs().add(0.5), { reduction })); // biome-ignore format: one line
    case 6:
      return call('huberLoss', [reduction], [x, y], (a, b) => F.huberLoss(a, b, { reduction, delta: 0.7 }));
    case 7:
      return call('poissonNllLoss', [reduction], [x, y], (a, b) => F.poissonNllLoss(a.clamp(-2, 2), b.abs(), { reduction })); // biome-ignore format: one line
    case 8: {
      const dim = d.dim(x);
      return call('cosineSimilarity', [dim], [x, y], (a, b) => F.cosineSimilarity(a, b.add(0.5), { dim, eps: 0.1 }));
    }
    case 9:
      return x.shape.length === 2 ? call('tripletMarginLoss', [reduction], [x, y], (a, b) => F.tripletMarginLoss(a, b, a.flip([0]).add(0.3), { reduction })) : null; // biome-ignore format: one line
    case 10:
      return call('softMarginLoss', [reduction], [x, y], (a, b) => F.softMarginLoss(a, b.sign(), { reduction }));
    default:
      return call('smoothL1Loss', [reduction], [x, y], (a, b) => F.smoothL1Loss(a, b, { reduction, beta: 0.5 }));
  }
};

const gated: Maker = (d, x) => {
  if (!isFloat(x.dtype)) return null;
  const dim = d.dim(x);
  return x.shape.at(dim)! % 2 === 0 ? call('glu', [dim], [x], a => F.glu(a, dim)) : null;
};

export const NETWORKS: readonly Maker[] = [
  convolution, convolution, convolution, convolution, pool, pool, pool, resample, sampled, blocks, normalised, normalised, normalised, attention, attention, loss, loss, gated,
]; // biome-ignore format: a table
