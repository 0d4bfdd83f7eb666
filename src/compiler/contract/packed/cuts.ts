/**
 * Cutting a product of f32 in parts into tasks. Its products take so little time that packing counts: what is packed
 * for all goes through the third cache twice, written and read. So the panels of one side stay in the second cache,
 * packed by the tasks that need them; those of the other, packed once for all or once by every thread, pass by and are
 * asked for ahead.
 */
import { MAX_TASKS } from '../tasks.ts';
import { ceilDiv } from '../tile.ts';
import { idleShare } from '../traffic.ts';
import type { PackedSource } from './plan.ts';

/** Rows of A or columns of B. */
export interface PartsSide {
  readonly panels: number;
  /** Elements that are packed in every run; none where they come packed. */
  readonly packed: number;
  /** Bytes of all panels. */
  readonly bytes: number;
}

export interface PartsCut {
  /** Whether rows stay while columns pass. */
  readonly rowsStay: boolean;
  readonly mTask: number;
  readonly nTask: number;
  /**
   * Who packs what passes: all threads for all, a thread once for all of its tasks, or a task panel by panel as they
   * come.
   */
  readonly passes: PackedSource;
}

/**
 * Cycles to pack an element into panels that stay in the second cache, into such as go to the third, and into one panel
 * again and again.
 */
const PACK_NEAR = 1.1;
const PACK_FAR = 2.2;
const PACK_PASSING = 0.9;
/** An estimate of the same for every further range that it passes: what it is packed from comes from afar again. */
const PACK_AGAIN = 1.8;
/**
 * Bytes of a panel from which on it is packed as it passes: shorter ones are packed in one go (784 x 512 of 128: 372
 * us, 399 as they pass).
 */
const LEAST_PASSING = 48 << 10;
/**
 * Cycles of the products of two panels of 32 lines, for a step of 32 points; bytes of a panel in that step, and how
 * many the third cache gives in a cycle.
 */
const STEP_CYCLES = 430;
const STEP_BYTES = 6144;
const FAR_BYTES = 6;
/**
 * Cycles for threads to meet, and for a byte that another one has packed (784 x 512 of 128: 438 us, 371 where each
 * packs its columns).
 */
const MEETING = 3000;
const FOREIGN_CYCLES = 0.25;

/** Panels that stay at most: half of the second cache. */
const STAYS_SHARE = 0.5;

export function cutParts(
  m: PartsSide,
  n: PartsSide,
  of: { readonly steps: number; readonly oneBlock: boolean; readonly panelBytes: number; readonly batches: number },
  l2Bytes: number,
  threads: number,
): PartsCut {
  const most = Math.max(1, Math.floor((l2Bytes * STAYS_SHARE) / of.panelBytes));
  let best: PartsCut = { rowsStay: true, mTask: m.panels, nTask: n.panels, passes: 'passing' };
  let least = Number.POSITIVE_INFINITY;
  for (const rowsStay of [true, false]) {
    const [stays, passes] = rowsStay ? [m, n] : [n, m];
    for (let ranges = ceilDiv(stays.panels, most); ranges <= Math.min(stays.panels, MAX_TASKS); ranges++) {
      const size = ceilDiv(stays.panels, ranges);
      if (ceilDiv(stays.panels, size) !== ranges) continue;
      for (let parts = 1; parts <= Math.min(passes.panels, MAX_TASKS / ranges); parts++) {
        const part = ceilDiv(passes.panels, parts);
        if (ceilDiv(passes.panels, part) !== parts) continue;
        // Tasks of one range follow one another, so that a thread packs it once, unless k falls into blocks.
        const packers = of.oneBlock ? Math.min(parts, 1 + (threads - 1) / ranges) : parts;
        const near = stays.packed * PACK_NEAR * packers;
        const foreign = of.oneBlock ? (threads - 1) * passes.bytes * FOREIGN_CYCLES : 0;
        const each: [PackedSource, number] =
          of.panelBytes < LEAST_PASSING
            ? ['private', passes.packed * PACK_NEAR * ranges]
            : ['passing', passes.packed * (PACK_PASSING + PACK_AGAIN * (ranges - 1))];
        const sources = [each];
        // Where what passes is the same for all tasks of a thread, it may pack that once for itself; products of
        // batches pack their own.
        if (parts === 1 && of.oneBlock && of.batches === 1 && passes.bytes <= l2Bytes * STAYS_SHARE)
          sources.push(['private', passes.packed * PACK_NEAR * Math.min(ranges, threads)]);
        if (ranges > 1 && of.batches === 1) {
          const packing = passes.packed * (passes.bytes > l2Bytes ? PACK_FAR : PACK_NEAR);
          sources.push(['shared', packing + threads * MEETING + foreign]);
        }
        const [source, passing] = sources.reduce((best, one) => (one[1] < best[1] ? one : best));
        const step = Math.max(STEP_CYCLES, passes.bytes > l2Bytes / 4 ? STEP_BYTES / FAR_BYTES / size : 0);
        const idle = of.batches > 1 ? 0 : idleShare(stays.panels, ranges, passes.panels, parts, threads);
        const products = m.panels * n.panels * of.steps * step * (1 + idle);
        const cost = products + near + passing;
        if (cost >= least * 0.999) continue;
        least = cost;
        best = { rowsStay, mTask: rowsStay ? size : part, nTask: rowsStay ? part : size, passes: source };
      }
    }
  }
  return best;
}
