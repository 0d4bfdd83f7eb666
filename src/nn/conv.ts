/**
 * Convolutions in one, two and three dimensions. The functional form does the work; a layer owns weight, bias and
 * geometry.
 */
import { shapeText } from '../tensor/convert.ts';
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { biasUniform_, blank, kaimingUniform_ } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** One number for all spatial dimensions, or one per dimension. */
export type Size = number | readonly number[];

export interface ConvOptions {
  /** 1 by default. */
  readonly stride?: Size;
  /** Elements added on both sides, or 'same' to keep the size (stride 1 only), or 'valid' for none; 0 by default. */
  readonly padding?: Size | 'same' | 'valid';
  /** Distance of neighbouring kernel elements; 1 by default. */
  readonly dilation?: Size;
  /** Channel groups that do not see each other; 1 by default. */
  readonly groups?: number;
  /** true by default. */
  readonly bias?: boolean;
  /** 'zeros' by default. */
  readonly paddingMode?: PaddingMode;
}

/** `size` as one number per spatial dimension. */
function spread(what: string, size: Size, dims: number): number[] {
  if (typeof size !== 'number' && !Array.isArray(size))
    throw new TypeError(`${what}: expected a number or one per dimension, got ${String(size)}`);
  const sizes = typeof size === 'number' ? Array.from({ length: dims }, () => size) : [...size];
  if (sizes.length !== dims)
    throw new Error(`${what}: ${sizes.length} numbers came for ${dims} dimensions: ${shapeText(sizes)}`);
  return sizes;
}

function checkGroups(what: string, inChannels: number, outChannels: number, groups: number): void {
  if (inChannels % groups !== 0 || outChannels % groups !== 0)
    throw new Error(
      `${what}: ${inChannels} input and ${outChannels} output channels do not split into ${groups} groups`,
    );
}

/** Names of ConvOptions. */
export const CONV = ['stride', 'padding', 'dilation', 'groups', 'bias', 'paddingMode'] as const;

/** What the edges are padded with. */
export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';

/** Geometry of a convolution, one number per spatial dimension. */
export interface Geometry {
  readonly stride: number[];
  readonly padding: number[] | 'same';
  readonly dilation: number[];
  readonly groups: number;
}

function geometry(what: string, kernel: readonly number[], options: ConvOptions): Geometry {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const dims = kernel.length;
  const strides = spread(`${what} stride`, stride, dims);
  const dilations = spread(`${what} dilation`, dilation, dims);
  if (padding === 'same' && strides.some(n => n !== 1))
    throw new Error(`${what}: padding 'same' needs stride 1; stride [${strides}] came`);
  const pads = padding === 'same' ? padding : spread(`${what} padding`, padding === 'valid' ? 0 : padding, dims);
  return { stride: strides, padding: pads, dilation: dilations, groups };
}

/** Amounts for F.pad (last dimension first) that do what `padding` says; 'same' puts an odd element at the end. */
export function edges(kernel: readonly number[], { padding, dilation }: Geometry): number[] {
  const sides = kernel.map((k, d) => {
    if (padding !== 'same') return [padding[d]!, padding[d]!];
    const total = dilation[d]! * (k - 1);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  return sides.reverse().flat();
}

/** What the three convolutions share: a weight [out, in / groups, ...kernel], a bias [out] and the geometry. */
abstract class Convolution extends Module {
  weight: Parameter;
  bias: Parameter | null;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly geometry: Geometry;
  readonly paddingMode: PaddingMode;

  constructor(dims: number, inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions) {
    super();
    const what = `Conv${dims}d`;
    checkOptions(what, options, CONV);
    checkSizes(what, { inChannels, outChannels });
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = spread(`${what} kernelSize`, kernelSize, dims);
    this.geometry = geometry(what, this.kernelSize, options);
    this.paddingMode = options.paddingMode ?? 'zeros';
    const { groups } = this.geometry;
    checkGroups(what, inChannels, outChannels, groups);
    this.weight = kaimingUniform_(blank([outChannels, inChannels / groups, ...this.kernelSize]), { a: Math.sqrt(5) });
    this.bias = (options.bias ?? true) ? biasUniform_(blank([outChannels]), this.weight) : null;
  }

  /** The input and the geometry of the convolution over it: padding other than zeros is applied here. */
  padded(x: Tensor): [Tensor, Geometry] {
    const { geometry, kernelSize, paddingMode } = this;
    if (paddingMode === 'zeros') return [x, geometry];
    const inside = { ...geometry, padding: kernelSize.map(() => 0) };
    return [F.pad(x, edges(kernelSize, geometry), { mode: paddingMode }), inside];
  }
}

/** [N, C, L] -> [N, out, L']. Weight [out, in / groups, k]. */
export class Conv1d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    const [input, geometry] = this.padded(x);
    return F.conv1d(input, this.weight, this.bias, geometry);
  }
}

