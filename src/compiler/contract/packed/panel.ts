/**
 * Packing f32 into parts (steps.ts): vectors are cut as they are loaded where they lie as panels want them, or from
 * squares that are transposed; elsewhere the packing of plain panels stages 32 points of k (all of a block where k has
 * several dims) as f32, which are then cut. Panels that cannot be cut are packed a second time, as they are.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { asReg, type Cursor, type Extent, sizesOf, step, stepAll } from '../cursor.ts';
import { unravel, zero } from '../indices.ts';
import { laneWords, packPanel, transpose } from '../pack.ts';
import { storeParts } from '../parts.ts';
import { extent, type View } from '../problem.ts';
import type { RunningBlock } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import type { Layout } from './pack.ts';
import { type PartsProblem, STEP } from './problem.ts';
import {
  clearTable, copyStep, emptyRange, isWhole, loadRange, POINTS, raising, rangeOf, type Slab, splitStep, storeRange,
  tableWords,
} from './steps.ts'; // biome-ignore format: names

const WORD = 4;
/** Bytes of a vector of 16 words. */
const VECTOR = STEP * WORD;

/** Elements between rows of a square whose 32 offsets are 31 bits. */
const FARTHEST_ROW = 2 ** 23;

/** Panels of one side. */
interface Panels {
  readonly view: View;
  readonly minor: readonly number[];
  readonly layout: Layout;
  readonly width: number;
  /** Panels that are packed together. */
  readonly together: number;
  /** Points of a block, whole steps. */
  readonly blockPoints: number;
}

/** Panels lo to hi of one block, and where they and their ranges go. */
interface Packed {
  /** Cursor at the batch's and the block's first point, minor coordinates 0. */
  readonly at: Cursor;
  readonly block: RunningBlock;
  readonly lo: Reg;
  readonly hi: Reg;
  readonly to: (panel: Reg) => Reg;
  readonly range: (panel: Reg) => Reg;
}

/**
 * How panels are cut: `lines` and `points` where vectors lie along k, or lines side by side, as the layout wants them;
 * `squares` of 16 lines where they lie the other way; else (null) they are staged.
 */
type Way = 'lines' | 'points' | 'squares' | null;

function wayOf({ p }: PartsProblem, { view, minor, layout }: Panels): Way {
  const [k, line] = [p.k[0]!, minor[0]!];
  if (p.k.length !== 1 || view.dtype !== 'f32' || view.prologue || view.guards.length > 0) return null;
  if (layout === 'lines' && view.lin[k] === 1) return 'lines';
  if (minor.length !== 1) return null;
  if (layout === 'words' && view.lin[line] === 1) return 'points';
  const reaches = Math.max(Math.abs(view.lin[k]!), Math.abs(view.lin[line]!)) < FARTHEST_ROW;
  if (p.dims[line]!.size % STEP !== 0 || !reaches) return null;
  // Points that do not exist are masked along k only.
  if (view.lin[k] === 1) return 'squares';
  return view.lin[line] === 1 && p.dims[k]!.size % POINTS === 0 ? 'squares' : null;
}

export class PartsPacker {
  private readonly b: LoopBuilder;
  private readonly q: PartsProblem;
  private readonly panels: Panels;
  private readonly slab: Slab;
  /** Bytes of a step of a panel. */
  private readonly stepBytes: number;
  /**
   * Whether a block is taken 32 points at a time, and how vectors are cut from where the operand lies; else panels are
   * staged.
   */
  private readonly inSteps: boolean;
  private readonly way: Way;
  /** Buffers, and words of each that a slot has. */
  private readonly rooms: {
    readonly [of in 'points' | 'lines' | 'table' | 'lanes']: readonly [buffer: number, words: number];
  };

  constructor(b: LoopBuilder, q: PartsProblem, panels: Panels, name: string, slots: number, scratch: Scratch) {
    this.b = b;
    this.q = q;
    this.panels = panels;
    const { view, layout, width, blockPoints, together } = panels;
    this.slab = { layout, lines: width };
    this.stepBytes = width * q.step.words * WORD;
    this.inSteps = q.p.k.length === 1;
    this.way = wayOf(q, panels);
    const points = this.inSteps ? POINTS : blockPoints;
    const room = (of: string, dtype: 'f32' | 'i32', words: number): readonly [number, number] => [
      scratch.room(`${of} of ${name}`, dtype, Math.max(STEP, slots * words)),
      words,
    ];
    this.rooms = {
      points: room('points', 'f32', this.way === null ? points * width : this.way === 'squares' ? STEP * STEP : 0),
      lines: room('lines', 'f32', layout === 'lines' && this.way === null ? POINTS * width : 0),
      table: room('largest', 'i32', together * tableWords(this.slab)),
      lanes: room('lanes', 'i32', laneWords(view, STEP)),
    };
  }

