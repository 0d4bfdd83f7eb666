/**
 * The operands of packed products: where the panels of each are found, packed by all threads beforehand or by the task
 * that needs them. What a panel is packed into is pack.ts (words) and panel.ts (parts).
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { asReg, type Cursor, type Extent, step } from '../cursor.ts';
import { affine } from '../indices.ts';
import { comesPacked } from '../plan.ts';
import type { View } from '../problem.ts';
import { cursorAt, eachBlock, type RunningBlock } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { type Layout, needsStaging, packWords } from './pack.ts';
import { PartsPacker } from './panel.ts';
import type { PackedPlan, PackedSource } from './plan.ts';
import { type PackedProblem, STEP, type WordProblem } from './problem.ts';
import { RANGE_WORDS } from './steps.ts';

/** One operand: a row of panels over its minor dims. */
export interface Side {
  readonly view: View;
  readonly minor: readonly number[];
  readonly source: PackedSource;
  readonly layout: Layout;
  readonly panels: number;
  /** Lines of a panel. */
  readonly width: number;
  /** Panels of a task at most. */
  readonly taskPanels: number;
}

/**
 * Words and panels that are packed together at most: lines of memory that lie pages apart are then read several at a
 * time.
 */
const WORDS_TOGETHER = 32;
const PANELS_TOGETHER = 8;
/** Groups of panels there should be, for threads to share. */
const PACKING_TASKS = 4;

/**
 * Bytes of panels that are packed together as they pass: they, and what they are made of, go through the second cache,
 * where others stay.
 */
const PASSING_BYTES = 200 << 10;

/** Panels that are packed together: neighbours of the same rows of memory, with one k dim. */
function panelsTogether({ p, by }: PackedProblem, side: Side, panelBytes: number): number {
  const { view, minor, panels, taskPanels, layout, source } = side;
  if (p.k.length !== 1 || view.lin[minor[minor.length - 1] ?? -1] !== 1) return 1;
  if (layout !== 'words' && by !== 'parts') return 1;
  const most = source === 'passing' ? Math.min(taskPanels, PASSING_BYTES / panelBytes) : panels / PACKING_TASKS;
  return Math.max(1, Math.min(PANELS_TOGETHER, Math.floor(most)));
}

/** A packed panel: its words and, of parts, the range of its lines. */
export interface PanelAt {
  readonly words: Reg;
  readonly range: Reg | null;
}

/** The panels of a task in a block. */
export interface Entered {
  /** Packs the next panels, where they are packed as they pass; those before are then gone. */
  readonly pass: (panel: Reg) => void;
  readonly at: (panel: Reg) => PanelAt;
}

export interface OpenSide {
  /**
   * Emits the stage in which all threads pack, if this side has one; says whether it runs here, and they must meet
   * behind it.
   */
  packShared(): boolean;
  /**
   * Packs panels lo to hi for a task that enters a block, if they are its own and stay. Packs only where `wanted` is
   * true, if given: else the thread's last task has left the same panels.
   */
  enter(
    slot: Reg,
    batch: readonly Reg[],
    block: RunningBlock,
    index: Extent,
    lo: Reg,
    hi: Reg,
    wanted: Reg | null,
  ): Entered;
}

/** Panels lo to hi, at the cursor of their block. */
interface Group {
  readonly lo: Reg;
  readonly hi: Reg;
  readonly at: Cursor;
  readonly block: RunningBlock;
  readonly to: (panel: Reg) => PanelAt;
}

interface Packer {
  /** Packs some neighbouring panels, or all of a task. */
  readonly shared: (slot: Reg, group: Group) => void;
  readonly own: (slot: Reg, group: Group) => void;
}

/** An operand whose lines are read where they lie: a panel is where its first line's words begin. */
function directSide(b: LoopBuilder, { p }: PackedProblem, plan: PackedPlan, { view, minor, width }: Side): OpenSide {
  const apart = view.lin[minor[0]!]! * width;
  return {
    packShared: () => false,
    enter(_slot, batch, block) {
      const { index } = cursorAt(b, p, plan, view, batch, block);
      const at = (panel: Reg): Reg => b.addr(view.buffer, affine(b, [[index, 1], [panel, apart]], 0)); // biome-ignore format: a sum
      return { pass: () => {}, at: panel => ({ words: at(panel), range: null }) };
    },
  };
}

