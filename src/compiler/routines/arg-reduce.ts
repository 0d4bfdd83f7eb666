/** Signature only so far. */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import type { ArgReduceSpec, BufferIndex, Scratch } from './index.ts';

export function argReduceScratch(_spec: ArgReduceSpec, _target: Target): readonly Scratch[] {
  return [];
}

export function lowerArgReduce(
  _b: LoopBuilder,
  _spec: ArgReduceSpec,
  _target: Target,
  _scratch: readonly BufferIndex[],
): void {
  throw new Error('internal: argReduce has no lowering yet');
}
