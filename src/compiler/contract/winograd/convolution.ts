/**
 * Recognising what F(2x2, 3x3) serves: dense 3x3 windows one pixel apart over an image whose channels lie side by side,
 * as a forward product (or input gradient, whose window is flipped), or as a weight gradient. Pure data; imports
 * problems only.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import { registerScalar } from '../../loops.ts';
import { extent, type Problem, type View } from '../problem.ts';

/**
 * One spatial axis: pixels 0 to `size` - 1 of the result (`dim`), each of which meets three positions through `tap`.
 */
export interface Axis {
  readonly dim: number;
  readonly tap: number;
  readonly size: number;
  /** Tiles of two pixels. */
  readonly tiles: number;
  /**
   * Positions are counted from the first one of pixel 0: `lo` up to `hi` - 1 hold something, elsewhere the image reads
   * 0.
   */
  readonly lo: number;
  readonly hi: number;
  /** Whether the taps run against the positions. */
  readonly flipped: boolean;
  /** Elements from one position to the next. */
  readonly stride: number;
}

/** An image in windows. */
export interface Windows {
  readonly view: View;
  readonly axes: readonly [Axis, Axis];
  /** Its dim of channels. */
  readonly channel: number;
  /** Dims whose combinations are tiles, outermost first, and how many of each; the axes' dims are among them. */
  readonly dims: readonly number[];
  readonly counts: readonly number[];
  readonly tiles: number;
  /** Element at the first position of both axes, all other coordinates 0. */
  readonly base: number;
}

const TAPS = 3;

/** What vectors of f32 are loaded from. */
const isFloat = ({ dtype }: View): boolean => dtype === 'f32' || dtype === 'bf16';

/** The axis that `dim` and `tap` make together, or null. */
function axisOf(p: Problem, view: View, dim: number, tap: number): Axis | null {
  const stride = view.lin[dim]!;
  const flipped = view.lin[tap]! < 0;
  if (stride <= 0 || Math.abs(view.lin[tap]!) !== stride || p.dims[tap]!.size !== TAPS) return null;
  const { size } = p.dims[dim]!;
  const guards = view.guards.filter(g => g.coefs[dim] !== 0 || g.coefs[tap] !== 0);
  const all = size + TAPS - 1;
  let [lo, hi] = [0, all];
  for (const guard of guards) {
    const alone = guard.coefs.every((c, d) => d === dim || d === tap || c === 0);
    if (!alone || guard.coefs[dim] !== 1 || guard.coefs[tap] !== (flipped ? -1 : 1)) return null;
    const first = guard.offset - (flipped ? TAPS - 1 : 0);
    lo = Math.max(lo, -first);
    hi = Math.min(hi, guard.size - first);
  }
  return { dim, tap, size, tiles: Math.ceil(size / 2), lo, hi, flipped, stride };
}

/** `view` as windows: pixels among `pixels`, taps among `others`, of which one dim of channels must be left. */
function windowsOf(p: Problem, view: View, pixels: readonly number[], others: readonly number[]): Windows | null {
  if (view.prologue || !isFloat(view) || others.length !== 3) return null;
  const channel = others.find(d => view.lin[d] === 1 && view.guards.every(g => g.coefs[d] === 0));
  if (channel === undefined) return null;
  const taps = others.filter(d => d !== channel);
  const axes = taps.map(tap => pixels.map(dim => axisOf(p, view, dim, tap)).find(axis => axis !== null));
  const [y, x] = axes;
  if (!y || !x || y.dim === x.dim) return null;
  if (view.guards.some(g => [y.dim, x.dim].every(d => g.coefs[d] === 0))) return null;
  const counts = pixels.map(d => (d === y.dim ? y.tiles : d === x.dim ? x.tiles : p.dims[d]!.size));
  const base = [y, x].reduce((at, axis) => at + (axis.flipped ? (TAPS - 1) * view.lin[axis.tap]! : 0), view.base);
  return { view, axes: [y, x], channel, dims: pixels, counts, tiles: counts.reduce((n, c) => n * c, 1), base };
}

/** A forward product or an input gradient. */
export interface Forward {
  readonly windows: Windows;
  readonly kernel: View;
  /** The dim of the result's channels. */
  readonly out: number;
}

/** A weight gradient: what the windows met, and the gradient of what they made. */
export interface WeightGradient {
  readonly windows: Windows;
  readonly gradient: View;
  readonly out: number;
}

const plain = (view: View): boolean => !view.prologue && view.guards.length === 0 && isFloat(view);
const sumsF32 = (p: Problem): boolean => p.acc === 'f32' && p.batch.length === 0;

export function asForward(p: Problem): Forward | null {
  const [out] = p.n;
  if (!sumsF32(p) || out === undefined || p.n.length !== 1 || p.out.lin[out] !== 1 || !plain(p.b)) return null;
  if (bytesOf(registerScalar(p.out.dtype)) !== bytesOf(p.acc)) return null;
  const windows = windowsOf(p, p.a, p.m, p.k);
  return windows && { windows, kernel: p.b, out };
}

export function asWeightGradient(p: Problem): WeightGradient | null {
  if (!sumsF32(p)) return null;
  for (const [gradient, outs, view, others] of [
    [p.a, p.m, p.b, p.n],
    [p.b, p.n, p.a, p.m],
  ] as const) {
    const [out] = outs;
    if (outs.length !== 1 || !plain(gradient) || gradient.lin[out!] !== 1) continue;
    const windows = windowsOf(p, view, p.k, others);
    if (windows) return { windows, gradient, out: out! };
  }
  return null;
}

/** Channels of an image, in and out. */
export const channelsOf = (
  p: Problem,
  { windows, out }: { windows: Windows; out: number },
): readonly [number, number] => [extent(p, [windows.channel]), extent(p, [out])];
