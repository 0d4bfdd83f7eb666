/**
 * Packing: one panel of an operand, `width` neighbours of its minor dims (m or n) times a block of k, laid out
 * [k][width] for the microkernel. This is where im2col, zero padding, transposition, widening and prologues happen.
 * Knows views and loops, not what the panel is for.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import {
  advance,
  allGuards,
  apart,
  asReg,
  type Cursor,
  type Extent,
  loadGuardedOne,
  loadGuardedRun,
  loadRun,
  loadsVectors,
  sizesOf,
  stepAll,
  violations,
  walk,
  whenInside,
} from './cursor.ts';
import { unravel, zero } from './indices.ts';
import { extent, type Problem, type View } from './problem.ts';

/** A block of the k space: loops over `dims` with `extents`, `length` points in all. */
export interface Block {
  readonly dims: readonly number[];
  readonly extents: readonly Extent[];
  readonly length: Extent;
}

interface Panel {
  /** Cursor at the batch's and the block's first point, minor coordinates 0. */
  readonly at: Cursor;
  /** First minor index (composite over `minor`); beyond the end zeros are packed. */
  readonly first: Reg;
  readonly width: Extent;
  /** The largest `width` may be. */
  readonly most: number;
  /** Whether all panels have that width, begin at a multiple of it and hold what exists. */
  readonly whole?: boolean;
  readonly block: Block;
  /** Where the panel goes: accumulator elements. */
  readonly to: Reg;
  /** Room for `laneWords` i32 that nobody else uses meanwhile, where lanes may be gathered and masked; else null. */
  readonly lanesAt: Reg | null;
}

/** Words of a vector's offsets and guarded positions. */
export const laneWords = (view: View, lanes: number): number => lanes * (1 + view.guards.length);

/** Whether lanes of `view` can be gathered: elements as they are, nothing to compute on the way. */
const gathers = (p: Problem, view: View): boolean =>
  !view.prologue && view.dtype === p.acc && (view.dtype === 'f32' || view.dtype === 'i32');

/** Rows become columns: out[j] lane i = rows[i] lane j. Interleaves halves log2(n) times. */
export function transpose(b: LoopBuilder, rows: readonly Reg[]): Reg[] {
  const n = rows.length;
  const low = Array.from({ length: n }, (_, i) => (i >> 1) + (i & 1) * n);
  const high = low.map(lane => lane + n / 2);
  let current = [...rows];
  for (let done = 1; done < n; done *= 2) {
    current = Array.from({ length: n }, (_, i) => {
      const [x, y] = [current[i >> 1]!, current[(i >> 1) + n / 2]!];
      return b.shuffle(x, y, i & 1 ? high : low);
    });
  }
  return current;
}

/** One panel of `view`, whose minor dims are `minor`, and the ways there are to pack it. */
class PanelPacker {
  private readonly b: LoopBuilder;
  private readonly p: Problem;
  private readonly view: View;
  private readonly minor: readonly number[];
  private readonly lanes: number;
  private readonly panel: Panel;
  private readonly bytes: number;
  /** Extents of the minor dims, and all points of them. */
  private readonly sizes: number[];
  private readonly total: number;
  private readonly one: Reg;
  private readonly widthReg: Reg;
  /** The innermost minor dim, and that of the block. */
  private readonly inner: number | undefined;
  private readonly kInner: number | undefined;
  /** Whether squares that lie along k are transposed in registers. */
  private readonly transposes: boolean;
  /** Guards that do not move along the innermost minor dim. */
  private readonly still: number[];

  constructor(b: LoopBuilder, p: Problem, view: View, minor: readonly number[], lanes: number, panel: Panel) {
    this.b = b;
    this.p = p;
    this.view = view;
    this.minor = minor;
    this.lanes = lanes;
    this.panel = panel;
    this.bytes = bytesOf(p.acc);
    this.sizes = sizesOf(p, minor);
    this.total = extent(p, minor);
    this.one = b.i32(1);
    this.widthReg = asReg(b, panel.width);
    const inner = minor[minor.length - 1];
    const kInner = panel.block.dims[panel.block.dims.length - 1];
    const alongMinor = inner === undefined ? 0 : Math.abs(view.lin[inner]!);
    this.inner = inner;
    this.kInner = kInner;
    this.transposes =
      kInner !== undefined &&
      view.lin[kInner] === 1 &&
      ((alongMinor !== 1 && alongMinor !== 2) || p.dims[inner!]!.size < lanes) &&
      loadsVectors(view, p.acc) &&
      p.dims[kInner]!.size >= lanes;
    this.still = allGuards(view).filter(g => inner !== undefined && view.guards[g]!.coefs[inner] === 0);
  }

