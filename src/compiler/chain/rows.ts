/**
 * What a chain computes row by row between its products: passes over the columns of a block's areas, one per reduction
 * that waits for another, vectors along the columns. Imports level 1.
 */
import type { DType } from '../../graph/dtype.ts';
import { asReg, type Extent } from '../contract/cursor.ts';
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
import type { ChainPlan, Kept } from './plan.ts';
import type { Block, ChainProducts } from './products.ts';

/**
 * Rows that go through the passes side by side, where registers are there for that: one row alone waits for the
 * latencies of its own maxima and sums (attention of 4 x 8 x 512 x 64 in bf16: 6.8 ms one by one, 5.1 so).
 */
const SIDE_BY_SIDE = 4;
const SIDE_BY_SIDE_REGISTERS = 30;

/** How far a block's passes go: columns that every row sees, whole vectors, and columns that some row sees. */
interface Columns {
  readonly open: Reg | null;
  readonly vectors: Extent;
  readonly seen: Extent;
}

export class RowPasses {
  private readonly b: LoopBuilder;
  private readonly plan: ChainPlan;
  private readonly context: ProgramContext;
  private readonly buffers: KernelBuffers;
  private readonly products: ChainProducts;
  private readonly lanes: number;
  /** Elements of the areas' buffers at which a row starts. */
  private readonly places: { readonly [of in 'wide' | 'narrow']: VarAtom };
  private readonly kinds: readonly ('wide' | 'narrow')[];
  /** What is kept as bf16: where it is rounded, if that is left to the stores. */
  private readonly rounded: ReadonlyMap<Expr, readonly Expr[]>;
  private readonly together: number;

  constructor(
    b: LoopBuilder,
    plan: ChainPlan,
    context: ProgramContext,
    buffers: KernelBuffers,
    products: ChainProducts,
  ) {
    this.b = b;
    this.plan = plan;
    this.context = context;
    this.buffers = buffers;
    this.products = products;
    this.lanes = lanesFor(context.target, 4);
    this.places = { wide: context.table.variable(2 ** 31), narrow: context.table.variable(2 ** 31) };
    this.kinds = (['wide', 'narrow'] as const).filter(of => products[of].offsets.length > 0);
    this.rounded = roundedAsStored(plan);
    this.together = context.target.vectorRegisters >= SIDE_BY_SIDE_REGISTERS ? SIDE_BY_SIDE : 1;
  }

  emit(slot: Reg, batch: Reg, { first, count, limit }: Block): void {
    const { b, plan, products, lanes, together } = this;
    const { grain } = products;
    // Whole vectors of columns that are seen, and whether what is left behind the last whole one is.
    const whole = plan.columns - (plan.columns % lanes);
    const upTo = (n: Reg, unit: number): Reg => b.bin('and', b.add(n, b.i32(unit - 1)), b.i32(-unit));
    const seen = typeof limit === 'number' || grain === 1 ? limit : upTo(limit, grain);
    const vectors = typeof seen === 'number' ? whole : b.bin('min', b.i32(whole), upTo(seen, lanes));
    // What the first row sees all see.
    const open = plan.seen && b.bin('and', b.add(first, b.i32(plan.seen.reach)), b.i32(-lanes));
    const columns = { open: open && b.bin('min', open, asReg(b, vectors)), vectors, seen };
    const starts = this.kinds.map(of => b.mul(slot, b.i32(products[of].taskElements)));
    /** Rows from `lo` to `hi`, some at a time. */
    const rows = (lo: Extent, hi: Extent, some: number): void => {
      const emitters = Array.from({ length: some }, () => this.emitter(batch));
      b.for(lo, hi, some, r => {
        const each = emitters.reduceRight(
          (fill, emitter, i) => () =>
            emitter.scoped(() => {
              this.locate(emitter, starts, first, i === 0 ? r : b.add(r, b.i32(i)));
              fill();
            }),
          () => this.rows(emitters, columns),
        );
        each();
      });
    };
    const even = typeof count === 'number' ? count - (count % together) : b.bin('and', count, b.i32(-together));
    rows(0, even, together);
    if (even !== count) rows(even, count, 1);
  }

  private emitter(batch: Reg): Emitter {
    const { b, plan, context } = this;
    const { vars } = plan;
    const order = [...vars.batch, vars.row, ...this.kinds.map(of => this.places[of]), vars.column];
    const emitter = new Emitter(b, context, plan.tracer, v => this.buffers.read(v), vars.column, 4, order);
    emitter.reciprocals = true;
    let rest = batch;
    vars.batch.toReversed().forEach((v, i) => {
      const size = b.i32(v.extent);
      emitter.setVar(v, i === vars.batch.length - 1 ? rest : b.bin('remU', rest, size));
      rest = b.bin('divU', rest, size);
    });
    return emitter;
  }

  /** Puts an emitter at row `r` of a block. */
  private locate(emitter: Emitter, starts: readonly Reg[], first: Reg, r: Reg): void {
    const { b } = this;
    emitter.setVar(this.plan.vars.row, b.add(first, r));
    const line = b.mul(r, b.i32(this.products.pitch));
    this.kinds.forEach((of, i) => {
      emitter.setVar(this.places[of], b.add(starts[i]!, line));
    });
  }

  /** Where an area has the values of a row, and as what. */
  private placeOf({ narrow, area }: Kept): { readonly buffer: number; readonly ix: Ix; readonly dtype: DType } {
    const { table } = this.context;
    const of = narrow ? 'narrow' : 'wide';
    const { buffer, offsets } = this.products[of];
    const row = table.ofAtom(this.places[of]);
    const ix = table.sum(
      [
        [row, 1],
        [table.ofAtom(this.plan.vars.column), 1],
      ],
      offsets[area]!,
    );
    return { buffer, ix, dtype: narrow ? 'bf16' : 'f32' };
  }

