/**
 * What happens inside the loops of a space kernel: at each level, what deeper ones need; for each result element, one
 * pass over the summed dims per reduction that waits for another, then what is computed from the results.
 */

import { bytesOf, type DType } from '../../graph/dtype.ts';
import { slotsOf } from '../contract/tasks.ts';
import type { Expr, ReducedExpr } from '../expr.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { Reg } from '../loops.ts';
import { constantValue } from '../math/index.ts';
import { Accumulator } from './accumulator.ts';
import type { KernelBuffers } from './context.ts';
import { checksIndices, eachLoaded, indicesOf, reachable } from './domain.ts';
import type { Emitter } from './emitter.ts';
import { Gathers } from './gathers.ts';
import { type Chunk, laneLoop } from './lane-loop.ts';
import { chooseSpills, passDepths, type Spill } from './memory-reuse.ts';
import type { SpaceLoops } from './space-loops.ts';
import type { StoreExpr } from './space-trace.ts';
import type { Streams } from './streams.ts';
import type { Place } from './walk.ts';

/** Where a value is put: the element that belongs to the loops' own. */
interface Put {
  readonly expr: Expr;
  readonly dtype: DType;
  readonly buffer: number;
  readonly ix: Ix;
  readonly row?: StoreExpr['row'];
}

/** A pass over the summed variables. */
interface Pass {
  readonly sums: readonly ReducedExpr[];
  readonly stored: readonly Put[];
  /** What it leaves for later passes, which read what is in `later` as well. */
  readonly spilled: readonly Put[];
  readonly later: ReadonlySet<Expr>;
}

/** What is done beside a pass, where there is something: `prepare` outside of its loop, `step` in each of its steps. */
interface Beside {
  readonly there: Reg;
  readonly prepare: () => void;
  readonly step: () => void;
}

/** Rows for each slot from which on it is worth that the last one of each stands alone. */
const LEAST_IN_TURN = 4;

export class SpaceBody {
  private readonly emitter: Emitter;
  private readonly buffers: KernelBuffers;
  private readonly loops: SpaceLoops;
  private readonly streams: Streams;
  private readonly gathers: Gathers;
  /** Number of the row of the running thread in memory where rows wait for their last pass. */
  private readonly slot: VarAtom;
  private readonly waitingRows = new Map<Expr, Put>();
  /** Index of the loop, kept ones first, in which an expression is known; -1 outside of all. */
  private readonly levels = new Map<Expr, number>();
  /** Passes that must have run before each expression is known. */
  private readonly depths: ReadonlyMap<Expr, number>;
  /** What a pass needs, in order: the same for vectors and for what is left over. */
  private readonly neededBy = new Map<string, readonly Expr[]>();
  /** Results of full size, which are stored in the last pass over the summed loops; how many there are. */
  private readonly fullStores: readonly StoreExpr[];
  private readonly lastPass: number;
  /** What is put into memory between passes. */
  readonly spills: ReadonlyMap<Expr, Spill>;
  /** Whether rows that go past the caches have their last pass beside the last but one of the next row (308). */
  readonly inTurn: boolean;

  constructor(emitter: Emitter, buffers: KernelBuffers, loops: SpaceLoops, streams: Streams, slot: VarAtom) {
    this.emitter = emitter;
    this.buffers = buffers;
    this.loops = loops;
    this.streams = streams;
    this.gathers = new Gathers(emitter, buffers, loops);
    this.slot = slot;
    for (const e of loops.trace.exprs) this.levels.set(e, this.levelOf(e));
    this.depths = passDepths(loops.trace.exprs);
    const { stores, reduced } = loops.trace;
    const passes = reduced.reduce((n, e) => Math.max(n, this.depths.get(e)!), 0);
    this.fullStores = stores.filter(s => s.full && loops.summedLoops.length > 0);
    this.lastPass = this.fullStores.reduce((n, s) => Math.max(n, this.depths.get(s.expr)! + 1), passes);
    const insideSums = (e: Expr): boolean => this.levels.get(e)! > this.resultLevel;
    this.spills = chooseSpills(loops.trace, this.fullStores, this.lastPass, pass => this.sumsOf(pass), insideSums);
    this.inTurn = this.mayTakeTurns();
  }

