/**
 * Matrix routines (see graph/matrix.ts) in loop IR: each item of the batch is one task, in f64 scratch of its own
 * whatever the dtype, so the bits do not depend on threads. May import the loop IR, the target and the graph's table of
 * sizes.
 */
import { MATRIX_ROUTINES, type MatrixRoutine } from '../../../graph/matrix.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { lanesFor, type Target } from '../../target.ts';
import type { BufferIndex, Scratch } from '../index.ts';
import { bidiagonalise, diagonaliseBidiagonal, lowerToUpper, type Vectors } from './bidiagonal.ts';
import { eliminate, orderAfter, solve } from './eliminate.ts';
import { applyQ, formQ, reflect } from './householder.ts';
import { ldl, ldlSolve } from './indefinite.ts';
import { inOrder } from './order.ts';
import { type Grid, MatrixBuilder, type Row } from './rows.ts';
import { diagonalise, tridiagonalise } from './symmetric.ts';
import { cholesky, solveTriangular } from './triangular.ts';

/** Inputs [batch, rows, cols] each; the output as MATRIX_ROUTINES says. */
interface MatrixSpec {
  readonly routine: MatrixRoutine;
  readonly dtype: 'f32' | 'f64';
  readonly batch: number;
  readonly sizes: readonly (readonly [rows: number, cols: number])[];
  readonly inputs: readonly BufferIndex[];
  readonly output: BufferIndex;
}

type Sizes = MatrixSpec['sizes'];

/** One item: its inputs and output, and `work` cut into the f64 parts that the routine asked for. */
interface Item {
  readonly m: MatrixBuilder;
  readonly sizes: Sizes;
  readonly inputs: readonly Grid[];
  readonly output: Grid;
  readonly work: readonly Grid[];
}

interface Routine {
  /** f64 scratch of one item: rows and columns of each part. */
  readonly work: (sizes: Sizes) => readonly (readonly [rows: number, cols: number])[];
  readonly lower: (item: Item) => void;
}

const copyInto = ({ m }: Item, from: Grid, to: Grid, rows: number, cols: number): void =>
  m.each(rows, cols, (i, j) => m.store(to, i, j, m.load(from, i, j)));

const transposeInto = ({ m }: Item, from: Grid, to: Grid, rows: number, cols: number): void =>
  m.each(rows, cols, (i, j) => m.store(to, j, i, m.load(from, i, j)));

const rowOf = (item: Item, part: number, i = 0): Row => item.m.row(item.work[part]!, i);

/** Brings elements to where squares neither overflow nor vanish; 1 where they do not. */
function scaleOf({ m }: Item, a: Grid, rows: number, cols: number): Reg {
  const { b } = m;
  const size = b.copy(m.f64(0));
  m.each(rows, cols, (i, j) => b.move(size, b.bin('max', size, m.abs(m.load(a, i, j)))));
  const small = b.bin('and', b.cmp('gt', size, m.f64(0)), b.cmp('lt', size, m.f64(1e-140)));
  const large = b.bin('and', b.cmp('gt', size, m.f64(1e140)), b.cmp('lt', size, m.f64(Number.POSITIVE_INFINITY)));
  return b.select(b.bin('or', small, large), size, m.f64(1));
}

/** What an SVD hears of each singular value, in descending order: its place r, the value, u [rows] and v [cols]. */
type OnSingular = (r: Reg, value: Reg, u: Row, v: Row) => void;

/** How gesdd goes about a matrix: much longer than wide, it is brought to a triangle first. */
function wayOf([rows, cols]: readonly [number, number]) {
  const [count, length] = [Math.min(rows, cols), Math.max(rows, cols)];
  const byQR = count > 0 && length >= Math.floor((count * 11) / 6);
  return { count, length, wide: rows < cols, byQR, coreRows: byQR ? count : length };
}

/**
 * Scratch of `eachSingular`: the matrix with its longer side down, its transpose, reflections, vectors, vectors of the
 * whole length, rows.
 */
const svdWork: Routine['work'] = ([a]) => {
  const { count, length, byQR, coreRows } = wayOf(a!);
  return [
    [coreRows, count],
    [byQR ? count : 0, length],
    [count, coreRows],
    [count, coreRows],
    [count, count],
    [byQR ? count : 0, length],
    [7, count],
  ];
};

