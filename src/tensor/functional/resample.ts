/**
 * Rearranging and resampling images: pixel shuffling, sliding blocks, interpolation.
 */
import * as build from '../../graph/build.ts';
import { hostArray } from '../../graph/dtype.ts';
import { axis, identityAxis } from '../../graph/reindex.ts';
import { composite } from '../composite.ts';
import { shapeText, writer } from '../convert.ts';
import { checkFloat, checkTensor, checkWhole } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { outputSizes, perDim, type Sizes, windows } from './geometry.ts';

/** [..., C r^2, H, W] as [..., C, H r, W r]. */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  checkTensor('pixelShuffle', 'input', x);
  checkWhole('pixelShuffle', 'upscaleFactor', upscaleFactor, 1);
  const r = upscaleFactor;
  if (x.ndim < 3) throw new RangeError(`pixelShuffle: input: expected at least 3 dims, got ${shapeText(x.shape)}`);
  const lead = x.shape.slice(0, -3);
  const [c, h, w] = x.shape.slice(-3) as [number, number, number];
  if (c % (r * r) !== 0)
    throw new RangeError(`pixelShuffle: ${c} channels do not divide by upscaleFactor ${r} squared`);
  const n = lead.length;
  return x
    .reshape([...lead, c / (r * r), r, r, h, w])
    .permute([...lead.map((_, d) => d), n, n + 3, n + 1, n + 4, n + 2])
    .reshape([...lead, c / (r * r), h * r, w * r]);
}

/** [N, C, ...] with the channels of `groups` groups taken in turns (Zhang et al. 2018). */
export function channelShuffle(x: Tensor, groups: number): Tensor {
  checkTensor('channelShuffle', 'input', x);
  checkWhole('channelShuffle', 'groups', groups, 1);
  const [n, c, ...sizes] = x.shape as [number, number, ...number[]];
  if (x.ndim < 3 || c % groups !== 0)
    throw new RangeError(
      `channelShuffle: input: expected at least 3 dims with channels that split into ${groups} groups, got ${shapeText(x.shape)}`,
    );
  return x
    .reshape([n, groups, c / groups, ...sizes])
    .transpose(1, 2)
    .reshape(x.shape);
}

/** [..., C, H r, W r] as [..., C r^2, H, W]. */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number): Tensor {
  checkTensor('pixelUnshuffle', 'input', x);
  checkWhole('pixelUnshuffle', 'downscaleFactor', downscaleFactor, 1);
  const r = downscaleFactor;
  if (x.ndim < 3) throw new RangeError(`pixelUnshuffle: input: expected at least 3 dims, got ${shapeText(x.shape)}`);
  const lead = x.shape.slice(0, -3);
  const [c, h, w] = x.shape.slice(-3) as [number, number, number];
  if (h % r !== 0 || w % r !== 0)
    throw new RangeError(`pixelUnshuffle: sizes [${h}, ${w}] do not divide by downscaleFactor ${r}`);
  const n = lead.length;
  return x
    .reshape([...lead, c, h / r, r, w / r, r])
    .permute([...lead.map((_, d) => d), n, n + 2, n + 4, n + 1, n + 3])
    .reshape([...lead, c * r * r, h / r, w / r]);
}

export interface BlockOptions {
  readonly dilation?: Sizes;
  readonly padding?: Sizes;
  readonly stride?: Sizes;
}

const BLOCK_OPTIONS = ['dilation', 'padding', 'stride'] as const;

function blockWindow(op: string, kernelSize: Sizes, options: BlockOptions) {
  return {
    kernel: perDim(op, 'kernelSize', kernelSize, 2, 1),
    stride: perDim(op, 'stride', options.stride ?? 1, 2, 1),
    padding: perDim(op, 'padding', options.padding ?? 0, 2, 0),
    dilation: perDim(op, 'dilation', options.dilation ?? 1, 2, 1),
  };
}

