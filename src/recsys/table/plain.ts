/**
 * What a table does for every sign of a batch, as plain loops: everywhere that generated code does not run, and the
 * specification of that code, which gives the same bits.
 */
import { CLICK, DELTA, LINK, META, SHOW, WIDE } from './layout.ts';
import type { TableLookup } from './lookup.ts';
import type { EmbeddingTable } from './table.ts';

/** Signs whose memory is touched ahead of its use: 64 rows of two cache lines stay in the first-level cache. */
const BLOCK = 64;

/** Finds the rows of distinct signs, and reads them: kernels/find.ts. */
export function findPlainly(table: EmbeddingTable, found: TableLookup): void {
  const { index } = table;
  const { rows, hash, tag, hi: signHi, lo: signLo, unique } = found;
  const read = table.layout.apart ? table.layout.rowWords : table.layout.vectorState;
  for (let from = 0; from < unique; from += BLOCK) {
    const block = Math.min(BLOCK, unique - from);
    table.touched = index.touch(hash, tag, from, block);
    for (let u = from; u < from + block; u++) rows[u] = index.guess(hash[u]!, tag[u]!);
    table.touched += table.rows.touch(rows, from, block, read);
    for (let u = from; u < from + block; u++) {
      if (rows[u]! >= 0 && !table.holds(rows[u]!, signHi[u]!, signLo[u]!))
        rows[u] = index.find(hash[u]!, tag[u]!, signHi[u]!, signLo[u]!);
      readRow(table, found, u);
    }
  }
}

/**
 * Takes the weights and shows of distinct sign `u` while its row is at hand; without a row, what it would start with.
 */
export function readRow(table: EmbeddingTable, found: TableLookup, u: number): void {
  const row = found.rows[u]!;
  const { width, layout } = table;
  const { wide, dim, apart, vector } = layout;
  const { weights, shows } = found;
  const to = u * width;
  if (row < 0) {
    shows[u] = 0;
    if (wide) weights[to] = 0;
    if (!apart) table.initial.weights(found.hash[u]!, found.tag[u]!, weights, to + wide);
    else weights.fill(0, to + wide, to + width);
    return;
  }
  const { f32, u32 } = table.rows.segment(row);
  const at = table.rows.at(row);
  shows[u] = f32[at + SHOW]!;
  if (wide) weights[to] = f32[at + WIDE]!;
  if (!apart) {
    for (let d = 0; d < dim; d++) weights[to + wide + d] = f32[at + vector + d]!;
    return;
  }
  const link = u32[at + LINK]!;
  if (link === 0) {
    weights.fill(0, to + wide, to + width);
    return;
  }
  const { f32: from } = table.vectors.segment(link - 1);
  const start = table.vectors.at(link - 1);
  for (let d = 0; d < dim; d++) weights[to + wide + d] = from[start + d]!;
}

/** Applies gradients and statistics to the rows that are there: kernels/update.ts. */
export function updatePlainly(
  table: EmbeddingTable,
  found: TableLookup,
  gradients: Float32Array,
  shows: Float32Array,
  clicks: Float32Array,
  slots?: Int32Array,
): void {
  const { rows, unique } = found;
  const { width, layout, rule, wideRule } = table;
  const { wide, dim, apart, wideState, vector, vectorState } = layout;
  for (let u = 0; u < unique; u++) {
    if ((u & (BLOCK - 1)) === 0) table.touched = table.rows.touch(rows, u, Math.min(BLOCK, unique - u), 1);
    const row = rows[u]!;
    if (row < 0) continue;
    const { f32, u32 } = table.rows.segment(row);
    const at = table.rows.at(row);
    const show = shows[u]!;
    const click = clicks[u]!;
    f32[at + SHOW] = f32[at + SHOW]! + show;
    f32[at + CLICK] = f32[at + CLICK]! + click;
    f32[at + DELTA] = f32[at + DELTA]! + table.score(show, click);
    u32[at + META] = slots ? slots[u]! : u32[at + META]! & 0xffff;
    const from = u * width;
    if (wide) wideRule.update(f32, at + WIDE, at + wideState, 1, gradients, from, show);
    if (!apart) {
      if (dim > 0) rule.update(f32, at + vector, at + vectorState, dim, gradients, from + wide, show);
      continue;
    }
    const link = u32[at + LINK]!;
    if (link !== 0) {
      const { f32: weights } = table.vectors.segment(link - 1);
      const start = table.vectors.at(link - 1);
      rule.update(weights, start, start + vectorState, dim, gradients, from + wide, show);
    }
  }
}
