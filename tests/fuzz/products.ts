/**
 * Random products of every form, with what stands before and behind them: matrices stored transposed, in steps, flipped
 * or broadcast, convolutions of every stride, dilation and group, attention; sizes just under, at and over vectors,
 * tiles and blocks; NaN, infinities, denormals and the ends of the range among the operands.
 */
import { autocast, type DType, F, isFloat, Tensor } from '../../src/index.ts';
import type { Random } from './random.ts';

export interface Product {
  readonly name: string;
  /** As they are stored. */
  readonly operands: readonly Tensor[];
  /** What is computed of stored operands, in a dtype. */
  readonly of: (operands: readonly Tensor[], dtype: DType) => Tensor;
  readonly dtype: DType;
  /** Whether all operands hold ordinary numbers. */
  readonly tame: boolean;
  /** Whether gradients can be compared: not behind a rectifier, which rounding may turn, nor of whole numbers. */
  readonly smooth: boolean;
  /** Products in the longest sum of a result or a gradient. */
  readonly terms: number;
  /** Whether there are zeros around, which some kernels multiply (by an infinity even) and others leave out. */
  readonly borders: boolean;
  /**
   * What an element is right to: the sum of its own products' magnitudes; those of its image, where it may go through
   * transformed tiles; the largest element, behind a softmax.
   */
  readonly rightTo: 'products' | 'tiles' | 'largest';
}

/** One, primes, and just under, at and over vectors, register tiles, tiles of 16 x 32 and 16 x 64, and blocks of them. */
const SIZES = [
  1, 1, 2, 3, 5, 7, 8, 9, 13, 14, 15, 16, 17, 27, 28, 29, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97, 127, 128, 129,
]; // biome-ignore format: a table
const LONG = [255, 256, 257, 511, 513, 1025, 2100];
const CHANNELS = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 32, 33, 48, 63, 64, 64, 65, 96];
/** Channels in whole vectors and words. */
const WIDE = [32, 32, 48, 64, 64];
/** Products of one drawn case, now and then and mostly. */
const MOST_WORK = [1_500_000, 150_000] as const;
/** The same where channels are many. */
const MOST_WIDE_WORK = 2_500_000;

/** Tiles around those that transforms pay from, in f32 and in words; channels of theirs; products of one case. */
const TILES = [31, 32, 33, 127, 128, 129, 130];
const IN_TILES = [32, 32, 32, 48, 64];
const MOST_TILED_WORK = 15_000_000;

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const SPECIAL: { readonly [D in DType]?: readonly number[] } = {
  f32: [3e38, 2 ** -149, -1e-40, 2 ** -126],
  f64: [1e300, 5e-324],
  bf16: [3e38, 2 ** -133, -1e-40],
  f16: [6e4, 2 ** -24, -(2 ** -15)],
};
const ODD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0];
const RANGES: { readonly [D in DType]?: readonly [number, number] } = {
  i8: [-128, 127],
  u8: [0, 255],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i64: [-(2 ** 40), 2 ** 40],
};

type Kind = 'usual' | 'sparse' | 'special';

class Draw {
  readonly r: Random;
  readonly kind: Kind;
  readonly work: number;

  constructor(r: Random) {
    this.r = r;
    this.kind = r.pick(['usual', 'usual', 'sparse', 'special']);
    this.work = MOST_WORK[r.once(5) ? 0 : 1];
  }

  values(shape: readonly number[], dtype: DType, kind = this.kind): Tensor {
    const { r } = this;
    const data = Float64Array.from({ length: sizeOf(shape) }, () => this.value(dtype, kind));
    if (kind === 'special' && isFloat(dtype) && data.length > 0)
      for (let k = r.int(4); k > 0; k--) data[r.int(data.length)] = r.pick([...ODD, ...SPECIAL[dtype]!]);
    return Tensor.from(data, { shape }).to(dtype).eval();
  }

  private value(dtype: DType, kind: Kind): number {
    const { r } = this;
    const range = RANGES[dtype];
    if (range) return r.once(4) ? r.pick(range) : range[0] + r.int(range[1] - range[0] + 1);
    return kind === 'sparse' && !r.once(4) ? 0 : 2 * r.next() - 1;
  }

  /** Of three sizes whose product is no more than the work. */
  sizes(): [number, number, number] {
    const { r } = this;
    for (;;) {
      const of: [number, number, number] = [r.pick(SIZES), r.pick(SIZES), r.pick(SIZES)];
      if (r.once(3)) of[r.int(3)] = r.pick(LONG);
      if (sizeOf(of) <= this.work) return of;
    }
  }
}

interface View {
  readonly name: string;
  readonly stored: readonly number[];
  readonly of: (x: Tensor) => Tensor;
}

