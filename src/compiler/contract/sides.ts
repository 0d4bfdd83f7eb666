/**
 * The two operands of the blocked contraction: blocks of k at run time, and where the panels of an operand are found:
 * packed by all threads beforehand, packed by the task that needs them, or read where the operand lies.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { asReg, type Cursor, type Extent, origin, sizesOf, step, stepAll } from './cursor.ts';
import { affine, unravel } from './indices.ts';
import { type Block, laneWords, packPanel } from './pack.ts';
import { comesPacked, type Plan, type Source } from './plan.ts';
import type { Problem, View } from './problem.ts';
import type { Scratch } from './spec.ts';
import { eachTask, slotsOf } from './tasks.ts';

/** One block of k at run time. */
export interface RunningBlock extends Block {
  readonly prefixCoords: readonly Reg[];
  /** First coordinate of the split dim. */
  readonly lo: Extent;
  /** Points of k before this block. */
  readonly before: Extent;
}

/** What is asked of a plan here: how k falls into blocks. */
type InBlocks = Pick<Plan, 'k'>;

export function blockAt(b: LoopBuilder, p: Problem, plan: InBlocks, index: Extent): RunningBlock {
  const { k } = plan;
  if (k.split === null) return { dims: [], extents: [], length: 1, prefixCoords: [], lo: 0, before: 0 };
  const size = p.dims[k.split]!.size;
  const dims = [k.split, ...k.inner];
  const inner = sizesOf(p, k.inner);
  if (k.count === 1) return { dims, extents: [size, ...inner], length: k.length, prefixCoords: [], lo: 0, before: 0 };
  const at = asReg(b, index);
  const chunks = b.i32(k.chunks);
  const prefix = k.prefix.length === 0 ? b.i32(0) : k.chunks === 1 ? at : b.bin('divU', at, chunks);
  const lo = k.chunks === 1 ? b.i32(0) : b.mul(k.prefix.length === 0 ? at : b.bin('remU', at, chunks), b.i32(k.chunk));
  const even = size % k.chunk === 0;
  const count = even ? k.chunk : b.bin('min', b.i32(k.chunk), b.sub(b.i32(size), lo));
  const length = typeof count === 'number' ? count * k.innerLength : b.mul(count, b.i32(k.innerLength));
  const before = affine(
    b,
    [
      [prefix, size * k.innerLength],
      [lo, k.innerLength],
    ],
    0,
  );
  return {
    dims,
    extents: [count, ...inner],
    length,
    prefixCoords: unravel(b, prefix, sizesOf(p, k.prefix)),
    lo,
    before,
  };
}

/** The cursor at a batch's and a block's first point. */
export function cursorAt(
  b: LoopBuilder,
  p: Problem,
  plan: InBlocks,
  view: View,
  batch: readonly Reg[],
  block: RunningBlock,
): Cursor {
  const at = stepAll(b, view, stepAll(b, view, origin(b, view), p.batch, batch), plan.k.prefix, block.prefixCoords);
  return plan.k.split === null ? at : step(b, view, at, plan.k.split, block.lo);
}

/** One operand as the blocked schedule sees it: a row of panels over its minor dims (m or n). */
export interface Side {
  readonly view: View;
  readonly minor: readonly number[];
  readonly source: Source;
  /** Panels in all, and the lines they hold together (with what the last one pads). */
  readonly panels: number;
  readonly lines: number;
  /** First line and number of lines of a panel, and the most there can be. */
  readonly panel: (b: LoopBuilder, index: Reg) => { first: Reg; count: Extent };
  readonly most: number;
  /** Whether all panels have that many and hold what exists. */
  readonly even: boolean;
  /** Lines of a task at most. */
  readonly taskLines: number;
}

/** Element stride along the innermost of `dims`; 0 where there is none. */
export const strideOf = (view: View, dims: readonly number[]): number => {
  const inner = dims[dims.length - 1];
  return inner === undefined ? 0 : view.lin[inner]!;
};

