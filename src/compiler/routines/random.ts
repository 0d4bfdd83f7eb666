/** Signature only so far. */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import type { BufferIndex, RandomSpec, Scratch } from './index.ts';

export function randomScratch(_spec: RandomSpec, _target: Target): readonly Scratch[] {
  return [];
}

export function lowerRandom(
  _b: LoopBuilder,
  _spec: RandomSpec,
  _target: Target,
  _scratch: readonly BufferIndex[],
): void {
  throw new Error('internal: random has no lowering yet');
}
