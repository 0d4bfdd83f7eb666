/** Signature only so far. */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import type { ArgSortSpec, BufferIndex, Scratch } from './index.ts';

export function argSortScratch(_spec: ArgSortSpec, _target: Target): readonly Scratch[] {
  return [];
}

export function lowerArgSort(
  _b: LoopBuilder,
  _spec: ArgSortSpec,
  _target: Target,
  _scratch: readonly BufferIndex[],
): void {
  throw new Error('internal: argSort has no lowering yet');
}
