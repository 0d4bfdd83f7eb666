/**
 * Distinct elements and slices, and the most frequent ones. The data is read now, since it decides the result's shape
 * (mode excepted). Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { reader } from '../convert.ts';
import { checkTensor, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor, type ValuesAndIndices } from '../tensor.ts';
import { coordinate } from './along.ts';

/** Distinct values, where each element (or slice) went, and how often each occurs. */
export interface Distinct {
  readonly values: Tensor;
  /** i64, of the input's shape (a vector with `dim`). */
  readonly inverse: Tensor;
  /** i64 vector. */
  readonly counts: Tensor;
}

export interface DistinctOptions {
  /** Compares the slices along this dim instead of elements. */
  readonly dim?: number | null;
}

/** One row of numbers for each thing to compare. */
function rowsOf(x: Tensor): number[][] {
  const read = reader(x.dtype, x.data());
  const [n, width] = [x.shape[0]!, x.numel() / Math.max(1, x.shape[0]!)];
  return Array.from({ length: n }, (_, i) => Array.from({ length: width }, (_, k) => read(i * width + k)));
}

function ordered(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i]! < b[i]!) return -1;
    if (a[i]! > b[i]!) return 1;
  }
  return 0;
}

const equalRows = (a: readonly number[], b: readonly number[]): boolean => a.every((value, i) => value === b[i]);

/** Groups neighbours that are equal, in the order given. */
function distinct(op: string, x: Tensor, options: DistinctOptions, sorted: boolean): Distinct {
  const { dim = null } = checkOptions(op, options, ['dim']);
  checkTensor(op, 'input', x);
  const d = dim === null ? 0 : normalDim(op, dim, x.ndim);
  const slices = dim === null || x.ndim === 0 ? x.reshape([-1]) : x.movedim(d, 0);
  const rows = rowsOf(slices);
  const order = rows.map((_, i) => i);
  if (sorted) order.sort((a, b) => ordered(rows[a]!, rows[b]!) || a - b);
  const firsts: number[] = [];
  const counts: bigint[] = [];
  const inverse = new BigInt64Array(rows.length);
  for (const i of order) {
    const last = firsts[firsts.length - 1];
    if (last !== undefined && equalRows(rows[i]!, rows[last]!)) counts[counts.length - 1]!++;
    else {
      firsts.push(i);
      counts.push(1n);
    }
    inverse[i] = BigInt(firsts.length - 1);
  }
  const picked = slices.indexSelect(0, Tensor.from(firsts, { dtype: 'i64' }));
  return {
    values: dim === null || x.ndim === 0 ? picked : picked.movedim(0, d),
    inverse: Tensor.from(inverse, { shape: dim === null ? x.shape : [rows.length] }),
    counts: Tensor.from(BigInt64Array.from(counts)),
  };
}

/** The distinct elements (or slices along `dim`) in ascending order. Reads the data. */
export function unique(x: Tensor, options: DistinctOptions = {}): Distinct {
  return distinct('unique', x, options, true);
}

/** x with runs of equal elements (or slices along `dim`) made one. Reads the data. */
export function uniqueConsecutive(x: Tensor, options: DistinctOptions = {}): Distinct {
  return distinct('uniqueConsecutive', x, options, false);
}

/** The most frequent value along `dim` (the smallest of several) and the last place where it stands. */
export function mode(x: Tensor, dim = -1, options: { readonly keepdim?: boolean } = {}): ValuesAndIndices {
  checkOptions('mode', options, ['keepdim']);
  checkTensor('mode', 'input', x);
  const d = normalDim('mode', dim, x.ndim);
  if (x.ndim === 0) return { values: x, indices: new Tensor(build.full(0, [], 'i64')) };
  const row = x.detach().movedim(d, -1);
  const counts = row.unsqueeze(-1).eq(row.unsqueeze(-2)).sum(-1);
  const frequent = counts.eq(counts.amax(-1, { keepdim: true }));
  const sorted = row.sort(-1).values;
  const largest = sorted.narrow(-1, row.shape.at(-1)! - 1, 1);
  const value = frequent.where(row, largest).amin(-1, { keepdim: true });
  const at = row
    .eq(value)
    .where(new Tensor(coordinate(row.shape, row.ndim - 1)), -1)
    .amax(-1, { keepdim: true });
  const indices = at.movedim(-1, d);
  const values = x.gather(d, indices);
  return options.keepdim ? { values, indices } : { values: values.squeeze(d), indices: indices.squeeze(d) };
}
