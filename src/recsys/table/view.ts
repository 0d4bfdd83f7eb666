/**
 * Rows as people look at them.
 */
import { signOf } from '../batch.ts';
import { CLICK, DELTA, HI, LINK, LO, META, SHOW, WIDE } from './layout.ts';
import type { TableRow } from './sparse-table.ts';
import type { EmbeddingTable } from './table.ts';

/** A row as people look at it. */
export function viewRow(table: EmbeddingTable, row: number): TableRow {
  const { f32, u32 } = table.rows.segment(row);
  const at = table.rows.at(row);
  const { wide, dim, apart, vector } = table.layout;
  const weights = new Float32Array(table.width);
  if (wide) weights[0] = f32[at + WIDE]!;
  const link = u32[at + LINK]!;
  const meta = u32[at + META]!;
  const result = {
    sign: signOf(u32[at + HI]!, u32[at + LO]!),
    slot: meta & 0xffff,
    show: f32[at + SHOW]!,
    click: f32[at + CLICK]!,
    unseenDays: meta >>> 16,
    deltaScore: f32[at + DELTA]!,
    admitted: dim > 0 && (!apart || link !== 0),
    weights,
  };
  if (!apart) weights.set(f32.subarray(at + vector, at + vector + dim), wide);
  else if (link !== 0) {
    const start = table.vectors.at(link - 1);
    weights.set(table.vectors.segment(link - 1).f32.subarray(start, start + dim), wide);
  }
  return result;
}
