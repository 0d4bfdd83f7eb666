/** A block of products on matrix registers whose sums are in memory. Imports loop IR only. */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg, Tiles } from '../loops.ts';

/** Sets the sums at `c` to the products, or adds these to them. */
export function sumInTiles(b: LoopBuilder, products: Omit<Tiles, 'op'>, c: Reg, add: boolean): void {
  const { rows, columns } = products;
  b.emit({ op: 'tileSums', rows, columns, ...(add ? { does: 'load', c } : { does: 'clear' }) });
  b.emit({ op: 'tiles', ...products });
  b.emit({ op: 'tileSums', rows, columns, does: 'store', c });
}
