/**
 * Sliding windows as ONNX describes them: pads before and after each spatial dim, auto_pad, strides, dilations,
 * ceil_mode. Shared by convolutions and pools.
 */
import type { Call } from '../call.ts';

export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** How many windows fit along each dim. */
  readonly out: readonly number[];
}

/** What the node's attributes say about windows of `kernel` over spatial `sizes`. */
export function windowsOf(call: Call, sizes: readonly number[], kernel: readonly number[]): Windows {
  const dims = sizes.length;
  if (kernel.length !== dims) call.fail(`kernel_shape [${kernel}] for ${dims} spatial dims`);
  const list = (name: string, absent: number, length = dims): number[] => {
    const given = call.ints(name) ?? new Array<number>(length).fill(absent);
    if (given.length !== length) call.fail(`${name} [${given}]: expected ${length} numbers`);
    return given;
  };
  const strides = list('strides', 1);
  const dilations = list('dilations', 1);
  if (strides.some(n => n < 1) || dilations.some(n => n < 1) || kernel.some(n => n < 1))
    call.fail(`kernel [${kernel}], strides [${strides}] and dilations [${dilations}] must be at least 1`);
  const reach = kernel.map((k, d) => dilations[d]! * (k - 1) + 1);
  const auto = call.choice('auto_pad', ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'], 'NOTSET');
  const ceil = call.flag('ceil_mode');
  let before: number[];
  let after: number[];
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const total = sizes.map((n, d) => Math.max((Math.ceil(n / strides[d]!) - 1) * strides[d]! + reach[d]! - n, 0));
    const small = total.map(n => Math.floor(n / 2));
    const large = total.map((n, d) => n - small[d]!);
    [before, after] = auto === 'SAME_UPPER' ? [small, large] : [large, small];
  } else {
    const pads = auto === 'VALID' ? new Array<number>(2 * dims).fill(0) : list('pads', 0, 2 * dims);
    before = pads.slice(0, dims);
    after = pads.slice(dims);
  }
  const out = sizes.map((n, d) => {
    const room = n + before[d]! + after[d]! - reach[d]!;
    const steps = room / strides[d]!;
    let count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // A last window must start inside the input or its padding before.
    if (ceil && (count - 1) * strides[d]! >= n + before[d]!) count--;
    if (count < 0) call.fail(`windows of [${reach}] do not fit sizes [${sizes}] with pads [${before}, ${after}]`);
    return count;
  });
  return { kernel, strides, dilations, before, after, out };
}

/**
 * Amounts for F.pad (last dim first) so that exactly the windows' elements are there: what is beyond the last window is
 * cut.
 */
export function padAmounts({ kernel, strides, dilations, before, out }: Windows, sizes: readonly number[]): number[] {
  return sizes.flatMap((_, i) => {
    const d = sizes.length - 1 - i;
    const needed = (out[d]! - 1) * strides[d]! + dilations[d]! * (kernel[d]! - 1) + 1;
    return [before[d]!, needed - sizes[d]! - before[d]!];
  });
}
