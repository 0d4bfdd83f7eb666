/**
 * Embedding tables and ragged sequences.
 */
import { cat, F, full, type Tensor, where } from '../../../tensor/index.ts';
import type { Rule } from './rule.ts';

/** Rows of the table; version 1 ids have a last dim of 1 that the row takes the place of. */
const lookup =
  (version: 1 | 2): Rule =>
  call => {
    const ids = call.input('Ids');
    const table = call.input('W');
    const shape = version === 1 && ids.shape.at(-1) === 1 ? ids.shape.slice(0, -1) : ids.shape;
    const index = ids.reshape([-1]).to('i64');
    const rows = F.embedding(index, table);
    const padding = call.number('padding_idx', -1);
    const y = padding < 0 ? rows : where(index.eq(padding).unsqueeze(-1), rows.mul(0), rows);
    const offsets = call.offsets('Ids');
    return { Out: { tensor: y.reshape([...shape, table.shape[1]!]), ...(offsets && { offsets }) } };
  };

/** One row per sequence: the sum, average, root-scaled sum, largest, first or last of its rows. */
const sequencePool: Rule = call => {
  const x = call.input('X');
  const offsets = call.offsets('X');
  if (!offsets) throw new Error('sequence_pool needs a ragged input: give { values, offsets } instead of a tensor');
  const kind = call.text('pooltype', 'AVERAGE');
  const empty = full([1, ...x.shape.slice(1)], call.number('pad_value', 0), { dtype: x.dtype });
  const rows = offsets.slice(1).map((end, i) => {
    const [begin, length] = [offsets[i]!, end - offsets[i]!];
    if (length === 0) return empty;
    const part = x.narrow(0, begin, length);
    const sum = (): Tensor => part.sum(0, { keepdim: true });
    if (kind === 'SUM') return sum();
    if (kind === 'AVERAGE') return sum().div(length);
    if (kind === 'SQRT') return sum().div(Math.sqrt(length));
    if (kind === 'MAX') return part.amax(0, { keepdim: true });
    if (kind === 'FIRST') return part.narrow(0, 0, 1);
    if (kind === 'LAST') return part.narrow(0, length - 1, 1);
    throw new Error(`pooltype ${kind} came, expected SUM, AVERAGE, SQRT, MAX, FIRST or LAST`);
  });
  return { Out: cat(rows, 0) };
};

export const TABLES: Readonly<Record<string, Rule>> = {
  lookup_table: lookup(1),
  lookup_table_v2: lookup(2),
  sequence_pool: sequencePool,
};
