/**
 * How a forward product of f32 in parts is cut: tasks, panels of results, channels at a time. Pure arithmetic on shapes
 * and caches.
 */
import { processorsOf, type Target } from '../../target.ts';
import { PARTS_BYTES } from '../parts.ts';
import { extent, type Problem } from '../problem.ts';
import { LINE } from '../store.ts';
import { wantedTasks } from '../tasks.ts';
import { BLOCK, SIDE } from './formats.ts';
import type { Forward } from './forward.ts';
import { type Pixels, pixelCount } from './range.ts';

export interface PartsPlan {
  /** Images of a block and results of a panel, and how many of each there are. */
  readonly rows: number;
  readonly width: number;
  readonly imageBlocks: number;
  readonly panels: number;
  /** Channels of the image at a time. */
  readonly channels: number;
  readonly channelBlocks: number;
  /** Tasks that panels and pixels fall into, and panels of a task at most. */
  readonly nTasks: number;
  readonly mTasks: number;
  readonly taskPanels: number;
  /** Pixels of the image that are kept, and bytes of one. */
  readonly ring: number;
  readonly pixelBytes: number;
  /** Bytes between these channels of the kernel and the next, and tiles of sums that wait for those. */
  readonly blockBytes: number;
  readonly sums: number;
  /** Lines of the next pixel that a step of products asks for. */
  readonly linesAhead: number;
}

const F32 = 4;
/** Tasks there should be. */
const TASKS = 8;
/** Share of the second cache for ring, panels and sums. */
const SHARE = 0.75;
export function planParts(p: Problem, f: Forward, pixels: Pixels, target: Target): PartsPlan {
  const [images, results, all] = [extent(p, [f.images]), extent(p, p.n), extent(p, [f.channel])];
  const [count, taps] = [extent(p, f.pixels), extent(p, f.taps)];
  const side = (n: number): number => (n % (2 * SIDE) === 0 ? 2 * SIDE : SIDE);
  const [rows, width] = [side(images), side(results)];
  const [imageBlocks, panels] = [images / rows, results / width];
  const ring = Math.min(pixelCount(pixels), (pixels.behind - pixels.before) / pixels.stride + 1);
  const wanted = Math.min(Math.max(TASKS, processorsOf(target)), wantedTasks(p, target));
  const planOf = (channels: number, nTasks: number): PartsPlan & { readonly bytes: number } => {
    const channelBlocks = all / channels;
    const taskPanels = Math.ceil(panels / nTasks);
    const mTasks = Math.min(count, Math.max(1, Math.ceil(wanted / (nTasks * imageBlocks))));
    const sums = channelBlocks > 1 ? Math.ceil(count / mTasks) * taskPanels : 1;
    const pixelBytes = rows * channels * PARTS_BYTES;
    const blockBytes = channels * width * PARTS_BYTES;
    const bytes = ring * pixelBytes + taskPanels * taps * blockBytes + sums * rows * width * F32;
    const linesAhead = Math.ceil((rows * channels * F32) / (LINE * taskPanels * taps * (channels / BLOCK)));
    return {
      rows, width, imageBlocks, panels, channels, channelBlocks, nTasks, mTasks, taskPanels, ring, pixelBytes, blockBytes, sums, linesAhead, bytes,
    }; // biome-ignore format: a record
  };
  // As many channels at a time as fit (sums that wait cost more than pixels that are cut again), by as many panels as
  // fit beside them.
  for (let channels = all; channels > BLOCK; channels -= BLOCK) {
    if (all % channels !== 0) continue;
    for (let nTasks = 1; nTasks <= panels; nTasks++) {
      const plan = planOf(channels, nTasks);
      if (plan.bytes <= target.l2Bytes * SHARE) return plan;
    }
  }
  return planOf(BLOCK, panels);
}
