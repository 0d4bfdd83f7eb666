/**
 * What the functions of this room share: checked matrices, batches of one shape, and calls of the graph's matrix
 * routines.
 */
import * as build from '../../graph/build.ts';
import type { MatrixRoutine } from '../../graph/matrix.ts';
import { shapeText } from '../convert.ts';
import { eye } from '../creation.ts';
import { broadcastShapes, checkTensor } from '../operands.ts';
import { Tensor } from '../tensor.ts';

/** f32 or f64 of at least two dims. */
export function checkMatrix(op: string, name: string, x: Tensor): void {
  checkTensor(op, name, x);
  if (x.dtype !== 'f32' && x.dtype !== 'f64')
    throw new TypeError(`${op}: ${name}: expected a tensor f32 or f64, got ${x.dtype}`);
  if (x.ndim < 2) throw new RangeError(`${op}: ${name}: expected at least 2 dims, got ${shapeText(x.shape)}`);
}

export function checkSquare(op: string, name: string, x: Tensor): void {
  checkMatrix(op, name, x);
  if (x.shape.at(-1) !== x.shape.at(-2))
    throw new RangeError(`${op}: ${name}: expected square matrices, got ${shapeText(x.shape)}`);
}

export function checkSameDType(op: string, a: string, x: Tensor, b: string, y: Tensor): void {
  if (x.dtype !== y.dtype) throw new TypeError(`${op}: ${a} and ${b} differ in dtype: ${x.dtype} and ${y.dtype}`);
}

export const rowsOf = (x: Tensor): number => x.shape.at(-2)!;
export const colsOf = (x: Tensor): number => x.shape.at(-1)!;

/** A matrix routine of the graph; leading dims are equal. */
export const routine = (name: MatrixRoutine, ...inputs: readonly Tensor[]): Tensor =>
  new Tensor(build.matrix(name, ...inputs.map(input => input.node)));

/**
 * `result` [..., r, c], which fails when it is computed, with `sentence` ({} stands for the number), where info i32
 * [...] is not 0: the check is 0 that is added.
 */
export function checkedBy(result: Tensor, info: Tensor, sentence: string): Tensor {
  const checked = new Tensor(build.checkIndex(info.detach().node, 1, sentence));
  return result.add(checked.to(result.dtype).unsqueeze(-1).unsqueeze(-1));
}

/** Leading dims broadcast to one shape. */
export function sameBatch(op: string, ...matrices: readonly Tensor[]): Tensor[] {
  const batch = broadcastShapes(
    op,
    matrices.map(x => x.shape.slice(0, -2)),
  );
  return matrices.map(x => x.expand([...batch, rowsOf(x), colsOf(x)]));
}

/** Rows or columns from .. from + count. */
export const rows = (x: Tensor, from: number, count = rowsOf(x) - from): Tensor => x.narrow(-2, from, count);
export const columns = (x: Tensor, from: number, count = colsOf(x) - from): Tensor => x.narrow(-1, from, count);

export const identityLike = (x: Tensor): Tensor => eye(rowsOf(x), colsOf(x), { dtype: x.dtype }).expand(x.shape);

/** X with L X = B of a lower triangular L; with U X = B of an upper triangular U. Leading dims are equal. */
export const solveLower = (l: Tensor, b: Tensor): Tensor => routine('solveTriangular', l, b);
export const solveUpper = (u: Tensor, b: Tensor): Tensor => solveLower(u.flip([-2, -1]), b.flip(-2)).flip(-2);

/** The triangle with ones on the diagonal. */
export const withUnitDiagonal = (x: Tensor, upper: boolean): Tensor =>
  (upper ? x.triu(1) : x.tril(-1)).add(identityLike(x));

/** Symmetric matrices from the lower triangle; their gradient goes to both triangles. */
export function symmetricOf(op: string, x: Tensor): Tensor {
  checkSquare(op, 'input', x);
  const both = x.add(x.mT).mul(0.5);
  return both.add(x.tril().add(x.tril(-1).mT).sub(both).detach());
}