/** Sliding blocks of [N, C, H, W] (N optional) as columns: [N, C * kh * kw, blocks]. */
export function unfold(x: Tensor, kernelSize: Sizes, options: BlockOptions = {}): Tensor {
  checkOptions('unfold', options, BLOCK_OPTIONS);
  checkTensor('unfold', 'input', x);
  if (x.ndim === 3) return unfold(x.unsqueeze(0), kernelSize, options).squeeze(0);
  if (x.ndim !== 4) throw new RangeError(`unfold: input: expected 3 or 4 dims, got ${shapeText(x.shape)}`);
  const window = blockWindow('unfold', kernelSize, options);
  const [n, c, ...sizes] = x.shape as [number, number, ...number[]];
  const out = outputSizes('unfold', sizes, window);
  const seen = new Tensor(windows(x.node, 2, out, window));
  const [kh, kw] = window.kernel as [number, number];
  return seen.permute([0, 1, 4, 5, 2, 3]).reshape([n, c * kh * kw, out[0]! * out[1]!]);
}

/** The reverse of unfold: columns added up where their blocks lie, [N, C, ...outputSize]. */
export function fold(x: Tensor, outputSize: Sizes, kernelSize: Sizes, options: BlockOptions = {}): Tensor {
  checkOptions('fold', options, BLOCK_OPTIONS);
  checkTensor('fold', 'input', x);
  if (x.ndim === 2) return fold(x.unsqueeze(0), outputSize, kernelSize, options).squeeze(0);
  if (x.ndim !== 3) throw new RangeError(`fold: input: expected 2 or 3 dims, got ${shapeText(x.shape)}`);
  const window = blockWindow('fold', kernelSize, options);
  const sizes = perDim('fold', 'outputSize', outputSize, 2, 1);
  const out = outputSizes('fold', sizes, window);
  const [kh, kw] = window.kernel as [number, number];
  const [n, rows, blocks] = x.shape as [number, number, number];
  if (rows % (kh * kw) !== 0 || blocks !== out[0]! * out[1]!)
    throw new RangeError(
      `fold: input ${shapeText(x.shape)} does not hold blocks ${shapeText(window.kernel)} of outputSize ${shapeText(sizes)}`,
    );
  const c = rows / (kh * kw);
  const columns = x.reshape([n, c, kh, kw, ...out]).permute([0, 1, 4, 5, 2, 3]);
  const axes = [0, 1].map(s =>
    axis(
      [
        [2 + s, window.stride[s]!],
        [4 + s, window.dilation[s]!],
      ],
      -window.padding[s]!,
    ),
  );
  return new Tensor(
    build.reindexTranspose(columns.node, [identityAxis(0), identityAxis(1), ...axes], [n, c, ...sizes]),
  );
}

export interface InterpolateOptions {
  /** Output sizes of the spatial dims; this or scaleFactor. */
  readonly size?: Sizes | null;
  readonly scaleFactor?: Sizes | null;
  /** 'nearest' by default; 'linear', 'bilinear' and 'trilinear' say the same for 1, 2 and 3 dims, 'area' averages. */
  readonly mode?: 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'trilinear' | 'bicubic' | 'area';
  /** Whether the corners' centres (rather than the edges) stay in place; for the linear modes and bicubic. */
  readonly alignCorners?: boolean | null;
  /** Computes with the factor that the rounded output size implies. */
  readonly recomputeScaleFactor?: boolean | null;
}

/** One output position's sources and weights. */
type Taps = readonly (readonly [source: number, weight: number])[];

const cubic = (t: number): number[] => {
  const a = -0.75;
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
};

/** Where output i comes from along one dim. `scale` is input per output. */
function taps(mode: string, i: number, size: number, out: number, scale: number, align: boolean): Taps {
  const limit = (at: number): number => Math.min(Math.max(at, 0), size - 1);
  if (mode === 'nearest') return [[limit(Math.floor(Math.fround(i * Math.fround(scale)))), 1]];
  if (mode === 'nearest-exact') return [[limit(Math.floor((i + 0.5) * scale)), 1]];
  const position = align ? (out > 1 ? (i * (size - 1)) / (out - 1) : 0) : (i + 0.5) * scale - 0.5;
  if (mode === 'bicubic') {
    const base = Math.floor(position);
    return cubic(position - base).map((weight, k) => [limit(base - 1 + k), weight] as const);
  }
  const clamped = Math.max(position, 0);
  const base = limit(Math.floor(clamped));
  const part = Math.min(Math.max(clamped - base, 0), 1);
  return [
    [base, 1 - part],
    [limit(base + 1), part],
  ];
}

