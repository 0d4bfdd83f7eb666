/**
 * The transforms of F(2x2, 3x3) (Lavin and Gray, 2016, "Fast Algorithms for Convolutional Neural Networks"): with V =
 * Bt d B of a 4x4 tile d and U = G g Gt of a 3x3 kernel g, the 2x2 results are At (U * V) A: 16 products instead of 36.
 * Their transposes make the gradients. Each is a matrix applied to the columns, then to the rows, of a small matrix of
 * registers; additions only, but for the halves of the kernel. Imports loop IR only.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';

/** A matrix of vectors, row by row. */
export type Matrix = readonly (readonly Reg[])[];

/** What one of the matrices makes of a column; `half` halves. */
type Apply = (b: LoopBuilder, column: readonly Reg[], half: (x: Reg) => Reg) => readonly Reg[];

const transposed = (m: Matrix): Matrix => m[0]!.map((_, j) => m.map(row => row[j]!));

/** The matrix times `m` times its transpose. */
const bothSides = (b: LoopBuilder, apply: Apply, m: Matrix): Matrix => {
  let factor: Reg | undefined;
  const half = (x: Reg): Reg => {
    factor ??= b.const('f32', 0.5, x.type.lanes);
    return b.mul(x, factor);
  };
  const columns = transposed(m).map(column => apply(b, column, half));
  return transposed(columns).map(row => apply(b, row, half));
};

/** Bt: 4 pixels. */
const pixels: Apply = (b, [x0, x1, x2, x3]) => [b.sub(x0!, x2!), b.add(x1!, x2!), b.sub(x2!, x1!), b.sub(x1!, x3!)];
/** At: 4 sums to 2 results. */
const results: Apply = (b, [x0, x1, x2, x3]) => [b.add(b.add(x0!, x1!), x2!), b.sub(b.sub(x1!, x2!), x3!)];
/** A: 2 gradients of results to those of 4 sums. */
const gradients: Apply = (b, [x0, x1]) => [x0!, b.add(x0!, x1!), b.sub(x0!, x1!), b.un('neg', x1!)];
/** G: 3 taps. */
const taps: Apply = (b, [x0, x1, x2], half) => {
  const outer = half(b.add(x0!, x2!));
  const middle = half(x1!);
  return [x0!, b.add(outer, middle), b.sub(outer, middle), x2!];
};
/** Gt: 4 gradients of transformed taps to those of 3 taps. */
const tapGradients: Apply = (b, [x0, x1, x2, x3], half) => {
  const even = half(b.add(x1!, x2!));
  return [b.add(x0!, even), half(b.sub(x1!, x2!)), b.add(even, x3!)];
};

/** 4x4 pixels to V. */
export const transformPixels = (b: LoopBuilder, tile: Matrix): Matrix => bothSides(b, pixels, tile);
/** 3x3 taps to U. */
export const transformTaps = (b: LoopBuilder, kernel: Matrix): Matrix => bothSides(b, taps, kernel);
/** 4x4 sums to 2x2 results. */
export const transformSums = (b: LoopBuilder, sums: Matrix): Matrix => bothSides(b, results, sums);
/** The gradient of 2x2 results to that of the 4x4 sums. */
export const transformGradients = (b: LoopBuilder, tile: Matrix): Matrix => bothSides(b, gradients, tile);
/** The gradient of U to that of the 3x3 taps. */
export const transformTapGradients = (b: LoopBuilder, sums: Matrix): Matrix => bothSides(b, tapGradients, sums);
