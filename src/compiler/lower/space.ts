/**
 * Lowers a kernel over a space (elementwise values, reductions, rows with several reductions) to loops. Tasks are shared out over the dims
 * that results have; for each of their elements, one pass over the summed dims per reduction that waits for another, then what
 * is computed from the results. Vectors run along one variable, summed or not.
 */
import type { DType } from '../../graph/dtype.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { bufferName, ExprPrinter, variableNames } from '../describe.ts';
import type { Expr, ReducedExpr } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { SpaceKernel } from '../kernels.ts';
import { type Inst, LoopBuilder, type Reg } from '../loops.ts';
import { Accumulator, wideOf } from './accumulator.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from './context.ts';
import {
  type Domain,
  eachLoaded,
  indicesOf,
  type Loops,
  type LoopVar,
  mergeLoops,
  narrow,
  reachable,
  splitLoops,
  type Window,
  windowsOf,
} from './domain.ts';
import { Emitter, type Mode, SCALAR } from './emitter.ts';
import { chooseVectors } from './lanes.ts';
import { chooseSpills, inPlacePairs, passDepths, type Spill } from './memory-reuse.ts';
import { sizedKey } from './sized.ts';
import { type SpaceTrace, type StoreExpr, traceSpace } from './space-trace.ts';

/** Elements times operations below which threads are not worth waking. */
const SMALL = 8192;
/** Elements of a task along the lane variable. */
const CHUNK = 4096;
/** Elements from which on guards are worth pieces of their own. */
const WINDOWED = 4096;
/** Elements of a sum that is written out (pooling windows). */
const WRITTEN_OUT = 9;
/** Vectors of a row from which on a reciprocal is worth its division. */
const LONG_ROW = 4;
/** Chunks of a sum with few results at most. */
const MAX_CHUNKS = 64;
/** Tasks wanted before remaining outer variables become inner loops. */
const TASKS = 64;

export function lowerSpace(
  kernel: SpaceKernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
): LoweredKernel {
  return new SpaceLowering(kernel, context, name, realised).lower();
}

class SpaceLowering {
  private readonly buffers: KernelBuffers;
  private readonly b: LoopBuilder;
  /** The piece of the space to lower, when it is cut. */
  private readonly piece: Loops | null;
  private readonly kernel: SpaceKernel;
  private readonly context: ProgramContext;
  private readonly name: string;
  private readonly realised: (value: Value) => boolean;
  private vars: readonly LoopVar[] = [];
  private trace!: SpaceTrace;
  /** Whether sums are so short that all their elements are written out. */
  private writtenOut = false;
  /** Number of the chunk, in kernels that sum in two stages. */
  private readonly chunkVar: VarAtom;
  /** The lane variable's extent, in kernels that are told it. */
  private size: Reg | null = null;
  /** What the first summed loop is narrowed to while chunks are summed. */
  private range: { readonly lo: Reg; readonly chunk: number } | null = null;
  private lane: LoopVar | null = null;
  private lanes = 1;
  private masked = false;
  private copies = 1;
  private emitter!: Emitter;
  /** Loops over kept dims outside of the lane loop, then the lane loop if it is one of them. */
  private keptLoops: readonly LoopVar[] = [];
  private summedLoops: readonly LoopVar[] = [];
  private readonly levels = new Map<Expr, number>();
  private depthOf: Map<Expr, number> | null = null;
  private spills: Map<Expr, Spill> | null = null;

  constructor(
    kernel: SpaceKernel,
    context: ProgramContext,
    name: string,
    realised: (value: Value) => boolean,
    b = new LoopBuilder(),
    buffers = new KernelBuffers(context.windows),
    piece: Loops | null = null,
  ) {
    this.b = b;
    this.buffers = buffers;
    this.piece = piece;
    this.chunkVar = context.table.variable(MAX_CHUNKS);
    this.kernel = kernel;
    this.context = context;
    this.name = name;
    this.realised = realised;
  }