  /** The part of a buffer that is a slot's own. */
  private own(of: keyof PartsPacker['rooms'], slot: Reg): Reg {
    const [buffer, words] = this.rooms[of];
    return this.b.addr(buffer, this.b.mul(slot, this.b.i32(words)));
  }

  pack(slot: Reg, packed: Packed): void {
    const { b } = this;
    const { together } = this.panels;
    b.for(packed.lo, packed.hi, together, lo =>
      this.packGroup(slot, {
        ...packed,
        lo,
        hi: together === 1 ? b.add(lo, b.i32(1)) : b.bin('min', b.add(lo, b.i32(together)), packed.hi),
      }),
    );
  }

  /** Packs some panels, and a second time if any of them cannot be cut. */
  private packGroup(slot: Reg, packed: Packed): void {
    const { b, slab } = this;
    const { lo, hi, range } = packed;
    const tables = this.own('table', slot);
    const table = (panel: Reg): Reg => b.advance(tables, b.sub(panel, lo), tableWords(slab) * WORD);
    b.for(lo, hi, 1, panel => {
      storeRange(b, range(panel), emptyRange(b));
      clearTable(b, slab, table(panel));
    });
    const done = b.copy(b.i32(0));
    const wanted = b.copy(b.i32(1));
    b.while(
      () => b.cmp('lt', done, wanted),
      () => {
        if (this.way === 'lines') this.cutLines(packed, table);
        else if (this.way === 'points') this.cutPoints(packed, table);
        else if (this.way === 'squares') this.cutSquares(slot, packed, table);
        else
          this.eachStage(slot, packed, (panel, from, to) =>
            this.choose(
              packed,
              panel,
              () => copyStep(b, slab, from, to),
              () => splitStep(b, slab, from, to, table(panel)),
            ),
          );
        b.for(lo, hi, 1, panel => {
          const found = rangeOf(b, slab, table(panel));
          storeRange(b, range(panel), found);
          b.if(isWhole(b, found), () => b.move(wanted, b.i32(2)));
        });
        b.add(done, b.i32(1), done);
      },
    );
  }

  /** Does what a panel needs: known to be whole, or cut into parts. */
  private choose({ range }: Packed, panel: Reg, whole: () => void, cut: () => void): void {
    this.b.if(isWhole(this.b, loadRange(this.b, range(panel))), whole, cut);
  }

  /** Lines that lie along k, one after another: vectors of points are cut as they are loaded. */
  private cutLines(packed: Packed, table: (panel: Reg) => Reg): void {
    const { b, q, stepBytes } = this;
    const { view, minor, width } = this.panels;
    const { at, block, lo, hi, to } = packed;
    const length = block.extents[0]!;
    const even = typeof length === 'number' && length % POINTS === 0;
    const last = b.i32(extent(q.p, minor) - 1);
    /** Visits the vectors of two halves of every step of line `i`. */
    const line = (panel: Reg, i: Reg, take: (x: Reg, y: Reg, target: Reg) => void): void => {
      const index = b.bin('min', b.add(b.mul(panel, b.i32(width)), i), last);
      const from = b.copy(
        b.addr(view.buffer, stepAll(b, view, at, minor, unravel(b, index, sizesOf(q.p, minor))).index),
      );
      const target = b.copy(to(panel));
      b.for(0, length, POINTS, x => {
        const [low, high] = [0, STEP].map(first => {
          if (even) return b.load('f32', from, first * WORD, STEP);
          const left = b.sub(asReg(b, length), first === 0 ? x : b.add(x, b.i32(first)));
          return b.loadMasked('f32', from, b.firstLanes(left, STEP), first * WORD);
        });
        take(low!, high!, target);
        b.advance(from, b.i32(POINTS), WORD, from);
        b.advance(target, b.i32(1), stepBytes, target);
      });
    };
    const copy = (panel: Reg): void =>
      b.for(0, width, 1, i =>
        line(panel, i, (x, y, target) => {
          const own = b.advance(target, i, POINTS * WORD);
          b.store('f32', own, x);
          b.store('f32', own, y, STEP * WORD);
        }),
      );
    const cut = (panel: Reg): void =>
      b.for(0, width, 1, i => {
        const largest = b.copy(b.const('i32', 0, STEP));
        line(panel, i, (x, y, target) =>
          storeParts(b, x, y, b.advance(target, i, STEP * WORD), 0, width * STEP * WORD, largest),
        );
        b.store('i32', b.advance(table(panel), i, STEP * WORD), largest);
      });
    b.for(lo, hi, 1, panel =>
      this.choose(
        packed,
        panel,
        () => copy(panel),
        () => cut(panel),
      ),
    );
  }

