/**
 * What matrix algorithms are written in: matrices in buffers, whose elements are read and written as f64, and loops
 * over stretches of their rows in vectors. Knows the loop IR only.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import type { BufferIndex } from '../index.ts';

/** A scalar i32: known when compiling, or in a register. */
export type Int = Reg | number;

/** A matrix of one item: rows of `cols` elements from element `start` of a buffer on. */
export interface Grid {
  readonly buffer: BufferIndex;
  readonly dtype: 'f32' | 'f64';
  readonly start: Reg;
  readonly cols: number;
}

/** One row of a grid in f64. */
export interface Row {
  readonly buffer: BufferIndex;
  readonly start: Reg;
}

export class MatrixBuilder {
  readonly b: LoopBuilder;
  private readonly lanes: number;

  constructor(b: LoopBuilder, lanes: number) {
    this.b = b;
    this.lanes = lanes;
  }

  i32(value: Int): Reg {
    return typeof value === 'number' ? this.b.i32(value) : value;
  }

  plus(a: Int, c: Int): Int {
    if (typeof a === 'number' && typeof c === 'number') return a + c;
    if (a === 0) return c;
    return c === 0 ? a : this.b.add(this.i32(a), this.i32(c));
  }

  f64(value: number): Reg {
    return this.b.const('f64', value);
  }

  abs(x: Reg): Reg {
    return this.b.un('abs', x);
  }

  /** Loop variable from `lo` to below `hi`. */
  for(lo: Int, hi: Int, body: (i: Reg) => void): void {
    this.b.for(lo, hi, 1, body);
  }

  /** From `hi` - 1 down to `lo`. */
  forDown(lo: Int, hi: Int, body: (i: Reg) => void): void {
    const last = this.i32(this.plus(this.plus(hi, lo), -1));
    this.for(lo, hi, i => body(this.b.sub(last, i)));
  }

  private address(grid: Grid, i: Int, j: Int): Reg {
    const { b } = this;
    const row = b.mul(this.i32(i), b.i32(grid.cols));
    return b.addr(grid.buffer, b.add(b.add(grid.start, row), this.i32(j)));
  }

  load(grid: Grid, i: Int, j: Int): Reg {
    return this.b.cvt('f64', this.b.load(grid.dtype, this.address(grid, i, j)));
  }

  store(grid: Grid, i: Int, j: Int, value: Reg): void {
    this.b.store(grid.dtype, this.address(grid, i, j), this.b.cvt(grid.dtype, value));
  }

  /** Row i of a grid in f64. */
  row(grid: Grid, i: Int): Row {
    const { b } = this;
    return { buffer: grid.buffer, start: b.add(grid.start, b.mul(this.i32(i), b.i32(grid.cols))) };
  }

  get(row: Row, k: Int): Reg {
    return this.b.load('f64', this.b.addr(row.buffer, this.i32(this.plus(row.start, k))));
  }

  set(row: Row, k: Int, value: Reg): void {
    this.b.store('f64', this.b.addr(row.buffer, this.i32(this.plus(row.start, k))), value);
  }

  /** Elements lo .. hi in vectors, then one by one; `visit` gets where it is and how many. */
  private span(lo: Int, hi: Int, visit: (k: Reg, lanes: number) => void): void {
    const { b, lanes } = this;
    if (lanes === 1) {
      b.for(lo, hi, 1, k => visit(k, 1));
      return;
    }
    const first = this.i32(lo);
    const count = b.sub(this.i32(hi), first);
    // A stretch that is empty or ends before it begins has no vectors either.
    const whole = b.add(first, b.bin('and', count, b.i32(-lanes)));
    b.for(first, whole, lanes, k => visit(k, lanes));
    b.for(b.select(b.cmp('lt', whole, first), first, whole), hi, 1, k => visit(k, 1));
  }

  private part(row: Row, k: Reg, lanes: number): { readonly at: Reg; readonly value: Reg } {
    const at = this.b.addr(row.buffer, this.b.add(row.start, k));
    return { at, value: this.b.load('f64', at, 0, lanes) };
  }

  /** Sum of x[k] y[k]. */
  dot(x: Row, y: Row, lo: Int, hi: Int): Reg {
    const { b, lanes } = this;
    const wide = lanes > 1 ? b.copy(b.const('f64', 0, lanes)) : null;
    const rest = b.copy(this.f64(0));
    this.span(lo, hi, (k, n) => {
      const sum = n > 1 ? wide! : rest;
      b.move(sum, b.fma(this.part(x, k, n).value, this.part(y, k, n).value, sum));
    });
    return wide ? b.add(b.reduce('add', wide), rest) : rest;
  }

  /** y += a x. */
  addScaled(y: Row, a: Reg, x: Row, lo: Int, hi: Int): void {
    const { b } = this;
    this.span(lo, hi, (k, n) => {
      const { at, value } = this.part(y, k, n);
      b.store('f64', at, b.fma(b.splat(a, n), this.part(x, k, n).value, value));
    });
  }

  /** y += a x + c z. */
  addScaledTwo(y: Row, a: Reg, x: Row, c: Reg, z: Row, lo: Int, hi: Int): void {
    const { b } = this;
    this.span(lo, hi, (k, n) => {
      const { at, value } = this.part(y, k, n);
      const sum = b.fma(b.splat(a, n), this.part(x, k, n).value, value);
      b.store('f64', at, b.fma(b.splat(c, n), this.part(z, k, n).value, sum));
    });
  }

  /** Elements of `row` as `fn` of them. */
  map(row: Row, lo: Int, hi: Int, fn: (x: Reg, lanes: number) => Reg): void {
    this.span(lo, hi, (k, n) => {
      const { at, value } = this.part(row, k, n);
      this.b.store('f64', at, fn(value, n));
    });
  }

  /** (x, y) = (cos x - sin y, sin x + cos y). */
  rotate(x: Row, y: Row, cos: Reg, sin: Reg, count: number): void {
    const { b } = this;
    this.span(0, count, (k, n) => {
      const [p, q] = [this.part(x, k, n), this.part(y, k, n)];
      const [c, s] = [b.splat(cos, n), b.splat(sin, n)];
      b.store('f64', p.at, b.sub(b.mul(c, p.value), b.mul(s, q.value)));
      b.store('f64', q.at, b.add(b.mul(s, p.value), b.mul(c, q.value)));
    });
  }

  swapRows(x: Row, y: Row, count: number): void {
    this.span(0, count, (k, n) => {
      const [p, q] = [this.part(x, k, n), this.part(y, k, n)];
      this.b.store('f64', p.at, q.value);
      this.b.store('f64', q.at, p.value);
    });
  }

  fill(row: Row, count: number, value: number): void {
    this.span(0, count, (k, n) => {
      this.b.store('f64', this.b.addr(row.buffer, this.b.add(row.start, k)), this.b.const('f64', value, n));
    });
  }

  /** target[i][j] = value(i, j) for the whole of a grid of `rows` rows. */
  each(rows: number, cols: number, visit: (i: Reg, j: Reg) => void): void {
    this.for(0, rows, i => this.for(0, cols, j => visit(i, j)));
  }
}