/** A matrix [..., m, k] as it may be stored. */
function matrix({ r }: Draw, batch: readonly number[], m: number, k: number): View {
  const shape = [...batch, m, k];
  return r.pick<View>([
    { name: 'plain', stored: shape, of: x => x },
    { name: 'transposed', stored: [...batch, k, m], of: x => x.mT },
    {
      name: 'within a larger one',
      stored: [...batch, m + 2, k + 3],
      of: x => x.narrow(-2, 1, m).narrow(-1, 2, k),
    },
    { name: 'every other element', stored: [...shape, 2], of: x => x.select(-1, 1) },
    { name: 'every third row', stored: [...batch, m, 3, k], of: x => x.select(-2, 1) },
    { name: 'flipped', stored: shape, of: x => x.flip([-1]) },
    { name: 'one row', stored: [...batch, 1, k], of: x => x.expand(shape) },
    { name: 'one column', stored: [...batch, m, 1], of: x => x.expand(shape) },
    { name: 'one for the batch', stored: [m, k], of: x => x.expand(shape) },
  ]);
}

interface Types {
  readonly stored: readonly [DType, DType];
  readonly dtype: DType;
  readonly cast: boolean;
}

/** What operands are stored as and multiplied in; words of bf16 and bytes more often than others. */
const TYPES: readonly Types[] = [
  { stored: ['f32', 'f32'], dtype: 'f32', cast: false },
  { stored: ['f32', 'f32'], dtype: 'f32', cast: false },
  { stored: ['f32', 'f32'], dtype: 'f32', cast: false },
  { stored: ['bf16', 'bf16'], dtype: 'bf16', cast: false },
  { stored: ['bf16', 'bf16'], dtype: 'bf16', cast: false },
  { stored: ['bf16', 'bf16'], dtype: 'f32', cast: false },
  { stored: ['f32', 'f32'], dtype: 'f32', cast: true },
  { stored: ['f32', 'f32'], dtype: 'f32', cast: true },
  { stored: ['f16', 'f16'], dtype: 'f16', cast: false },
  { stored: ['bf16', 'f32'], dtype: 'f32', cast: false },
  { stored: ['f64', 'f64'], dtype: 'f64', cast: false },
];
/** Of these, what goes through transformed tiles. */
const TILED = TYPES.filter(({ stored: [a, b], dtype }) => a === b && a === dtype && (a === 'f32' || a === 'bf16'));
const WHOLE: readonly Types[] = [
  { stored: ['i8', 'i8'], dtype: 'i32', cast: false },
  { stored: ['u8', 'i8'], dtype: 'i32', cast: false },
  { stored: ['i8', 'u8'], dtype: 'i32', cast: false },
  { stored: ['u8', 'u8'], dtype: 'i32', cast: false },
  { stored: ['i32', 'i32'], dtype: 'i32', cast: false },
  { stored: ['i64', 'i64'], dtype: 'i64', cast: false },
];

/** Stored operands; for autocast in f32, numbers that bf16 has. */
const stored = (d: Draw, shape: readonly number[], { stored: of, cast }: Types, which: 0 | 1): Tensor =>
  cast ? d.values(shape, 'bf16').to('f32').eval() : d.values(shape, of[which]);

type Step = readonly [name: string, of: (x: Tensor) => Tensor];

const BEFORE: readonly Step[] = [
  ['', x => x],
  ['', x => x],
  ['halved ', x => x.mul(0.5)],
  ['rectified ', x => x.relu()],
];

/** What follows a product: further operands by their shapes, and the whole. */
interface After {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly of: (y: Tensor, more: readonly Tensor[]) => Tensor;
}

const after = (shape: readonly number[], channels: readonly number[]): readonly After[] => [
  { name: '', shapes: [], of: y => y },
  { name: '', shapes: [], of: y => y },
  { name: ' + bias', shapes: [channels], of: (y, [b]) => y.add(b!) },
  { name: ' + what was there', shapes: [shape], of: (y, [x]) => y.add(x!) },
  { name: ' rectified', shapes: [channels], of: (y, [b]) => y.add(b!).relu() },
  { name: ' halved', shapes: [], of: y => y.mul(0.5) },
];

