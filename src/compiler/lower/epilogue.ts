/**
 * What fusion put behind a contraction, evaluated on finished sums at the coordinates that the schedule says. Imports
 * level 1 and the contraction's spec.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { OutputSite, SharedReads } from '../contract/spec.ts';
import type { Expr, Tracer } from '../expr.ts';
import { coefficient, type Ix, type VarAtom } from '../index-expr.ts';
import type { ContractKernel } from '../kernels.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { settle, toMemory } from '../math/index.ts';
import type { KernelBuffers, ProgramContext } from './context.ts';
import { eachLoaded, indicesOf } from './domain.ts';
import { Emitter } from './emitter.ts';
import type { StoreExpr } from './space-trace.ts';

/** A result: what it is, where it goes, and how it is computed. */
export type ResultExpr = Omit<StoreExpr, 'full'>;

/** What a contraction stores; the schedule addresses `lead` itself. */
interface Results {
  readonly stores: readonly ResultExpr[];
  readonly lead: ResultExpr;
  /** Everything that is computed for them. */
  readonly exprs: readonly Expr[];
}

interface Line {
  readonly from: Reg;
  readonly bytes: number;
}

const bytesOfRegister = (dtype: DType): number => bytesOf(registerScalar(dtype));

/** Vectors that sites share at most. */
const SHARED_MOST = 3;
/** Vector registers that sums fill. */
const FEW_REGISTERS = 16;

export class Epilogue {
  /** Whether an index that was loaded may fail, as far as results have been emitted. */
  mayFail = false;
  private readonly kernel: ContractKernel;
  private readonly context: ProgramContext;
  private readonly buffers: KernelBuffers;
  private readonly tracer: Tracer;
  /** The sum, as the expressions know it. */
  private readonly contracted: Expr;
  private readonly results: Results;
  private readonly indices: readonly Ix[];

  constructor(
    kernel: ContractKernel,
    context: ProgramContext,
    buffers: KernelBuffers,
    tracer: Tracer,
    contracted: Expr,
    results: Results,
  ) {
    this.kernel = kernel;
    this.context = context;
    this.buffers = buffers;
    this.tracer = tracer;
    this.contracted = contracted;
    this.results = results;
    this.indices = [...new Set([...results.stores.map(s => s.ix), ...results.exprs.flatMap(indicesOf)])];
  }

  /** The value of the leading result for the sums `acc`; the others are stored. Null where that one is stored, too. */
  emit(builder: LoopBuilder, acc: Reg, at: OutputSite): Reg | null {
    const { lead } = this.results;
    if (at.vectorDim === null || this.isOneWidth(this.kernel.plan.vars[at.vectorDim]!))
      return this.finish(builder, acc, at);
    const out = this.buffers.write(lead.value);
    for (let lane = 0; lane < at.lanes; lane++) {
      const offset = builder.i32(lane);
      const index = builder.add(at.index, offset);
      const coords = at.coords.map((c, d) => (c && d === at.vectorDim ? builder.add(c, offset) : c));
      const one = (): void => {
        const site = { coords, vectorDim: null, lanes: 1, index, mask: null, shared: null };
        const x = this.finish(builder, builder.extract(acc, lane), site);
        builder.store(lead.value.dtype, builder.addr(out, index), x);
      };
      if (at.mask) builder.if(builder.extract(at.mask, lane), one);
      else one();
    }
    return null;
  }

  /**
   * Whether all that differs between lanes along a dim has the width of the sums: their vectors cannot hold values of
   * another (i64 positions under f32 scores), which go one element at a time. What all lanes share may have any.
   */
  private isOneWidth(along: VarAtom): boolean {
    const { stores, exprs } = this.results;
    const bit = 2 ** this.kernel.plan.vars.indexOf(along);
    const width = bytesOfRegister(this.kernel.value.dtype);
    return exprs
      .filter(e => (e.mask & bit) !== 0 || stores.some(s => s.expr === e))
      .every(e => (e.kind === 'op' && e.dtype === 'bool') || bytesOfRegister(e.dtype) === width);
  }