export function openSide(
  b: LoopBuilder,
  q: PackedProblem,
  plan: PackedPlan,
  side: Side,
  name: string,
  slots: number,
  scratch: Scratch,
): OpenSide {
  if (side.source === 'direct') return directSide(b, q, plan, side);
  const { p } = q;
  const { view, width } = side;
  const panelWords = width * (plan.blockPoints / q.step.points) * q.step.words;
  const shared = side.source === 'shared';
  const passing = side.source === 'passing';
  const together = panelsTogether(q, side, panelWords * 4);
  const ownPanels = passing ? together : side.taskPanels;
  const panels = shared ? side.panels * plan.k.count : slots * ownPanels;
  const keeps = shared && comesPacked(view);
  const room = keeps ? scratch.kept : scratch.room;
  const buffer = room(`words of ${name}`, 'i32', panels * panelWords);
  const ranges = q.by === 'parts' ? room(`ranges of ${name}`, 'i32', panels * RANGE_WORDS) : null;
  const stages = shared ? slotsOf(Math.ceil(side.panels / together)) : slots;
  const packer =
    q.by === 'parts'
      ? partsPacker(new PartsPacker(b, q, { ...side, together, blockPoints: plan.blockPoints }, name, stages, scratch))
      : wordsPacker(b, q, plan, side, together, name, stages, panelWords, scratch, buffer);
  const at = (index: Reg): PanelAt => ({
    words: b.addr(buffer, b.mul(index, b.i32(panelWords))),
    range: ranges === null ? null : b.addr(ranges, b.mul(index, b.i32(RANGE_WORDS))),
  });
  const inShared = (index: Extent, panel: Reg): PanelAt => at(b.add(b.mul(asReg(b, index), b.i32(side.panels)), panel));
  return {
    packShared() {
      if (!shared) return false;
      const groups = Math.ceil(side.panels / together);
      const fill = (): void =>
        eachTask(b, groups, (group, slot) => {
          const lo = b.mul(group, b.i32(together));
          const hi = b.bin('min', b.add(lo, b.i32(together)), b.i32(side.panels));
          eachBlock(b, p, plan, (block, index) => {
            const at = cursorAt(b, p, plan, view, [], block);
            packer.shared(slot, { lo, hi, at, block, to: panel => inShared(index ?? 0, panel) });
          });
        });
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
    enter(slot, batch, block, index, lo, hi, wanted) {
      if (shared) return { pass: () => {}, at: panel => inShared(index, panel) };
      const cursor = cursorAt(b, p, plan, view, batch, block);
      const first = b.mul(slot, b.i32(ownPanels));
      const place = (panel: Reg): Reg =>
        passing ? b.bin('remU', b.sub(panel, lo), b.i32(together)) : b.sub(panel, lo);
      const to = (panel: Reg): PanelAt => at(b.add(first, place(panel)));
      const pack = (lo: Reg, hi: Reg): void => packer.own(slot, { lo, hi, at: cursor, block, to });
      if (passing) {
        const next = (panel: Reg): void => pack(panel, b.bin('min', hi, b.add(panel, b.i32(together))));
        return { pass: panel => b.if(b.cmp('eq', place(panel), b.i32(0)), () => next(panel)), at: to };
      }
      if (wanted) b.if(wanted, () => pack(lo, hi));
      else pack(lo, hi);
      return { pass: () => {}, at: to };
    },
  };
}

function partsPacker(parts: PartsPacker): Packer {
  const pack = (slot: Reg, { to, ...group }: Group): void =>
    parts.pack(slot, { ...group, to: panel => to(panel).words, range: panel => to(panel).range! });
  return { shared: pack, own: pack };
}

function wordsPacker(
  b: LoopBuilder,
  q: WordProblem,
  plan: PackedPlan,
  side: Side,
  together: number,
  name: string,
  stages: number,
  panelWords: number,
  scratch: Scratch,
  buffer: number,
): Packer {
  const { view, minor, layout, width } = side;
  const staging = needsStaging(q, view, minor, layout)
    ? scratch.room(`staged ${name}`, 'i32', stages * panelWords)
    : buffer;
  const pack = (slot: Reg, panel: Reg, cursor: Cursor, block: RunningBlock, to: Reg): void =>
    packWords(b, q, view, minor, layout, q.by === 'tiles' ? STEP : 1, {
      at: cursor,
      first: b.mul(panel, b.i32(width)),
      width,
      block,
      lo: plan.k.inner.length === 0 ? block.lo : 0,
      to,
      staging: b.addr(staging, b.mul(slot, b.i32(panelWords))),
    });
  /** A block in parts of some words, where panels are packed together. */
  const inParts = (
    at: Cursor,
    block: RunningBlock,
    fill: (at: Cursor, part: RunningBlock, before: Reg) => void,
  ): void => {
    const [dim] = block.dims;
    const [length] = block.extents;
    if (together === 1 || dim === undefined || length === undefined) {
      fill(at, block, b.i32(0));
      return;
    }
    b.for(0, length, WORDS_TOGETHER, x => {
      const count = b.bin('min', b.i32(WORDS_TOGETHER), b.sub(asReg(b, length), x));
      const part = { ...block, extents: [count], length: count, lo: b.add(asReg(b, block.lo), x) };
      fill(step(b, view, at, dim, x), part, x);
    });
  };
  const packParts = (slot: Reg, { lo, hi, at, block, to }: Group): void =>
    inParts(at, block, (from, part, before) =>
      b.for(lo, hi, 1, panel => pack(slot, panel, from, part, b.advance(to(panel).words, before, width * 4))),
    );
  const packWhole = (slot: Reg, { lo, hi, at, block, to }: Group): void =>
    b.for(lo, hi, 1, panel => pack(slot, panel, at, block, to(panel).words));
  // Eight rows are a quarter of a line: four panels read it while it is near (1536 x 384 of 1024: 438 -> 443 GFLOP/s).
  return { shared: packParts, own: q.by === 'dot' ? packParts : packWhole };
}
