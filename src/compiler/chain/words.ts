/**
 * The products of a chain of bf16 on matrix registers or by dot products: operands in memory are packed into words,
 * columns once for a batch and rows block by block; sums of scores go to areas of f32 as they are (no rounding to bf16
 * between a product and its softmax), and what the passes leave in areas of bf16 is read there as rows of a product, or
 * turned for a sum over rows.
 */
import { type Extent, sizesOf, step } from '../contract/cursor.ts';
import { zero } from '../contract/indices.ts';
import { type Layout, packWords } from '../contract/packed/pack.ts';
import { STEP, type WordProblem } from '../contract/packed/problem.ts';
import { extent, type View } from '../contract/problem.ts';
import type { RunningBlock } from '../contract/sides.ts';
import { type Coords, outputGroups, storeTile } from '../contract/store.ts';
import { ceilDiv } from '../contract/tile.ts';
import { bf16Sums, type SumProducts, type SumsAt } from '../contract/tile-products.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg, Tiles } from '../loops.ts';
import type { KernelBuffers, ProgramContext } from '../lower/context.ts';
import { lanesFor } from '../target.ts';
import { type ChainPlan, type Product, type Result, ROWS } from './plan.ts';
import {
  type Areas,
  type BatchProducts,
  type Block,
  type ChainProducts,
  coordsOf,
  Room,
  roundUp,
  startOf,
} from './products.ts';

const WORD = 4;
const F32 = 4;
const BF16 = 2;
/** Lines of a panel, as many as a block has rows. */
const LINES = ROWS;
/** Points of a step, two to a word. */
const POINTS = 2 * STEP;

/** A product and where a task has its memory. */
interface Places<P extends Product> {
  readonly product: P;
  readonly q: WordProblem;
  /** Lines of a panel of columns of the result. */
  readonly width: number;
  /** Rows of the left operand as packed; the right one. */
  readonly left: number;
  readonly right: number;
  /** Sums, and the area of f32 or bf16 that the product writes or reads. */
  readonly sums: number;
  readonly area: number;
}

/** A task at work on a batch. */
interface Task {
  readonly words: (offset: number) => Reg;
  readonly wide: (offset: number) => Reg;
  readonly narrow: (offset: number) => Reg;
  readonly batch: ReadonlyMap<Product, Coords>;
  /** First element of the task's areas of bf16. */
  readonly first: Reg;
}

/** Words that hold so many points. */
const wordsOf = (b: LoopBuilder, points: Extent): Extent =>
  typeof points === 'number' ? ceilDiv(points, 2) : b.bin('shrU', b.add(points, b.i32(1)), b.i32(1));

export class WordProducts implements ChainProducts {
  readonly pitch: number;
  readonly grain = POINTS;
  readonly wide: Areas;
  readonly narrow: Areas;
  private readonly b: LoopBuilder;
  private readonly plan: ChainPlan;
  private readonly lanes: number;
  private readonly sum: SumProducts;
  private readonly rooms = {
    words: new Room('words', 'i32'),
    wide: new Room('block', 'f32'),
    narrow: new Room('weights', 'bf16'),
  };
  private readonly scores: readonly Places<Product>[];
  private readonly results: readonly Places<Result>[];
  /** Rows of an area turned, and a panel before it is. */
  private readonly turned: number;
  private readonly staging: number;

  constructor(b: LoopBuilder, plan: ChainPlan, { target }: ProgramContext, buffers: KernelBuffers, slots: number) {
    const { words, wide, narrow } = this.rooms;
    this.b = b;
    this.plan = plan;
    this.lanes = lanesFor(target, F32);
    this.sum = bf16Sums(target);
    // A line more than whole panels: rows a multiple of a page apart would meet in one set of the first cache.
    this.pitch = roundUp(plan.columns, LINES) + LINES;
    const areas = Array.from({ length: plan.areas }, () => wide.take(ROWS * this.pitch));
    const narrowAreas = Array.from({ length: plan.narrowAreas }, () => narrow.take(ROWS * this.pitch));
    const columns = roundUp(plan.columns, LINES);
    this.scores = plan.scores.map(product => {
      const q = product.words!;
      const depth = roundUp(extent(q.p, q.p.k), STEP);
      return {
        product,
        q,
        width: LINES,
        left: words.take(ROWS * depth),
        right: words.take(columns * depth),
        sums: 0,
        area: areas[plan.kept.find(k => k.expr === product.contracted)!.area]!,
      };
    });
    this.results = plan.results.map(product => {
      const q = product.words!;
      const n = extent(q.p, q.p.n);
      const width = n > STEP ? 2 * STEP : STEP;
      const across = roundUp(n, width);
      const depth = product.of === 'rows' ? columns / 2 : STEP;
      return {
        product,
        q,
        width,
        left: 0,
        right: words.take(depth * across),
        sums: wide.take((product.of === 'rows' ? ROWS : columns) * across),
        area: narrowAreas[plan.areaOf.get(product.read)!]!,
      };
    });
    this.turned = words.take(LINES * STEP);
    const longest = Math.max(columns / 2, ...this.scores.map(({ q }) => roundUp(extent(q.p, q.p.k), STEP)));
    this.staging = words.take(LINES * longest);
    for (const room of [words, wide, narrow]) room.open(buffers, slots);
    this.wide = wide.areas(areas);
    this.narrow = narrow.areas(narrowAreas);
  }

