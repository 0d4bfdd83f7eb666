/**
 * What happens inside the loops of a space kernel: at each level, what deeper ones need; for each result element, one pass over the summed
 * dims per reduction that waits for another, then what is computed from the results.
 */
import type { DType } from '../../graph/dtype.ts';
import type { Expr, ReducedExpr } from '../expr.ts';
import type { Ix } from '../index-expr.ts';
import type { Reg } from '../loops.ts';
import { Accumulator } from './accumulator.ts';
import type { KernelBuffers } from './context.ts';
import { eachLoaded, indicesOf, reachable } from './domain.ts';
import type { Emitter } from './emitter.ts';
import { type Chunk, laneLoop } from './lane-loop.ts';
import { chooseSpills, passDepths, type Spill } from './memory-reuse.ts';
import type { SpaceLoops } from './space-loops.ts';
import type { StoreExpr } from './space-trace.ts';

export class SpaceBody {
  private readonly emitter: Emitter;
  private readonly buffers: KernelBuffers;
  private readonly loops: SpaceLoops;
  /** Index of the loop, kept ones first, in which an expression is known; -1 outside of all. */
  private readonly levels = new Map<Expr, number>();
  /** Passes that must have run before each expression is known. */
  private readonly depths: ReadonlyMap<Expr, number>;
  /** What a pass needs, in order: the same for vectors and for what is left over. */
  private readonly neededBy = new Map<string, readonly Expr[]>();
  private chosenSpills: Map<Expr, Spill> | null = null;

  constructor(emitter: Emitter, buffers: KernelBuffers, loops: SpaceLoops) {
    this.emitter = emitter;
    this.buffers = buffers;
    this.loops = loops;
    for (const e of loops.trace.exprs) this.levels.set(e, this.levelOf(e));
    this.depths = passDepths(loops.trace.exprs);
  }

  /** What has been put into memory between passes, as far as elements have been emitted. */
  get spills(): Iterable<Spill> {
    return this.chosenSpills?.values() ?? [];
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
        this.prepare(k);
        body();
      });
      return;
    }
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
    const { depths } = this;
    const { trace, summedLoops } = this.loops;
    const { stores, reduced } = trace;
    const passes = reduced.reduce((n, e) => Math.max(n, depths.get(e)!), 0);
    const fullStores = stores.filter(s => s.full && summedLoops.length > 0);
    const lastPass = fullStores.reduce((n, s) => Math.max(n, depths.get(s.expr)! + 1), passes);
    const sumsOf = (pass: number): ReducedExpr[] => reduced.filter(e => depths.get(e) === pass + 1);
    const insideSums = (e: Expr): boolean => this.levels.get(e)! > this.resultLevel;
    this.chosenSpills ??= chooseSpills(trace, fullStores, lastPass, sumsOf, insideSums);
    const spills = this.chosenSpills;
    this.emitter.spilled.clear();
    for (let pass = 0; pass < lastPass; pass++) {
      const sums = sumsOf(pass);
      // Full results are stored in the last pass: until then everything may still be read.
      const stored = pass === lastPass - 1 ? fullStores.filter(s => spills.get(s.expr)?.value !== s.value) : [];
      const spilled = [...spills].flatMap(([e, s]) => (s.pass === pass ? [{ ...s, expr: e, full: true }] : []));
      if (sums.length > 0 || stored.length > 0) this.pass(sums, [...stored, ...spilled], null);
      for (const { expr, value, ix } of spilled)
        this.emitter.spilled.set(expr, { buffer: this.buffers.write(value), ix });
    }
    this.storeAll(stores.filter(s => !fullStores.includes(s)));
  };

  storeAll(all: readonly StoreExpr[]): void {
    const { emitter } = this;
    // Next to results that sum over nothing there may be members without elements.
    const stores = all.filter(({ value }) => !value.shape.includes(0));
    // All values first: a result may take the memory of something another result is computed from.
    for (const { expr } of stores) {
      const copies = emitter.isVector(expr) ? emitter.mode.copies : 1;
      for (let copy = 0; copy < copies; copy++) emitter.value(expr, copy);
    }
    for (const { value, ix, expr } of stores) emitter.store(value, this.buffers.write(value), ix, expr);
  }

  private needed(sums: readonly ReducedExpr[], stores: readonly StoreExpr[]): readonly Expr[] {
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
    stores: readonly StoreExpr[],
    part: Chunk | null,
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
      this.storeAll(stores);
    };
    const loopsFrom = (k: number): void => {
      const loop = summedLoops[k];
      if (!loop) {
        step();
        return;
      }
      const range = k === 0 ? part : null;
      if (loop === lane) {
        laneLoop(emitter, this.loops, range, step);
        return;
      }
      const { extent } = loop.atom;
      const end = range ? b.bin('min', b.add(range.lo, b.i32(range.length)), b.i32(extent)) : extent;
      b.for(range?.lo ?? 0, end, 1, i =>
        emitter.scoped(() => {
          emitter.setVar(loop.atom, i);
          if (k < summedLoops.length - 1) this.prepareSummed(needed, stores, keptLoops.length + k);
          loopsFrom(k + 1);
        }),
      );
    };
    emitter.scoped(() => {
      this.prepareSummed(needed, stores, this.resultLevel);
      if (summedLoops.every(v => v.atom.extent > 0)) loopsFrom(0);
    });
    return new Map(sums.map((e, i) => [e, accumulators[i]!.finish(emitter)]));
  }

  /** The same as `prepare`, for what one pass needs of the loops up to `level`. */
  private prepareSummed(needed: readonly Expr[], stores: readonly StoreExpr[], level: number): void {
    const { emitter } = this;
    for (const e of needed) {
      const at = emitter.spilled.get(e);
      if (at) this.preparePointer(at.buffer, e.dtype, at.ix, level);
    }
    for (const { value, ix } of stores) this.preparePointer(this.buffers.write(value), value.dtype, ix, level);
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
