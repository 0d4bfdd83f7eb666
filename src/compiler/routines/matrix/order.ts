/** What is found in no order, visited by size. */
import type { Reg } from '../../loops.ts';
import type { MatrixBuilder, Row } from './rows.ts';

/**
 * Visits the indices of `values` [count] by size: r is the place in the order, i the index. `keys` is overwritten.
 */
export function inOrder(
  m: MatrixBuilder,
  keys: Row,
  count: number,
  descending: boolean,
  visit: (r: Reg, i: Reg) => void,
): void {
  const { b } = m;
  const done = m.f64(descending ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  // What is never before anything else (NaN) is taken in the end, in order.
  const taken = Number.NaN;
  m.for(0, count, r => {
    const best = b.copy(b.i32(-1));
    const extreme = b.copy(done);
    m.for(0, count, i => {
      const key = m.get(keys, i);
      const before = descending ? b.cmp('gt', key, extreme) : b.cmp('lt', key, extreme);
      b.if(before, () => {
        b.move(best, i);
        b.move(extreme, key);
      });
    });
    const i = b.select(b.cmp('lt', best, b.i32(0)), r, best);
    m.set(keys, i, m.f64(taken));
    visit(r, i);
  });
}
