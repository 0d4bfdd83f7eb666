/**
 * How much work a program is, estimated from its loops: whether waking the other threads pays. Reads loop IR only.
 */
import type { Inst } from '../../compiler/loops.ts';
import { blocksOf } from './usage.ts';

/** Iterations assumed of a loop whose bounds are not known. */
const UNKNOWN_TRIPS = 16;

/** Estimated instructions that one thread would execute, each with all its iterations. */
export function estimateWork(block: readonly Inst[]): number {
  let total = 0;
  for (const inst of block) {
    let inner = 0;
    for (const body of blocksOf(inst)) inner += estimateWork(body);
    total += 1 + inner * trips(inst);
  }
  return total;
}

function trips(inst: Inst): number {
  if (inst.op === 'parallel') return inst.extent;
  if (inst.op === 'while') return UNKNOWN_TRIPS;
  if (inst.op !== 'for') return 1;
  if (typeof inst.lo !== 'number' || typeof inst.hi !== 'number') return UNKNOWN_TRIPS;
  return Math.max(0, Math.ceil((inst.hi - inst.lo) / inst.step));
}