/** [N, C, H, W] -> [N, out, H', W']. Weight [out, in / groups, kh, kw]. */
export class Conv2d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    const [input, geometry] = this.padded(x);
    return F.conv2d(input, this.weight, this.bias, geometry);
  }
}

/** [N, C, D, H, W] -> [N, out, D', H', W']. Weight [out, in / groups, kd, kh, kw]. */
export class Conv3d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    const [input, geometry] = this.padded(x);
    return F.conv3d(input, this.weight, this.bias, geometry);
  }
}

export interface ConvTransposeOptions {
  /** Distance in the output between neighbouring inputs; 1 by default. */
  readonly stride?: Size;
  /** Cropped from both sides of the output; 0 by default. */
  readonly padding?: Size;
  /** Extra size at the end of each output dimension; 0 by default. */
  readonly outputPadding?: Size;
  /** 1 by default. */
  readonly dilation?: Size;
  /** 1 by default. */
  readonly groups?: number;
  /** true by default. */
  readonly bias?: boolean;
}

/** Names of ConvTransposeOptions. */
export const CONV_TRANSPOSE = ['stride', 'padding', 'outputPadding', 'dilation', 'groups', 'bias'] as const;

/** The three transposed convolutions: a weight [in, out / groups, ...kernel], a bias [out] and the geometry. */
abstract class TransposedConvolution extends Module<[x: Tensor, outputSize?: readonly number[]]> {
  weight: Parameter;
  bias: Parameter | null;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly geometry: Geometry & { readonly padding: number[]; readonly outputPadding: number[] };

  constructor(dims: number, inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions) {
    super();
    const what = `ConvTranspose${dims}d`;
    checkOptions(what, options, CONV_TRANSPOSE);
    checkSizes(what, { inChannels, outChannels });
    const kernel = spread(`${what} kernelSize`, kernelSize, dims);
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = kernel;
    const padding = spread(`${what} padding`, options.padding ?? 0, dims);
    const outputPadding = spread(`${what} outputPadding`, options.outputPadding ?? 0, dims);
    this.geometry = { ...geometry(what, kernel, options), padding, outputPadding };
    const { groups } = this.geometry;
    checkGroups(what, inChannels, outChannels, groups);
    this.weight = kaimingUniform_(blank([inChannels, outChannels / groups, ...kernel]), { a: Math.sqrt(5) });
    this.bias = (options.bias ?? true) ? biasUniform_(blank([outChannels]), this.weight) : null;
  }

  /**
   * The geometry whose output has the spatial sizes `outputSize` (or that whole shape), where a stride leaves several
   * open.
   */
  protected sized(x: Tensor, outputSize: readonly number[] | undefined): TransposedConvolution['geometry'] {
    if (!outputSize) return this.geometry;
    const { stride, padding, dilation } = this.geometry;
    const dims = this.kernelSize.length;
    const wanted = outputSize.slice(-dims);
    const least = x.shape
      .slice(-dims)
      .map((n, d) => (n - 1) * stride[d]! - 2 * padding[d]! + dilation[d]! * (this.kernelSize[d]! - 1) + 1);
    const outputPadding = least.map((n, d) => wanted[d]! - n);
    if (wanted.length !== dims || outputPadding.some((extra, d) => extra < 0 || extra >= stride[d]!))
      throw new RangeError(
        `${this.constructor.name}: outputSize ${shapeText(outputSize)} came, expected ${shapeText(least)} to ${shapeText(least.map((n, d) => n + stride[d]! - 1))} for input ${shapeText(x.shape)}`,
      );
    return { ...this.geometry, outputPadding };
  }
}

/**
 * The transpose of Conv1d: [N, C, L] -> [N, out, (L - 1) stride - 2 padding + dilation (k - 1) + outputPadding + 1].
 */
export class ConvTranspose1d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor, outputSize?: readonly number[]): Tensor {
    return F.convTranspose1d(x, this.weight, this.bias, this.sized(x, outputSize));
  }
}

/** The transpose of Conv2d; sizes as ConvTranspose1d's, per dimension. */
export class ConvTranspose2d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor, outputSize?: readonly number[]): Tensor {
    return F.convTranspose2d(x, this.weight, this.bias, this.sized(x, outputSize));
  }
}

/** The transpose of Conv3d; sizes as ConvTranspose1d's, per dimension. */
export class ConvTranspose3d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor, outputSize?: readonly number[]): Tensor {
    return F.convTranspose3d(x, this.weight, this.bias, this.sized(x, outputSize));
  }
}
