/**
 * Products of f32 as IEEE has them, for blocks with numbers that cannot be cut into parts of bf16 (infinities, NaN, the
 * very large and small): short code rather than fast. Imports loop IR only.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';

const F32 = 4;
/** Rows whose sums are in registers together, and columns. */
const ROWS = 16;
export const LANES = 16;

interface PlainProduct {
  /** Rows and columns, multiples of 16. */
  readonly rows: number;
  readonly columns: number;
  /** Where sums are, `pitch` elements from row to row; `add` keeps what they are. */
  readonly sums: Reg;
  readonly pitch: number;
  readonly add: boolean;
  /** Elements from one row to the next of what is multiplied, and from one point of a sum to the next. */
  readonly across: number;
  readonly along: number;
  /**
   * Runs `sum` for runs of `points` points of the sum: `from` is row 0 at the first of them, `vector` the 16 columns
   * from `column` on at one.
   */
  readonly eachRun: (sum: (from: Reg, points: number, vector: (point: Reg, column: Reg) => Reg) => void) => void;
}

/** Sums the products of all rows and columns. */
export function sumPlainly(b: LoopBuilder, product: PlainProduct): void {
  const { across, along, pitch } = product;
  b.for(0, product.rows, ROWS, row => {
    b.for(0, product.columns, LANES, column => {
      const place = b.advance(b.advance(product.sums, row, pitch * F32), column, F32);
      const sums = Array.from({ length: ROWS }, (_, r) =>
        b.copy(product.add ? b.load('f32', place, r * pitch * F32, LANES) : b.const('f32', 0, LANES)),
      );
      product.eachRun((from, points, vector) => {
        const rowsAt = b.advance(from, row, across * F32);
        b.for(0, points, 1, point => {
          const [at, y] = [b.advance(rowsAt, point, along * F32), vector(point, column)];
          for (const [r, sum] of sums.entries())
            b.fma(b.splat(b.load('f32', at, r * across * F32), LANES), y, sum, sum);
        });
      });
      for (const [r, sum] of sums.entries()) b.store('f32', place, sum, r * pitch * F32);
    });
  });
}