  /** Lines that lie side by side: vectors of lines are cut as they are loaded, some panels in turns. */
  private cutPoints(packed: Packed, table: (panel: Reg) => Reg): void {
    const { b, q, stepBytes } = this;
    const { view, minor, width } = this.panels;
    const { at, block, lo, hi, to } = packed;
    const length = block.extents[0]!;
    const dim = block.dims[0]!;
    const total = extent(q.p, minor);
    const even = typeof length === 'number' && length % POINTS === 0;
    const vectors = Array.from({ length: width / STEP }, (_, v) => v * STEP);
    /** Visits the vectors of points w and w + 16 of the step at `x`. */
    const pairs = (panel: Reg, x: Reg, take: (low: Reg, high: Reg, target: Reg, offset: number) => void): void => {
      const first = b.mul(panel, b.i32(width));
      const from = b.addr(view.buffer, b.add(step(b, view, at, dim, x).index, first));
      const target = b.advance(to(panel), b.bin('shrU', x, b.i32(5)), stepBytes);
      const exist = vectors.map(v =>
        total % width === 0 ? null : b.firstLanes(b.sub(b.i32(total), b.add(first, b.i32(v))), STEP),
      );
      b.for(0, STEP, 1, w => {
        const points = [w, b.add(w, b.i32(STEP))].map(k => ({
          at: b.advance(from, k, view.lin[dim]! * WORD),
          exists: even ? null : b.cmp('lt', b.splat(b.add(x, k), STEP), b.splat(asReg(b, length), STEP)),
        }));
        const own = b.advance(target, w, width * WORD);
        for (const [v, lanes] of exist.entries()) {
          const offset = v * STEP * WORD;
          const [low, high] = points.map(({ at, exists }) => {
            const mask = lanes && exists ? b.bin('and', lanes, exists) : (lanes ?? exists);
            return mask ? b.loadMasked('f32', at, mask, offset) : b.load('f32', at, offset, STEP);
          });
          take(low!, high!, own, offset);
        }
      });
    };
    const copy = (panel: Reg, x: Reg): void =>
      pairs(panel, x, (low, high, target, offset) => {
        b.store('f32', target, low, offset);
        b.store('f32', target, high, STEP * width * WORD + offset);
      });
    const cut = (panel: Reg, x: Reg): void =>
      pairs(panel, x, (low, high, target, offset) =>
        raising(b, table(panel), offset, largest =>
          storeParts(b, low, high, target, offset, width * STEP * WORD, largest),
        ),
      );
    b.for(0, length, POINTS, x =>
      b.for(lo, hi, 1, panel =>
        this.choose(
          packed,
          panel,
          () => copy(panel, x),
          () => cut(panel, x),
        ),
      ),
    );
  }

  /**
   * Squares of 16 lines and 16 points that lie the other way: transposed in registers, two for every step, of which the
   * first waits in memory.
   */
  private cutSquares(slot: Reg, packed: Packed, table: (panel: Reg) => Reg): void {
    const { b, q, stepBytes } = this;
    const { view, minor, width, layout } = this.panels;
    const { at, block, lo, hi, to } = packed;
    const length = block.extents[0]!;
    const [dim, line] = [block.dims[0]!, minor[0]!];
    const even = typeof length === 'number' && length % POINTS === 0;
    const alongK = view.lin[dim] === 1;
    const last = b.i32(q.p.dims[line]!.size - STEP);
    const waiting = this.own('points', slot);
    /** Bytes from row to row of a square, and from its first half of points to the second. */
    const [pitch, half] = alongK
      ? [view.lin[line]! * WORD, VECTOR]
      : [view.lin[dim]! * WORD, STEP * view.lin[dim]! * WORD];
    /** Visits vectors of the points of both halves, as the layout has them: where in a step they belong, in words. */
    const square = (panel: Reg, x: Reg, group: number, take: (x: Reg, y: Reg, word: number) => void): void => {
      // Groups of lines that do not exist repeat the last one: nobody reads their products.
      const first = b.bin('min', b.add(b.mul(panel, b.i32(width)), b.i32(group * STEP)), last);
      const from = b.addr(view.buffer, b.add(step(b, view, at, dim, x).index, b.mul(first, b.i32(view.lin[line]!))));
      const columns = (h: 0 | 1): Reg[] => {
        const left = even || !alongK ? null : b.sub(asReg(b, length), b.add(x, b.i32(h * STEP)));
        const exist = left && b.firstLanes(left, STEP);
        const rows = Array.from({ length: STEP }, (_, i) => {
          const offset = h * half + i * pitch;
          return exist ? b.loadMasked('f32', from, exist, offset) : b.load('f32', from, offset, STEP);
        });
        return transpose(b, rows);
      };
      for (const [i, column] of columns(0).entries()) b.store('f32', waiting, column, i * VECTOR);
      for (const [i, column] of columns(1).entries()) {
        const word = layout === 'words' ? i * width + group * STEP : (group * STEP + i) * STEP;
        take(b.load('f32', waiting, i * VECTOR, STEP), column, word);
      }
    };
    const each = (visit: (panel: Reg, x: Reg, group: number, target: Reg) => void): void =>
      b.for(0, length, POINTS, x =>
        b.for(lo, hi, 1, panel => {
          const target = b.advance(to(panel), b.bin('shrU', x, b.i32(5)), stepBytes);
          for (let group = 0; group < width / STEP; group++) visit(panel, x, group, target);
        }),
      );
    each((panel, x, group, target) =>
      this.choose(
        packed,
        panel,
        () =>
          square(panel, x, group, (low, high, word) => {
            // As they are, lines have 32 points, and points all lines.
            const [at, apart] = layout === 'words' ? [word, STEP * width] : [2 * word, STEP];
            b.store('f32', target, low, at * WORD);
            b.store('f32', target, high, (at + apart) * WORD);
          }),
        () => {
          const place = (word: number): number => (layout === 'words' ? group * VECTOR : word * WORD);
          square(panel, x, group, (low, high, word) =>
            raising(b, table(panel), place(word), largest =>
              storeParts(b, low, high, target, word * WORD, width * VECTOR, largest),
            ),
          );
        },
      ),
    );
  }