  pack(): void {
    const { b, p, view, lanes, panel, sizes, inner, still } = this;
    const { width } = panel;
    const row = sizes[sizes.length - 1]!;
    const vectorsAlong = inner !== undefined && view.lin[inner] === 1 && loadsVectors(view, p.acc);
    const isShort = vectorsAlong && panel.most < lanes && view.guards.length === 0;
    if (isShort && panel.lanesAt && gathers(p, view)) this.packMasked(panel.lanesAt);
    else if (isShort && row >= lanes)
      b.if(
        this.within(lanes),
        () => this.packShort(),
        () => this.packLanes(panel.first, panel.to, width),
      );
    else if (
      vectorsAlong &&
      typeof width === 'number' &&
      width % lanes === 0 &&
      width > lanes &&
      still.length === view.guards.length &&
      row >= width
    ) {
      if (panel.whole && row % width === 0) this.packRows(width);
      else
        b.if(
          this.within(width),
          () => this.packRows(width),
          () => this.packGroups(),
        );
    } else this.packGroups();
  }

  /** Moves `to` from one point of k to the next. */
  private nextK(to: Reg): void {
    const { b, one, bytes } = this;
    const { width } = this.panel;
    if (typeof width === 'number') b.advance(to, one, width * bytes, to);
    else b.advance(to, width, bytes, to);
  }

  private cursorAt(index: Reg): Cursor {
    const { b, view, minor, panel, sizes } = this;
    return stepAll(b, view, panel.at, minor, unravel(b, index, sizes));
  }

  /** Lane by lane: any shape, any position. */
  private packLanes(first: Reg, to: Reg, count: Extent): void {
    const { b, p, view, total, bytes } = this;
    const { block } = this.panel;
    b.for(0, count, 1, lane => {
      const index = b.add(first, lane);
      const dest = b.copy(b.advance(to, lane, bytes));
      b.if(
        b.cmp('lt', index, b.i32(total)),
        () => {
          walk(b, view, [this.cursorAt(index)], block.dims, block.extents, allGuards(view), ([at], [violated]) => {
            b.store(p.acc, dest, loadGuardedOne(b, view, p.acc, at!, violated!));
            this.nextK(dest);
          });
        },
        () => {
          b.for(0, block.length, 1, () => {
            b.store(p.acc, dest, zero(b, p.acc));
            this.nextK(dest);
          });
        },
      );
    });
  }

  /**
   * Any `lanes` neighbours: where each lies is worked out once, then one gather per k. Writes the first `count` (null:
   * all).
   */
  private packGathered(lanesAt: Reg, mem: 'f32' | 'i32', first: Reg, to: Reg, count: Reg | null): void {
    const { b, p, view, minor, lanes, panel, sizes, total, one } = this;
    const { block } = panel;
    const coords = unravel(b, first, sizes).map(x => b.copy(x));
    const start = stepAll(b, view, { index: b.i32(0), pos: view.guards.map(() => b.i32(0)) }, minor, coords);
    const at: Cursor = { index: b.copy(start.index), pos: start.pos.map(x => b.copy(x)) };
    const next = (d: number): void => {
      const dim = minor[d];
      if (dim === undefined) return;
      const x = coords[d]!;
      b.add(x, one, x);
      advance(b, view, at, dim, 1);
      if (d === 0) return;
      b.if(b.cmp('eq', x, b.i32(sizes[d]!)), () => {
        b.move(x, b.i32(0));
        advance(b, view, at, dim, -sizes[d]!);
        next(d - 1);
      });
    };
    b.for(0, lanes, 1, lane => {
      const word = b.advance(lanesAt, lane, 4);
      b.store('i32', word, at.index);
      for (const [g, pos] of at.pos.entries()) b.store('i32', word, pos, (g + 1) * lanes * 4);
      next(minor.length - 1);
    });
    const offsets = b.load('i32', lanesAt, 0, lanes);
    const positions = view.guards.map((_, g) => b.load('i32', lanesAt, (g + 1) * lanes * 4, lanes));
    const exist = b.firstLanes(b.sub(b.i32(total), first), lanes);
    const written = count && b.firstLanes(count, lanes);
    const dest = b.copy(to);
    walk(b, view, [panel.at], block.dims, block.extents, [], ([cursor]) => {
      let outside: Reg | null = null;
      for (const [g, { size }] of view.guards.entries()) {
        const pos = b.add(b.splat(cursor!.pos[g]!, lanes), positions[g]!);
        const off = b.bin('or', pos, b.sub(b.const('i32', size - 1, lanes), pos));
        outside = outside ? b.bin('or', outside, off) : off;
      }
      const m = outside ? b.bin('and', exist, b.cmp('ge', outside, b.const('i32', 0, lanes))) : exist;
      const x = b.gather(mem, b.addr(view.buffer, cursor!.index), offsets, m);
      if (written) b.storeMasked(mem, dest, x, written);
      else b.store(p.acc, dest, x);
      this.nextK(dest);
    });
  }