/** A product of two operands with what stands before and behind. */
function surrounded(
  d: Draw,
  types: Types,
  views: readonly [View, View],
  what: {
    readonly name: string;
    readonly shape: readonly number[];
    readonly channels: readonly number[];
    readonly terms: number;
    readonly borders?: boolean;
    readonly tiles?: boolean;
    readonly of: (a: Tensor, b: Tensor) => Tensor;
  },
): Product {
  const { r } = d;
  const whole = !isFloat(types.dtype);
  const [before, of] = whole ? BEFORE[0]! : r.pick(BEFORE);
  const end = whole ? after([], [])[0]! : r.pick(after(what.shape, what.channels));
  const operands = views.map((view, i) => stored(d, view.stored, types, i as 0 | 1));
  const more = end.shapes.map(shape => d.values(shape, types.dtype, 'usual'));
  const how = types.cast ? 'autocast' : types.stored.join(' by ');
  return {
    name: `${what.name}, ${how} in ${types.dtype}, ${d.kind}: ${before}${views.map(v => v.name).join(' by ')}${end.name}`,
    operands: [...operands, ...more],
    dtype: types.cast ? 'bf16' : types.dtype,
    tame: d.kind !== 'special' || whole,
    smooth: !whole && end.name !== ' rectified',
    terms: what.terms,
    borders: what.borders === true,
    rightTo: what.tiles ? 'tiles' : 'products',
    of: ([a, b, ...rest], dtype) => {
      const product = (): Tensor => what.of(of(views[0].of(a!).to(dtype)), views[1].of(b!).to(dtype));
      const y = types.cast && dtype === 'f32' ? autocast({ dtype: 'bf16' }, product) : product();
      return end.of(y, rest.map(x => x.to(y.dtype))); // biome-ignore format: short
    },
  };
}

function matmul(d: Draw): Product {
  const { r } = d;
  const [m, n, k] = d.sizes();
  const batch = m * n * k < d.work / 6 ? r.pick([[], [], [3], [2, 3]]) : [];
  const types = r.once(4) ? r.pick(WHOLE) : r.pick(TYPES);
  const views = [matrix(d, batch, m, k), matrix(d, batch, k, n)] as const;
  return surrounded(d, types, views, {
    name: `matmul [${batch}] ${m} x ${k} x ${n}`,
    shape: [...batch, m, n],
    channels: [n],
    terms: Math.max(m * sizeOf(batch), n * sizeOf(batch), k),
    of: (a, b) => a.matmul(b),
  });
}

function image({ r }: Draw, [n, c, h, w]: readonly [number, number, number, number]): View {
  const shape = [n, c, h, w];
  return r.pick<View>([
    { name: 'plain', stored: shape, of: x => x },
    { name: 'plain', stored: shape, of: x => x },
    { name: 'channels innermost', stored: [n, h, w, c], of: x => x.permute([0, 3, 1, 2]) },
    { name: 'transposed', stored: [n, c, w, h], of: x => x.mT },
    { name: 'within a larger one', stored: [n, c + 1, h + 2, w + 1], of: x => x.narrow(1, 1, c).narrow(2, 1, h).narrow(3, 0, w) }, // biome-ignore format: one line
    { name: 'one image', stored: [1, c, h, w], of: x => x.expand(shape) },
    { name: 'one channel', stored: [n, 1, h, w], of: x => x.expand(shape) },
  ]);
}

interface Convolution {
  /** Images, channels, height and width. */
  readonly from: readonly [number, number, number, number];
  readonly outputs: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /**
   * How often its result goes through it, once by default: images between two of them are kept in an order of their
   * own, and the second of three reads and writes such images forwards and backwards.
   */
  readonly times?: number;
  readonly types?: readonly Types[];
}