  private mayTakeTurns(): boolean {
    const { target } = this.emitter.context;
    const { lane, keptLoops, summedLoops, trace } = this.loops;
    const { spills, fullStores, lastPass } = this;
    if (target.rowBytesAhead === undefined || spills.size === 0 || lastPass < 2) return false;
    if (summedLoops.length !== 1 || summedLoops[0] !== lane || checksIndices(trace.exprs)) return false;
    const rows = keptLoops.reduce((n, v) => n * v.atom.extent, 1);
    return (
      rows >= LEAST_IN_TURN * slotsOf(rows) &&
      this.streams.arePast(fullStores) &&
      this.sumsOf(lastPass - 1).length === 0
    );
  }

  private sumsOf(pass: number): ReducedExpr[] {
    return this.loops.trace.reduced.filter(e => this.depths.get(e) === pass + 1);
  }

  /** Index of the last kept loop: where results of reductions are known. */
  private get resultLevel(): number {
    return this.loops.keptLoops.length - 1;
  }

  private levelOf(e: Expr): number {
    if (e.kind === 'reduced') return this.resultLevel;
    let level = -1;
    for (const ix of indicesOf(e)) {
      level = Math.max(level, this.emitter.indices.levelOf(ix));
      eachLoaded(ix, checked => {
        level = Math.max(level, this.levels.get(checked.index) ?? -1);
      });
    }
    for (const arg of e.args) level = Math.max(level, this.levels.get(arg)!);
    return level;
  }

  // ---------------------------------------------------------------------------------------------- kept loops

  /** Runs `fill` where what no loop determines is known. */
  enter(fill: () => void): void {
    this.emitter.scoped(() => {
      this.prepare(-1);
      fill();
    });
  }

  /** Loops over kept variables from index `k` on, the lane loop over a part if `chunk` is given, then the body. */
  keptFrom(k: number, chunk: Chunk | null, body: () => void): void {
    const { emitter } = this;
    const { keptLoops, lane } = this.loops;
    const loop = keptLoops[k];
    if (!loop) {
      body();
      return;
    }
    if (loop === lane) {
      laneLoop(emitter, this.loops, chunk, () => {
        const { exprs, stores } = this.loops.trace;
        if (this.loops.summedLoops.length === 0) this.streams.ask(exprs, stores, new Set());
        this.prepare(k);
        body();
      });
      return;
    }
    if (keptLoops[k + 1] === lane && !chunk) this.streams.askRows(loop, k, this.levels);
    emitter.b.for(0, loop.atom.extent, 1, i =>
      emitter.scoped(() => {
        emitter.setVar(loop.atom, i);
        this.prepare(k);
        this.keptFrom(k + 1, chunk, body);
      }),
    );
  }

  /** Emits what loops up to `level` determine and deeper ones need: addresses, values, splats. */
  prepare(level: number): void {
    const { emitter } = this;
    const { stores, exprs } = this.loops.trace;
    const insideLane = emitter.mode.lanes > 1;
    this.gathers.ask(level);
    for (const { value, ix } of stores) this.preparePointer(this.buffers.write(value), value.dtype, ix, level);
    for (const e of exprs) {
      const own = this.levels.get(e)!;
      if (own > level) {
        // An index that waits for a reduction is only known in the pass that uses it.
        if (e.kind === 'load' && e.conditions.length === 0 && this.depths.get(e) === 0)
          this.preparePointer(this.buffers.read(e.of), e.of.dtype, e.ix, level);
        continue;
      }
      if (own !== level || level === this.resultLevel || e.kind === 'const') continue;
      if (insideLane && emitter.isVector(e)) for (let c = 0; c < emitter.mode.copies; c++) emitter.value(e, c);
      else if (e.kind !== 'reduced') emitter.value(e);
    }
  }