  lower(): LoweredKernel {
    const domain = this.split();
    const windows = this.piece ? null : this.windows(domain);
    if (windows) return this.lowerWindows(domain, windows);
    this.chooseLoops(domain);
    this.emitter = new Emitter(
      this.b,
      this.context,
      this.trace.tracer,
      value => this.buffers.read(value),
      this.lane?.atom ?? null,
      this.context.target.vectorBytes / this.lanes,
      [...this.keptLoops, ...this.summedLoops].map(v => v.atom),
    );
    const sized = this.sized();
    if (sized) return sized;
    this.emitter.reciprocals = this.lane !== null && !this.lane.kept && this.lane.atom.extent >= LONG_ROW * this.lanes;
    // Buffers are numbered by first use; stores first, so that results lead.
    for (const { value } of this.trace.stores) this.buffers.write(value);
    for (const e of this.trace.exprs) this.levels.set(e, this.levelOf(e));
    return this.lowered(this.b.instructions, this.emitTasks());
  }

  private lowered(body: readonly Inst[], single: boolean): LoweredKernel {
    return {
      loop: { name: this.title(), buffers: this.buffers.buffers, body },
      refs: this.buffers.refs,
      mayFail: this.emitter.mayFail,
      single,
      inPlace: inPlacePairs(this.trace, this.context.windows, this.spills?.values() ?? []),
      describe: () => this.describe(),
    };
  }

  /** An update of a variable that is worth threads: one body serves all that differ in their sizes. Null for all other kernels. */
  private sized(): LoweredKernel | null {
    const { b, buffers, context, lane, trace } = this;
    const updates = this.kernel.stores.some(value => context.updated.has(value));
    if (!updates || this.piece || this.vars.length !== 1 || !lane?.kept || this.isSmall) return null;
    const key = sizedKey(trace, lane.atom, { lanes: this.lanes, copies: this.copies, masked: this.masked });
    if (key === null) return null;
    // The order in which the key met them.
    for (const { value } of trace.stores) buffers.write(value);
    for (const e of trace.exprs) if (e.kind === 'load') buffers.read(e.of);
    const count = buffers.count('size', lane.atom.extent);
    const known = context.sized.get(key);
    if (known) return this.lowered(known, false);
    for (const e of trace.exprs) this.levels.set(e, this.levelOf(e));
    const size = b.count(count);
    this.size = size;
    const step = this.lanes * this.copies;
    const chunk = Math.ceil(CHUNK / step) * step;
    const tasks = b.bin('divU', b.add(size, b.i32(chunk - 1)), b.i32(chunk));
    b.parallel(tasks, i =>
      this.enter(() => this.keptFrom(0, { lo: b.mul(i, b.i32(chunk)), chunk }, () => this.body())),
    );
    context.sized.set(key, b.instructions);
    return this.lowered(b.instructions, false);
  }

  /** `k3 rows [64 | 1000]`: what is kept, and what is summed. */
  private title(): string {
    const sizes = (kept: boolean): string =>
      this.vars
        .filter(v => v.kept === kept)
        .map(v => v.atom.extent)
        .join('x');
    return this.kernel.kept
      ? `${this.name} reduce [${sizes(true)} | ${sizes(false)}]`
      : `${this.name} map [${sizes(true)}]`;
  }

  private describe(): string[] {
    const loops = [...this.keptLoops, ...this.summedLoops];
    const name = variableNames(loops.map(v => v.atom));
    const { stores } = this.trace;
    const printer = new ExprPrinter(
      stores.map(s => s.expr),
      name,
    );
    const lane = this.lane ? `, vectors of ${this.lanes} along ${name(this.lane.atom)}` : '';
    const results = stores.map(s => `${bufferName(s.value)}[${printer.index(s.ix)}] = ${printer.text(s.expr)}`);
    const header = loops.map(v => `${name(v.atom)} < ${v.atom.extent}${v.kept ? '' : ' (summed)'}`).join(', ');
    return [`for ${header}${lane}`, ...printer.lines, ...results];
  }

  // ---------------------------------------------------------------------------------------------- pieces

  /** Pieces of the space in which guards are known, where that is worth several loop nests. */
  private windows(domain: Domain<SpaceTrace>): Window[] | null {
    if (domain.vars.reduce((n, v) => n * v.atom.extent, 1) < WINDOWED) return null;
    return windowsOf(domain.vars, domain.traced.exprs);
  }