  private finish(builder: LoopBuilder, acc: Reg, at: OutputSite): Reg {
    const { context, tracer, buffers } = this;
    const { stores, lead } = this.results;
    const { vars } = this.kernel.plan;
    const lane = at.vectorDim === null ? null : vars[at.vectorDim]!;
    const laneBytes = context.target.vectorBytes / at.lanes;
    const along = at.lanes > 1 ? lane : null;
    const emitter = new Emitter(builder, context, tracer, v => buffers.read(v), along, laneBytes, vars);
    emitter.mode = { lanes: at.lanes, copies: 1, ...(at.mask ? { mask: at.mask } : {}) };
    this.locate(emitter, at);
    if (at.shared && along) this.share(emitter, along, at.shared);
    emitter.bind(this.contracted, settle(builder, this.kernel.value.dtype, acc));
    for (const { expr } of stores) emitter.vector(expr, 0);
    for (const store of stores)
      if (store !== lead) emitter.store(store.value.dtype, buffers.write(store.value), store.ix, store.expr);
    this.mayFail ||= emitter.indices.mayFail;
    return toMemory(builder, lead.value.dtype, emitter.vector(lead.expr, 0));
  }

  /**
   * Reads what depends on the lanes alone (a channel's factor) unless that has been done. Where registers are few, or
   * such vectors many, sums would have to make way.
   */
  private share(emitter: Emitter, along: VarAtom, shared: SharedReads): void {
    const bit = 2 ** this.kernel.plan.vars.indexOf(along);
    const reads = this.results.exprs.filter(e => e.kind === 'load' && e.mask === bit && e.conditions.length === 0);
    if (reads.length > SHARED_MOST || this.context.target.vectorRegisters <= FEW_REGISTERS) return;
    for (const e of reads) {
      const known = shared.get(e);
      if (known) emitter.bind(e, known);
      else shared.set(e, emitter.value(e));
    }
  }

  private locate(emitter: Emitter, at: OutputSite): void {
    for (const [d, v] of this.kernel.plan.vars.entries()) {
      const coord = at.coords[d];
      if (coord) emitter.setVar(v, coord);
    }
    emitter.bindIndex(this.results.lead.ix, at.index);
  }

  /** Results and what is read of their size, where neighbours of the result lie side by side. */
  touches(builder: LoopBuilder, at: OutputSite): Line[] {
    const { context, tracer, buffers } = this;
    const { stores, lead, exprs } = this.results;
    const { plan, value } = this.kernel;
    const { vectorBytes } = context.target;
    const emitter = new Emitter(builder, context, tracer, v => buffers.read(v), null, vectorBytes, plan.vars);
    this.locate(emitter, at);
    const along = at.vectorDim === null ? null : plan.vars[at.vectorDim]!;
    const lines = (buffer: number, dtype: DType, ix: Ix): Line[] =>
      along !== null && !isLoaded(ix) && coefficient(ix, along) === 1
        ? [{ from: emitter.memory.pointer(buffer, dtype, ix), bytes: bytesOf(dtype) }]
        : [];
    const written = stores.filter(s => s !== lead);
    const read = exprs.filter(e => e.kind === 'load' && e.of.size >= value.size && e.conditions.length === 0);
    return [
      ...written.flatMap(s => lines(buffers.write(s.value), s.value.dtype, s.ix)),
      ...read.flatMap(e => (e.kind === 'load' ? lines(buffers.read(e.of), e.of.dtype, e.ix) : [])),
    ];
  }

  /** See `ContractSpec.mergeable`. */
  mergeable(outer: number, inner: number): boolean {
    const { vars, dims } = this.kernel.plan;
    return this.indices.every(ix => {
      const slow = coefficient(ix, vars[outer]!);
      const fast = coefficient(ix, vars[inner]!);
      return slow !== null && fast !== null && slow === fast * dims[inner]!.size;
    });
  }
}

/** Whether a place depends on an index that is read from memory. */
function isLoaded(ix: Ix): boolean {
  let loaded = false;
  eachLoaded(ix, () => {
    loaded = true;
  });
  return loaded;
}
