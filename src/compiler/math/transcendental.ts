/**
 * The table of transcendental functions on f32 and f64 registers. Each formula stands in the file of its family; all
 * are free of branches (but for rare large arguments), so any number of lanes runs them, and keep within 2 units in the
 * last place of the exact value (lgamma and digamma for positive arguments; tests/sweep). May import the loop IR; knows
 * nothing of dtypes narrower than f32, graphs or machines.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { atan, atan2 } from './atan.ts';
import { erf } from './erf.ts';
import { exp, expm1, sigmoid, tanh } from './exp.ts';
import { digamma, lgamma } from './gamma.ts';
import { log, log1p } from './log.ts';
import { pow } from './pow.ts';
import { type Scope, scopeOf } from './scope.ts';
import { cos, sin, tan } from './trig.ts';

const UNARY = { exp, expm1, log, log1p, sin, cos, tan, tanh, sigmoid, erf, atan, lgamma, digamma } as const;
const BINARY = { atan2, pow } as const;

type TranscendentalUnary = keyof typeof UNARY;
type TranscendentalBinary = keyof typeof BINARY;

/** A transcendental function of an f32 or f64 register, any lanes. */
export function transcendental(b: LoopBuilder, fn: TranscendentalUnary, x: Reg): Reg {
  const formula: (s: Scope, x: Reg) => Reg = UNARY[fn];
  return formula(scopeOf(b, x), x);
}

/** A transcendental function of two registers of one float type, any lanes. */
export function transcendental2(b: LoopBuilder, fn: TranscendentalBinary, x: Reg, y: Reg): Reg {
  const formula: (s: Scope, x: Reg, y: Reg) => Reg = BINARY[fn];
  return formula(scopeOf(b, x), x, y);
}
