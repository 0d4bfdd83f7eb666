/**
 * Lowers a kernel over a space (elementwise values, reductions, rows with several reductions) to loops: cuts the space
 * into pieces where guards change, and shares tasks out over the dims that results have. Vectors run along one
 * variable, summed or not.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { eachShare, eachTask } from '../contract/tasks.ts';
import { bufferName, ExprPrinter, variableNames } from '../describe.ts';
import type { Expr } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { Ix } from '../index-expr.ts';
import type { SpaceKernel } from '../kernels.ts';
import { LoopBuilder } from '../loop-builder.ts';
import type { Inst, Reg } from '../loops.ts';
import { Accumulator, wideOf } from './accumulator.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from './context.ts';
import { checksIndices, type Domain, type LoopVar, narrow, type Window, windowsOf } from './domain.ts';
import { Emitter } from './emitter.ts';
import type { Chunk } from './lane-loop.ts';
import { inPlacePairs } from './memory-reuse.ts';
import { sizedKey } from './sized.ts';
import { SpaceBody } from './space-body.ts';
import { MAX_CHUNKS, Space, type SpaceLoops } from './space-loops.ts';
import type { SpaceTrace } from './space-trace.ts';
import { Streams } from './streams.ts';

/** Elements times operations below which threads are not worth waking. */
const SMALL = 8192;
/** Elements of a task along the lane variable. */
const CHUNK = 4096;
/** Elements from which on guards are worth pieces of their own. */
const WINDOWED = 4096;
/** Vectors of a row from which on a reciprocal is worth its division. */
const LONG_ROW = 4;
/** Tasks wanted before remaining outer variables become inner loops. */
const TASKS = 64;

export function lowerSpace(
  kernel: SpaceKernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
): LoweredKernel {
  const space = new Space(kernel, context, realised);
  const b = new LoopBuilder(context.target);
  const buffers = new KernelBuffers(context.windows);
  const domain = space.split(null);
  const windows = windowsIn(domain);
  const lower = (piece: Domain<SpaceTrace>, whole: boolean): LoweredKernel =>
    new SpaceLowering(kernel, context, name, space, b, buffers, space.loops(piece), whole).lower();
  if (!windows) return lower(domain, true);
  const parts = windows.map(window => lower(space.split(narrow(context.table, domain, window)), false));
  return joined(kernel, name, b, buffers, parts);
}

/** Pieces of the space in which guards are known, where that is worth several loop nests. */
function windowsIn(domain: Domain<SpaceTrace>): Window[] | null {
  if (domain.vars.reduce((n, v) => n * v.atom.extent, 1) < WINDOWED) return null;
  return windowsOf(domain.vars, domain.traced.exprs);
}

/** The pieces of a space as one kernel. */
function joined(
  kernel: SpaceKernel,
  name: string,
  b: LoopBuilder,
  buffers: KernelBuffers,
  parts: readonly LoweredKernel[],
): LoweredKernel {
  // What one piece writes another may still have to read.
  const inPlace = parts[0]!.inPlace.filter(pair =>
    parts.every(part => part.inPlace.some(p => p.stored === pair.stored && p.read === pair.read)),
  );
  const sizes = kernel.shape.map((n, d) => (kernel.kept?.[d] === false ? `|${n}` : String(n)));
  return {
    loop: buffers.later(
      `${name} ${kernel.kept ? 'reduce' : 'map'} [${sizes.join('x')}] in ${parts.length} pieces`,
      () => b.instructions,
    ),
    refs: buffers.refs,
    mayFail: parts.some(({ mayFail }) => mayFail),
    single: parts.every(({ single }) => single),
    inPlace,
    describe: () => parts.flatMap(({ describe }) => describe()),
  };
}

/** One loop nest: a space, or a piece of one. */
class SpaceLowering {
  private readonly kernel: SpaceKernel;
  private readonly context: ProgramContext;
  private readonly name: string;
  private readonly space: Space;
  private readonly b: LoopBuilder;
  private readonly buffers: KernelBuffers;
  private readonly loops: SpaceLoops;
  /** Whether this is all of the space. */
  private readonly whole: boolean;
  private readonly emitter: Emitter;
  private readonly streams: Streams;