  /** `lanes` neighbours within one row of the innermost minor dim: a vector per k. */
  private packVectors(first: Reg, to: Reg): void {
    const { b, p, view, lanes, inner } = this;
    const { block } = this.panel;
    const along = allGuards(view).filter(g => view.guards[g]!.coefs[inner!] !== 0);
    const uniform = allGuards(view).filter(g => !along.includes(g));
    const dest = b.copy(to);
    walk(b, view, [this.cursorAt(first)], block.dims, block.extents, uniform, ([at], [violated]) => {
      b.store(p.acc, dest, loadGuardedRun(b, view, p.acc, at!, inner!, lanes, violated!, along, dest));
      this.nextK(dest);
    });
  }

  /** `lanes` minor indices, each read along k: squares are transposed in registers. */
  private packTransposed(first: Reg, to: Reg): void {
    const { b, p, view, lanes, bytes, kInner } = this;
    const { block } = this.panel;
    const outer = block.dims.slice(0, -1);
    const length = block.extents[outer.length]!;
    const along = allGuards(view).filter(g => view.guards[g]!.coefs[kInner!] !== 0);
    const uniform = allGuards(view).filter(g => !along.includes(g));
    const dest = b.copy(to);
    // Rows that lie evenly apart need one cursor.
    const pitch = this.minor.length === 1 && view.guards.length === 0 ? view.lin[this.inner!]! : null;
    const starts = Array.from({ length: pitch === null ? lanes : 1 }, (_, i) =>
      this.cursorAt(i === 0 ? first : b.add(first, b.i32(i))),
    );
    walk(b, view, starts, outer, block.extents.slice(0, -1), uniform, (rows, violated) => {
      const moving = rows.map(row => ({ index: b.copy(row.index), pos: row.pos.map(x => b.copy(x)) }));
      const whole = typeof length === 'number' ? length - (length % lanes) : b.bin('and', length, b.i32(-lanes));
      b.for(0, whole, lanes, () => {
        const read = pitch === null ? null : apart(b, view, moving[0]!.index, pitch, lanes, lanes);
        const vectors = Array.from(
          { length: lanes },
          (_, i) => read?.(i) ?? loadGuardedRun(b, view, p.acc, moving[i]!, kInner!, lanes, violated[i]!, along, dest),
        );
        this.storeColumns(dest, transpose(b, vectors));
        for (const at of moving) advance(b, view, at, kInner!, lanes);
      });
      if (typeof length === 'number' && length % lanes === 0) return;
      b.for(whole, length, 1, () => {
        const read = pitch === null ? null : apart(b, view, moving[0]!.index, pitch, lanes);
        for (let i = 0; i < lanes; i++)
          b.store(p.acc, dest, read?.(i) ?? this.loadRow(moving[i]!, violated[i]!, along), i * bytes);
        for (const at of moving) advance(b, view, at, kInner!, 1);
        this.nextK(dest);
      });
    });
  }

  /** One element of a row, 0 where it lies outside. */
  private loadRow(at: Cursor, violated: Reg | null, along: readonly number[]): Reg {
    const { b, p, view } = this;
    const own = violations(b, view, at, along, 0, 1);
    return loadGuardedOne(b, view, p.acc, at, own && violated ? b.bin('or', own, violated) : (own ?? violated));
  }

  /** Vectors of neighbouring points of k, from `dest` on, which moves behind them. */
  private storeColumns(dest: Reg, columns: readonly Reg[]): void {
    const { b, p, bytes, one } = this;
    const { width } = this.panel;
    for (const [i, column] of columns.entries()) {
      b.store(p.acc, dest, column, typeof width === 'number' ? i * width * bytes : 0);
      if (typeof width !== 'number') this.nextK(dest);
    }
    if (typeof width === 'number') b.advance(dest, one, columns.length * width * bytes, dest);
  }

  /** Whether `count` neighbours from the panel's first on lie within one row of the innermost minor dim. */
  private within(count: number): Reg {
    const { b, minor, panel, sizes, total } = this;
    const x = minor.length === 1 ? panel.first : b.bin('remU', panel.first, b.i32(sizes[sizes.length - 1]!));
    const inRow = b.sub(b.i32(sizes[sizes.length - 1]! - count), x);
    // A row behind the last one is none.
    const exists = minor.length === 1 ? inRow : b.bin('or', inRow, b.sub(b.i32(total - count), panel.first));
    return b.cmp('ge', exists, b.i32(0));
  }

