/**
 * What ONNX has no operator for but can be computed by those it has: written once in the tensor API, and exported like
 * any other function. Systems of equations and Cholesky's factor are scans over their columns; the sizes stay free.
 */
import type { MatrixRoutine } from '../../../graph/matrix.ts';
import type { Node, Unary } from '../../../graph/node.ts';
import { arange, cat, scan, Tensor } from '../../../tensor/index.ts';
import { eigh, eighUpper, geqrf, pinv, qr, svd } from './spectral.ts';

export type Lowering = (...inputs: Tensor[]) => Tensor;

/** The factors of `x` below 7, whose recurrences bring Stirling's series to where it converges. */
const SHIFT = 7;
const shifts = (x: Tensor): Tensor[] => Array.from({ length: SHIFT }, (_, i) => x.add(i));

/** `f` for x >= 1/2, by `reflect` of 1 - x below. */
function reflected(x: Tensor, f: (x: Tensor) => Tensor, reflect: (x: Tensor, fOf1MinusX: Tensor) => Tensor): Tensor {
  const low = x.lt(0.5);
  const value = f(low.where(x.mul(-1).add(1), x));
  return low.where(reflect(x, value), value);
}

/** Stirling's series (DLMF 5.11.1) from 7 on, the recurrence and the reflection formula below. */
const lgamma: Lowering = x =>
  reflected(
    x!,
    y => {
      const small = y.lt(SHIFT);
      const z = small.where(y.add(SHIFT), y);
      const w = z.reciprocal();
      const series = w.mul(w.square().mul(w.square().mul(1 / 1260).sub(1 / 360)).add(1 / 12));
      const large = z.sub(0.5).mul(z.log()).sub(z).add(0.5 * Math.log(2 * Math.PI)).add(series);
      const product = shifts(small.where(y, 1)).reduce((p, factor) => p.mul(factor));
      return large.sub(small.where(product.log(), 0));
    },
    (y, other) => y.mul(Math.PI).sin().abs().log().mul(-1).add(Math.log(Math.PI)).sub(other),
  ); // biome-ignore format: formulas

/** The asymptotic series (DLMF 5.11.2) from 7 on, the recurrence and the reflection formula below. */
const digamma: Lowering = x =>
  reflected(
    x!,
    y => {
      const small = y.lt(SHIFT);
      const z = small.where(y.add(SHIFT), y);
      const w = z.square().reciprocal();
      const series = w.mul(w.mul(w.mul(1 / 252).sub(1 / 120)).add(1 / 12));
      const large = z.log().sub(z.reciprocal().mul(0.5)).sub(series);
      const steps = shifts(small.where(y, 1)).map(factor => factor.reciprocal()).reduce((s, term) => s.add(term));
      return large.sub(small.where(steps, 0));
    },
    (y, other) => other.sub(y.mul(Math.PI).cos().div(y.mul(Math.PI).sin()).mul(Math.PI)),
  ); // biome-ignore format: formulas

export const UNARY_LOWERED: Partial<Record<Unary, Lowering>> = { digamma, lgamma };

/** 0, 1, ..., n - 1 in x's dtype, as what a scan walks over and what rows are compared with. */
const rowsOf = (x: Tensor): Tensor => arange(x.shape.at(-2)!).to(x.dtype);

/** 1 where a row is the one of this step, as a column [n, 1]. */
const unit = (rows: Tensor, at: Tensor): Tensor => rows.eq(at).to(rows.dtype).unsqueeze(1);

/** Row `at` of [..., n, k], [..., 1, k], and x with `row` added there. */
const rowOf = (x: Tensor, e: Tensor): Tensor => x.mul(e).sum(-2, { keepdim: true });
const addRow = (x: Tensor, e: Tensor, row: Tensor): Tensor => x.add(e.mul(row));

/**
 * Column by column (Golub and Van Loan, 4.2): what is left of A's column by the columns before, over the root of its
 * pivot.
 */
const cholesky: Lowering = a => {
  const rows = rowsOf(a!);
  const [l] = scan(
    (before: Tensor, j: Tensor) => {
      const e = unit(rows, j);
      const column = a!.matmul(e).sub(before.matmul(rowOf(before, e).transpose(-2, -1)));
      const pivot = rowOf(column, e).sqrt();
      const below = rows.ge(j).to(rows.dtype).unsqueeze(1);
      return [before.add(column.div(pivot).mul(below).matmul(e.T)), null];
    },
    a!.mul(0),
    rows,
  );
  return l;
};

