/**
 * Lazy modules: layers that learn the size of their input from the first one they see, and are then ordinary layers.
 */
import { isTracing } from '../runtime/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { checkNames } from '../tensor/options.ts';
import { BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormOptions, RUNNING_NORM } from './batchNorm.ts';
import {
  CONV,
  CONV_TRANSPOSE,
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
  type Size,
} from './conv.ts';
import { BIAS, type BiasOption, Linear } from './linear.ts';
import { Module } from './module.ts';
import { InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, type InstanceNormOptions } from './norm.ts';

/**
 * Has no parameters until its first call, by which it becomes the layer that `make` gives for that input: `instanceof`
 * that layer, with its fields. Until then asking for parameters or a state dict is an error, so that no optimizer
 * misses them. The first call must be outside `compile`.
 */
abstract class Lazy extends Module {
  private readonly make: (x: Tensor) => Module;

  constructor(options: object, known: readonly string[], make: (x: Tensor) => Module) {
    super();
    checkNames(this.constructor.name, options, known);
    this.make = make;
  }

  protected override checkReady(): void {
    throw new Error(
      `${this.constructor.name} has no parameters yet: call the model once, on an input of the size it is for, before asking for them`,
    );
  }

  forward(x: Tensor): Tensor {
    if (isTracing())
      throw new Error(
        `${this.constructor.name}: call the model once before it is compiled, so that its sizes are known`,
      );
    const made = this.make(x);
    made.training = this.training;
    this.become(made);
    return this.forward(x);
  }
}

/** A Linear whose inFeatures are the last size of its first input. */
export class LazyLinear extends Lazy {
  constructor(outFeatures: number, options: BiasOption = {}) {
    super(options, BIAS, x => new Linear(x.shape.at(-1)!, outFeatures, options));
  }
}

/** The channels of [N, C, ...spatial], or of [C, ...spatial] where `x` has no batch. */
const channelsOf = (x: Tensor, spatial: number): number => x.shape[x.ndim === spatial + 2 ? 1 : 0]!;

/** A Conv1d whose inChannels are those of its first input. */
export class LazyConv1d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(options, CONV, x => new Conv1d(channelsOf(x, 1), outChannels, kernelSize, options));
  }
}

/** A Conv2d whose inChannels are those of its first input. */
export class LazyConv2d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(options, CONV, x => new Conv2d(channelsOf(x, 2), outChannels, kernelSize, options));
  }
}

/** A Conv3d whose inChannels are those of its first input. */
export class LazyConv3d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(options, CONV, x => new Conv3d(channelsOf(x, 3), outChannels, kernelSize, options));
  }
}

/** A ConvTranspose1d whose inChannels are those of its first input. */
export class LazyConvTranspose1d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(options, CONV_TRANSPOSE, x => new ConvTranspose1d(channelsOf(x, 1), outChannels, kernelSize, options));
  }
}

/** A ConvTranspose2d whose inChannels are those of its first input. */
export class LazyConvTranspose2d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(options, CONV_TRANSPOSE, x => new ConvTranspose2d(channelsOf(x, 2), outChannels, kernelSize, options));
  }
}

/** A ConvTranspose3d whose inChannels are those of its first input. */
export class LazyConvTranspose3d extends Lazy {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(options, CONV_TRANSPOSE, x => new ConvTranspose3d(channelsOf(x, 3), outChannels, kernelSize, options));
  }
}

/** A BatchNorm1d whose numFeatures are the channels of its first input. */
export class LazyBatchNorm1d extends Lazy {
  constructor(options: BatchNormOptions = {}) {
    super(options, RUNNING_NORM, x => new BatchNorm1d(x.shape[1]!, options));
  }
}

/** A BatchNorm2d whose numFeatures are the channels of its first input. */
export class LazyBatchNorm2d extends Lazy {
  constructor(options: BatchNormOptions = {}) {
    super(options, RUNNING_NORM, x => new BatchNorm2d(x.shape[1]!, options));
  }
}

/** A BatchNorm3d whose numFeatures are the channels of its first input. */
export class LazyBatchNorm3d extends Lazy {
  constructor(options: BatchNormOptions = {}) {
    super(options, RUNNING_NORM, x => new BatchNorm3d(x.shape[1]!, options));
  }
}

/** A InstanceNorm1d whose numFeatures are the channels of its first input. */
export class LazyInstanceNorm1d extends Lazy {
  constructor(options: InstanceNormOptions = {}) {
    super(options, RUNNING_NORM, x => new InstanceNorm1d(channelsOf(x, 1), options));
  }
}

/** A InstanceNorm2d whose numFeatures are the channels of its first input. */
export class LazyInstanceNorm2d extends Lazy {
  constructor(options: InstanceNormOptions = {}) {
    super(options, RUNNING_NORM, x => new InstanceNorm2d(channelsOf(x, 2), options));
  }
}

/** A InstanceNorm3d whose numFeatures are the channels of its first input. */
export class LazyInstanceNorm3d extends Lazy {
  constructor(options: InstanceNormOptions = {}) {
    super(options, RUNNING_NORM, x => new InstanceNorm3d(channelsOf(x, 3), options));
  }
}