function eachSingular(item: Item, visit: OnSingular): void {
  const { m } = item;
  const { b } = m;
  const [input] = item.inputs as [Grid];
  const [rows, cols] = item.sizes[0]!;
  const { count, length, wide, byQR, coreRows } = wayOf(item.sizes[0]!);
  const [core, w, left, ofLeft, ofRight, long] = item.work as [Grid, Grid, Grid, Grid, Grid, Grid];
  const [d, e, onLeft, onRight, product, taus, keys] = Array.from({ length: 7 }, (_, i) => rowOf(item, 6, i)) as [
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
  ];
  const scale = scaleOf(item, input, rows, cols);
  m.each(rows, cols, (i, j) => {
    const x = b.bin('div', m.load(input, i, j), scale);
    const [along, across] = wide ? [j, i] : [i, j];
    if (byQR) m.store(w, across, along, x);
    else m.store(core, along, across, x);
  });
  if (byQR) {
    reflect(m, w, length, count, taus);
    m.each(count, count, (i, j) => {
      const upper = b.select(b.cmp('le', i, j), m.load(w, j, i), m.f64(0));
      if (wide) m.store(core, j, i, upper);
      else m.store(core, i, j, upper);
    });
  }
  bidiagonalise(m, core, left, coreRows, count, { d, e, onLeft, onRight, product }, ofLeft, ofRight);
  let [u, v]: [Vectors, Vectors] = [
    { grid: ofLeft, length: coreRows },
    { grid: ofRight, length: count },
  ];
  // Turned over, the matrix has its lower bidiagonal form.
  if (wide && !byQR) {
    [u, v] = [v, u];
    lowerToUpper(m, count, d, e, u);
  }
  diagonaliseBidiagonal(m, count, d, e, u, v);
  if (byQR) {
    const short = wide ? v : u;
    m.for(0, count, i => {
      m.fill(m.row(long, i), length, 0);
      m.for(0, count, j => m.store(long, i, j, m.load(short.grid, i, j)));
    });
    applyQ(m, long, count, w, length, count, taus);
    const whole = { grid: long, length };
    [u, v] = wide ? [u, whole] : [whole, v];
  }
  m.for(0, count, i => m.set(keys, i, m.abs(m.get(d, i))));
  inOrder(m, keys, count, true, (r, i) => {
    const value = m.get(d, i);
    const sign = b.bin('copysign', m.f64(1), value);
    m.map(m.row(v.grid, i), 0, v.length, (x, lanes) => b.mul(x, b.splat(sign, lanes)));
    visit(r, b.mul(scale, m.abs(value)), m.row(u.grid, i), m.row(v.grid, i));
  });
}

function lowerSvd(item: Item): void {
  const { m, output } = item;
  const [rows, cols] = item.sizes[0]!;
  eachSingular(item, (r, value, u, v) => {
    m.store(output, rows, r, value);
    m.for(0, rows, k => m.store(output, k, r, m.get(u, k)));
    m.for(0, cols, k => m.store(output, m.plus(k, rows + 1), r, m.get(v, k)));
  });
}

function lowerPinv(item: Item): void {
  const { m } = item;
  const { b } = m;
  const [rows, cols] = item.sizes[0]!;
  const p = item.work[7]!;
  const least = b.copy(m.load(item.inputs[1]!, 0, 0));
  m.for(0, cols, i => m.fill(m.row(p, i), rows, 0));
  eachSingular(item, (r, value, u, v) => {
    const first = b.cmp('eq', r, b.i32(0));
    const relative = b.mul(m.load(item.inputs[1]!, 0, 1), value);
    b.move(least, b.select(first, b.bin('max', least, relative), least));
    b.if(b.cmp('gt', value, least), () =>
      m.for(0, cols, i => m.addScaled(m.row(p, i), b.bin('div', m.get(v, i), value), u, 0, rows)),
    );
  });
  copyInto(item, p, item.output, cols, rows);
}

const eighWork: Routine['work'] = ([a]) => [a!, a!, [4, a![0]]];

