/** Signature only so far. */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import type { BufferIndex, ScatterSpec, Scratch } from './index.ts';

export function scatterScratch(_spec: ScatterSpec, _target: Target): readonly Scratch[] {
  return [];
}

export function lowerScatter(
  _b: LoopBuilder,
  _spec: ScatterSpec,
  _target: Target,
  _scratch: readonly BufferIndex[],
): void {
  throw new Error('internal: scatter has no lowering yet');
}
