/**
 * What a chain computes row by row between its products: passes over the columns of a block's areas, one per reduction that waits for another,
 * vectors along the columns. Imports level 1.
 */
import type { Extent } from '../contract/cursor.ts';
import type { Expr, ReducedExpr } from '../expr.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { Accumulator } from '../lower/accumulator.ts';
import type { KernelBuffers, ProgramContext } from '../lower/context.ts';
import { reachable } from '../lower/domain.ts';
import { Emitter } from '../lower/emitter.ts';
import { type Mode, SCALAR } from '../lower/walk.ts';
import { lanesFor } from '../target.ts';
import type { ChainPlan } from './plan.ts';

/** Where a block's areas lie: elements of a scratch buffer, relative to the task's part of it. */
export interface Areas {
  readonly buffer: number;
  /** Elements from row to row. */
  readonly pitch: number;
  readonly areas: readonly number[];
}

/** One block at run time. */
export interface Block {
  /** First element of the task's part of the scratch. */
  readonly start: Reg;
  readonly batch: Reg;
  /** First row, how many, and how many columns they see. */
  readonly first: Reg;
  readonly count: Extent;
  readonly limit: Extent;
}

export class RowPasses {
  private readonly b: LoopBuilder;
  private readonly plan: ChainPlan;
  private readonly context: ProgramContext;
  private readonly buffers: KernelBuffers;
  private readonly areas: Areas;
  private readonly lanes: number;
  /** Element of the scratch at which a row starts. */
  private readonly place: VarAtom;

  constructor(b: LoopBuilder, plan: ChainPlan, context: ProgramContext, buffers: KernelBuffers, areas: Areas) {
    this.b = b;
    this.plan = plan;
    this.context = context;
    this.buffers = buffers;
    this.areas = areas;
    this.lanes = lanesFor(context.target, 4);
    this.place = context.table.variable(2 ** 31);
  }

  emit({ start, batch, first, count, limit }: Block): void {
    const { b, plan, context, place, lanes } = this;
    const { vars } = plan;
    const order = [...vars.batch, vars.row, place, vars.column];
    const emitter = new Emitter(b, context, plan.tracer, v => this.buffers.read(v), vars.column, 4, order);
    emitter.reciprocals = true;
    let rest = batch;
    vars.batch.toReversed().forEach((v, i) => {
      const size = b.i32(v.extent);
      emitter.setVar(v, i === vars.batch.length - 1 ? rest : b.bin('remU', rest, size));
      rest = b.bin('divU', rest, size);
    });
    // Whole vectors of columns that are seen, and whether what is left behind the last whole one is.
    const whole = plan.columns - (plan.columns % lanes);
    const vectors =
      typeof limit === 'number'
        ? whole
        : b.bin('min', b.i32(whole), b.bin('and', b.add(limit, b.i32(lanes - 1)), b.i32(-lanes)));
    const line = b.copy(start);
    b.for(0, count, 1, r => {
      emitter.scoped(() => {
        emitter.setVar(vars.row, b.add(first, r));
        emitter.setVar(place, line);
        this.row(emitter, vectors, limit);
      });
      b.add(line, b.i32(this.areas.pitch), line);
    });
  }

  private at(area: number): Ix {
    const { table } = this.context;
    return table.sum(
      [
        [table.ofAtom(this.place), 1],
        [table.ofAtom(this.plan.vars.column), 1],
      ],
      this.areas.areas[area]!,
    );
  }

  private row(emitter: Emitter, vectors: Extent, limit: Extent): void {
    const { plan } = this;
    const { buffer } = this.areas;
    emitter.spilled.clear();
    const put = (pass: number): void => {
      for (const k of plan.kept) if (k.pass === pass) emitter.spilled.set(k.expr, { buffer, ix: this.at(k.area) });
    };
    put(-1);
    for (let pass = 0; pass < plan.passes; pass++) {
      this.pass(emitter, pass, vectors, limit);
      put(pass);
    }
    emitter.mode = SCALAR;
    for (const { value, ix, expr } of plan.stores) emitter.store(value.dtype, this.buffers.write(value), ix, expr);
  }

  private pass(emitter: Emitter, pass: number, vectors: Extent, limit: Extent): void {
    const { b, plan, lanes } = this;
    const { buffer } = this.areas;
    const { column } = plan.vars;
    const sums: readonly ReducedExpr[] = plan.sums.filter(e => plan.depths.get(e) === pass + 1);
    const kept = plan.kept.filter(k => k.pass === pass);
    const needed = reachable([...sums.map(e => e.args[0]!), ...kept.map(k => k.expr)], true, emitter.spilled);
    const left = plan.columns % lanes;
    const masked = this.context.target.masksMemory === true;
    const vector: Mode = { lanes, copies: 1 };
    emitter.mode = vector;
    const accumulators = sums.map(e => new Accumulator(b, e, null, false));
    for (const acc of accumulators) acc.alongLane(lanes, 1, left !== 0 && !masked);
    this.prepare(emitter, needed);
    const body = (): void => {
      for (const acc of accumulators) acc.step(emitter);
      // All values first: an area may be that of something another value is computed from.
      for (const { expr } of kept) emitter.vector(expr, 0);
      for (const { expr, area } of kept)
        emitter.memory.storeAt('f32', buffer, this.at(area), () => emitter.vector(expr, 0));
    };
    const loop = (mode: Mode, from: Extent, until: Extent, by: number): void =>
      b.for(from, until, by, i =>
        emitter.scoped(() => {
          emitter.mode = mode;
          emitter.setVar(column, i);
          body();
        }),
      );
    loop(vector, 0, vectors, lanes);
    if (left !== 0) {
      const whole = plan.columns - left;
      const tail = (): void =>
        masked
          ? loop({ lanes, copies: 1, active: left }, whole, plan.columns, lanes)
          : loop(SCALAR, whole, plan.columns, 1);
      if (typeof limit === 'number') tail();
      else b.if(b.cmp('gt', limit, b.i32(whole)), tail);
    }
    emitter.mode = vector;
    for (const acc of accumulators) acc.finish(emitter);
  }

  /** What a row's columns share: values that do not differ between them, spread out, and where the row starts in memory. */
  private prepare(emitter: Emitter, needed: readonly Expr[]): void {
    const inner = 2 ** this.plan.tracer.vars.indexOf(this.plan.vars.column);
    const pointer = (buffer: number, dtype: Expr['dtype'], ix: Ix): void => {
      const start = emitter.indices.prefix(ix, this.plan.vars.batch.length + 1);
      if (start.terms.length > 0) emitter.memory.pointer(buffer, dtype, start);
    };
    for (const e of needed) {
      emitter.prepareQuotient(e);
      const spilled = emitter.spilled.get(e);
      if (spilled) pointer(spilled.buffer, 'f32', spilled.ix);
      else if ((e.mask & inner) === 0) {
        if (e.kind !== 'const') emitter.vector(e, 0);
      } else if (e.kind === 'load' && e.conditions.length === 0) pointer(this.buffers.read(e.of), e.of.dtype, e.ix);
    }
  }
}