function lowerEigh(item: Item, upper: boolean): void {
  const { m, output } = item;
  const { b } = m;
  const n = item.sizes[0]![0];
  const [a] = item.inputs as [Grid];
  const [w, z] = item.work as [Grid, Grid];
  const [d, e, taus, x] = Array.from({ length: 4 }, (_, i) => rowOf(item, 2, i)) as [Row, Row, Row, Row];
  const scale = scaleOf(item, a, n, n);
  m.each(n, n, (i, j) => {
    const [row, col] = [b.bin('max', i, j), b.bin('min', i, j)];
    // An upper triangle is reduced from its end: the lower one of the matrix turned by half a turn.
    const from = upper ? m.load(a, b.sub(b.i32(n - 1), row), b.sub(b.i32(n - 1), col)) : m.load(a, row, col);
    m.store(w, i, j, b.bin('div', from, scale));
  });
  tridiagonalise(m, w, z, n, { d, e, taus, x });
  if (upper) {
    reverse(m, d, n);
    reverse(m, e, n - 1);
    m.for(0, n, i => reverse(m, m.row(z, i), n));
    m.for(0, Math.floor(n / 2), i => m.swapRows(m.row(z, i), m.row(z, b.sub(b.i32(n - 1), i)), n));
  }
  diagonalise(m, z, n, { d, e, taus, x });
  m.for(0, n, i => m.set(x, i, m.get(d, i)));
  inOrder(m, x, n, false, (r, i) => {
    m.store(output, 0, r, b.mul(scale, m.get(d, i)));
    m.for(0, n, k => m.store(output, m.plus(k, 1), r, m.load(z, i, k)));
  });
}

function reverse(m: MatrixBuilder, row: Row, count: number): void {
  m.for(0, Math.floor(count / 2), i => {
    const end = m.b.sub(m.b.i32(count - 1), i);
    const [first, last] = [m.get(row, i), m.get(row, end)];
    m.set(row, i, last);
    m.set(row, end, first);
  });
}

const ROUTINES: { readonly [R in MatrixRoutine]: Routine } = {
  cholesky: {
    work: ([a]) => [a!],
    lower(item) {
      const n = item.sizes[0]![0];
      cholesky(item.m, item.inputs[0]!, n, item.work[0]!);
      copyInto(item, item.work[0]!, item.output, n, n);
    },
  },
  solveTriangular: {
    work: ([, b]) => [b!],
    lower(item) {
      const [rows, cols] = item.sizes[1]!;
      copyInto(item, item.inputs[1]!, item.work[0]!, rows, cols);
      solveTriangular(item.m, item.inputs[0]!, rows, item.work[0]!, cols);
      copyInto(item, item.work[0]!, item.output, rows, cols);
    },
  },
  solve: {
    work: ([, b]) => [[b![0], b![0] + b![1]]],
    lower(item) {
      const { m, inputs, output } = item;
      const [n, k] = item.sizes[1]!;
      const [work] = item.work as [Grid];
      m.each(n, n, (i, j) => m.store(work, i, j, m.load(inputs[0]!, i, j)));
      m.each(n, k, (i, j) => m.store(work, i, m.plus(j, n), m.load(inputs[1]!, i, j)));
      solve(m, work, n, k);
      m.each(n, k, (i, j) => m.store(output, i, j, m.load(work, i, m.plus(j, n))));
    },
  },
  lu: {
    work: ([a]) => [a!, [1, a![0]], [1, a![0]]],
    lower(item) {
      const { m, output } = item;
      const { b } = m;
      const [rows, cols] = item.sizes[0]!;
      const [swaps, order] = [rowOf(item, 1), rowOf(item, 2)];
      copyInto(item, item.inputs[0]!, item.work[0]!, rows, cols);
      m.for(0, rows, i => m.set(swaps, i, b.cvt('f64', i)));
      eliminate(m, item.work[0]!, rows, cols, (k, p) => m.set(swaps, k, b.cvt('f64', p)));
      orderAfter(m, order, rows, i => b.cvt('i32', m.get(swaps, i)));
      copyInto(item, item.work[0]!, output, rows, cols);
      m.for(0, rows, i => {
        m.store(output, i, cols, b.add(m.get(swaps, i), m.f64(1)));
        m.store(output, i, cols + 1, m.get(order, i));
      });
    },
  },
  permutation: {
    work: ([a]) => [a!],
    lower(item) {
      const { m } = item;
      const { b } = m;
      const count = item.sizes[0]![1];
      // A swap with a row that is not there stays inside.
      orderAfter(m, rowOf(item, 0), count, i => {
        const p = b.sub(b.cvt('i32', m.load(item.inputs[0]!, 0, i)), b.i32(1));
        const inside = b.bin('and', b.cmp('ge', p, b.i32(0)), b.cmp('lt', p, b.i32(count)));
        return b.select(inside, p, i);
      });
      copyInto(item, item.work[0]!, item.output, 1, count);
    },
  },
  det: {
    work: ([a]) => [a!],
    lower(item) {
      const { m } = item;
      const { b } = m;
      const [rows, cols] = item.sizes[0]!;
      copyInto(item, item.inputs[0]!, item.work[0]!, rows, cols);
      const product = b.copy(m.f64(1));
      eliminate(m, item.work[0]!, rows, cols, (k, p) => {
        const pivot = m.load(item.work[0]!, k, k);
        b.move(product, b.mul(product, b.select(b.cmp('eq', p, k), pivot, b.un('neg', pivot))));
      });
      m.store(item.output, 0, 0, product);
    },
  },
  geqrf: {
    work: ([a]) => [
      [a![1], a![0]],
      [1, Math.min(...a!)],
    ],
    lower(item) {
      const { m, output } = item;
      const [rows, cols] = item.sizes[0]!;
      const count = Math.min(rows, cols);
      transposeInto(item, item.inputs[0]!, item.work[0]!, rows, cols);
      reflect(m, item.work[0]!, rows, cols, rowOf(item, 1));
      transposeInto(item, item.work[0]!, output, cols, rows);
      m.for(0, count, j => m.store(output, rows, j, m.get(rowOf(item, 1), j)));
      m.for(count, cols, j => m.store(output, rows, j, m.f64(0)));
    },
  },
  qr: {
    work: ([a]) => [
      [a![1], a![0]],
      [1, Math.min(...a!)],
      [Math.min(...a!), a![0]],
    ],
    lower(item) {
      const { m, output } = item;
      const { b } = m;
      const [rows, cols] = item.sizes[0]!;
      const count = Math.min(rows, cols);
      const [w, , q] = item.work as [Grid, Grid, Grid];
      transposeInto(item, item.inputs[0]!, w, rows, cols);
      reflect(m, w, rows, cols, rowOf(item, 1));
      formQ(m, q, count, w, rows, count, rowOf(item, 1));
      transposeInto(item, q, output, count, rows);
      m.each(cols, count, (j, i) => {
        const upper = b.cmp('le', i, j);
        m.store(output, m.plus(j, rows), i, b.select(upper, m.load(w, j, i), m.f64(0)));
      });
    },
  },
  eigh: { work: eighWork, lower: item => lowerEigh(item, false) },
  eighUpper: { work: eighWork, lower: item => lowerEigh(item, true) },
  svd: { work: svdWork, lower: lowerSvd },
  pinv: { work: sizes => [...svdWork(sizes), [sizes[0]![1], sizes[0]![0]]], lower: lowerPinv },
  ldl: {
    work: ([a]) => [a!, [1, a![0]]],
    lower(item) {
      const { m, output } = item;
      const { b } = m;
      const n = item.sizes[0]![0];
      const [w] = item.work as [Grid];
      copyInto(item, item.inputs[0]!, w, n, n);
      ldl(m, w, n, rowOf(item, 1));
      m.each(n, n, (i, j) => m.store(output, i, j, b.select(b.cmp('ge', i, j), m.load(w, i, j), m.f64(0))));
      m.for(0, n, i => m.store(output, i, n, m.get(rowOf(item, 1), i)));
    },
  },
  ldlSolve: {
    work: ([, b]) => [b!],
    lower(item) {
      const [rows, cols] = item.sizes[1]!;
      copyInto(item, item.inputs[1]!, item.work[0]!, rows, cols);
      ldlSolve(item.m, item.inputs[0]!, rows, item.work[0]!, cols);
      copyInto(item, item.work[0]!, item.output, rows, cols);
    },
  },
};

