/**
 * Lowers a chain: every task takes a batch (or some of its rows), packs the operands that all rows share, and goes through blocks of rows; a
 * block's scores lie in scratch of a few vectors per row, from the products that make them to the products that read them. Blocks stop at
 * the last column that one of their rows sees. Follows a ChainPlan.
 */
import { type Cursor, type Extent, origin, step, stepAll } from '../contract/cursor.ts';
import { zero } from '../contract/indices.ts';
import { type Stream, sweep } from '../contract/micro.ts';
import { laneWords, packPanel } from '../contract/pack.ts';
import { extent, type View } from '../contract/problem.ts';
import { type Coords, outputGroups, storeTile } from '../contract/store.ts';
import { chunksFor, eachTask, slotsOf } from '../contract/tasks.ts';
import { ExprPrinter, variableNames } from '../describe.ts';
import type { Expr } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { ChainKernel } from '../kernels.ts';
import { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from '../lower/context.ts';
import { lanesFor } from '../target.ts';
import { type ChainPlan, type Product, planChain, type Result, ROWS, type Scores, sideOf } from './plan.ts';
import { RowPasses } from './rows.ts';

const BYTES = 4;
/** Rows of a task, where a batch may be shared out. */
const TASK_ROWS = 4 * ROWS;
/** Tasks from which on batches are not cut. */
const TASKS = 16;

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

export function lowerChain(
  kernel: ChainKernel,
  context: ProgramContext,
  name: string,
  realised: (value: Value) => boolean,
): LoweredKernel {
  const buffers = new KernelBuffers(context.windows);
  const plan = planChain(kernel, context, realised, buffers);
  if (!plan) throw new Error('internal: a chain that was planned cannot be lowered');
  const lowering = new ChainLowering(plan, context, buffers);
  lowering.run();
  const { batches, rows, columns } = plan;
  const products = plan.scores.length + plan.results.length;
  return {
    loop: {
      name: `${name} chain [${batches} x ${rows} x ${columns}] of ${products} products`,
      buffers: buffers.buffers,
      body: lowering.b.instructions,
    },
    refs: buffers.refs,
    mayFail: plan.results.some(result => result.mayFail()),
    single: false,
    inPlace: [],
    describe: () => describe(plan),
  };
}

function describe(plan: ChainPlan): string[] {
  const { batch, row, column } = plan.vars;
  const name = variableNames([...batch, row, column]);
  const printer = new ExprPrinter([...plan.stores.map(s => s.expr), ...plan.ends.values()], name);
  const seen = plan.seen === null ? '' : `, ${name(column)} < ${name(row)} + ${plan.seen} only`;
  return [
    `for ${[...batch, row].map(v => `${name(v)} < ${v.extent}`).join(', ')}, ${name(column)} < ${plan.columns} (summed)${seen}`,
    ...printer.lines,
    ...plan.stores.map(s => `v${s.value.id}[${printer.index(s.ix)}] = ${printer.text(s.expr)}`),
    ...[...plan.ends].map(([value, e]) => `v${value.id} = ${printer.text(e)}`),
    ...plan.results.map(r => `a product sums v${r.read.id} over ${name(r.of === 'rows' ? column : row)}`),
  ];
}

/** Memory of a task: element offsets of its parts. */
class Room {
  elements = 0;

  take(elements: number): number {
    const at = this.elements;
    this.elements += roundUp(elements, 16);
    return at;
  }
}

class ChainLowering {
  readonly b: LoopBuilder;
  private readonly plan: ChainPlan;
  private readonly context: ProgramContext;
  private readonly buffers: KernelBuffers;
  private readonly lanes: number;
  /** Elements from row to row of a block's areas. */
  private readonly pitch: number;
  private readonly unroll: number;

  constructor(plan: ChainPlan, context: ProgramContext, buffers: KernelBuffers) {
    this.b = new LoopBuilder(context.target);
    this.plan = plan;
    this.context = context;
    this.buffers = buffers;
    this.lanes = lanesFor(context.target, BYTES);
    this.unroll = context.target.keepsOrder ? 2 : 1;
    const widest = Math.max(...plan.scores.map(s => roundUp(plan.columns, this.widthOf(s))));
    // Rows that lie a multiple of a page apart would meet in one set of the first cache.
    this.pitch = roundUp(widest, this.lanes) + 16;
  }

  private widthOf({ tile }: Product): number {
    return tile.vectors * this.lanes;
  }

  run(): void {
    const { b, plan, lanes } = this;
    const { batches, rows, columns, scores, results } = plan;
    // Sums over rows keep a batch together.
    const whole = results.some(result => result.of === 'columns') || batches >= TASKS;
    const pieces = whole ? 1 : chunksFor(batches, TASKS, rows / TASK_ROWS);
    const pieceRows = roundUp(Math.ceil(rows / pieces), ROWS);
    const tasks = batches * Math.ceil(rows / pieceRows);
    const slots = slotsOf(tasks);

    const room = new Room();
    const areas = Array.from({ length: plan.areas }, () => room.take(ROWS * this.pitch));
    const depth = (p: Product): number => extent(p.problem, p.problem.k);
    const across = (p: Product): number => roundUp(extent(p.problem, p.problem.n), this.widthOf(p));
    const left = scores.map(s => (this.readsInPlace(s) ? 0 : room.take(ROWS * depth(s))));
    const shared = scores.map(s => room.take(depth(s) * across(s)));
    const right = results.map(r => room.take((r.of === 'rows' ? columns : ROWS) * across(r)));
    const sums = results.map(r => room.take((r.of === 'rows' ? ROWS : roundUp(columns, lanes)) * across(r)));
    const scratch = this.buffers.scratch('block', 'f32', slots * room.elements, slots * room.elements * BYTES);
    const views = [...scores, ...results].flatMap(({ problem }) => [problem.a, problem.b]);
    const words = Math.max(...views.map(view => laneWords(view, lanes)));
    const lanesOf = this.context.target.masksMemory
      ? this.buffers.scratch('lanes', 'i32', slots * words, slots * words * BYTES)
      : null;
    const passes = new RowPasses(b, plan, this.context, this.buffers, { buffer: scratch, pitch: this.pitch, areas });

    eachTask(b, tasks, (task, slot) => {
      const piecesEach = tasks / batches;
      const batch = piecesEach === 1 ? task : b.bin('divU', task, b.i32(piecesEach));
      const from: Extent = piecesEach === 1 ? 0 : b.mul(b.bin('remU', task, b.i32(piecesEach)), b.i32(pieceRows));
      const until: Extent = piecesEach === 1 ? rows : b.bin('min', b.add(from as Reg, b.i32(pieceRows)), b.i32(rows));
      const start = b.mul(slot, b.i32(room.elements));
      const base = b.addr(scratch, start);
      const at = (offset: number): Reg => b.advance(base, b.i32(offset), BYTES);
      const lanesAt = lanesOf === null ? null : b.addr(lanesOf, b.mul(slot, b.i32(words)));

      scores.forEach((s, i) => {
        this.packColumns(s, batch, at(shared[i]!), null, columns, lanesAt);
      });
      results.forEach((r, i) => {
        if (r.of === 'rows') this.packColumns(r, batch, at(right[i]!), null, columns, lanesAt);
        else this.clear(at(sums[i]!), roundUp(columns, lanes) * across(r));
      });
      b.for(from, until, ROWS, first => {
        const count = rows % ROWS === 0 ? ROWS : b.bin('min', b.i32(ROWS), b.sub(b.i32(rows), first));
        const limit: Extent =
          plan.seen === null
            ? columns
            : b.bin(
                'min',
                b.i32(columns),
                b.add(b.add(first, count === ROWS ? b.i32(ROWS) : (count as Reg)), b.i32(plan.seen - 1)),
              );
        scores.forEach((s, i) => {
          const inPlace = this.readsInPlace(s);
          const a = inPlace ? this.rowsAt(s, batch, first) : at(left[i]!);
          if (!inPlace) this.packRows(s, batch, first, a, lanesAt);
          this.makeScores(s, {
            a,
            b: at(shared[i]!),
            to: at(areas[this.areaOf(s.contracted)]!),
            count,
            limit,
          });
        });
        passes.emit({ start, batch, first, count, limit });
        results.forEach((r, i) => {
          const a = at(areas[plan.areaOf.get(r.read)!]!);
          const run = { a, b: at(right[i]!), to: at(sums[i]!), count, limit };
          if (r.of === 'rows') {
            this.multiplyRows(r, run);
            this.store(r, batch, run.to, first, count, ROWS);
          } else {
            this.packColumns(r, batch, run.b, first, count, lanesAt);
            this.multiplyColumns(r, run);
          }
        });
      });
      results.forEach((r, i) => {
        if (r.of === 'columns') this.store(r, batch, at(sums[i]!), b.i32(0), columns, columns);
      });
    });
  }

  private areaOf(e: Expr): number {
    return this.plan.kept.find(k => k.expr === e)!.area;
  }

  // ---------------------------------------------------------------------------------------------- operands

  private coordsOf({ batch }: Product, index: Reg): Coords {
    const { b } = this;
    return new Map(
      batch.map(({ dim, inner, size }) => {
        const outer = inner === 1 ? index : b.bin('divU', index, b.i32(inner));
        return [dim, inner * size === this.plan.batches ? outer : b.bin('remU', outer, b.i32(size))] as const;
      }),
    );
  }

  /** Where a batch begins in an operand. */
  private startOf(product: Product, view: View, batch: Reg): Cursor {
    const { b } = this;
    const dims = product.problem.batch;
    const coords = this.coordsOf(product, batch);
    return stepAll(
      b,
      view,
      origin(b, view),
      dims,
      dims.map(d => coords.get(d)!),
    );
  }

  /** Packs the right operand: panels of columns, each [k][width], `length` of k from `from` on. */
  private packColumns(
    product: Product,
    batch: Reg,
    to: Reg,
    from: Reg | null,
    length: Extent,
    lanesAt: Reg | null,
  ): void {
    const { b } = this;
    const p = product.problem;
    const { view, minor } = sideOf(p, 'b');
    const width = this.widthOf(product);
    let cursor = this.startOf(product, view, batch);
    if (from) cursor = step(b, view, cursor, p.k[0]!, from);
    const isResult = 'of' in product;
    const extents: Extent[] = isResult ? [length] : p.k.map(d => p.dims[d]!.size);
    const points: Extent = isResult ? length : extent(p, p.k);
    const panels = Math.ceil(extent(p, p.n) / width);
    b.for(0, panels, 1, panel => {
      const first = b.mul(panel, b.i32(width));
      const size = typeof points === 'number' ? b.i32(points) : points;
      packPanel(b, p, view, minor, this.lanes, {
        at: cursor,
        first,
        width,
        most: width,
        block: { dims: p.k, extents, length: points },
        to: b.advance(to, b.mul(first, size), BYTES),
        lanesAt,
      });
    });
  }

  /** Whether whole tiles of rows may be read where they lie. */
  private readsInPlace({ problem: p, tile }: Scores): boolean {
    return p.k.length === 1 && this.plan.rows % tile.rows === 0;
  }

  private rowsAt(product: Scores, batch: Reg, first: Reg): Reg {
    const { b } = this;
    const p = product.problem;
    const coords = this.coordsOf(product, batch);
    const dims = [...p.batch, p.m[0]!];
    const at = stepAll(b, p.a, origin(b, p.a), dims, [...p.batch.map(d => coords.get(d)!), first]);
    return b.addr(p.a.buffer, at.index);
  }

  /** Packs a block of the left operand of scores: panels of a tile's rows, each [k][rows]. */
  private packRows(product: Scores, batch: Reg, first: Reg, to: Reg, lanesAt: Reg | null): void {
    const { b } = this;
    const p = product.problem;
    const { view, minor } = sideOf(p, 'a');
    const { rows } = product.tile;
    const cursor = this.startOf(product, view, batch);
    const points = extent(p, p.k);
    b.for(0, ROWS, rows, line => {
      packPanel(b, p, view, minor, this.lanes, {
        at: cursor,
        first: b.add(first, line),
        width: rows,
        most: rows,
        block: { dims: p.k, extents: p.k.map(d => p.dims[d]!.size), length: points },
        to: b.advance(to, b.mul(line, b.i32(points)), BYTES),
        lanesAt,
      });
    });
  }

  private clear(to: Reg, elements: number): void {
    const { b, lanes } = this;
    const none = zero(b, 'f32', lanes);
    b.for(0, elements, lanes, i => b.store('f32', b.advance(to, i, BYTES), none));
  }

  // ---------------------------------------------------------------------------------------------- products

  /** One register tile: to (+)= a . b. */
  private multiply(product: Product, a: Stream, c: Stream, length: Extent, to: Reg, pitch: number, add: boolean): void {
    const { b, lanes } = this;
    const { rows, vectors } = product.tile;
    const offset = (r: number, v: number): number => (r * pitch + v * lanes) * BYTES;
    const sums = Array.from({ length: rows }, (_, r) =>
      Array.from({ length: vectors }, (_, v) =>
        b.copy(add ? b.load('f32', to, offset(r, v), lanes) : zero(b, 'f32', lanes)),
      ),
    );
    sweep(b, 'f32', lanes, sums, length, a, c, this.unroll);
    sums.forEach((tile, r) => {
      tile.forEach((sum, v) => {
        b.store('f32', to, sum, offset(r, v));
      });
    });
  }

  /** Panels of columns up to `limit`, tiles of rows up to `count`. */
  private makeScores(s: Scores, { a, b: right, to, count, limit }: Run): void {
    const { b } = this;
    const p = s.problem;
    const points = extent(p, p.k);
    const width = this.widthOf(s);
    // A packed panel holds a tile's rows side by side.
    const inPlace = this.readsInPlace(s);
    const [m, k] = [p.m[0]!, p.k[0]!];
    const steps = inPlace ? { across: p.a.lin[m]!, along: p.a.lin[k]! } : { across: 1, along: s.tile.rows };
    const rowStep = inPlace ? p.a.lin[m]! : points;
    b.for(0, limit, width, column => {
      const panel = b.advance(right, b.mul(column, b.i32(points)), BYTES);
      b.for(0, count, s.tile.rows, row => {
        const left: Stream = { dtype: 'f32', from: b.advance(a, b.mul(row, b.i32(rowStep)), BYTES), ...steps };
        const place = b.advance(to, b.add(b.mul(row, b.i32(this.pitch)), column), BYTES);
        this.multiply(
          s,
          left,
          { dtype: 'f32', from: panel, across: this.lanes, along: width },
          points,
          place,
          this.pitch,
          false,
        );
      });
    });
  }

  /** A result per row: sums over the columns up to `limit`. */
  private multiplyRows(r: Result, { a, b: right, to, count, limit }: Run): void {
    const { b } = this;
    const width = this.widthOf(r);
    const across = roundUp(extent(r.problem, r.problem.n), width);
    b.for(0, across, width, column => {
      const panel = b.advance(right, b.mul(column, b.i32(this.plan.columns)), BYTES);
      b.for(0, count, r.tile.rows, row => {
        const left: Stream = {
          dtype: 'f32',
          from: b.advance(a, b.mul(row, b.i32(this.pitch)), BYTES),
          across: this.pitch,
          along: 1,
        };
        const place = b.advance(to, b.add(b.mul(row, b.i32(across)), column), BYTES);
        this.multiply(
          r,
          left,
          { dtype: 'f32', from: panel, across: this.lanes, along: width },
          limit,
          place,
          across,
          false,
        );
      });
    });
  }

  /** A result per column, over all blocks: adds what the block's rows give. */
  private multiplyColumns(r: Result, { a, b: right, to, count, limit }: Run): void {
    const { b } = this;
    const width = this.widthOf(r);
    const across = roundUp(extent(r.problem, r.problem.n), width);
    const size = typeof count === 'number' ? b.i32(count) : count;
    b.for(0, limit, r.tile.rows, line => {
      const left: Stream = { dtype: 'f32', from: b.advance(a, line, BYTES), across: 1, along: this.pitch };
      b.for(0, across, width, column => {
        const panel = b.advance(right, b.mul(column, size), BYTES);
        const place = b.advance(to, b.add(b.mul(line, b.i32(across)), column), BYTES);
        this.multiply(
          r,
          left,
          { dtype: 'f32', from: panel, across: this.lanes, along: width },
          count,
          place,
          across,
          true,
        );
      });
    });
  }

  /** Finished sums to memory, through what is fused behind them. */
  private store(r: Result, batch: Reg, from: Reg, first: Reg, count: Extent, most: number): void {
    const { b } = this;
    const p = r.problem;
    const across = roundUp(extent(p, p.n), this.widthOf(r));
    storeTile(b, p, outputGroups(p, p.m), outputGroups(p, p.n), this.lanes, {
      from,
      pitch: across,
      m: first,
      rows: typeof count === 'number' ? Math.min(count, most) : count,
      n: b.i32(0),
      columns: across,
      batch: this.coordsOf(r, batch),
    });
  }
}

interface Run {
  readonly a: Reg;
  readonly b: Reg;
  readonly to: Reg;
  readonly count: Extent;
  readonly limit: Extent;
}