  private lowerWindows(domain: Loops, windows: readonly Window[]): LoweredKernel {
    const { kernel, context, name, realised, b, buffers } = this;
    const parts = windows.map(window => {
      const piece = narrow(context.table, domain, window);
      const part = new SpaceLowering(kernel, context, name, realised, b, buffers, piece);
      return { part, lowered: part.lower() };
    });
    // What one piece writes another may still have to read.
    const inPlace = parts[0]!.lowered.inPlace.filter(pair =>
      parts.every(({ lowered }) => lowered.inPlace.some(p => p.stored === pair.stored && p.read === pair.read)),
    );
    const sizes = kernel.shape.map((n, d) => (kernel.kept?.[d] === false ? `|${n}` : String(n)));
    return {
      loop: {
        name: `${name} ${kernel.kept ? 'reduce' : 'map'} [${sizes.join('x')}] in ${parts.length} pieces`,
        buffers: buffers.buffers,
        body: b.instructions,
      },
      refs: buffers.refs,
      mayFail: parts.some(({ lowered }) => lowered.mayFail),
      single: parts.every(({ lowered }) => lowered.single),
      inPlace,
      describe: () => parts.flatMap(({ lowered }) => lowered.describe()),
    };
  }

  private space(): LoopVar[] {
    const { kernel } = this;
    return kernel.vars.map((atom, d) => ({ atom, kept: kernel.kept?.[d] ?? true }));
  }

  // ---------------------------------------------------------------------------------------------- choosing loops

  private readonly retraced = (vars: readonly VarAtom[], meaning: ReadonlyMap<VarAtom, Ix>): SpaceTrace =>
    traceSpace(this.kernel, this.context, this.realised, {
      vars: [...vars, this.chunkVar],
      meaning,
      writtenOut: this.writtenOut,
    });

  private split(): Domain<SpaceTrace> {
    const { table } = this.context;
    const space = this.space();
    const summed = space.reduce((n, v) => (v.kept ? n : n * v.atom.extent), 1);
    const kept = space.reduce((n, v) => (v.kept ? n * v.atom.extent : n), 1);
    this.writtenOut =
      summed > 1 && summed <= WRITTEN_OUT && kept >= 64 && summed * this.kernel.members.size <= 12 * WRITTEN_OUT;
    const whole = { vars: space, meaning: new Map(space.map(v => [v.atom, table.ofAtom(v.atom)])) };
    return splitLoops(table, this.piece ?? whole, this.retraced);
  }

  private chooseLoops(split: Domain<SpaceTrace>): void {
    const domain = mergeLoops(this.context.table, split, this.retraced);
    this.vars = this.writtenOut ? domain.vars.filter(v => v.kept) : domain.vars;
    this.trace = domain.traced;

    const { lane, lanes, copies, masked } = chooseVectors(this.trace, this.vars, this.context.target);
    this.masked = masked;
    this.lane = lane;
    this.lanes = lanes;
    this.copies = copies;
    const rest = this.vars.filter(v => v !== this.lane);
    const keptRest = rest.filter(v => v.kept);
    const summedRest = rest.filter(v => !v.kept);
    this.keptLoops = this.lane?.kept ? [...keptRest, this.lane] : keptRest;
    this.summedLoops = this.lane && !this.lane.kept ? [...summedRest, this.lane] : summedRest;
  }

  // ---------------------------------------------------------------------------------------------- levels

  /** Index of the last kept loop: where results of reductions are known. */
  private get resultLevel(): number {
    return this.keptLoops.length - 1;
  }

  private levelOf(e: Expr): number {
    if (e.kind === 'reduced') return this.resultLevel;
    let level = -1;
    for (const ix of indicesOf(e)) {
      level = Math.max(level, this.emitter.levelOfIx(ix));
      eachLoaded(ix, checked => {
        level = Math.max(level, this.levels.get(checked.index) ?? -1);
      });
    }
    for (const arg of e.args) level = Math.max(level, this.levels.get(arg)!);
    return level;
  }

  // ---------------------------------------------------------------------------------------------- tasks

  private get elements(): number {
    return this.vars.reduce((n, v) => n * v.atom.extent, 1);
  }

  private get isSmall(): boolean {
    return this.elements * Math.max(1, this.trace.exprs.length) < SMALL;
  }

