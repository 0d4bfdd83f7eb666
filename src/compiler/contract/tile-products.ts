/**
 * A block of products whose sums are in memory: on matrix registers or, of bf16, by dot products in vectors. Imports
 * loop IR only.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg, Tiles } from '../loops.ts';
import type { Target } from '../target.ts';
import { zero } from './indices.ts';

const WORD = 4;
/** Rows and columns of a matrix register, and words of a step. */
const SIDE = 16;
const LINE = SIDE * WORD;
/** Rows whose sums are in vectors together: with two vectors of columns, 16 sums hide how long a dot product takes. */
const ROWS = 8;
/** Words of a trip of the loop. */
const UNROLL = 4;

/** Where sums are, and bytes from row to row of them where they are not one area. */
export interface SumsAt {
  readonly c: Reg;
  readonly pitch?: number;
}

type Products = Omit<Tiles, 'op'>;

/** Sets sums to the products, or adds these to them. */
export type SumProducts = (b: LoopBuilder, products: Products, at: SumsAt, add: boolean) => void;

/** Who sums products of bf16 where the target multiplies words of them. */
export const bf16Sums = (target: Target): SumProducts =>
  target.packedProducts?.bf16 === 'tiles' ? sumInTiles : sumInDots;

export function sumInTiles(b: LoopBuilder, products: Products, at: SumsAt, add: boolean): void {
  const { rows, columns } = products;
  b.emit({ op: 'tileSums', rows, columns, ...(add ? { does: 'load', ...at } : { does: 'clear' }) });
  // A store behind the last step would be followed by all of them.
  const stores = products.kind === 'f32' && at.pitch === undefined;
  b.emit({ op: 'tiles', ...products, ...(stores ? { room: at.c } : {}) });
  b.emit({ op: 'tileSums', rows, columns, does: 'store', ...at });
}

/** Sums of bf16 where there are no matrix registers but dot products (AVX512_BF16). */
function sumInDots(b: LoopBuilder, products: Products, at: SumsAt, add: boolean): void {
  const { a, runs, pitch, columns: vectors } = products;
  const [height, width] = [SIDE * products.rows, LINE * vectors];
  const sumsPitch = at.pitch ?? width;
  b.for(0, height, ROWS, row => {
    const place = b.advance(at.c, row, sumsPitch);
    const sums = Array.from({ length: ROWS }, (_, r) =>
      Array.from({ length: vectors }, (_, v) =>
        b.copy(add ? b.load('f32', place, r * sumsPitch + v * LINE, SIDE) : zero(b, 'f32', SIDE)),
      ),
    );
    const rowsAt = b.advance(a, row, pitch ?? LINE);
    if (runs) {
      const entry = b.copy(runs.at);
      b.for(0, runs.count, 1, () => {
        const [behindA, behindB] = [b.load('i32', entry), b.load('i32', entry, WORD)];
        dotRun(b, products, sums, b.advance(rowsAt, behindA, 1), b.advance(products.b, behindB, 1));
        b.advance(entry, b.i32(2), WORD, entry);
      });
    } else dotRun(b, products, sums, rowsAt, products.b);
    for (const [r, line] of sums.entries())
      for (const [v, sum] of line.entries()) b.store('f32', place, sum, r * sumsPitch + v * LINE);
  });
}

/** Adds the products of all steps of one run to the sums of some rows, the first of which is at `rowsAt`. */
function dotRun(
  b: LoopBuilder,
  { steps, rows, pitch, columns: vectors }: Products,
  sums: readonly (readonly Reg[])[],
  rowsAt: Reg,
  columnsAt: Reg,
): void {
  const [x, y, one] = [b.copy(rowsAt), b.copy(columnsAt), b.i32(1)];
  b.for(0, steps, 1, () => {
    b.for(0, SIDE, UNROLL, () => {
      for (let word = 0; word < UNROLL; word++) {
        const columns = Array.from({ length: vectors }, (_, v) => b.load('i32', y, (word * vectors + v) * LINE, SIDE));
        for (const [r, line] of sums.entries()) {
          const splat = b.splat(b.load('i32', x, r * (pitch ?? LINE) + word * WORD), SIDE);
          for (const [v, sum] of line.entries()) b.dot('bf16', splat, columns[v]!, sum, sum);
        }
      }
      b.advance(x, one, UNROLL * WORD, x);
      b.advance(y, one, UNROLL * vectors * LINE, y);
    });
    // Where rows do not run on, the next step's are behind those of all others.
    if (pitch === undefined) b.advance(x, one, (SIDE * rows - 1) * LINE, x);
  });
}