  constructor(
    kernel: SpaceKernel,
    context: ProgramContext,
    name: string,
    space: Space,
    b: LoopBuilder,
    buffers: KernelBuffers,
    loops: SpaceLoops,
    whole: boolean,
  ) {
    this.kernel = kernel;
    this.context = context;
    this.name = name;
    this.space = space;
    this.b = b;
    this.buffers = buffers;
    this.loops = loops;
    this.whole = whole;
    const { trace, lane, lanes, keptLoops, summedLoops } = loops;
    this.emitter = new Emitter(
      b,
      context,
      trace.tracer,
      value => buffers.read(value),
      lane?.atom ?? null,
      context.target.vectorBytes / lanes,
      [...keptLoops, ...summedLoops].map(v => v.atom),
    );
    this.streams = new Streams(this.emitter, buffers, loops, whole);
    this.emitter.reciprocals = lane !== null && !lane.kept && lane.atom.extent >= LONG_ROW * lanes;
  }

  lower(): LoweredKernel {
    const sized = this.sized();
    if (sized) return sized;
    const { b } = this;
    this.askForBuffers();
    const body = this.body();
    const single = this.emitTasks(body);
    // Only its loops show which indices may fail, and what memory values take that wait between passes.
    if (body.spills.size > 0 || checksIndices(this.loops.trace.exprs)) b.complete();
    return this.lowered(() => b.instructions, single, body);
  }

  /** Results lead. */
  private askForBuffers(): void {
    const { stores, exprs } = this.loops.trace;
    for (const { value } of stores) this.buffers.write(value);
    for (const e of exprs) if (e.kind === 'load') this.buffers.read(e.of);
  }

  private body(): SpaceBody {
    return new SpaceBody(this.emitter, this.buffers, this.loops, this.streams, this.space.chunkVar);
  }

  private lowered(write: () => readonly Inst[], single: boolean, emitted: SpaceBody | null): LoweredKernel {
    return {
      loop: this.buffers.later(this.title(), write),
      refs: this.buffers.refs,
      mayFail: this.emitter.indices.mayFail,
      single,
      inPlace: inPlacePairs(this.loops.trace, this.context.windows, emitted?.spills.values() ?? []),
      describe: () => this.describe(),
    };
  }

  /**
   * An update of a variable that is worth threads: one body serves all that differ in their sizes. Null for all other
   * kernels.
   */
  private sized(): LoweredKernel | null {
    const { b, buffers, context } = this;
    const { trace, lane, lanes, copies, masked, vars } = this.loops;
    const updates = this.kernel.stores.some(value => context.updated.has(value));
    if (!updates || !this.whole || vars.length !== 1 || !lane?.kept || this.isSmall) return null;
    const key = sizedKey(trace, lane.atom, { lanes, copies, masked, streams: this.streams.key });
    if (key === null) return null;
    // In the order in which the key met them.
    this.askForBuffers();
    const count = buffers.count('size', lane.atom.extent);
    const known = context.sized.get(key);
    if (known) return this.lowered(() => known.body, false, null);
    const body = this.body();
    const size = b.count(count);
    const step = lanes * copies;
    const chunk = Math.ceil(CHUNK / step) * step;
    const tasks = b.bin('divU', b.add(size, b.i32(chunk - 1)), b.i32(chunk));
    b.parallel(tasks, i =>
      body.enter(() => {
        const part: Chunk = { lo: b.mul(i, b.i32(chunk)), length: chunk, end: size };
        this.streams.either(() => body.keptFrom(0, part, body.element));
      }),
    );
    const lowered = this.lowered(() => b.instructions, false, body);
    context.sized.set(key, lowered.loop);
    return lowered;
  }

  /** `k3 rows [64 | 1000]`: what is kept, and what is summed. */
  private title(): string {
    const sizes = (kept: boolean): string =>
      this.loops.vars
        .filter(v => v.kept === kept)
        .map(v => v.atom.extent)
        .join('x');
    return this.kernel.kept
      ? `${this.name} reduce [${sizes(true)} | ${sizes(false)}]`
      : `${this.name} map [${sizes(true)}]`;
  }