/**
 * Resamples the spatial dims of [N, C, ...] to `size` or by `scaleFactor`; floats, and with the nearest modes any
 * dtype.
 */
export function interpolate(x: Tensor, options: InterpolateOptions = {}): Tensor {
  checkOptions('interpolate', options, ['size', 'scaleFactor', 'mode', 'alignCorners', 'recomputeScaleFactor']);
  if (options.mode !== undefined && !options.mode.startsWith('nearest')) checkFloat('interpolate', 'input', x);
  else checkTensor('interpolate', 'input', x);
  const dims = x.ndim - 2;
  if (dims < 1 || dims > 3) throw new RangeError(`interpolate: input: expected 3 to 5 dims, got ${shapeText(x.shape)}`);
  const { size = null, scaleFactor = null, mode = 'nearest', alignCorners = null, recomputeScaleFactor } = options;
  const linear = ['linear', 'bilinear', 'trilinear'][dims - 1];
  if (!['nearest', 'nearest-exact', 'area', linear, ...(dims === 2 ? ['bicubic'] : [])].includes(mode))
    throw new TypeError(`interpolate: mode: ${String(mode)} is not for ${dims} spatial dims`);
  if (alignCorners !== null && alignCorners !== undefined && (mode.startsWith('nearest') || mode === 'area'))
    throw new TypeError(`interpolate: alignCorners: not for mode ${mode}`);
  if ((size === null) === (scaleFactor === null))
    throw new TypeError('interpolate: exactly one of size and scaleFactor must be given');
  const sizes = x.shape.slice(2);
  const factors =
    scaleFactor === null ? null : typeof scaleFactor === 'number' ? sizes.map(() => scaleFactor) : [...scaleFactor];
  const out = factors
    ? sizes.map((n, d) => Math.floor(n * factors[d]!))
    : perDim('interpolate', 'size', size!, dims, 1);
  if (out.some(n => !(n >= 1)) || sizes.some(n => n === 0))
    throw new RangeError(`interpolate: output sizes ${shapeText(out)} for input ${shapeText(x.shape)}`);
  let result = x;
  sizes.forEach((n, d) => {
    const exact = factors && !recomputeScaleFactor ? 1 / factors[d]! : n / out[d]!;
    result = resampleDim(result, 2 + d, out[d]!, i =>
      mode === 'area' ? areaTaps(i, n, out[d]!) : taps(mode, i, n, out[d]!, exact, alignCorners ?? false),
    );
  });
  const scales = factors && !recomputeScaleFactor ? factors : [];
  return composite('interpolate', [x], { mode, alignCorners: alignCorners ?? false, scales, out }, result);
}

function areaTaps(i: number, size: number, out: number): Taps {
  const start = Math.floor((i * size) / out);
  const end = Math.ceil(((i + 1) * size) / out);
  return Array.from({ length: end - start }, (_, k) => [start + k, 1 / (end - start)] as const);
}

/** One dim through a matrix of weights, or by picking where every output has one source. */
function resampleDim(x: Tensor, d: number, out: number, tapsOf: (i: number) => Taps): Tensor {
  const all = Array.from({ length: out }, (_, i) => tapsOf(i));
  if (all.every(list => list.length === 1))
    return x.indexSelect(
      d,
      Tensor.from(
        all.map(([tap]) => tap![0]),
        { dtype: 'i64' },
      ),
    );
  const size = x.shape[d]!;
  const weights = new Float64Array(size * out);
  all.forEach((list, i) => {
    for (const [source, weight] of list) weights[source * out + i]! += weight;
  });
  const host = hostArray(x.dtype, size * out);
  const write = writer(x.dtype, host);
  weights.forEach((weight, i) => {
    write(i, weight);
  });
  const labels = x.shape.map((_, i) => i);
  const matrix = build.data(host, [size, out], x.dtype);
  return new Tensor(
    build.contract(
      x.node,
      matrix,
      labels,
      [d, x.ndim],
      labels.map(label => (label === d ? x.ndim : label)),
    ),
  );
}

/** interpolate with linear weights and corners in place (2 dims: bilinear). */
export const upsampleBilinear = (x: Tensor, options: InterpolateOptions = {}): Tensor =>
  interpolate(x, { ...options, mode: 'bilinear', alignCorners: true });