  /** Emits everything; returns whether one thread does it all. */
  private emitTasks(): boolean {
    const { b } = this;
    const single = this.isSmall;
    if (this.elements === 0 && this.trace.reduced.length === 0) return true;
    if (single) {
      b.once(() => this.enter(() => this.keptFrom(0, null, () => this.body())));
      return true;
    }
    if (this.kernel.split && this.emitSplit()) return false;
    const outer = this.lane?.kept ? this.keptLoops.slice(0, -1) : this.keptLoops;
    // A prefix of the outer variables makes the tasks.
    let tasks = 1;
    let count = 0;
    while (count < outer.length && tasks < TASKS) tasks *= outer[count++]!.atom.extent;
    const chunk = this.lane?.kept && count === outer.length ? this.laneChunk(tasks) : 0;
    const chunks = chunk > 0 ? Math.ceil(this.lane!.atom.extent / chunk) : 1;
    b.parallel(tasks * chunks, i =>
      this.enter(() => {
        let rest = i;
        let lo: Reg | null = null;
        if (chunks > 1) {
          const at = count === 0 ? rest : b.bin('remU', rest, b.i32(chunks));
          if (count > 0) rest = b.bin('divU', rest, b.i32(chunks));
          lo = b.mul(at, b.i32(chunk));
        }
        for (let v = count - 1; v >= 0; v--) {
          const { extent } = outer[v]!.atom;
          this.emitter.setVar(outer[v]!.atom, v === 0 ? rest : b.bin('remU', rest, b.i32(extent)));
          if (v > 0) rest = b.bin('divU', rest, b.i32(extent));
        }
        for (let v = 0; v < count; v++) this.prepare(v);
        this.keptFrom(count, lo ? { lo, chunk } : null, () => this.body());
      }),
    );
    return false;
  }

  /**
   * Sums in two stages: chunks of the first summed loop, shared out between threads, then the chunks' sums, in order. How many chunks there
   * are depends on shapes only, so the bits do not depend on threads. Returns false where there is nothing to cut.
   */
  private emitSplit(): boolean {
    const { b, emitter } = this;
    const { table } = this.context;
    const first = this.summedLoops[0]!;
    const { extent } = first.atom;
    const step = first === this.lane ? this.lanes * this.copies : 1;
    const wanted = Math.min(MAX_CHUNKS, Math.ceil(this.elements / CHUNK));
    const chunk = Math.ceil(extent / wanted / step) * step;
    const chunks = Math.ceil(extent / chunk);
    if (chunks < 2) return false;
    const results = this.keptLoops.reduce((n, v) => n * v.atom.extent, 1);
    const at = table.add(
      table.scale(table.ofAtom(this.chunkVar), results),
      table.linear(
        this.keptLoops.map(v => table.ofAtom(v.atom)),
        this.keptLoops.map(v => v.atom.extent),
      ),
    );
    const { reduced } = this.trace;
    const partial = reduced.map((e, i) => {
      const dtype = wideOf(e.value.attrs.kind, e.dtype);
      const elements = chunks * results;
      return { e, dtype, buffer: this.buffers.scratch(`partial${i}`, dtype, elements, elements * bytesOf(dtype)) };
    });
    b.parallel(chunks, c =>
      this.enter(() => {
        emitter.setVar(this.chunkVar, c);
        this.range = { lo: b.mul(c, b.i32(chunk)), chunk };
        this.keptFrom(0, null, () => {
          const sums = this.pass(reduced, []);
          for (const { e, dtype, buffer } of partial) emitter.storeAt(dtype, buffer, at, copy => sums.get(e)![copy]!);
        });
        this.range = null;
      }),
    );
    b.barrier();
    b.once(() =>
      this.enter(() =>
        this.keptFrom(0, null, () => {
          const sums = partial.map(({ e }) => new Accumulator(b, e, emitter.mode, emitter.isVector(e)));
          b.for(0, chunks, 1, c =>
            emitter.scoped(() => {
              emitter.setVar(this.chunkVar, c);
              partial.forEach(({ dtype, buffer }, i) => {
                sums[i]!.stepBy(copy => emitter.loadAt(dtype, buffer, at, copy));
              });
            }),
          );
          for (const acc of sums) acc.finish(emitter);
          this.storeAll(this.trace.stores);
        }),
      ),
    );
    return true;
  }

  /** Elements of the lane variable per task, 0 for all. */
  private laneChunk(tasks: number): number {
    const { extent } = this.lane!.atom;
    const step = this.lanes * this.copies;
    const summed = this.summedLoops.reduce((n, v) => n * v.atom.extent, 1);
    if (tasks >= TASKS) return 0;
    const wanted = Math.max(step, Math.ceil(CHUNK / Math.max(1, summed) / step) * step);
    const chunk = summed > 1 ? Math.min(wanted, Math.max(step, 64)) : wanted;
    return chunk >= extent ? 0 : chunk;
  }

