/**
 * Cutting a product of f32 in parts into tasks. Its products take so little time that packing counts: what is packed for all goes through the third cache twice, written and
 * read. So the panels of one side stay in the second cache, packed by the tasks that need them, and those of the other, packed once, pass by and are asked for ahead.
 */
import { MAX_TASKS } from '../tasks.ts';
import { ceilDiv } from '../tile.ts';
import { idleShare } from '../traffic.ts';

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
}

/** Cycles to pack an element into panels that stay in the second cache, and into such as go to the third. */
const PACK_NEAR = 1.1;
const PACK_FAR = 2.2;
/** Cycles of the products of two panels of 32 lines, for a step of 32 points; bytes of a panel in that step, and how many the third cache gives in a cycle. */
const STEP_CYCLES = 430;
const STEP_BYTES = 6144;
const FAR_BYTES = 6;
/** Cycles for threads to meet. */
const MEETING = 3000;

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
  let best: PartsCut = { rowsStay: true, mTask: m.panels, nTask: n.panels };
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
        // What tasks of several ranges read is packed once for all, but for products of batches, each of which packs its own.
        const shared = passes.packed > 0 && ranges > 1 && of.batches === 1;
        const far = passes.packed * (shared ? (passes.bytes > l2Bytes ? PACK_FAR : PACK_NEAR) : PACK_NEAR * ranges);
        const step = Math.max(STEP_CYCLES, passes.bytes > l2Bytes / 4 ? STEP_BYTES / FAR_BYTES / size : 0);
        const idle = of.batches > 1 ? 0 : idleShare(stays.panels, ranges, passes.panels, parts, threads);
        const products = m.panels * n.panels * of.steps * step * (1 + idle);
        const cost = products + near + far + (shared ? MEETING * threads : 0);
        if (cost >= least * 0.999) continue;
        least = cost;
        best = { rowsStay, mTask: rowsStay ? size : part, nTask: rowsStay ? part : size };
      }
    }
  }
  return best;
}
