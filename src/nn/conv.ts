/**
 * Convolutions in one, two and three dimensions. The functional form does the work; a layer owns weight, bias and geometry.
 */
import { F, type Parameter, type Tensor } from '../tensor/index.ts';
import { biasUniform_, blank, kaimingUniform_ } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** One number for all spatial dimensions, or one per dimension. */
export type Size = number | readonly number[];

export interface ConvOptions {
  /** 1 by default. */
  readonly stride?: Size;
  /** Zeros added on both sides, or 'same' to keep the size (stride 1 only); 0 by default. */
  readonly padding?: Size | 'same' | 'valid';
  /** Distance of neighbouring kernel elements; 1 by default. */
  readonly dilation?: Size;
  /** Channel groups that do not see each other; 1 by default. */
  readonly groups?: number;
  /** true by default. */
  readonly bias?: boolean;
}

/** `size` as one number per spatial dimension. */
export function spread(what: string, size: Size, dims: number): number[] {
  if (typeof size !== 'number' && !Array.isArray(size))
    throw new TypeError(`${what}: expected a number or one per dimension, got ${String(size)}`);
  const sizes = typeof size === 'number' ? Array.from({ length: dims }, () => size) : [...size];
  if (sizes.length !== dims)
    throw new Error(`${what}: ${sizes.length} numbers came for ${dims} dimensions: [${sizes}]`);
  return sizes;
}

function checkGroups(what: string, inChannels: number, outChannels: number, groups: number): void {
  if (inChannels % groups !== 0 || outChannels % groups !== 0)
    throw new Error(
      `${what}: ${inChannels} input and ${outChannels} output channels do not split into ${groups} groups`,
    );
}

/** Geometry of a convolution, one number per spatial dimension. */
interface Geometry {
  readonly stride: number[];
  readonly padding: number[];
  readonly dilation: number[];
  readonly groups: number;
}

function geometry(what: string, kernel: readonly number[], options: ConvOptions): Geometry {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const dims = kernel.length;
  const strides = spread(`${what} stride`, stride, dims);
  const dilations = spread(`${what} dilation`, dilation, dims);
  if (padding !== 'same') {
    const pads = spread(`${what} padding`, padding === 'valid' ? 0 : padding, dims);
    return { stride: strides, padding: pads, dilation: dilations, groups };
  }
  const pads = kernel.map((k, d) => {
    const total = dilations[d]! * (k - 1);
    if (strides[d] !== 1 || total % 2 !== 0)
      throw new Error(
        `${what}: padding 'same' needs stride 1 and an odd kernel; kernel [${kernel}], stride [${strides}] came`,
      );
    return total / 2;
  });
  return { stride: strides, padding: pads, dilation: dilations, groups };
}

/** What the three convolutions share: a weight [out, in / groups, ...kernel], a bias [out] and the geometry. */
abstract class Convolution extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly geometry: Geometry;

  constructor(dims: number, inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions) {
    super();
    const what = `Conv${dims}d`;
    checkSizes(what, { inChannels, outChannels });
    const kernel = spread(`${what} kernelSize`, kernelSize, dims);
    this.geometry = geometry(what, kernel, options);
    const { groups } = this.geometry;
    checkGroups(what, inChannels, outChannels, groups);
    this.weight = kaimingUniform_(blank([outChannels, inChannels / groups, ...kernel]), { a: Math.sqrt(5) });
    this.bias = (options.bias ?? true) ? biasUniform_(blank([outChannels]), this.weight) : null;
  }
}

/** [N, C, L] -> [N, out, L']. Weight [out, in / groups, k]. */
export class Conv1d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.conv1d(x, this.weight, this.bias, this.geometry);
  }
}

/** [N, C, H, W] -> [N, out, H', W']. Weight [out, in / groups, kh, kw]. */
export class Conv2d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.conv2d(x, this.weight, this.bias, this.geometry);
  }
}

/** [N, C, D, H, W] -> [N, out, D', H', W']. Weight [out, in / groups, kd, kh, kw]. */
export class Conv3d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.conv3d(x, this.weight, this.bias, this.geometry);
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

/** The three transposed convolutions: a weight [in, out / groups, ...kernel], a bias [out] and the geometry. */
abstract class TransposedConvolution extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly geometry: Geometry & { readonly outputPadding: number[] };

  constructor(dims: number, inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions) {
    super();
    const what = `ConvTranspose${dims}d`;
    const kernel = spread(`${what} kernelSize`, kernelSize, dims);
    const outputPadding = spread(`${what} outputPadding`, options.outputPadding ?? 0, dims);
    this.geometry = { ...geometry(what, kernel, options), outputPadding };
    const { groups } = this.geometry;
    checkGroups(what, inChannels, outChannels, groups);
    this.weight = kaimingUniform_(blank([inChannels, outChannels / groups, ...kernel]), { a: Math.sqrt(5) });
    this.bias = (options.bias ?? true) ? biasUniform_(blank([outChannels]), this.weight) : null;
  }
}

/** The transpose of Conv1d: [N, C, L] -> [N, out, (L - 1) stride - 2 padding + dilation (k - 1) + outputPadding + 1]. */
export class ConvTranspose1d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.convTranspose1d(x, this.weight, this.bias, this.geometry);
  }
}

/** The transpose of Conv2d; sizes as ConvTranspose1d's, per dimension. */
export class ConvTranspose2d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.convTranspose2d(x, this.weight, this.bias, this.geometry);
  }
}

/** The transpose of Conv3d; sizes as ConvTranspose1d's, per dimension. */
export class ConvTranspose3d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }

  forward(x: Tensor): Tensor {
    return F.convTranspose3d(x, this.weight, this.bias, this.geometry);
  }
}