  private enter(fill: () => void): void {
    this.emitter.scoped(() => {
      this.prepare(-1);
      fill();
    });
  }

  /** Loops over kept variables from index `k` on, then the body. */
  private keptFrom(k: number, chunk: { lo: Reg; chunk: number } | null, body: () => void): void {
    const loop = this.keptLoops[k];
    if (!loop) {
      body();
      return;
    }
    if (loop === this.lane) {
      this.laneLoop(loop, chunk, () => {
        this.prepare(k);
        body();
      });
      return;
    }
    this.b.for(0, loop.atom.extent, 1, i =>
      this.emitter.scoped(() => {
        this.emitter.setVar(loop.atom, i);
        this.prepare(k);
        this.keptFrom(k + 1, chunk, body);
      }),
    );
  }

  /** Vectors (several at a time, then one by one), then what is left one element at a time. */
  private laneLoop(loop: LoopVar, chunk: { lo: Reg; chunk: number } | null, body: () => void): void {
    const { b, lanes, copies } = this;
    const { extent } = loop.atom;
    const wide = lanes * copies;
    const part = (mode: Mode, lo: Reg | number, hi: Reg | number): void => {
      if (typeof lo === 'number' && typeof hi === 'number' && lo >= hi) return;
      b.for(lo, hi, mode.lanes * mode.copies, i => this.inMode(mode, loop, i, body));
    };
    const full: Mode = { lanes, copies };
    const one: Mode = { lanes, copies: 1 };
    if (!chunk) {
      const wideEnd = extent - (extent % wide);
      const vectorEnd = extent - (extent % lanes);
      part(full, 0, wideEnd);
      if (copies > 1) part(one, wideEnd, vectorEnd);
      part(this.tail, vectorEnd, extent);
      return;
    }
    const { lo } = chunk;
    if (this.size) {
      const hi = b.bin('min', b.add(lo, b.i32(chunk.chunk)), this.size);
      const wideEnd = b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(wide)));
      const vectorEnd = copies > 1 ? b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(lanes))) : wideEnd;
      part(full, lo, wideEnd);
      if (copies > 1) part(one, wideEnd, vectorEnd);
      if (this.masked)
        b.if(b.cmp('lt', vectorEnd, hi), () => {
          const mask = b.firstLanes(b.sub(hi, vectorEnd), lanes);
          this.inMode({ lanes, copies: 1, mask }, loop, vectorEnd, body);
        });
      else part(SCALAR, vectorEnd, hi);
      return;
    }
    if (extent % chunk.chunk === 0) {
      part(full, lo, b.add(lo, b.i32(chunk.chunk)));
      return;
    }
    const hi = b.bin('min', b.add(lo, b.i32(chunk.chunk)), b.i32(extent));
    const wideEnd = b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(wide)));
    part(full, lo, wideEnd);
    if (extent % wide === 0) return;
    const vectorEnd = copies > 1 ? b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(lanes))) : wideEnd;
    if (copies > 1) part(one, wideEnd, vectorEnd);
    if (extent % lanes !== 0) part(this.tail, vectorEnd, hi);
  }

  /** How elements behind the last whole vector are computed: one by one, or as a vector with some of its lanes. */
  private get tail(): Mode {
    const { lanes } = this;
    return this.masked ? { lanes, copies: 1, active: this.lane!.atom.extent % lanes } : SCALAR;
  }

  private inMode(mode: Mode, loop: LoopVar, i: Reg, body: () => void): void {
    const before = this.emitter.mode;
    this.emitter.scoped(() => {
      this.emitter.mode = mode;
      this.emitter.setVar(loop.atom, i);
      body();
    });
    this.emitter.mode = before;
  }

  /** Emits what loops up to `level` determine and deeper ones need: addresses, values, splats. */
  private prepare(level: number): void {
    const { emitter } = this;
    const insideLane = emitter.mode.lanes > 1;
    for (const { value, ix } of this.trace.stores)
      this.preparePointer(this.buffers.write(value), value.dtype, ix, level);
    for (const e of this.trace.exprs) {
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
    if (emitter.levelOfIx(ix) <= level) return;
    const known = emitter.prefix(ix, level);
    // Where lanes read from places of their own there is no common pointer.
    if (emitter.walksLanes(known)) emitter.pointer(buffer, dtype, known);
  }

  // ---------------------------------------------------------------------------------------------- one result element

  /** Passes that must have run before each expression is known. */
  private get depths(): ReadonlyMap<Expr, number> {
    this.depthOf ??= passDepths(this.trace.exprs);
    return this.depthOf;
  }

  /** Passes over the summed variables, then the results. */
  private body(): void {
    const { depths } = this;
    const { stores, reduced } = this.trace;
    const passes = reduced.reduce((n, e) => Math.max(n, depths.get(e)!), 0);
    const fullStores = stores.filter(s => s.full && this.summedLoops.length > 0);
    const lastPass = fullStores.reduce((n, s) => Math.max(n, depths.get(s.expr)! + 1), passes);
    const sumsOf = (pass: number): ReducedExpr[] => reduced.filter(e => depths.get(e) === pass + 1);
    this.spills ??= chooseSpills(this.trace, fullStores, lastPass, sumsOf, e => this.levels.get(e)! > this.resultLevel);
    this.emitter.spilled.clear();
    for (let pass = 0; pass < lastPass; pass++) {
      const sums = sumsOf(pass);
      // Full results are stored in the last pass: until then everything may still be read.
      const stored = pass === lastPass - 1 ? fullStores.filter(s => this.spills!.get(s.expr)?.value !== s.value) : [];
      const spilled = [...this.spills].flatMap(([e, s]) => (s.pass === pass ? [{ ...s, expr: e, full: true }] : []));
      if (sums.length > 0 || stored.length > 0) this.pass(sums, [...stored, ...spilled]);
      for (const { expr, value, ix } of spilled)
        this.emitter.spilled.set(expr, { buffer: this.buffers.write(value), ix });
    }
    this.storeAll(stores.filter(s => !fullStores.includes(s)));
  }

  private storeAll(all: readonly StoreExpr[]): void {
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

  /** What a pass needs, in order: the same for vectors and for what is left over. */
  private readonly neededBy = new Map<string, readonly Expr[]>();

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

  private pass(sums: readonly ReducedExpr[], stores: readonly StoreExpr[]): Map<ReducedExpr, readonly Reg[]> {
    const { emitter, summedLoops } = this;
    const alongLane = this.lane !== null && !this.lane.kept;
    const needed = this.needed(sums, stores);
    const reloads = needed.flatMap(e => {
      const at = emitter.spilled.get(e);
      return at ? [{ ...at, dtype: e.dtype }] : [];
    });
    const outerMode = emitter.mode;
    const accumulators = sums.map(e => new Accumulator(this.b, e, alongLane ? null : outerMode, emitter.isVector(e)));
    if (alongLane) {
      const { extent } = this.lane!.atom;
      for (const acc of accumulators) acc.alongLane(this.lanes, this.copies, extent % this.lanes !== 0 && !this.masked);
    }
    const step = (): void => {
      for (const acc of accumulators) acc.step(emitter);
      this.storeAll(stores);
    };
    const prepareIn = (level: number): void => {
      for (const { buffer, ix, dtype } of reloads) this.preparePointer(buffer, dtype, ix, level);
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
    };
    emitter.scoped(() => {
      prepareIn(this.resultLevel);
      const from = (k: number): void => {
        const loop = summedLoops[k];
        if (!loop) {
          step();
          return;
        }
        const level = this.keptLoops.length + k;
        const range = k === 0 ? this.range : null;
        if (loop === this.lane) {
          this.laneLoop(loop, range, () => step());
          return;
        }
        const { extent } = loop.atom;
        const end = range
          ? this.b.bin('min', this.b.add(range.lo, this.b.i32(range.chunk)), this.b.i32(extent))
          : extent;
        this.b.for(range?.lo ?? 0, end, 1, i =>
          emitter.scoped(() => {
            emitter.setVar(loop.atom, i);
            if (k < summedLoops.length - 1) prepareIn(level);
            from(k + 1);
          }),
        );
      };
      if (this.summedLoops.every(v => v.atom.extent > 0)) from(0);
    });
    return new Map(sums.map((e, i) => [e, accumulators[i]!.finish(emitter)]));
  }

  /** Splats of values known at `level` for the vectors of the loops inside. */
  private prepareSplats(needed: readonly Expr[], level: number): void {
    const { emitter } = this;
    if (!this.lane) return;
    const laneBit = 2 ** this.trace.tracer.vars.indexOf(this.lane.atom);
    const mode = emitter.mode;
    if (mode.lanes === 1 && this.lane.kept) return;
    emitter.mode = { lanes: this.lanes, copies: 1 };
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