const product = ([rows, cols]: readonly [number, number]): number => rows * cols;

export function matrixScratch(spec: MatrixSpec, _target: Target): readonly Scratch[] {
  return ROUTINES[spec.routine].work(spec.sizes).map(size => ({ dtype: 'f64', elements: spec.batch * product(size) }));
}

export function lowerMatrix(b: LoopBuilder, spec: MatrixSpec, target: Target, scratch: readonly BufferIndex[]): void {
  const { routine, dtype, sizes } = spec;
  const outSize = (MATRIX_ROUTINES[routine] as (sizes: Sizes) => readonly [number, number])(sizes);
  if (spec.batch * product(outSize) === 0) return;
  const m = new MatrixBuilder(b, Math.max(1, Math.floor(lanesFor(target, 8))));
  const { work, lower } = ROUTINES[routine];
  b.parallel(spec.batch, item => {
    const grid = (buffer: BufferIndex, of: 'f32' | 'f64', size: readonly [number, number]): Grid => ({
      buffer,
      dtype: of,
      start: b.mul(item, b.i32(product(size))) as Reg,
      cols: size[1],
    });
    lower({
      m,
      sizes,
      inputs: sizes.map((size, i) => grid(spec.inputs[i]!, dtype, size)),
      output: grid(spec.output, dtype, outSize),
      work: work(sizes).map((size, i) => grid(scratch[i]!, 'f64', size)),
    });
  });
}