  enter(slot: Reg, batch: Reg): BatchProducts {
    const { b, plan, rooms } = this;
    const all = [...this.scores, ...this.results];
    const task: Task = {
      words: rooms.words.of(b, slot),
      wide: rooms.wide.of(b, slot),
      narrow: rooms.narrow.of(b, slot),
      batch: new Map(all.map(({ product }) => [product, coordsOf(b, product, batch, plan.batches)])),
      first: b.mul(slot, b.i32(rooms.narrow.elements)),
    };
    for (const s of this.scores) this.packColumns(task, s, wholeOf(s.q));
    for (const r of this.results)
      if (r.product.of === 'rows') this.packColumns(task, r, wholeOf(r.q));
      else this.clear(task.wide(r.sums), roundUp(plan.columns, LINES) * this.acrossOf(r));
    // Columns behind the last, which products read.
    if (plan.columns % POINTS !== 0)
      for (const at of this.narrow.offsets) this.clear(task.narrow(at), (ROWS * this.pitch) / 2);
    return {
      makeScores: block => {
        for (const s of this.scores) this.makeScores(task, s, block);
      },
      multiply: block => {
        for (const r of this.results)
          if (r.product.of === 'rows') this.multiplyRows(task, r, block);
          else this.multiplyColumns(task, r, block);
      },
      finish: () => {
        for (const r of this.results) if (r.product.of === 'columns') this.storeColumns(task, r);
      },
    };
  }

  private acrossOf({ q, width }: Places<Product>): number {
    return roundUp(extent(q.p, q.p.n), width);
  }

  /** Clears so many words. */
  private clear(to: Reg, words: number): void {
    const { b, lanes } = this;
    const none = zero(b, 'f32', lanes);
    b.for(0, words, lanes, i => b.store('f32', b.advance(to, i, WORD), none));
  }

  // ---------------------------------------------------------------------------------------------- operands

  /** Packs lines from `first` on of an operand, all words of `block`, as a panel at `to`. */
  private pack(
    task: Task,
    q: WordProblem,
    { view, minor, layout }: { readonly view: View; readonly minor: readonly number[]; readonly layout: Layout },
    panel: {
      readonly at: ReturnType<typeof startOf>;
      readonly first: Reg;
      readonly width: number;
      readonly block: RunningBlock;
      readonly to: Reg;
    },
  ): void {
    packWords(this.b, q, view, minor, layout, STEP, {
      ...panel,
      lo: panel.block.lo,
      staging: task.words(this.staging),
    });
  }

  /** Packs the right operand's panels of columns, [words][width] each, for the points of k in `block`. */
  private packColumns(task: Task, { product, q, width, right }: Places<Product>, block: RunningBlock): void {
    const { b } = this;
    const { p } = q;
    const start = startOf(b, product, p.b, task.batch.get(product)!);
    const at = block.lo === 0 ? start : step(b, p.b, start, q.dim, block.lo);
    const words = typeof block.length === 'number' ? roundUp(block.length, STEP) : STEP;
    const base = task.words(right);
    b.for(0, ceilDiv(extent(p, p.n), width), 1, panel =>
      this.pack(
        task,
        q,
        { view: p.b, minor: p.n, layout: 'words' },
        {
          at,
          first: b.mul(panel, b.i32(width)),
          width,
          block,
          to: b.advance(base, panel, words * width * WORD),
        },
      ),
    );
  }

  /** Packs a block's rows of the left operand. */
  private packRows(task: Task, { product, q, left }: Places<Product>, first: Reg): Reg {
    const { p } = q;
    const at = startOf(this.b, product, p.a, task.batch.get(product)!);
    const to = task.words(left);
    const block = wholeOf(q);
    this.pack(task, q, { view: p.a, minor: p.m, layout: 'lines' }, { at, first, width: ROWS, block, to });
    return to;
  }

  /** Turns a panel of columns of an area of bf16: lines of the block's rows. */
  private turn(task: Task, { q, area }: Places<Result>, column: Reg): Reg {
    const { b } = this;
    const { p, dim } = q;
    // Two rows to a word.
    const lin = p.dims.map((_, d) => (d === dim ? 2 * this.pitch : d === p.m[0] ? 1 : 0));
    const view: View = { ...p.a, buffer: this.narrow.buffer, base: 0, lin, guards: [], elements: ROWS * this.pitch };
    const rows: WordProblem = { ...q, size: ROWS };
    const to = task.words(this.turned);
    this.pack(
      task,
      rows,
      { view, minor: p.m, layout: 'lines' },
      {
        at: { index: b.add(task.first, b.i32(area)), pos: [] },
        first: column,
        width: LINES,
        block: { dims: [dim], extents: [STEP], length: STEP, prefixCoords: [], lo: 0, before: 0 },
        to,
      },
    );
    return to;
  }