/** Null where it has no results, or too many products. */
function convolutionOf(d: Draw, of: Convolution, most: number): Product | null {
  const { from, outputs, kernel, stride, padding, dilation, groups, times = 1, types = TYPES } = of;
  const [n, c, h, w] = from;
  const each = (c / groups) * sizeOf(kernel);
  let windows = [h, w];
  let work = 0;
  for (let time = 0; time < times; time++) {
    windows = windows.map(
      (size, i) => Math.floor((size + 2 * padding[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1,
    );
    if (windows.some(count => count < 1)) return null;
    work += n * outputs * sizeOf(windows) * each;
  }
  if (work > most) return null;
  const weight: View = { name: 'kernels', stored: [outputs, c / groups, ...kernel], of: x => x };
  const options = { stride, padding, dilation, groups };
  const steps = [...kernel.map(k => k === 3), ...[...stride, ...dilation].map(x => x === 1)];
  return surrounded(d, d.r.pick(types), [image(d, from), weight], {
    name: `conv2d [${from}] to ${outputs} by ${kernel}${times > 1 ? ` ${times} times` : ''} ${JSON.stringify(options)}`,
    shape: [n, outputs, ...windows],
    channels: [outputs, 1, 1],
    terms: Math.max(each, (outputs / groups) * sizeOf(kernel), n * sizeOf(windows)),
    borders: true,
    tiles: groups === 1 && steps.every(Boolean),
    of: (a, b) => Array.from({ length: times }).reduce((y: Tensor) => F.conv2d(y, b, null, options), a),
  });
}

function convolution(d: Draw): Product {
  const { r } = d;
  for (;;) {
    const most = r.pick([5, 17]);
    const from = [r.pick([1, 1, 2, 3, 8, 16]), r.pick(CHANNELS), 1 + r.int(most), 1 + r.int(most)] as const;
    const kernel = r.once(3) ? ([3, 3] as const) : ([1 + r.int(5), 1 + r.int(5)] as const);
    const groups = r.once(4) ? r.pick([from[1], 2, 3].filter(g => from[1] % g === 0)) : 1;
    const of: Convolution = {
      from,
      outputs: groups === 1 ? r.pick(CHANNELS) : groups * r.pick([1, 1, 2, 16]),
      kernel,
      stride: r.once(2) ? [1, 1] : [1 + r.int(3), 1 + r.int(3)],
      padding: [r.int(kernel[0]), r.int(kernel[1])],
      dilation: r.once(4) ? [1 + r.int(2), 1 + r.int(3)] : [1, 1],
      groups,
    };
    const product = convolutionOf(d, of, d.work);
    if (product) return product;
  }
}

/** Many channels of small images in a batch: channels innermost, transformed tiles, pixel by pixel. */
function wideConvolution(d: Draw): Product {
  const { r } = d;
  for (;;) {
    const usual = !r.once(3);
    const channels = r.pick(WIDE);
    const twice = usual && !r.once(4);
    const of: Convolution = {
      from: [r.pick([8, 16, 16, 32, 32]), channels, 1 + r.int(6), 1 + r.int(6)],
      outputs: twice ? channels : r.pick(WIDE),
      times: twice ? 2 : 1,
      kernel: usual ? [3, 3] : [1 + r.int(3), 1 + r.int(3)],
      stride: twice || (usual && !r.once(3)) ? [1, 1] : [1 + r.int(2), 1 + r.int(2)],
      padding: usual ? [1, 1] : [r.int(2), r.int(2)],
      dilation: !usual && r.once(3) ? [2, 1] : [1, 1],
      groups: 1,
    };
    const product = convolutionOf(d, of, MOST_WIDE_WORK);
    if (product) return product;
  }
}

/**
 * Windows of 3x3 over images that have about as many tiles of 2x2 as transformed ones are worth having from: one image
 * or more, of even and odd sides, with borders of every width.
 */
function tiledConvolution(d: Draw): Product {
  const { r } = d;
  for (;;) {
    const images = r.pick([1, 2, 3, 16]);
    const rows = 1 + r.int(8);
    const columns = Math.max(1, Math.round(r.pick(TILES) / (images * rows)));
    const channels = r.pick(IN_TILES);
    const of: Convolution = {
      from: [images, channels, 2 * rows - r.int(2), 2 * columns - r.int(2)],
      outputs: channels,
      times: 3,
      types: TILED,
      kernel: [3, 3],
      stride: [1, 1],
      padding: r.once(3) ? [r.int(3), r.int(3)] : [1, 1],
      dilation: [1, 1],
      groups: 1,
    };
    const product = convolutionOf(d, of, MOST_TILED_WORK);
    if (product) return product;
  }
}

function attention(d: Draw): Product {
  const { r } = d;
  const lead = r.pick([[], [2], [2, 3]]);
  const [l, s] = [r.pick(SIZES), r.pick(SIZES)];
  const [e, v] = [r.pick([1, 3, 8, 16, 17, 32, 33, 64, 65]), r.pick([1, 4, 15, 16, 17, 32, 64, 65])];
  const dtype = r.pick(['f32', 'f32', 'bf16', 'f64'] as const);
  const isCausal = r.once(2);
  const shapes = [[l, e], [s, e], [s, v]]; // biome-ignore format: one list
  return {
    name: `attention [${lead}] ${l} to ${s} of ${e} and ${v}, ${dtype}${isCausal ? ', causal' : ''}`,
    operands: shapes.map(shape => d.values([...lead, ...shape], dtype, 'usual')),
    of: ([a, b, c]) => F.scaledDotProductAttention(a!, b!, c!, { isCausal }),
    dtype,
    tame: true,
    smooth: true,
    terms: Math.max(l, s, e, v),
    borders: false,
    rightTo: 'largest',
  };
}

export function randomProduct(r: Random): Product {
  const kinds = [matmul, matmul, matmul, convolution, convolution, wideConvolution, wideConvolution, attention];
  return r.pick(r.once(10) ? [tiledConvolution] : kinds)(new Draw(r));
}