  private preparePointer(buffer: number, dtype: DType, ix: Ix, level: number): void {
    const { emitter } = this;
    if (emitter.indices.levelOf(ix) <= level) return;
    const known = emitter.indices.prefix(ix, level);
    // Where lanes read from places of their own there is no common pointer.
    if (emitter.indices.walksLanes(known)) emitter.memory.pointer(buffer, dtype, known);
  }

  // ---------------------------------------------------------------------------------------------- one result element

  /** Passes over the summed variables, then the results. */
  readonly element = (): void => {
    const passes = this.passes();
    this.emitter.spilled = new Map();
    for (const pass of passes) this.passOver(pass);
    this.storeResults();
  };

  /** Results that are not of full size. */
  private storeResults(): void {
    this.storeAll(this.loops.trace.stores.filter(s => !this.fullStores.includes(s)));
  }

  private passOver({ sums, stored, spilled, later }: Pass, beside: Beside | null = null): void {
    if (sums.length > 0 || stored.length > 0) this.pass(sums, [...stored, ...spilled], null, later, beside);
    for (const put of spilled) this.emitter.spilled.set(put.expr, put);
  }

  private passes(): Pass[] {
    const { fullStores, lastPass } = this;
    const spills = [...this.spills].map(([e, spill]) => ({ pass: spill.pass, put: this.waiting(e, spill) }));
    const results = fullStores
      .map(s => this.put(s))
      .filter(({ expr, buffer }) => !spills.some(({ put }) => put.expr === expr && put.buffer === buffer));
    const passesOver = Array.from({ length: lastPass }, (_, pass) => ({
      sums: this.sumsOf(pass),
      // Full results are stored in the last pass: until then everything may still be read.
      stored: pass === lastPass - 1 ? results : [],
      spilled: spills.flatMap(spill => (spill.pass === pass ? [spill.put] : [])),
    }));
    const readLater = (pass: number): Set<Expr> => {
      const known = new Map(spills.flatMap(spill => (spill.pass <= pass ? [[spill.put.expr, spill.put]] : [])));
      const later = passesOver.slice(pass + 1);
      const roots = later.flatMap(({ sums, stored }) => [...sums.map(e => e.args[0]!), ...stored.map(s => s.expr)]);
      return new Set(reachable(roots, true, known));
    };
    return passesOver.map((pass, i) => ({ ...pass, later: readLater(i) }));
  }

  /**
   * Rows `from` to `to`, which `enter` prepares: each row's last pass, which stores it past the caches, runs beside the
   * last but one of the row behind it. Storing keeps memory busy while the other computes.
   */
  rowsInTurn(from: Reg, to: Reg, enter: (row: Reg) => void): void {
    const { emitter } = this;
    const { b } = emitter;
    const { reduced } = this.loops.trace;
    const passes = this.passes();
    const [beside, last] = passes.slice(-2) as [Pass, Pass];
    // What reductions of the row before have come to.
    const results = new Map(reduced.map(e => [e, b.copy(constantValue(b, e.dtype, 0))]));
    const all = new Map(passes.flatMap(({ spilled }) => spilled.map(put => [put.expr, put])));
    const enterLast = (row: Reg): void => {
      enter(row);
      for (const [e, result] of results) emitter.bind(e, result);
    };
    b.for(from, to, 1, row =>
      emitter.scoped(() => {
        const before = emitter.fork();
        const there = b.cmp('gt', row, from);
        enter(row);
        emitter.spilled = new Map();
        for (const pass of passes.slice(0, -2)) this.passOver(pass);
        this.passOver(beside, {
          there,
          prepare: () =>
            this.at(before, all, () => {
              enterLast(b.sub(row, b.i32(1)));
              this.prepareSummed(this.needed([], last.stored), last.stored, this.resultLevel);
            }),
          step: () => {
            const { atom } = this.loops.lane!;
            const place = emitter.varReg(atom);
            this.at(before, all, () =>
              emitter.scoped(() => {
                emitter.setVar(atom, place);
                this.streams.ask(this.needed([], last.stored), [], last.later, 1);
                this.putAll(last.stored);
              }),
            );
          },
        });
        this.storeResults();
        for (const [e, result] of results) b.move(result, emitter.value(e));
      }),
    );
    emitter.scoped(() => {
      enterLast(b.sub(to, b.i32(1)));
      emitter.spilled = all;
      this.passOver(last);
    });
  }

