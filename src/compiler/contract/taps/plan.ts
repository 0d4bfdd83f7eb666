/**
 * What of the kernel is known when compiling: the tile, how rows of B are cut into vectors, and how sums are stored.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Target } from '../../target.ts';

import { extent, type Problem } from '../problem.ts';
import { finishesInRegisters, outputGroups, storesVectors } from '../store.ts';
import { LOAD_CYCLES } from '../tile.ts';

/** Below so many taps, setting up a tile weighs more than its shape. */
const FEW_TAPS = 64;

/** Steps of k between two guards from which on it pays to jump over the taps that lie outside. */
const STEPS_PER_GUARD = 4;

export interface TapsPlan {
  /** B is what is read: staged, if it has to be. */
  readonly p: Problem;
  readonly target: Target;
  readonly lanes: number;
  readonly bytes: number;
  /** The dim of n that vectors run along, those around it, and B's elements from one index of it to the next. */
  readonly run: number;
  readonly rowDims: readonly number[];
  readonly stride: number;
  readonly length: number;
  /** Vectors of a row, and of all rows; whether the last of a row is not full. */
  readonly perRow: number;
  readonly units: number;
  readonly ragged: boolean;
  readonly vectors: number;
  /** Whether tiles are whole rows; whether the vectors of one always lie in one row and share an address. */
  readonly wholeRows: boolean;
  readonly inRow: boolean;
  /** Whether sums are stored from registers. */
  readonly straight: boolean;
  readonly mGroups: ReturnType<typeof outputGroups>;
  readonly nGroups: ReturnType<typeof outputGroups>;
  /** Panels of rows: `tall` of them have a row more than `low`. */
  readonly mPanels: number;
  readonly low: number;
  readonly tall: number;
  /** Whether taps outside of the image are jumped over. */
  readonly skips: boolean;
}

/** The taps in the order in which B lies in memory. */
export function inMemoryOrder(p: Problem): Problem {
  return { ...p, k: [...p.k].sort((x, y) => Math.abs(p.b.lin[y]!) - Math.abs(p.b.lin[x]!)) };
}

/**
 * Whether taps outside of the image are jumped over: where vectors run along a dim that no guard knows (a batch kept
 * innermost), all of them are outside together. Nothing is copied then, and a 5x5 window over a padded 10x10 image has
 * half the products.
 */
export function skipsTaps(p: Problem, lanes: number): boolean {
  const { b: view } = p;
  const run = p.n[p.n.length - 1]!;
  if (view.guards.length === 0 || view.dtype !== p.acc || view.prologue || view.lin[run] !== 1) return false;
  if (p.dims[run]!.size % lanes !== 0 || view.guards.some(guard => guard.coefs[run] !== 0)) return false;
  const k = inMemoryOrder(p).k;
  let steps = 1;
  for (let i = k.length - 1; i >= 0 && view.guards.every(guard => guard.coefs[k[i]!] === 0); i--)
    steps *= p.dims[k[i]!]!.size;
  return steps >= STEPS_PER_GUARD;
}

/** What a tile is chosen by. */
interface TileWish {
  /** Rows there are, and vectors of all rows. */
  readonly rows: number;
  readonly units: number;
  /** Loads a vector takes; whole cache lines if `aligned`. */
  readonly loads: number;
  readonly aligned: boolean;
  /** Vectors come in multiples of this. */
  readonly multiple: number;
  /** So many vectors are cut into whole tiles, where it matters. */
  readonly within: number | null;
}

/** Rows and vectors of the tile that costs least, null where none fits. */
function tileOf(wish: TileWish, target: Target): [rows: number, vectors: number] | null {
  const { rows: m, units, loads, aligned, multiple, within } = wish;
  const registers = target.vectorRegisters - 1;
  let best: [number, number] | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (let r = 1; r <= m; r++) {
    for (let v = multiple; v <= units && r * v + (target.keepsOrder ? 1 : r) + v * loads <= registers; v += multiple) {
      if (within !== null && within % v !== 0) continue;
      const height = m / Math.ceil(m / r);
      // Vectors that cross cache lines count as two loads.
      const reads = target.keepsOrder ? (height + (aligned ? 1 : 2) * v * loads) / 2 : 0;
      const issue = (height * v + 2 * height + v * (2 * loads) + 4) / 6;
      const busy = target.keepsOrder ? LOAD_CYCLES * (height + 2 * v * loads) : 0;
      const cost = (Math.ceil(m / r) / v) * (Math.max((height * v) / 2, 4, issue, reads) + busy);
      if (cost < least * 0.999) {
        least = cost;
        best = [r, v];
      }
    }
  }
  return best;
}

/** `p` with B as it is read. */
export function planTaps(b: LoopBuilder, p: Problem, target: Target, lanes: number, skips: boolean): TapsPlan {
  const run = p.n[p.n.length - 1]!;
  const length = p.dims[run]!.size;
  const stride = p.b.lin[run]!;
  const [M, N, K] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  const perRow = Math.ceil(length / lanes);
  const ragged = length % lanes !== 0;
  const units = (N / length) * perRow;
  const [mGroups, nGroups] = [outputGroups(p, p.m), outputGroups(p, p.n)];
  const inRegisters = storesVectors(p, nGroups) && mGroups.length <= 1 && finishesInRegisters(b, p, lanes, run);
  // The last vector of a ragged row is masked, or overlaps the one before. A plain store may run twice, what is fused
  // may not: with tiles of whole rows it is known which vectors those are (and a tile is cheaper to set up).
  const wants = ragged && inRegisters && ((p.epilogue && !p.masks) || K < FEW_TAPS) ? perRow : 1;
  // What jumps over taps does so for the vectors of one row.
  const wish = { rows: M, units, loads: stride, aligned: !ragged, within: skips ? perRow : null };
  const [most, vectors] = tileOf({ ...wish, multiple: wants }, target) ?? tileOf({ ...wish, multiple: 1 }, target)!;
  const wholeRows = vectors % perRow === 0;
  const mPanels = Math.ceil(M / most);
  return {
    ...{ p, target, lanes, bytes: bytesOf(p.acc), skips },
    ...{ run, rowDims: p.n.slice(0, -1), stride, length, perRow, units, ragged, vectors, wholeRows },
    inRow: vectors === perRow || (!ragged && perRow % vectors === 0),
    straight: inRegisters && (!p.epilogue || !ragged || wholeRows || p.masks),
    ...{ mGroups, nGroups, mPanels, low: Math.floor(M / mPanels), tall: M % mPanels },
  };
}
