/**
 * How long arrays move between memory and the first cache while a space kernel walks them (decision 115): which lines
 * are asked for before they are read or written, and which results are stored past the caches. Imports level 1, the
 * target and the loop IR.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { Expr, LoadExpr } from '../expr.ts';
import { coefficient, type Ix } from '../index-expr.ts';
import { registerScalar } from '../loops.ts';
import type { KernelBuffers } from './context.ts';
import { eachLoaded, type LoopVar } from './domain.ts';
import type { Emitter } from './emitter.ts';
import type { SpaceLoops } from './space-loops.ts';
import type { StoreExpr } from './space-trace.ts';

const LINE = 64;
/** Bytes from an access to the line that is asked for: some 25 vectors, and memory answers while a few are computed. */
const AHEAD = 2048;
/** Bytes of a row that waits in the second cache between the passes over it. */
const LONGEST_ROW = 128 << 10;
/** Lines of rows that wait in the first cache. */
const MOST_ROW_LINES = 256;
/** Distances that fit a displacement. */
const FARTHEST = 2 ** 30;

/** A place that vectors walk, one element per lane. */
interface Access {
  readonly buffer: number;
  readonly dtype: DType;
  readonly ix: Ix;
  /** Elements of the buffer. */
  readonly size: number;
}

export class Streams {
  private readonly emitter: Emitter;
  private readonly buffers: KernelBuffers;
  private readonly loops: SpaceLoops;
  /** Results that may be stored past the caches. */
  private readonly past: readonly StoreExpr[];

  /** @param whole whether the loops walk all of the kernel's space: results of pieces meet inside of lines */
  constructor(emitter: Emitter, buffers: KernelBuffers, loops: SpaceLoops, whole: boolean) {
    this.emitter = emitter;
    this.buffers = buffers;
    this.loops = loops;
    this.past = whole ? loops.trace.stores.filter(store => this.fillsLines(store)) : [];
  }

  private get target() {
    return this.emitter.context.target;
  }

  /** What a body depends on of the sizes of its arrays. */
  get key(): string {
    const { exprs, stores } = this.loops.trace;
    const long = exprs.map(e => (e.kind === 'load' && this.isLong(e.of.size, e.of.dtype) ? 1 : 0));
    return `${long.join('')} ${stores.map(s => (this.isLong(s.value.size, s.value.dtype) ? 1 : 0)).join('')} ${this.past.length}`;
  }

  /** Whether all of `stores` may go past the caches. */
  arePast(stores: readonly StoreExpr[]): boolean {
    return stores.every(store => this.past.includes(store));
  }

  /** Elements of a row of results, where rows wait for their last pass in memory of their own; 0 where none do. */
  get waiting(): number {
    const { summedLoops } = this.loops;
    return summedLoops.length > 0 && this.past.some(s => s.full) ? this.rowElements : 0;
  }

  private get rowElements(): number {
    return this.loops.summedLoops.reduce((n, v) => n * v.atom.extent, 1);
  }

  /** Whether every vector that is stored whole fills whole lines, and there are so many that no cache keeps them. */
  private fillsLines({ value, ix }: StoreExpr): boolean {
    const { lane, lanes } = this.loops;
    const { streamedBytes, vectorBytes } = this.target;
    const bytes = bytesOf(value.dtype);
    if (streamedBytes === undefined || value.size * bytes < streamedBytes) return false;
    if (!lane || registerScalar(value.dtype) !== value.dtype || lanes * bytes !== vectorBytes) return false;
    if (!lane.kept && this.rowElements * bytes > LONGEST_ROW) return false;
    if (coefficient(ix, lane.atom) !== 1 || (ix.constant * bytes) % LINE !== 0) return false;
    return ix.terms.every(
      ({ atom, coef }) => atom === lane.atom || (atom.kind === 'var' && (coef * bytes) % LINE === 0),
    );
  }

  /**
   * Emits `fill`; where results may go past the caches twice, as that only pays (and is only allowed) where memory
   * starts at a line and is not that of something read at the same places.
   */
  either(fill: () => void): void {
    const { emitter, buffers } = this;
    const { b } = emitter;
    if (this.past.length === 0) {
      fill();
      return;
    }
    const { exprs } = this.loops.trace;
    const apart = this.past
      .map(({ value, ix }) => {
        const read = exprs.flatMap(e => (e.kind === 'load' && e.ix === ix ? [buffers.read(e.of)] : []));
        return b.apart(buffers.write(value), [...new Set(read)]);
      })
      .reduce((x, y) => b.bin('and', x, y));
    const into = new Set(this.past.map(({ value }) => buffers.write(value)));
    b.if(
      apart,
      () =>
        emitter.scoped(() => {
          emitter.memory.past = into;
          fill();
          emitter.memory.past = new Set();
        }),
      () => emitter.scoped(fill),
    );
  }