  /** Runs `fill` where the loops stand at `place` and `spilled` waits. */
  private at(place: Place, spilled: Emitter['spilled'], fill: () => void): void {
    const { emitter } = this;
    const own = emitter.spilled;
    emitter.spilled = spilled;
    emitter.at(place, fill);
    emitter.spilled = own;
  }

  private put({ value, ix, expr, row }: StoreExpr): Put {
    return { expr, dtype: value.dtype, buffer: this.buffers.write(value), ix, row };
  }

  /**
   * Where a value waits for later passes: where a result will be, or in a row of the thread's own where results go past
   * the caches.
   */
  private waiting(expr: Expr, { value, ix }: Spill): Put {
    const there = this.put({ value, ix, expr, full: true });
    if (!this.emitter.memory.past.has(there.buffer)) return there;
    const known = this.waitingRows.get(expr);
    if (known) return known;
    const { table } = this.emitter.tracer;
    const { summedLoops } = this.loops;
    const elements = summedLoops.reduce((n, v) => n * v.atom.extent, 1);
    const room = slotsOf(Number.POSITIVE_INFINITY) * (this.inTurn ? 2 : 1) * elements;
    const put: Put = {
      expr,
      dtype: value.dtype,
      buffer: this.buffers.scratch(`row${this.waitingRows.size}`, value.dtype, room, room * bytesOf(value.dtype)),
      ix: table.linear(
        [this.slot, ...summedLoops.map(v => v.atom)].map(atom => table.ofAtom(atom)),
        [this.slot, ...summedLoops.map(v => v.atom)].map(atom => atom.extent),
      ),
    };
    this.waitingRows.set(expr, put);
    return put;
  }

  storeAll(all: readonly StoreExpr[]): void {
    // Next to results that sum over nothing there may be members without elements.
    this.putAll(all.filter(({ value }) => !value.shape.includes(0)).map(s => this.put(s)));
  }

  private putAll(all: readonly Put[]): void {
    const { emitter } = this;
    // All values first: a result may take the memory of something another result is computed from.
    for (const { expr } of all) {
      const copies = emitter.isVector(expr) ? emitter.mode.copies : 1;
      for (let copy = 0; copy < copies; copy++) emitter.value(expr, copy);
    }
    for (const { dtype, buffer, ix, expr, row } of all)
      if (row) emitter.storeAtRow(dtype, buffer, ix, expr, row);
      else emitter.store(dtype, buffer, ix, expr);
  }

  private needed(sums: readonly ReducedExpr[], stores: readonly Put[]): readonly Expr[] {
    const roots = [...sums.map(e => e.args[0]!), ...stores.map(s => s.expr)];
    const key = roots.map(e => e.id).join();
    let needed = this.neededBy.get(key);
    if (!needed) {
      needed = reachable(roots, true, this.emitter.spilled);
      this.neededBy.set(key, needed);
    }
    return needed;
  }