  /**
   * Stages every panel step by step; `take(panel, from, to)` finds the f32 of a step at `from`, in the layout of
   * `slab`.
   */
  private eachStage(slot: Reg, packed: Packed, take: (panel: Reg, from: Reg, to: Reg) => void): void {
    const { b, panels, stepBytes } = this;
    const { at, block, lo, hi, to } = packed;
    const [dim] = block.dims;
    const [length] = block.extents;
    if (!this.inSteps || dim === undefined || length === undefined) {
      b.for(lo, hi, 1, panel => {
        const points = this.own('points', slot);
        this.stagePoints(slot, at, block, panel, points, panels.blockPoints);
        b.for(0, block.length, POINTS, x => {
          const from = b.advance(points, x, panels.width * WORD);
          take(panel, this.inLayout(slot, from), b.advance(to(panel), b.bin('shrU', x, b.i32(5)), stepBytes));
        });
      });
      return;
    }
    b.for(0, length, POINTS, x => {
      const even = typeof length === 'number' && length % POINTS === 0;
      const count: Extent = even ? POINTS : b.bin('min', b.i32(POINTS), b.sub(asReg(b, length), x));
      const part: RunningBlock = { ...block, extents: [count], length: count };
      const from = step(b, panels.view, at, dim, x);
      b.for(lo, hi, 1, panel => {
        const target = b.advance(to(panel), b.bin('shrU', x, b.i32(5)), stepBytes);
        const points = this.own('points', slot);
        this.stagePoints(slot, from, part, panel, points, POINTS);
        take(panel, this.inLayout(slot, points), target);
      });
    });
  }

  /** A panel's points of `block` at `to`, [point][line], zeros up to `most` points. */
  private stagePoints(slot: Reg, at: Cursor, block: RunningBlock, panel: Reg, to: Reg, most: number): void {
    const { b, q } = this;
    const { view, minor, width } = this.panels;
    packPanel(b, q.p, view, minor, STEP, {
      at,
      first: b.mul(panel, b.i32(width)),
      width,
      most: width,
      block,
      to,
      lanesAt: this.own('lanes', slot),
    });
    if (block.length === most) return;
    b.for(block.length, most, 1, x => {
      for (let line = 0; line < width; line += STEP)
        b.store('f32', b.advance(to, x, width * WORD), zero(b, 'f32', STEP), line * WORD);
    });
  }

  /** Points of a step in the layout of `slab`: where that is lines, squares are transposed. */
  private inLayout(slot: Reg, points: Reg): Reg {
    const { b } = this;
    const { layout, width } = this.panels;
    if (layout === 'words') return points;
    const to = this.own('lines', slot);
    b.for(0, POINTS, STEP, x =>
      b.for(0, width, STEP, line => {
        const from = b.advance(b.advance(points, x, width * WORD), line, WORD);
        const target = b.advance(b.advance(to, line, POINTS * WORD), x, WORD);
        const rows = Array.from({ length: STEP }, (_, i) => b.load('f32', from, i * width * WORD, STEP));
        for (const [i, row] of transpose(b, rows).entries()) b.store('f32', target, row, i * POINTS * WORD);
      }),
    );
    return to;
  }
}
