/**
 * The products of a chain by multiply-adds: panels of columns packed as f32, rows read where they lie where that can
 * be, register tiles into a block's areas. Imports level 1.
 */
import { type Extent, origin, step, stepAll } from '../contract/cursor.ts';
import { zero } from '../contract/indices.ts';
import { type Stream, sweep } from '../contract/micro.ts';
import { laneWords, packPanel } from '../contract/pack.ts';
import { extent } from '../contract/problem.ts';
import { type Coords, outputGroups, storeTile } from '../contract/store.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { KernelBuffers, ProgramContext } from '../lower/context.ts';
import { lanesFor } from '../target.ts';
import { type ChainPlan, type Product, type Result, ROWS, type Scores, sideOf } from './plan.ts';
import { type Areas, type BatchProducts, type ChainProducts, coordsOf, Room, roundUp, startOf } from './products.ts';

const BYTES = 4;

/** Operands and sums of one product of a block. */
interface Run {
  readonly a: Reg;
  readonly b: Reg;
  readonly to: Reg;
  readonly count: Extent;
  readonly limit: Extent;
}

export class VectorProducts implements ChainProducts {
  readonly pitch: number;
  readonly grain = 1;
  readonly wide: Areas;
  readonly narrow: Areas;
  private readonly b: LoopBuilder;
  private readonly plan: ChainPlan;
  private readonly lanes: number;
  private readonly unroll: number;
  private readonly room = new Room('block', 'f32');
  private readonly lanesRoom = new Room('lanes', 'i32');
  private readonly masks: boolean;
  /** Places: rows of scores that are packed, columns of all, sums of results. */
  private readonly left: readonly number[];
  private readonly shared: readonly number[];
  private readonly right: readonly number[];
  private readonly sums: readonly number[];

  constructor(b: LoopBuilder, plan: ChainPlan, { target }: ProgramContext, buffers: KernelBuffers, slots: number) {
    const { room } = this;
    const { columns, scores, results } = plan;
    this.b = b;
    this.plan = plan;
    this.lanes = lanesFor(target, BYTES);
    this.unroll = target.keepsOrder ? 2 : 1;
    this.masks = target.masksMemory === true;
    const widest = Math.max(...scores.map(s => roundUp(columns, this.widthOf(s))));
    // Rows that lie a multiple of a page apart would meet in one set of the first cache.
    this.pitch = roundUp(widest, this.lanes) + 16;
    const areas = Array.from({ length: plan.areas }, () => room.take(ROWS * this.pitch));
    const depth = (p: Product): number => extent(p.problem, p.problem.k);
    this.left = scores.map(s => (this.readsInPlace(s) ? 0 : room.take(ROWS * depth(s))));
    this.shared = scores.map(s => room.take(depth(s) * this.acrossOf(s)));
    this.right = results.map(r => room.take((r.of === 'rows' ? columns : ROWS) * this.acrossOf(r)));
    this.sums = results.map(r => room.take((r.of === 'rows' ? ROWS : roundUp(columns, this.lanes)) * this.acrossOf(r)));
    room.open(buffers, slots);
    const views = [...scores, ...results].flatMap(({ problem }) => [problem.a, problem.b]);
    this.lanesRoom.take(Math.max(...views.map(view => laneWords(view, this.lanes))));
    if (this.masks) this.lanesRoom.open(buffers, slots);
    this.wide = room.areas(areas);
    this.narrow = room.areas([]);
  }

  private widthOf({ tile }: Product): number {
    return tile.vectors * this.lanes;
  }

  private acrossOf(product: Product): number {
    return roundUp(extent(product.problem, product.problem.n), this.widthOf(product));
  }

  enter(slot: Reg, batch: Reg): BatchProducts {
    const { b, plan, lanes, left, shared, right, sums } = this;
    const { columns, scores, results, batches } = plan;
    const at = this.room.of(b, slot);
    const areaAt = (area: number): Reg => at(this.wide.offsets[area]!);
    const lanesAt = this.masks ? this.lanesRoom.of(b, slot)(0) : null;
    const coords = new Map([...scores, ...results].map(p => [p as Product, coordsOf(b, p, batch, batches)]));
    const of = (product: Product): Coords => coords.get(product)!;
    scores.forEach((s, i) => {
      this.packColumns(s, of(s), at(shared[i]!), null, columns, lanesAt);
    });
    results.forEach((r, i) => {
      if (r.of === 'rows') this.packColumns(r, of(r), at(right[i]!), null, columns, lanesAt);
      else this.clear(at(sums[i]!), roundUp(columns, lanes) * this.acrossOf(r));
    });
    return {
      makeScores: ({ first, count, limit }) =>
        scores.forEach((s, i) => {
          const inPlace = this.readsInPlace(s);
          const a = inPlace ? this.rowsAt(s, of(s), first) : at(left[i]!);
          if (!inPlace) this.packRows(s, of(s), first, a, lanesAt);
          const area = plan.kept.find(k => k.expr === s.contracted)!.area;
          this.makeScores(s, { a, b: at(shared[i]!), to: areaAt(area), count, limit });
        }),
      multiply: ({ first, count, limit }) =>
        results.forEach((r, i) => {
          const run = { a: areaAt(plan.areaOf.get(r.read)!), b: at(right[i]!), to: at(sums[i]!), count, limit };
          if (r.of === 'rows') {
            this.multiplyRows(r, run);
            this.store(r, of(r), run.to, first, count, ROWS);
          } else {
            this.packColumns(r, of(r), run.b, first, count, lanesAt);
            this.multiplyColumns(r, run);
          }
        }),
      finish: () =>
        results.forEach((r, i) => {
          if (r.of === 'columns') this.store(r, of(r), at(sums[i]!), b.i32(0), columns, columns);
        }),
    };
  }

  /** Packs the right operand: panels of columns, each [k][width], `length` of k from `from` on. */
  private packColumns(
    product: Product,
    batch: Coords,
    to: Reg,
    from: Reg | null,
    length: Extent,
    lanesAt: Reg | null,
  ): void {
    const { b } = this;
    const p = product.problem;
    const { view, minor } = sideOf(p, 'b');
    const width = this.widthOf(product);
    let cursor = startOf(b, product, view, batch);
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

  private rowsAt(product: Scores, batch: Coords, first: Reg): Reg {
    const { b } = this;
    const p = product.problem;
    const dims = [...p.batch, p.m[0]!];
    const at = stepAll(b, p.a, origin(b, p.a), dims, [...p.batch.map(d => batch.get(d)!), first]);
    return b.addr(p.a.buffer, at.index);
  }

  /** Packs a block of the left operand of scores: panels of a tile's rows, each [k][rows]. */
  private packRows(product: Scores, batch: Coords, first: Reg, to: Reg, lanesAt: Reg | null): void {
    const { b } = this;
    const p = product.problem;
    const { view, minor } = sideOf(p, 'a');
    const { rows } = product.tile;
    const cursor = startOf(b, product, view, batch);
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
  private store(r: Result, batch: Coords, from: Reg, first: Reg, count: Extent, most: number): void {
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
      batch,
    });
  }
}