  /** All vectors of a row at once: one visit per k, which matters where rows lie pages apart. */
  private packRows(count: number): void {
    const { b, p, view, lanes, bytes, panel, still } = this;
    const { block } = panel;
    const dest = b.copy(panel.to);
    walk(b, view, [this.cursorAt(panel.first)], block.dims, block.extents, still, ([at], [violated]) => {
      const each = (value: (g: number) => Reg): void => {
        for (let g = 0; g < count; g += lanes) b.store(p.acc, dest, value(g), g * bytes);
      };
      whenInside(
        b,
        violated!,
        () => each(g => loadRun(b, view, p.acc, g === 0 ? at!.index : b.add(at!.index, b.i32(g)), 1, lanes)),
        () => each(() => zero(b, p.acc, lanes)),
      );
      this.nextK(dest);
    });
  }

  /** Rows shorter than a vector: loaded as one, stored lane by lane. */
  private packShort(): void {
    const { b, p, view, lanes, bytes, panel } = this;
    const { block, width } = panel;
    const dest = b.copy(panel.to);
    walk(b, view, [this.cursorAt(panel.first)], block.dims, block.extents, [], ([at]) => {
      const row = loadRun(b, view, p.acc, at!.index, 1, lanes);
      for (let i = 0; i < lanes; i++) {
        const put = (): void => b.store(p.acc, dest, b.extract(row, i), i * bytes);
        if (typeof width === 'number' ? i < width : i === 0) put();
        else if (typeof width !== 'number') b.if(b.cmp('gt', width, b.i32(i)), put);
      }
      this.nextK(dest);
    });
  }

  /** Rows shorter than a vector, in one masked move where they lie in one row. */
  private packMasked(lanesAt: Reg): void {
    const { b, p, view, minor, lanes, panel, sizes, total, widthReg } = this;
    const { block } = panel;
    const mem = p.acc as 'f32' | 'i32';
    const inOneRow = b.bin('min', widthReg, b.sub(b.i32(total), panel.first));
    const move = (): void => {
      const dest = b.copy(panel.to);
      const [m, written] = [b.firstLanes(inOneRow, lanes), b.firstLanes(widthReg, lanes)];
      walk(b, view, [this.cursorAt(panel.first)], block.dims, block.extents, [], ([at]) => {
        b.storeMasked(mem, dest, b.loadMasked(mem, b.addr(view.buffer, at!.index), m), written);
        this.nextK(dest);
      });
    };
    const x = minor.length === 1 ? panel.first : b.bin('remU', panel.first, b.i32(sizes[sizes.length - 1]!));
    b.if(b.cmp('le', b.add(x, inOneRow), b.i32(sizes[sizes.length - 1]!)), move, () =>
      this.packGathered(lanesAt, mem, panel.first, panel.to, widthReg),
    );
  }

  /** Group by group of `lanes` neighbours, each by the fastest way that is right where it lies. */
  private packGroups(): void {
    const { b, p, view, minor, lanes, bytes, panel, total, widthReg, inner, transposes } = this;
    const widthIsWhole = typeof panel.width === 'number' && panel.width % lanes === 0;
    b.for(0, panel.width, lanes, g => {
      const first = b.add(panel.first, g);
      const to = b.advance(panel.to, g, bytes);
      const fast = (): void => (transposes ? this.packTransposed(first, to) : this.packVectors(first, to));
      if (panel.whole && widthIsWhole && inner !== undefined && (transposes || p.dims[inner]!.size % lanes === 0)) {
        fast();
        return;
      }
      const left = b.sub(widthReg, g);
      const count = b.bin('min', left, b.i32(lanes));
      const slow = (): void =>
        panel.lanesAt && gathers(p, view)
          ? this.packGathered(panel.lanesAt, p.acc as 'f32' | 'i32', first, to, widthIsWhole ? null : count)
          : this.packLanes(first, to, count);
      if (inner === undefined || (!transposes && p.dims[inner]!.size < lanes)) {
        slow();
        return;
      }
      // The group is whole, and within one row (or, transposing, within the operand).
      const room = b.sub(left, b.i32(lanes));
      const exist = b.sub(b.i32(total - lanes), first);
      const last = transposes
        ? exist
        : b.sub(
            b.i32(p.dims[inner]!.size - lanes),
            minor.length === 1 ? first : b.bin('remU', first, b.i32(p.dims[inner]!.size)),
          );
      b.if(b.cmp('ge', b.bin('or', b.bin('or', room, last), exist), b.i32(0)), fast, slow);
    });
  }
}

/** Packs one panel of `view`, whose minor dims are `minor`, with vectors of `lanes`. */
export function packPanel(
  b: LoopBuilder,
  p: Problem,
  view: View,
  minor: readonly number[],
  lanes: number,
  panel: Panel,
): void {
  new PanelPacker(b, p, view, minor, lanes, panel).pack();
}