  /** One pass over the summed variables, or over a part of the first of them; returns the sums, per copy. */
  pass(
    sums: readonly ReducedExpr[],
    stores: readonly Put[],
    part: Chunk | null,
    readLater: ReadonlySet<Expr> = new Set(),
    beside: Beside | null = null,
  ): Map<ReducedExpr, readonly Reg[]> {
    const { emitter } = this;
    const { b } = emitter;
    const { lane, lanes, copies, masked, keptLoops, summedLoops } = this.loops;
    const alongLane = lane !== null && !lane.kept;
    const needed = this.needed(sums, stores);
    const accumulators = sums.map(e => new Accumulator(b, e, alongLane ? null : emitter.mode, emitter.isVector(e)));
    if (alongLane)
      for (const acc of accumulators) acc.alongLane(lanes, copies, lane.atom.extent % lanes !== 0 && !masked);
    const step = (): void => {
      for (const acc of accumulators) acc.step(emitter);
      this.putAll(stores);
    };
    const loopsFrom = (k: number, step: () => void): void => {
      const loop = summedLoops[k];
      if (!loop) {
        step();
        return;
      }
      const range = k === 0 ? part : null;
      if (loop === lane) {
        laneLoop(emitter, this.loops, range, () => {
          this.streams.ask(needed, [], readLater, beside ? 1 : 0);
          step();
        });
        return;
      }
      const { extent } = loop.atom;
      const end = range ? b.bin('min', b.add(range.lo, b.i32(range.length)), b.i32(extent)) : extent;
      b.for(range?.lo ?? 0, end, 1, i =>
        emitter.scoped(() => {
          emitter.setVar(loop.atom, i);
          if (k < summedLoops.length - 1) this.prepareSummed(needed, stores, keptLoops.length + k);
          loopsFrom(k + 1, step);
        }),
      );
    };
    emitter.scoped(() => {
      this.prepareSummed(needed, stores, this.resultLevel);
      if (summedLoops.some(v => v.atom.extent === 0)) return;
      if (!beside) {
        loopsFrom(0, step);
        return;
      }
      const both = (): void => b.storingLast([beside.step, step]);
      b.if(
        beside.there,
        () =>
          emitter.scoped(() => {
            beside.prepare();
            loopsFrom(0, both);
          }),
        () => emitter.scoped(() => loopsFrom(0, step)),
      );
    });
    return new Map(sums.map((e, i) => [e, accumulators[i]!.finish(emitter)]));
  }

  /** The same as `prepare`, for what one pass needs of the loops up to `level`. */
  private prepareSummed(needed: readonly Expr[], stores: readonly Put[], level: number): void {
    const { emitter } = this;
    if (level > this.resultLevel) this.gathers.ask(level);
    for (const e of needed) {
      const at = emitter.spilled.get(e);
      if (at) this.preparePointer(at.buffer, e.dtype, at.ix, level);
    }
    for (const { buffer, dtype, ix } of stores) this.preparePointer(buffer, dtype, ix, level);
    for (const e of needed) {
      const own = this.levels.get(e)!;
      if (own > level) {
        if (e.kind === 'load' && e.conditions.length === 0)
          this.preparePointer(this.buffers.read(e.of), e.of.dtype, e.ix, level);
        continue;
      }
      if (e.kind === 'const' || own !== level) continue;
      if (emitter.isVector(e)) for (let c = 0; c < emitter.mode.copies; c++) emitter.value(e, c);
      else if (e.kind !== 'reduced') emitter.value(e);
    }
    this.prepareSplats(needed, level);
  }

  /** Splats of values known at `level` for the vectors of the loops inside. */
  private prepareSplats(needed: readonly Expr[], level: number): void {
    const { emitter } = this;
    const { lane, lanes, trace } = this.loops;
    const { mode } = emitter;
    if (!lane || (mode.lanes === 1 && lane.kept)) return;
    const laneBit = 2 ** trace.tracer.vars.indexOf(lane.atom);
    emitter.mode = { lanes, copies: 1 };
    for (const e of needed) {
      if ((e.mask & laneBit) === 0) continue;
      for (const arg of e.args)
        if ((arg.mask & laneBit) === 0 && this.levels.get(arg)! <= level && arg.kind !== 'reduced')
          emitter.vector(arg, 0);
      const divisor = e.args[1];
      if (divisor && this.levels.get(divisor)! <= level) emitter.prepareQuotient(e);
    }
    emitter.mode = mode;
  }
}
