/**
 * The life of rows: the end of a day, and making room. Decisions depend on what rows hold, never on where they lie, so
 * a table that was saved and loaded decides as the one that was not.
 */
import { CLICK, HI, LO, META, SHOW } from './layout.ts';
import type { ShrinkReport } from './sparse-table.ts';
import type { EmbeddingTable } from './table.ts';

/** Decays shows and clicks; deletes rows of too low a score and rows unseen for too long. */
export function shrinkRows(table: EmbeddingTable): ShrinkReport {
  const { decay, deleteBelow, deleteAfterDays } = table.settings.score;
  const { rows } = table;
  let deleted = 0;
  for (let row = 0; row < rows.end; row++) {
    if (!table.lives(row)) continue;
    const { f32, u32 } = rows.segment(row);
    const at = rows.at(row);
    f32[at + SHOW] = f32[at + SHOW]! * decay;
    f32[at + CLICK] = f32[at + CLICK]! * decay;
    const unseen = u32[at + META]! >>> 16;
    if (table.score(f32[at + SHOW]!, f32[at + CLICK]!) >= deleteBelow && unseen <= deleteAfterDays) continue;
    table.remove(row);
    deleted++;
  }
  return { deleted, kept: rows.size };
}

/** Share of the rows that go at once when room is needed. */
const EVICTED_SHARE = 1 / 16;

/** Evicts rows, but for those `spared`, until the table has at most so many bytes. @returns how many went */
export function evictTo(table: EmbeddingTable, bytes: number, spared: Iterable<number>): number {
  if (table.bytes <= bytes) return 0;
  const kept = new Set(spared);
  const most = table.rowBytes + table.vectorBytes;
  let evicted = 0;
  while (table.bytes > bytes) {
    const needed = Math.ceil((table.bytes - bytes) / most);
    const gone = eviction(table, Math.max(needed, Math.ceil(table.size * EVICTED_SHARE)), kept);
    if (gone.length === 0) break;
    for (const row of gone) table.remove(row);
    evicted += gone.length;
  }
  return evicted;
}

/**
 * `count` rows of the lowest score, among equals the longest unseen and then those of the smallest sign; none of
 * `spared`.
 */
function eviction(table: EmbeddingTable, count: number, spared: ReadonlySet<number>): number[] {
  const { rows } = table;
  const candidates: number[] = [];
  const scores = new Float64Array(rows.end);
  for (let row = 0; row < rows.end; row++) {
    if (spared.has(row) || !table.lives(row)) continue;
    const { f32 } = rows.segment(row);
    const at = rows.at(row);
    scores[row] = table.score(f32[at + SHOW]!, f32[at + CLICK]!);
    candidates.push(row);
  }
  if (candidates.length <= count) return candidates;
  // Only rows up to the score of the last one to go need to be ordered.
  const limit = Float64Array.from(candidates, row => scores[row]!).sort()[count - 1]!;
  const below = candidates.filter(row => scores[row]! < limit);
  const ties = candidates.filter(row => scores[row] === limit);
  const keys = new Map(
    ties.map(row => {
      const { u32 } = rows.segment(row);
      const at = rows.at(row);
      return [row, { unseen: u32[at + META]! >>> 16, hi: u32[at + HI]!, lo: u32[at + LO]! }];
    }),
  );
  ties.sort((a, b) => {
    const first = keys.get(a)!;
    const second = keys.get(b)!;
    return second.unseen - first.unseen || first.hi - second.hi || first.lo - second.lo;
  });
  return [...below, ...ties.slice(0, count - below.length)];
}