const LINE = 64;
/**
 * Points of k and panels that are packed together at most. The lines of so many rows stay in the second cache even
 * where rows lie a power of two apart and meet in few of its sets.
 */
const POINTS_TOGETHER = 32;
const PANELS_TOGETHER = 8;
/** Groups of panels there should be, for threads to share. */
const PACKING_TASKS = 12;

/**
 * Whether neighbouring panels are cut from the same lines of memory, being narrower than a line. A panel that is packed
 * by itself finds gone what the one before it has loaded, where rows lie pages apart: A of [512 x 512 x 2048] in panels
 * of 6 rows, 137 -> 168 GFLOP/s for the product.
 */
const sharesLines = (p: Problem, side: Side): boolean =>
  strideOf(side.view, side.minor) === 1 && side.most * bytesOf(p.acc) < LINE;

/** Panels that one thread packs at a time. */
const panelsTogether = (p: Problem, side: Side): number =>
  sharesLines(p, side) ? Math.max(1, Math.min(PANELS_TOGETHER, Math.floor(side.panels / PACKING_TASKS))) : 1;

/** A side with its scratch. */
export interface OpenSide {
  /**
   * Emits the stage in which all threads pack, if this side has one; says whether it runs here, and they must meet
   * behind it.
   */
  packShared(): boolean;
  /**
   * Emits what a task does when it enters a block of k: packing panels lo to hi, if they are its own. The result says
   * where the panel that begins with line `first` is found. Packs only where `wanted` is true, if given: else the
   * thread's last task has left the same panels.
   */
  enter(
    slot: Reg,
    batch: readonly Reg[],
    block: RunningBlock,
    lo: Reg,
    hi: Reg,
    wanted: Reg | null,
  ): (first: Reg) => Reg;
}

/** Packs panel `index`; `to` says where lines from `first` on go, given the width of their panel. */
type PackOne = (slot: Reg, index: Reg, at: Cursor, block: Block, to: (first: Reg, width: Extent) => Reg) => void;
/** Packs panels lo to hi. */
type PackAll = (slot: Reg, lo: Reg, hi: Reg, at: Cursor, block: Block, to: (first: Reg) => Reg) => void;

/** One by one. */
const packEach =
  (b: LoopBuilder, packOne: PackOne): PackAll =>
  (slot, lo, hi, at, block, to) =>
    b.for(lo, hi, 1, index => packOne(slot, index, at, block, to));

/** Some steps of k of all of them at a time, as they share lines. */
const packTogether =
  (b: LoopBuilder, p: Problem, plan: Plan, view: View, packOne: PackOne): PackAll =>
  (slot, lo, hi, at, block, to) => {
    const [dim] = block.dims;
    const [extent, ...rest] = block.extents;
    if (dim === undefined || extent === undefined) {
      packEach(b, packOne)(slot, lo, hi, at, block, to);
      return;
    }
    const { innerLength } = plan.k;
    const steps = Math.max(1, Math.floor(POINTS_TOGETHER / innerLength));
    b.for(0, extent, steps, x => {
      const even = steps === 1 || (typeof extent === 'number' && extent % steps === 0);
      const count = even ? steps : b.bin('min', b.i32(steps), b.sub(asReg(b, extent), x));
      const length = typeof count === 'number' ? count * innerLength : b.mul(count, b.i32(innerLength));
      const part = { dims: block.dims, extents: [count, ...rest], length };
      const before = b.mul(x, b.i32(innerLength));
      const from = step(b, view, at, dim, x);
      const place = (first: Reg, width: Extent): Reg =>
        b.advance(to(first), b.mul(before, asReg(b, width)), bytesOf(p.acc));
      b.for(lo, hi, 1, index => packOne(slot, index, from, part, place));
    });
  };