  private describe(): string[] {
    const { trace, lane, lanes, keptLoops, summedLoops } = this.loops;
    const loops = [...keptLoops, ...summedLoops];
    const name = variableNames(loops.map(v => v.atom));
    const { stores } = trace;
    const printer = new ExprPrinter(
      stores.map(s => s.expr),
      name,
    );
    const along = lane ? `, vectors of ${lanes} along ${name(lane.atom)}` : '';
    const results = stores.map(s => `${bufferName(s.value)}[${printer.index(s.ix)}] = ${printer.text(s.expr)}`);
    const header = loops.map(v => `${name(v.atom)} < ${v.atom.extent}${v.kept ? '' : ' (summed)'}`).join(', ');
    return [`for ${header}${along}`, ...printer.lines, ...results];
  }

  // ---------------------------------------------------------------------------------------------- tasks

  private get elements(): number {
    return this.loops.vars.reduce((n, v) => n * v.atom.extent, 1);
  }

  private get isSmall(): boolean {
    return this.elements * Math.max(1, this.loops.trace.exprs.length) < SMALL;
  }

  /** Emits everything; returns whether one thread does it all. */
  private emitTasks(body: SpaceBody): boolean {
    const { b } = this;
    const { lane, keptLoops } = this.loops;
    const single = this.isSmall;
    if (this.elements === 0 && this.loops.trace.reduced.length === 0) return true;
    if (single) {
      b.once(() => body.enter(() => body.keptFrom(0, null, body.element)));
      return true;
    }
    if (this.kernel.split && this.emitSplit(body)) return false;
    const outer = lane?.kept ? keptLoops.slice(0, -1) : keptLoops;
    // A prefix of the outer variables makes the tasks.
    let tasks = 1;
    let count = 0;
    while (count < outer.length && tasks < TASKS) tasks *= outer[count++]!.atom.extent;
    const chunk = lane?.kept && count === outer.length ? this.laneChunk(tasks) : 0;
    const chunks = chunk > 0 ? Math.ceil(lane!.atom.extent / chunk) : 1;
    if (chunks === 1 && count === outer.length && body.inTurn) {
      this.emitRowsInTurn(body, tasks, outer);
      return false;
    }
    const each = (task: (i: Reg, slot: Reg | null) => void): void => {
      if (this.streams.waiting > 0) eachTask(b, tasks * chunks, task);
      else b.parallel(tasks * chunks, i => task(i, null));
    };
    each((i, slot) =>
      body.enter(() => {
        if (slot) this.emitter.setVar(this.space.chunkVar, slot);
        let rest = i;
        let lo: Reg | null = null;
        if (chunks > 1) {
          const at = count === 0 ? rest : b.bin('remU', rest, b.i32(chunks));
          if (count > 0) rest = b.bin('divU', rest, b.i32(chunks));
          lo = b.mul(at, b.i32(chunk));
        }
        this.enterLoops(body, outer.slice(0, count), rest);
        const part: Chunk | null = lo && { lo, length: chunk };
        this.streams.either(() => body.keptFrom(count, part, body.element));
      }),
    );
    return false;
  }

  /** Emits rows, each its thread's own; whole ones where they go past the caches have their last pass in turns. */
  private emitRowsInTurn(body: SpaceBody, rows: number, outer: readonly LoopVar[]): void {
    const { b, emitter } = this;
    const { chunkVar } = this.space;
    eachShare(b, rows, (from, to, slot) =>
      body.enter(() => {
        const enter = (row: Reg): void => {
          const turn = b.bin('and', row, b.i32(1));
          emitter.setVar(chunkVar, b.add(b.mul(slot, b.i32(2)), turn));
          this.enterLoops(body, outer, row);
        };
        this.streams.either(() => {
          if (emitter.memory.past.size > 0) body.rowsInTurn(from, to, enter);
          else
            b.for(from, to, 1, row =>
              emitter.scoped(() => {
                enter(row);
                body.element();
              }),
            );
        });
      }),
    );
  }