  // ---------------------------------------------------------------------------------------------- products

  private sumWords(of: Pick<Tiles, 'a' | 'b' | 'steps' | 'pitch'>, width: number, sums: SumsAt, add = false): void {
    this.sum(this.b, { kind: 'bf16', ...of, rows: 2, columns: width === STEP ? 1 : 2 }, sums, add);
  }

  /** Panels of columns up to the last that is seen. */
  private makeScores(task: Task, s: Places<Product>, { first, limit }: Block): void {
    const { b, pitch } = this;
    const depth = roundUp(extent(s.q.p, s.q.p.k), STEP);
    const a = this.packRows(task, s, first);
    const [right, to] = [task.words(s.right), task.wide(s.area)];
    b.for(0, limit, LINES, column =>
      this.sumWords(
        {
          a,
          b: b.advance(right, column, depth * WORD),
          steps: depth / STEP,
        },
        LINES,
        { c: b.advance(to, column, F32), pitch: pitch * F32 },
      ),
    );
  }

  /** A result per row: sums over the columns up to `limit`. */
  private multiplyRows(task: Task, r: Places<Result>, { first, count, limit }: Block): void {
    const { b, plan, pitch } = this;
    const { product, width } = r;
    const columns = roundUp(plan.columns, LINES);
    const a = task.narrow(r.area);
    const steps =
      typeof limit === 'number' ? columns / POINTS : b.bin('shrU', b.add(limit, b.i32(POINTS - 1)), b.i32(5));
    const [right, sums] = [task.words(r.right), task.wide(r.sums)];
    b.for(0, this.acrossOf(r), width, column => {
      const to = b.advance(sums, column, ROWS * F32);
      const products = { a, b: b.advance(right, column, (columns / 2) * WORD), steps, pitch: pitch * BF16 };
      this.sumWords(products, width, { c: to });
      this.store(task, product, width, { from: to, m: first, rows: count, n: column });
    });
  }

  /** A result per column, over all blocks: adds what the block's rows give. */
  private multiplyColumns(task: Task, r: Places<Result>, { first, count, limit }: Block): void {
    const { b, plan, pitch } = this;
    const { q, width } = r;
    if (plan.rows % ROWS !== 0)
      b.for(count, ROWS, 1, row => {
        const line = b.advance(task.narrow(r.area), row, pitch * BF16);
        b.for(0, limit, POINTS, column => b.store('f32', b.advance(line, column, BF16), zero(b, 'f32', STEP)));
      });
    const words = wordsOf(b, count);
    const lo = b.bin('shrU', first, b.i32(1));
    this.packColumns(task, r, { dims: q.p.k, extents: [words], length: words, prefixCoords: [], lo, before: 0 });
    const across = this.acrossOf(r);
    const [right, sums] = [task.words(r.right), task.wide(r.sums)];
    b.for(0, limit, LINES, line => {
      const a = this.turn(task, r, line);
      const own = b.advance(sums, line, across * F32);
      b.for(0, across, width, column =>
        this.sumWords(
          { a, b: b.advance(right, column, STEP * WORD), steps: 1 },
          width,
          { c: b.advance(own, column, LINES * F32) },
          true,
        ),
      );
    });
  }

  private storeColumns(task: Task, r: Places<Result>): void {
    const { b, plan } = this;
    const across = this.acrossOf(r);
    const sums = task.wide(r.sums);
    b.for(0, plan.columns, LINES, line => {
      const own = b.advance(sums, line, across * F32);
      const rows = plan.columns % LINES === 0 ? LINES : b.bin('min', b.i32(LINES), b.sub(b.i32(plan.columns), line));
      b.for(0, across, r.width, column =>
        this.store(task, r.product, r.width, { from: b.advance(own, column, LINES * F32), m: line, rows, n: column }),
      );
    });
  }

  /** Finished sums of a panel to memory, through what is fused behind them. */
  private store(
    task: Task,
    product: Result,
    width: number,
    tile: { readonly from: Reg; readonly m: Reg; readonly rows: Extent; readonly n: Reg },
  ): void {
    const { b, lanes } = this;
    const p = product.problem;
    const batch = task.batch.get(product)!;
    storeTile(b, p, outputGroups(p, p.m), outputGroups(p, p.n), lanes, {
      ...tile,
      pitch: width,
      columns: width,
      batch,
    });
  }
}

/** All points of k. */
const wholeOf = ({ p }: WordProblem): RunningBlock => ({
  dims: p.k,
  extents: sizesOf(p, p.k),
  length: extent(p, p.k),
  prefixCoords: [],
  lo: 0,
  before: 0,
});
