/**
 * Sizes of sliding windows: options that are one number or one per dim, output sizes, and the window view itself.
 */
import * as build from '../../graph/build.ts';
import type { AxisMap, Node } from '../../graph/node.ts';
import { axis, identityAxis } from '../../graph/reindex.ts';
import { shapeText } from '../convert.ts';
import type { Tensor } from '../tensor.ts';

/** One number for every spatial dim, or one each. */
export type Sizes = number | readonly number[];

/** `value` as one whole number per spatial dim, each at least `least`. */
export function perDim(op: string, name: string, value: Sizes, dims: number, least: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(dims).fill(value) : [...value];
  const full = list.length === 1 ? new Array<number>(dims).fill(list[0]!) : list;
  if (full.length !== dims)
    throw new RangeError(`${op}: ${name}: expected one number or ${dims}, got ${shapeText(full)}`);
  for (const n of full)
    if (!Number.isSafeInteger(n) || n < least)
      throw new RangeError(`${op}: ${name}: expected whole numbers of at least ${least}, got ${shapeText(full)}`);
  return full;
}

/** The input with a batch dim, and how to take that off a result again. */
export function batched(op: string, x: Tensor, dims: number): { input: Tensor; restore: (y: Tensor) => Tensor } {
  if (x.ndim === dims + 2) return { input: x, restore: y => y };
  if (x.ndim === dims + 1) return { input: x.unsqueeze(0), restore: y => y.squeeze(0) };
  throw new RangeError(
    `${op}: input: expected ${dims + 2} dims (batch, channels, ${dims} spatial) or ${dims + 1}, got ${shapeText(x.shape)}`,
  );
}

export interface Window {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
}

/** How many windows fit along each spatial dim; `ceilMode` allows a last one that starts inside but ends beyond. */
export function outputSizes(op: string, sizes: readonly number[], window: Window, ceilMode = false): number[] {
  return sizes.map((n, d) => {
    const reach = window.dilation[d]! * (window.kernel[d]! - 1) + 1;
    const room = n + 2 * window.padding[d]! - reach;
    const stride = window.stride[d]!;
    let out = (ceilMode ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
    if (ceilMode && (out - 1) * stride >= n + window.padding[d]!) out--;
    if (room < 0 && out < 1)
      throw new RangeError(
        `${op}: windows of ${shapeText(window.kernel)} do not fit input sizes ${shapeText(sizes)} with padding ${shapeText(window.padding)}`,
      );
    return out;
  });
}

/**
 * Windows of x [...lead, ...spatial] as [...lead, ...out, ...kernel]; positions outside the input read `fill`.
 */
export function windows(x: Node, spatial: number, out: readonly number[], window: Window, fill = 0): Node {
  const lead = x.shape.length - spatial;
  const axes: AxisMap[] = x.shape.slice(0, lead).map((_, d) => identityAxis(d));
  for (let s = 0; s < spatial; s++) {
    const terms = [
      [lead + s, window.stride[s]!],
      [lead + spatial + s, window.dilation[s]!],
    ] as const;
    axes.push(axis(terms, -window.padding[s]!));
  }
  return build.reindex(x, [...x.shape.slice(0, lead), ...out, ...window.kernel], axes, fill);
}
