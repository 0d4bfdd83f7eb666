/**
 * The table of transcendental functions on f32 and f64 registers. Each formula stands in the file of its family.
 * May import the loop IR; knows nothing of dtypes narrower than f32, graphs or machines.
 */
import type { LoopBuilder, Reg } from '../loops.ts';

export type Transcendental =
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'atan'
  | 'atan2'
  | 'pow'
  | 'lgamma'
  | 'digamma';

/** A transcendental function of one or two registers of one float type, any lanes. */
export function transcendental(_b: LoopBuilder, fn: Transcendental, args: readonly Reg[]): Reg {
  throw new Error(`internal: no formula for ${fn} of ${args.length} arguments`);
}
