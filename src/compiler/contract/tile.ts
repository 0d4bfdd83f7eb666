/**
 * Register tiles: what a step of k costs in one of a size, and which size serves a shape best. Pure arithmetic on sizes
 * and the target's registers.
 */
import type { Target } from '../target.ts';

/**
 * What a load costs beside multiply-adds that could hide it where rows are read where they lie, each a stream of its
 * own: panels, taps and dot products.
 */
export const LOAD_CYCLES = 0.1;
/**
 * The same where all is packed; three times both for vectors of B, which come from the second cache. With everything in
 * the first cache 6 x 4, 8 x 3 and 13 x 2 are level at 96 to 99 % of peak; in whole products 6 x 4, which asks for 21
 * bytes a cycle, is 3 to 10 % slower than 8 x 3, as is 13 x 2 of rows in place (1024 x 384 of 1536: 7.2, 6.6 and 7.3
 * ms).
 */
const PACKED_LOAD_CYCLES = 0.05;

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/**
 * Cycles per step of k of a tile of `rows` (on average) x `vectors`: the largest of multiply-adds at two a cycle, loads
 * at two a cycle, the latency of the chains (4 cycles), and six instructions a cycle with the loop's own. Null where it
 * needs too many registers; one is left to the engine.
 */
export function tileCycles(
  rows: number,
  vectors: number,
  target: Target,
  height = rows,
  direct = false,
): number | null {
  const live = rows * vectors + (target.keepsOrder ? Math.min(rows, vectors) + 1 : rows + vectors);
  if (live > target.vectorRegisters - 1) return null;
  const loop = target.keepsOrder ? 1 : 6;
  const load = direct ? LOAD_CYCLES : PACKED_LOAD_CYCLES;
  const busy = target.keepsOrder ? load : 0;
  const sums = height * vectors;
  const loads = height + vectors;
  return Math.max(sums / 2, loads / 2, 4, (sums + height + loads + loop) / 6) + 0.25 + busy * (loads + 2 * vectors);
}

/** Estimated cycles per step of k of a whole output in such tiles; null where one needs too many registers. */
export function tileCost(
  m: number,
  n: number,
  lanes: number,
  rows: number,
  vectors: number,
  target: Target,
  direct = false,
): number | null {
  const panels = ceilDiv(m, rows);
  const cycles = tileCycles(rows, vectors, target, m / panels, direct);
  return cycles === null ? null : panels * ceilDiv(n, vectors * lanes) * cycles;
}

type Choice = ReturnType<typeof leastTile>;

/** Tiles chosen before, by target: convolutions of one size ask again and again, each time for some hundred estimates. */
const chosen = new WeakMap<Target, Map<string, Choice>>();
/** Tiles remembered at most. */
const MOST_CHOSEN = 1000;

/** Register tile of least estimated time over the whole output. */
export function chooseTile(m: number, n: number, lanes: number, target: Target, direct = false): Choice {
  let known = chosen.get(target);
  if (!known) {
    known = new Map();
    chosen.set(target, known);
  }
  const key = `${m},${n},${lanes},${direct}`;
  let choice = known.get(key);
  if (!choice) {
    choice = leastTile(m, n, lanes, target, direct);
    if (known.size === MOST_CHOSEN) known.clear();
    known.set(key, choice);
  }
  return choice;
}

function leastTile(
  m: number,
  n: number,
  lanes: number,
  target: Target,
  direct: boolean,
): { readonly rows: number; readonly vectors: number } {
  let best = { rows: 1, vectors: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let vectors = 1; tileCycles(1, vectors, target) !== null; vectors++) {
    if (vectors > 1 && (vectors - 1) * lanes >= n) break;
    for (let rows = 1; rows <= m; rows++) {
      const cost = tileCost(m, n, lanes, rows, vectors, target, direct);
      if (cost === null) break;
      if (cost < least * 0.999) {
        least = cost;
        best = { rows, vectors };
      }
    }
  }
  return best;
}

/** Register tile of least estimated time among those that divide `m` rows and `n` columns. */
export function dividingTile(
  m: number,
  n: number,
  lanes: number,
  target: Target,
): { readonly rows: number; readonly vectors: number } {
  let best = { rows: 1, vectors: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (let vectors = 1; vectors * lanes <= n; vectors++) {
    for (let rows = 1; rows <= m; rows++) {
      const cycles = tileCycles(rows, vectors, target);
      if (cycles === null || n % (vectors * lanes) !== 0 || m % rows !== 0) continue;
      if (cycles / (rows * vectors) >= least * 0.999) continue;
      best = { rows, vectors };
      least = cycles / (rows * vectors);
    }
  }
  return best;
}

/** At most `most` vectors that divide a row of `n`, if as many as half of them do. */
export function evenVectors(most: number, n: number, lanes: number): number {
  for (let vectors = most; vectors >= most / 2; vectors--) if (n % (vectors * lanes) === 0) return vectors;
  return most;
}