/** Asks for a side's scratch. `slots` tasks run at a time. */
export function openSide(
  b: LoopBuilder,
  p: Problem,
  plan: Plan,
  side: Side,
  name: string,
  slots: number,
  scratch: Scratch,
): OpenSide {
  const { view, minor, source, lines } = side;
  const bytes = bytesOf(p.acc);
  const size = side.taskLines * plan.k.length;
  const points = plan.k.total;
  const keeps = source === 'shared' && comesPacked(view);
  const room = keeps ? scratch.kept : scratch.room;
  const buffer =
    source === 'direct'
      ? view.buffer
      : room(`packed ${name}`, p.acc, source === 'shared' ? lines * points : slots * size);
  // Where lanes can be gathered, each thread has room for their places.
  const words = laneWords(view, plan.lanes);
  const perGroup = panelsTogether(p, side);
  const groups = Math.ceil(side.panels / perGroup);
  const packers = source === 'shared' ? slotsOf(groups) : slots;
  const laneRoom =
    plan.masksMemory && source !== 'direct' ? scratch.room(`lanes of ${name}`, 'i32', packers * words) : null;
  const packOne: PackOne = (slot, index, at, block, to) => {
    const { first, count } = side.panel(b, index);
    const lanesAt = laneRoom === null ? null : b.addr(laneRoom, b.mul(slot, b.i32(words)));
    packPanel(b, p, view, minor, plan.lanes, {
      at,
      first,
      width: count,
      most: side.most,
      whole: side.even,
      block,
      to: to(first, count),
      lanesAt,
    });
  };
  const packAll: PackAll = sharesLines(p, side) ? packTogether(b, p, plan, view, packOne) : packEach(b, packOne);
  const start = (block: RunningBlock): Reg => affine(b, [[asReg(b, block.before), lines]], 0);
  const places = (base: Reg, block: RunningBlock): ((line: Reg) => Reg) => {
    const length = asReg(b, block.length);
    return line => b.advance(base, b.mul(line, length), bytes);
  };
  return {
    packShared() {
      if (source !== 'shared') return false;
      const fill = (): void =>
        eachTask(b, groups, (group, slot) => {
          const lo = b.mul(group, b.i32(perGroup));
          const hi =
            perGroup === 1 ? b.add(lo, b.i32(1)) : b.bin('min', b.add(lo, b.i32(perGroup)), b.i32(side.panels));
          eachBlock(b, p, plan, block => {
            const to = places(b.addr(buffer, start(block)), block);
            packAll(slot, lo, hi, cursorAt(b, p, plan, view, [], block), block, to);
          });
        });
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
    enter(slot, batch, block, lo, hi, wanted) {
      if (source === 'shared') return places(b.addr(buffer, start(block)), block);
      const at = cursorAt(b, p, plan, view, batch, block);
      if (source === 'direct') {
        const bytes = bytesOf(view.dtype);
        const base = b.addr(buffer, at.index);
        if (minor.length <= 1) return line => b.advance(base, b.mul(line, b.i32(strideOf(view, minor))), bytes);
        const still = { index: b.i32(0), pos: [] };
        return line =>
          b.advance(base, stepAll(b, view, still, minor, unravel(b, line, sizesOf(p, minor))).index, bytes);
      }
      const base = places(b.addr(buffer, b.mul(slot, b.i32(size))), block);
      const zeroth = side.panel(b, lo).first;
      const place = (line: Reg): Reg => base(b.sub(line, zeroth));
      const pack = (): void => packAll(slot, lo, hi, at, block, place);
      if (wanted) b.if(wanted, pack);
      else pack();
      return place;
    },
  };
}

/** Runs `fill` for every block of k; `index` is null when there is only one. */
export function eachBlock(
  b: LoopBuilder,
  p: Problem,
  plan: InBlocks,
  fill: (block: RunningBlock, index: Reg | null) => void,
): void {
  if (plan.k.count > 1) b.for(0, plan.k.count, 1, i => fill(blockAt(b, p, plan, i), i));
  else fill(blockAt(b, p, plan, 0), null);
}