  /** Sets the variables of `loops`, outermost first, for iteration `i` of all of them, and emits what they determine. */
  private enterLoops(body: SpaceBody, loops: readonly LoopVar[], i: Reg): void {
    const { b } = this;
    let rest = i;
    for (let v = loops.length - 1; v >= 0; v--) {
      const { atom } = loops[v]!;
      this.emitter.setVar(atom, v === 0 ? rest : b.bin('remU', rest, b.i32(atom.extent)));
      if (v > 0) rest = b.bin('divU', rest, b.i32(atom.extent));
    }
    for (let v = 0; v < loops.length; v++) body.prepare(v);
  }

  /**
   * Sums in two stages: chunks of the first summed loop, shared out between threads, then the chunks' sums, in order.
   * How many chunks there are depends on shapes only, so the bits do not depend on threads. Returns false where there
   * is nothing to cut.
   */
  private emitSplit(body: SpaceBody): boolean {
    const { b, emitter } = this;
    const { table } = this.context;
    const { chunkVar } = this.space;
    const { trace, lane, lanes, copies, keptLoops, summedLoops } = this.loops;
    const outermost = summedLoops[0]!;
    const { extent } = outermost.atom;
    const step = outermost === lane ? lanes * copies : 1;
    const wanted = Math.min(MAX_CHUNKS, Math.ceil(this.elements / CHUNK));
    const chunk = Math.ceil(extent / wanted / step) * step;
    const chunks = Math.ceil(extent / chunk);
    if (chunks < 2) return false;
    const results = keptLoops.reduce((n, v) => n * v.atom.extent, 1);
    const index = (of: (v: LoopVar) => Ix): Ix =>
      table.add(
        table.scale(table.ofAtom(chunkVar), results),
        table.linear(
          keptLoops.map(of),
          keptLoops.map(v => v.atom.extent),
        ),
      );
    const each = index(v => table.ofAtom(v.atom));
    const first = index(v => (v === lane ? table.zero : table.ofAtom(v.atom)));
    // What is the same in all lanes has one place for them.
    const at = (e: Expr): Ix => (emitter.mode.lanes > 1 && !emitter.isVector(e) ? first : each);
    const { reduced } = trace;
    const partial = reduced.map((e, i) => {
      const dtype = wideOf(e.value.attrs.kind, e.dtype);
      const elements = chunks * results;
      return { e, dtype, buffer: this.buffers.scratch(`partial${i}`, dtype, elements, elements * bytesOf(dtype)) };
    });
    b.parallel(chunks, c =>
      body.enter(() => {
        emitter.setVar(chunkVar, c);
        const part: Chunk = { lo: b.mul(c, b.i32(chunk)), length: chunk };
        body.keptFrom(0, null, () => {
          const sums = body.pass(reduced, [], part);
          for (const { e, dtype, buffer } of partial)
            emitter.memory.storeAt(dtype, buffer, at(e), copy => sums.get(e)![copy]!);
        });
      }),
    );
    b.barrier();
    b.once(() =>
      body.enter(() =>
        body.keptFrom(0, null, () => {
          const sums = partial.map(({ e }) => new Accumulator(b, e, emitter.mode, emitter.isVector(e)));
          b.for(0, chunks, 1, c =>
            emitter.scoped(() => {
              emitter.setVar(chunkVar, c);
              partial.forEach(({ e, dtype, buffer }, i) => {
                sums[i]!.stepBy(copy => emitter.memory.loadAt(dtype, buffer, at(e), copy));
              });
            }),
          );
          for (const acc of sums) acc.finish(emitter);
          body.storeAll(trace.stores);
        }),
      ),
    );
    return true;
  }

  /** Elements of the lane variable per task, 0 for all. */
  private laneChunk(tasks: number): number {
    const { lane, lanes, copies, summedLoops } = this.loops;
    const { extent } = lane!.atom;
    const step = lanes * copies;
    const summed = summedLoops.reduce((n, v) => n * v.atom.extent, 1);
    if (tasks >= TASKS) return 0;
    const wanted = Math.max(step, Math.ceil(CHUNK / Math.max(1, summed) / step) * step);
    const chunk = summed > 1 ? Math.min(wanted, Math.max(step, 64)) : wanted;
    return chunk >= extent ? 0 : chunk;
  }
}
