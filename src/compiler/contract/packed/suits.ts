/**
 * Whether f32 in three parts on tiles is faster than multiply-adds: an estimate in cycles of both, from sizes and from
 * who packs.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import { registerScalar } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import { PARTS_BYTES } from '../parts.ts';
import { comesPacked } from '../plan.ts';
import { extent, type Problem, type View } from '../problem.ts';
import { ceilDiv, chooseTile, tileCost } from '../tile.ts';
import { STEP } from './problem.ts';

/**
 * Cycles of a step of 32 points for a tile of 16 x 16 (six products of 16 cycles, and what loads add), and to begin a
 * tile.
 */
const STEP_CYCLES = 108;
const TILE_CYCLES = 60;
/** Cycles to pack an element into parts: where k is one dim, and where windows are unfolded. */
const PACK_CYCLES = 1.3;
const UNFOLD_CYCLES = 3;
/** Cycles to move a sum through memory. */
const SUM_CYCLES = 0.25;
/** The share of its peak that the loop of multiply-adds reaches. */
const PLAIN_SHARE = 0.85;
/**
 * Cycles for a byte of weights that no cache holds from run to run: multiply-adds hide them, products of parts are too
 * fast for that.
 */
const FAR_CYCLES = 0.7;
/** The share of the time of multiply-adds that must be won. */
const WORTH = 0.9;

export function suitsParts(p: Problem, target: Target): boolean {
  if (target.packedProducts?.f32 !== 'tiles' || p.acc !== 'f32') return false;
  if ([p.a, p.b].some(view => !view.prologue && registerScalar(view.dtype) !== 'f32')) return false;
  const [m, n, k] = [extent(p, p.m), extent(p, p.n), extent(p, p.k)];
  const lanes = lanesFor(target, bytesOf(p.acc));
  const { rows, vectors } = chooseTile(m, n, lanes, target);
  const cycles = tileCost(m, n, lanes, rows, vectors, target);
  if (cycles === null) return false;
  const tilesOf = (lines: number): number => (lines > STEP ? ceilDiv(lines, 2 * STEP) * 2 : 1);
  const packing = (view: View, lines: number): number =>
    comesPacked(view) ? 0 : lines * k * (p.k.length === 1 ? PACK_CYCLES : UNFOLD_CYCLES);
  const far = (view: View, lines: number, bytes: number): number => (view.lasting ? lines * k * bytes * FAR_CYCLES : 0);
  const farther = (bytes: number): number => Math.max(far(p.a, m, bytes), far(p.b, n, bytes));
  const plain = Math.max((cycles * k) / PLAIN_SHARE, farther(bytesOf(p.acc)));
  const products = tilesOf(m) * tilesOf(n) * (ceilDiv(k, 2 * STEP) * STEP_CYCLES + TILE_CYCLES);
  const parts = products + farther(PARTS_BYTES) + packing(p.a, m) + packing(p.b, n) + m * n * SUM_CYCLES;
  return parts < WORTH * plain;
}