  private isLong(elements: number, dtype: DType): boolean {
    return elements * bytesOf(dtype) >= this.target.l2Bytes / 2;
  }

  /**
   * Asks for what the lane loop will read and write later, at the place of its vectors. Where rows are walked in
   * several passes that is some rows ahead, in the last pass that reads a value: the others find it in a cache.
   * @param early rows to ask for beyond those
   */
  ask(needed: readonly Expr[], stores: readonly StoreExpr[], laterPasses: ReadonlySet<Expr>, early = 0): void {
    const { emitter, buffers } = this;
    const { b, mode } = emitter;
    if (!this.target.keepsOrder || mode.lanes === 1 || emitter.partial) return;
    const asked = new Set<number>();
    const touch = (access: Access, write: boolean, waits: boolean): void => {
      const { buffer, dtype, ix } = access;
      const distance = this.distance(access, early);
      if (asked.has(buffer) || distance === null || (waits && distance !== AHEAD)) return;
      asked.add(buffer);
      const p = emitter.memory.pointer(buffer, dtype, ix);
      const bytes = mode.lanes * mode.copies * bytesOf(dtype);
      for (let at = 0; at < bytes; at += LINE) b.prefetch(p, at + distance, write);
    };
    const isRead = (e: Expr): e is LoadExpr =>
      e.kind === 'load' && e.conditions.length === 0 && !emitter.spilled.has(e);
    for (const e of needed)
      if (isRead(e) && this.isLong(e.of.size, e.of.dtype))
        touch({ buffer: buffers.read(e.of), dtype: e.of.dtype, ix: e.ix, size: e.of.size }, false, laterPasses.has(e));
    // Rows of results are written while the next ones are read.
    if (!this.loops.lane!.kept) return;
    for (const { value, ix } of stores) {
      const buffer = buffers.write(value);
      if (this.isLong(value.size, value.dtype) && !emitter.memory.past.has(buffer))
        touch({ buffer, dtype: value.dtype, ix, size: value.size }, true, false);
    }
  }

  /**
   * Asks for the rows that indices loaded in `loop` choose from long tables, all of them before the loop reads the
   * first: they lie anywhere in memory, and a core that meets them one by one waits for most (dlrm's 26 tables, 64
   * bytes a row).
   */
  askRows(loop: LoopVar, level: number, levels: ReadonlyMap<Expr, number>): void {
    const { emitter, buffers } = this;
    const { b } = emitter;
    const { lane, trace } = this.loops;
    if (!this.target.keepsOrder || !lane) return;
    const rows = trace.exprs.flatMap(e => {
      if (e.kind !== 'load' || e.conditions.length > 0 || coefficient(e.ix, lane.atom) !== 1) return [];
      if (!this.isLong(e.of.size, e.of.dtype) || !e.ix.terms.some(({ atom }) => atom.kind === 'data')) return [];
      let here = false;
      eachLoaded(e.ix, checked => {
        here = levels.get(checked.index) === level;
      });
      const bytes = lane.atom.extent * bytesOf(e.of.dtype);
      return here && loop.atom.extent * Math.ceil(bytes / LINE) <= MOST_ROW_LINES ? [{ e, bytes }] : [];
    });
    if (rows.length === 0) return;
    b.for(0, loop.atom.extent, 1, i =>
      emitter.scoped(() => {
        emitter.setVar(loop.atom, i);
        for (const { e, bytes } of rows) {
          const p = emitter.memory.pointer(buffers.read(e.of), e.of.dtype, emitter.indices.prefix(e.ix, level));
          for (let at = 0; at < bytes; at += LINE) b.prefetch(p, at, false);
        }
      }),
    );
  }

  /**
   * How far behind an access of the lane loop lies what is read next but not soon; null where lanes are no neighbours.
   */
  private distance({ dtype, ix, size }: Access, early: number): number | null {
    const { keptLoops, summedLoops } = this.loops;
    const lane = this.loops.lane!;
    if (coefficient(ix, lane.atom) !== 1) return null;
    const bytes = bytesOf(dtype);
    const row = lane.atom.extent * bytes;
    const outer = lane.kept ? keptLoops.at(-2) : (summedLoops.at(-2) ?? keptLoops.at(-1));
    if (!outer || row > LONGEST_ROW || (lane.kept && row > AHEAD)) return AHEAD;
    const step = (coefficient(ix, outer.atom) ?? 0) * bytes;
    const { rowBytesAhead = AHEAD, streamedBytes = Number.POSITIVE_INFINITY } = this.target;
    const ahead = !lane.kept && size * bytes >= streamedBytes ? rowBytesAhead : AHEAD;
    const distance = step * (Math.max(1, Math.ceil(ahead / row)) + early);
    return distance > 0 && distance < FARTHEST ? distance : null;
  }
}
