/**
 * Rounding f32 registers to the values of f16 and bf16, by integer arithmetic on their bits (ties to even, as IEEE 754
 * says). May import the loop IR; knows nothing of graphs.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';

const int = (b: LoopBuilder, x: Reg, value: number): Reg => b.const('i32', value, x.type.lanes);
const float = (b: LoopBuilder, x: Reg, value: number): Reg => b.const('f32', value, x.type.lanes);

/** Drops `bits` low bits of the magnitude, nearest even; NaN comes out as anything. */
function dropBits(b: LoopBuilder, x: Reg, bits: number): Reg {
  const raw = b.bitcast('i32', x);
  const odd = b.bin('and', b.bin('shrU', raw, int(b, x, bits)), int(b, x, 1));
  const bumped = b.add(b.add(raw, int(b, x, 2 ** (bits - 1) - 1)), odd);
  return b.bitcast('f32', b.bin('and', bumped, int(b, x, -(2 ** bits))));
}

/** The bfloat16 value nearest to `x`; NaN quiet, so that it stays one without its low bits. */
export function roundToBf16(b: LoopBuilder, x: Reg): Reg {
  const nearest = b.nearestBf16(x);
  if (nearest) return b.asBf16(nearest);
  const quiet = b.bitcast('f32', b.bin('or', b.bitcast('i32', x), int(b, x, 1 << 22)));
  return b.asBf16(b.select(b.cmp('ne', x, x), quiet, dropBits(b, x, 16)));
}

/** The binary16 value nearest to `x`: infinite from 65520 on, multiples of 2^-24 below 2^-14. */
export function roundToF16(b: LoopBuilder, x: Reg): Reg {
  if (b.roundsF16) return b.un('toF16', x);
  const magnitude = b.un('abs', x);
  const normal = b.un('abs', dropBits(b, x, 13));
  const finite = b.select(b.cmp('ge', normal, float(b, x, 65536)), float(b, x, Number.POSITIVE_INFINITY), normal);
  // In [0.5, 1) neighbours of f32 are 2^-24 apart: the sum rounds to the subnormal grid of binary16.
  const half = float(b, x, 0.5);
  const subnormal = b.sub(b.add(magnitude, half), half);
  const rounded = b.select(b.cmp('lt', magnitude, float(b, x, 2 ** -14)), subnormal, finite);
  return b.select(b.cmp('ne', x, x), x, b.bin('copysign', rounded, x));
}
