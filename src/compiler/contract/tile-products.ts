/** A block of products on matrix registers whose sums are in memory. Imports loop IR only. */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg, Tiles } from '../loops.ts';

/** Where sums are, and bytes from row to row of them where they are not one area. */
export interface SumsAt {
  readonly c: Reg;
  readonly pitch?: number;
}

/** Sets sums to the products, or adds these to them. */
export function sumInTiles(b: LoopBuilder, products: Omit<Tiles, 'op'>, at: SumsAt, add: boolean): void {
  const { rows, columns } = products;
  b.emit({ op: 'tileSums', rows, columns, ...(add ? { does: 'load', ...at } : { does: 'clear' }) });
  // A store behind the last step would be followed by all of them.
  const stores = products.kind === 'f32' && at.pitch === undefined;
  b.emit({ op: 'tiles', ...products, ...(stores ? { room: at.c } : {}) });
  b.emit({ op: 'tileSums', rows, columns, does: 'store', ...at });
}
