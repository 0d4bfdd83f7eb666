/** Signature only so far. */
import type { LoopBuilder } from '../loops.ts';
import type { Target } from '../target.ts';
import type { BufferIndex, ScanSpec, Scratch } from './index.ts';

export function scanScratch(_spec: ScanSpec, _target: Target): readonly Scratch[] {
  return [];
}

export function lowerScan(_b: LoopBuilder, _spec: ScanSpec, _target: Target, _scratch: readonly BufferIndex[]): void {
  throw new Error('internal: scan has no lowering yet');
}
