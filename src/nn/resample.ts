/**
 * Layers that rearrange or resample images without weights.
 */
import { F, type Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { Size } from './conv.ts';
import { Module } from './module.ts';

/** [..., C r², H, W] -> [..., C, H r, W r] (Shi et al. 2016). */
export class PixelShuffle extends Module {
  readonly upscaleFactor: number;

  constructor(upscaleFactor: number) {
    super();
    this.upscaleFactor = upscaleFactor;
  }

  forward(x: Tensor): Tensor {
    return F.pixelShuffle(x, this.upscaleFactor);
  }
}

/** [..., C, H r, W r] -> [..., C r², H, W]. */
export class PixelUnshuffle extends Module {
  readonly downscaleFactor: number;

  constructor(downscaleFactor: number) {
    super();
    this.downscaleFactor = downscaleFactor;
  }

  forward(x: Tensor): Tensor {
    return F.pixelUnshuffle(x, this.downscaleFactor);
  }
}

/** The channels of [N, C, ...] dealt from `groups` stacks in turn (Zhang et al. 2018). */
export class ChannelShuffle extends Module {
  readonly groups: number;

  constructor(groups: number) {
    super();
    this.groups = groups;
  }

  forward(x: Tensor): Tensor {
    return F.channelShuffle(x, this.groups);
  }
}

/** Resamples the spatial dimensions of [N, C, ...] to `size` or by `scaleFactor`; 'nearest' by default. */
export class Upsample extends Module {
  readonly options: F.InterpolateOptions;

  constructor(options: F.InterpolateOptions) {
    checkOptions('Upsample', options, ['size', 'scaleFactor', 'mode', 'alignCorners', 'recomputeScaleFactor']);
    super();
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    return F.interpolate(x, this.options);
  }
}

/** Where an upsampling layer of two dimensions goes: one of the two. */
export interface UpsamplingOptions {
  readonly size?: Size;
  readonly scaleFactor?: Size;
}

/** Upsample of [N, C, H, W] by nearest neighbours. */
export class UpsamplingNearest2d extends Upsample {
  constructor(options: UpsamplingOptions) {
    super({ ...options, mode: 'nearest' });
  }
}

/** Upsample of [N, C, H, W] with bilinear weights, the corners' centres kept in place. */
export class UpsamplingBilinear2d extends Upsample {
  constructor(options: UpsamplingOptions) {
    super({ ...options, mode: 'bilinear', alignCorners: true });
  }
}

/** Sliding blocks as columns: [N, C, H, W] -> [N, C kh kw, blocks]. */
export class Unfold extends Module {
  readonly kernelSize: Size;
  readonly options: F.BlockOptions;

  constructor(kernelSize: Size, options: F.BlockOptions = {}) {
    checkOptions('Unfold', options, ['dilation', 'padding', 'stride']);
    super();
    this.kernelSize = kernelSize;
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    return F.unfold(x, this.kernelSize, this.options);
  }
}

/** Columns added up where their blocks lie, the transpose of Unfold: [N, C kh kw, blocks] -> [N, C, ...outputSize]. */
export class Fold extends Module {
  readonly outputSize: Size;
  readonly kernelSize: Size;
  readonly options: F.BlockOptions;

  constructor(outputSize: Size, kernelSize: Size, options: F.BlockOptions = {}) {
    checkOptions('Fold', options, ['dilation', 'padding', 'stride']);
    super();
    this.outputSize = outputSize;
    this.kernelSize = kernelSize;
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    return F.fold(x, this.outputSize, this.kernelSize, this.options);
  }
}
