/**
 * Padding layers. Amounts are one number for every side, or pairs of before and after, the last dimension first: [left,
 * right, top, bottom].
 */
import { F, type Tensor } from '../tensor/index.ts';
import { Module } from './module.ts';

/** What a padding layer keeps: one pair of amounts for each of its `dims` last dimensions. */
abstract class Padding extends Module {
  readonly padding: readonly number[];

  constructor(dims: number, padding: number | readonly number[]) {
    super();
    this.padding = typeof padding === 'number' ? Array.from({ length: 2 * dims }, () => padding) : [...padding];
    if (this.padding.length !== 2 * dims || !this.padding.every(Number.isInteger))
      throw new RangeError(
        `${this.constructor.name}: padding [${this.padding}] came, expected a whole number or ${2 * dims} of them`,
      );
  }

  protected abstract readonly mode: F.PadMode;
  protected readonly value: number = 0;

  /** [..., spatial] -> the same with the amounts added to (negative: cut from) the last dimensions. */
  forward(x: Tensor): Tensor {
    return F.pad(x, this.padding, { mode: this.mode, value: this.value });
  }
}

/** Padding with one value. */
abstract class ConstantPad extends Padding {
  protected override readonly value: number;

  constructor(dims: number, padding: number | readonly number[], value: number) {
    super(dims, padding);
    this.value = value;
  }

  protected get mode(): F.PadMode {
    return 'constant';
  }
}

/** `value` around the last dimension. */
export class ConstantPad1d extends ConstantPad {
  constructor(padding: number | readonly number[], value: number) {
    super(1, padding, value);
  }
}

/** `value` around the last two dimensions. */
export class ConstantPad2d extends ConstantPad {
  constructor(padding: number | readonly number[], value: number) {
    super(2, padding, value);
  }
}

/** `value` around the last three dimensions. */
export class ConstantPad3d extends ConstantPad {
  constructor(padding: number | readonly number[], value: number) {
    super(3, padding, value);
  }
}

/** Zeros around the last dimension. */
export class ZeroPad1d extends ConstantPad {
  constructor(padding: number | readonly number[]) {
    super(1, padding, 0);
  }
}

/** Zeros around the last two dimensions. */
export class ZeroPad2d extends ConstantPad {
  constructor(padding: number | readonly number[]) {
    super(2, padding, 0);
  }
}

/** Zeros around the last three dimensions. */
export class ZeroPad3d extends ConstantPad {
  constructor(padding: number | readonly number[]) {
    super(3, padding, 0);
  }
}

/** Mirrored at the edge elements, which are not repeated. */
abstract class ReflectionPad extends Padding {
  protected get mode(): F.PadMode {
    return 'reflect';
  }
}

/** [N, C, L] mirrored at its ends; amounts below L. */
export class ReflectionPad1d extends ReflectionPad {
  constructor(padding: number | readonly number[]) {
    super(1, padding);
  }
}

/** [N, C, H, W] mirrored at its edges. */
export class ReflectionPad2d extends ReflectionPad {
  constructor(padding: number | readonly number[]) {
    super(2, padding);
  }
}

/** [N, C, D, H, W] mirrored at its faces. */
export class ReflectionPad3d extends ReflectionPad {
  constructor(padding: number | readonly number[]) {
    super(3, padding);
  }
}

/** The edge elements repeated. */
abstract class ReplicationPad extends Padding {
  protected get mode(): F.PadMode {
    return 'replicate';
  }
}

/** [N, C, L] with its ends repeated. */
export class ReplicationPad1d extends ReplicationPad {
  constructor(padding: number | readonly number[]) {
    super(1, padding);
  }
}

/** [N, C, H, W] with its edges repeated. */
export class ReplicationPad2d extends ReplicationPad {
  constructor(padding: number | readonly number[]) {
    super(2, padding);
  }
}

/** [N, C, D, H, W] with its faces repeated. */
export class ReplicationPad3d extends ReplicationPad {
  constructor(padding: number | readonly number[]) {
    super(3, padding);
  }
}

/** Continued as if the content repeated itself. */
abstract class CircularPad extends Padding {
  protected get mode(): F.PadMode {
    return 'circular';
  }
}

/** [N, C, L] continued periodically. */
export class CircularPad1d extends CircularPad {
  constructor(padding: number | readonly number[]) {
    super(1, padding);
  }
}

/** [N, C, H, W] continued periodically. */
export class CircularPad2d extends CircularPad {
  constructor(padding: number | readonly number[]) {
    super(2, padding);
  }
}

/** [N, C, D, H, W] continued periodically. */
export class CircularPad3d extends CircularPad {
  constructor(padding: number | readonly number[]) {
    super(3, padding);
  }
}