/** Forward substitution, row by row. */
const solveTriangular: Lowering = (l, b) => {
  const rows = rowsOf(l!);
  const [x] = scan(
    (before: Tensor, i: Tensor) => {
      const e = unit(rows, i);
      const row = rowOf(l!, e);
      const rest = rowOf(b!, e).sub(row.matmul(before));
      return [addRow(before, e, rest.div(row.matmul(e))), null];
    },
    b!.mul(0),
    rows,
  );
  return x;
};

/**
 * The rows `j` and that of the largest element at or below it in `column` change places; also which one that is, as a
 * unit column.
 */
function pivoted(x: Tensor, rows: Tensor, j: Tensor, column: Tensor): { readonly swapped: Tensor; readonly p: Tensor } {
  const e = unit(rows, j);
  const candidates = rows.ge(j).unsqueeze(1).where(column.abs(), -1);
  const largest = candidates.argmax(-2, { keepdim: true }).to(rows.dtype);
  const p = rows.unsqueeze(1).eq(largest).to(rows.dtype);
  const swap = rowOf(x, p).sub(rowOf(x, e));
  return { swapped: addRow(addRow(x, e, swap), p, swap.neg()), p };
}

/** Gauss and Jordan's elimination with partial pivoting. */
const solve: Lowering = (a, b) => {
  const rows = rowsOf(a!);
  const n = a!.shape.at(-1)!;
  const [m] = scan(
    (before: Tensor, j: Tensor) => {
      const e = unit(rows, j);
      const { swapped } = pivoted(before, rows, j, before.narrow(-1, 0, n).matmul(e));
      const column = swapped.narrow(-1, 0, n).matmul(e);
      const pivot = rowOf(column, e);
      // The pivot's own row becomes row / pivot, every other loses its part of it.
      const factors = e.sub(e.mul(-1).add(1).mul(column)).sub(e.mul(pivot)).div(pivot);
      return [addRow(swapped, factors, rowOf(swapped, e)), null];
    },
    cat([a!, b!], -1),
    rows,
  );
  return m.narrow(-1, n, b!.shape.at(-1)!);
};

/**
 * Elimination with partial pivoting; the columns of swaps and of the rows' order stand beside the matrix and change
 * places with its rows.
 */
const lu: Lowering = a => {
  const [m, n] = a!.shape.slice(-2) as [number, number];
  const rows = rowsOf(a!);
  const columns = arange(n + 2).to(a!.dtype);
  const zero = a!.narrow(-1, 0, 1).mul(0);
  const [packed] = scan(
    (before: Tensor, j: Tensor) => {
      const e = unit(rows, j);
      const { swapped, p } = pivoted(before, rows, j, before.mul(columns.eq(j)).sum(-1, { keepdim: true }));
      const column = swapped.mul(columns.eq(j)).sum(-1, { keepdim: true });
      const pivot = rowOf(column, e);
      const below = rows.gt(j).unsqueeze(1).logicalAnd(pivot.ne(0));
      const factors = below.where(column.div(pivot), 0);
      const rest = columns.gt(j).logicalAnd(columns.lt(n)).to(a!.dtype);
      const eliminated = swapped.sub(factors.mul(rowOf(swapped, e).mul(rest)));
      const stored = below.where(factors.sub(column), 0).mul(columns.eq(j).to(a!.dtype));
      const position = rowOf(rows.unsqueeze(1), p).add(1);
      return [eliminated.add(stored).add(e.mul(position).mul(columns.eq(n).to(a!.dtype))), null];
    },
    cat([a!, zero, zero.add(rows.unsqueeze(1))], -1),
    arange(Math.min(m, n)).to(a!.dtype),
  );
  return packed;
};

export const MATRIX_LOWERED: Partial<Record<MatrixRoutine, Lowering>> = {
  cholesky,
  eigh: a => eigh(a!),
  eighUpper: a => eighUpper(a!),
  geqrf: a => geqrf(a!),
  lu,
  pinv: (a, bounds) => pinv(a!, bounds!),
  qr: a => qr(a!),
  solve,
  solveTriangular,
  svd: a => svd(a!),
};

/** A lowering applied to the inputs of a node. */
export const lowered = (lowering: Lowering, node: Node): Node =>
  lowering(...node.inputs.map(input => new Tensor(input))).node;