  private rows(emitters: readonly Emitter[], columns: Columns): void {
    const { plan } = this;
    const put = (pass: number): void => {
      for (const emitter of emitters)
        for (const k of plan.kept) if (k.pass === pass) emitter.spilled.set(k.expr, this.placeOf(k));
    };
    for (const emitter of emitters) emitter.spilled.clear();
    put(-1);
    for (let pass = 0; pass < plan.passes; pass++) {
      this.pass(emitters, pass, columns);
      put(pass);
    }
    for (const emitter of emitters) {
      emitter.mode = SCALAR;
      for (const { value, ix, expr } of plan.stores) emitter.store(value.dtype, this.buffers.write(value), ix, expr);
    }
  }

  private pass(emitters: readonly Emitter[], pass: number, { open, vectors, seen }: Columns): void {
    const { b, plan, lanes } = this;
    const { column } = plan.vars;
    const sums: readonly ReducedExpr[] = plan.sums.filter(e => plan.depths.get(e) === pass + 1);
    const kept = plan.kept.filter(k => k.pass === pass);
    const left = plan.columns % lanes;
    const masked = this.context.target.masksMemory === true;
    const vector: Mode = { lanes, copies: 1 };
    const rows = emitters.map(emitter => {
      emitter.mode = vector;
      const accumulators = sums.map(e => new Accumulator(b, e, null, false));
      for (const acc of accumulators) acc.alongLane(lanes, 1, left !== 0 && !masked);
      this.prepare(emitter, reachable([...sums.map(e => e.args[0]!), ...kept.map(k => k.expr)], true, emitter.spilled));
      return { emitter, accumulators };
    });
    const loop = (mode: Mode, from: Extent, until: Extent, by: number): void =>
      b.for(from, until, by, i => {
        for (const { emitter, accumulators } of rows)
          emitter.scoped(() => {
            emitter.mode = mode;
            emitter.setVar(column, i);
            for (const acc of accumulators) acc.step(emitter);
            this.keep(emitter, kept);
          });
      });
    if (open && plan.seen) {
      const { condition, truth } = plan.seen;
      for (const { emitter } of rows) emitter.decided.set(condition, truth);
      loop(vector, 0, open, lanes);
      for (const { emitter } of rows) emitter.decided.clear();
    }
    loop(vector, open ?? 0, vectors, lanes);
    if (left !== 0) {
      const whole = plan.columns - left;
      const tail = (): void =>
        masked
          ? loop({ lanes, copies: 1, active: left }, whole, plan.columns, lanes)
          : loop(SCALAR, whole, plan.columns, 1);
      if (typeof seen === 'number') tail();
      else b.if(b.cmp('gt', seen, b.i32(whole)), tail);
    }
    for (const { emitter, accumulators } of rows) {
      emitter.mode = vector;
      for (const acc of accumulators) acc.finish(emitter);
    }
  }

  /** Stores what waits for the next pass, or for a product. */
  private keep(emitter: Emitter, kept: readonly Kept[]): void {
    for (const { expr } of kept)
      for (const cast of this.rounded.get(expr) ?? [])
        emitter.bind(cast, emitter.isVector(cast) ? emitter.vector(cast.args[0]!, 0) : emitter.value(cast.args[0]!));
    // All values first: an area may be that of something another value is computed from.
    for (const { expr } of kept) emitter.vector(expr, 0);
    for (const k of kept) {
      const { dtype, buffer, ix } = this.placeOf(k);
      // Matrix registers take what is not normal for 0.
      emitter.memory.storeAt(dtype, buffer, ix, () => this.b.asFlushed(emitter.vector(k.expr, 0)));
    }
  }

  /**
   * What a row's columns share: values that do not differ between them, spread out, and where the row starts in memory.
   */
  private prepare(emitter: Emitter, needed: readonly Expr[]): void {
    const inner = 2 ** this.plan.tracer.vars.indexOf(this.plan.vars.column);
    const pointer = (buffer: number, dtype: Expr['dtype'], ix: Ix): void => {
      const start = emitter.indices.prefix(ix, emitter.indices.atomLevel(this.plan.vars.column) - 1);
      if (start.terms.length > 0) emitter.memory.pointer(buffer, dtype, start);
    };
    for (const e of needed) {
      emitter.prepareQuotient(e);
      const spilled = emitter.spilled.get(e);
      if (spilled) pointer(spilled.buffer, spilled.dtype, spilled.ix);
      else if ((e.mask & inner) === 0) {
        if (e.kind !== 'const') emitter.vector(e, 0);
      } else if (e.kind === 'load' && e.conditions.length === 0) pointer(this.buffers.read(e.of), e.of.dtype, e.ix);
    }
  }
}

/** By what is kept as bf16: the casts that it is, chosen among others perhaps, where nobody else reads them. */
function roundedAsStored({ kept, exprs }: ChainPlan): Map<Expr, Expr[]> {
  const found = new Map<Expr, Expr[]>();
  for (const { expr, narrow } of kept) {
    const casts = new Set<Expr>();
    const choices = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (e.kind !== 'op') return;
      if (e.value.is('cast') && e.args[0]!.dtype === 'f32') casts.add(e);
      if (!e.value.is('where')) return;
      choices.add(e);
      for (const arg of e.args.slice(1)) visit(arg);
    };
    if (narrow) visit(expr);
    const isRead = (of: Expr): boolean => exprs.some(e => !choices.has(e) && e.args.includes(of));
    if (![...casts, ...choices].some(isRead)) found.set(expr, [...casts]);
  }
  return found;
}
