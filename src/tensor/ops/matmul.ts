/**
 * Products of matrices and vectors, all as one labelled contraction. Both operands must have one dtype, as in PyTorch.
 * Functions here have the tensor first and become methods of Tensor.
 */

import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { lowered } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { broadcastShapes, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

/** The operands of a product, in autocast's type where it is on. */
function pair(op: string, x: Tensor, other: Tensor): [Tensor, Tensor] {
  checkTensor(op, 'input', x);
  checkTensor(op, 'other', other);
  const [a, b] = [lowered(x), lowered(other)];
  checkPair(op, a, b);
  return [a, b];
}

function checkPair(op: string, a: Tensor, b: Tensor): void {
  checkTensor(op, 'input', a);
  checkTensor(op, 'other', b);
  if (a.dtype !== b.dtype) throw new TypeError(`${op}: dtypes differ: ${a.dtype} x ${b.dtype}`);
  if (a.dtype === 'bool') throw new TypeError(`${op}: bool is not supported`);
}

const innerMismatch = (op: string, a: Tensor, b: Tensor): never => {
  throw new RangeError(`${op}: inner sizes differ: ${shapeText(a.shape)} x ${shapeText(b.shape)}`);
};

/**
 * The matrix product. Vectors count as a row on the left and a column on the right; leading dims are batches and
 * broadcast.
 */
export function matmul(x: Tensor, other: Tensor): Tensor {
  return product('matmul', ...pair('matmul', x, other));
}

function product(op: string, x: Tensor, other: Tensor): Tensor {
  if (x.ndim === 0 || other.ndim === 0)
    throw new RangeError(`${op}: operands need at least one dim: ${shapeText(x.shape)} x ${shapeText(other.shape)}`);
  const batchA = x.shape.slice(0, -2);
  const batchB = other.shape.slice(0, -2);
  const inner = x.shape[x.ndim - 1]!;
  if (inner !== other.shape[Math.max(0, other.ndim - 2)]) innerMismatch(op, x, other);
  const batch = broadcastShapes(op, [batchA, batchB]);
  const [m, k, n] = [batch.length, batch.length + 1, batch.length + 2];
  // A batch dim of size 1 that must stretch is dropped from its operand: the other one alone carries the label.
  const labels = (shape: readonly number[], own: readonly number[]): { labels: number[]; shape: number[] } => {
    const lead = batch.length - (shape.length - own.length);
    const kept = shape.map((_, d) => d).filter(d => d >= shape.length - own.length || shape[d] === batch[d + lead]);
    return {
      labels: kept.map(d => (d >= shape.length - own.length ? own[d - shape.length + own.length]! : d + lead)),
      shape: kept.map(d => shape[d]!),
    };
  };
  const left = labels(x.shape, x.ndim > 1 ? [m, k] : [k]);
  const right = labels(other.shape, other.ndim > 1 ? [k, n] : [k]);
  const out = batch.map((_, d) => d);
  if (x.ndim > 1) out.push(m);
  if (other.ndim > 1) out.push(n);
  const result = new Tensor(
    build.contract(
      build.reshape(x.node, left.shape),
      build.reshape(other.node, right.shape),
      left.labels,
      right.labels,
      out,
    ),
  );
  return composite('matmul', [x, other], {}, result);
}

function pairOf(op: string, x: Tensor, dimsA: number, other: Tensor, dimsB: number): [Tensor, Tensor] {
  const [a, b] = pair(op, x, other);
  if (a.ndim !== dimsA || b.ndim !== dimsB)
    throw new RangeError(
      `${op}: expected operands of ${dimsA} and ${dimsB} dims, got ${shapeText(a.shape)} x ${shapeText(b.shape)}`,
    );
  return [a, b];
}

/** Matrix by matrix. */
export function mm(x: Tensor, other: Tensor): Tensor {
  return product('mm', ...pairOf('mm', x, 2, other, 2));
}

/** Batch of matrices by batch of matrices, of equal batch size. */
export function bmm(x: Tensor, other: Tensor): Tensor {
  const [a, b] = pairOf('bmm', x, 3, other, 3);
  if (x.shape[0] !== other.shape[0])
    throw new RangeError(`bmm: batch sizes differ: ${shapeText(x.shape)} x ${shapeText(other.shape)}`);
  return product('bmm', a, b);
}

/** Matrix by vector. */
export function mv(x: Tensor, vector: Tensor): Tensor {
  return product('mv', ...pairOf('mv', x, 2, vector, 1));
}

/** Inner product of two vectors of one length. */
export function dot(x: Tensor, other: Tensor): Tensor {
  return product('dot', ...pairOf('dot', x, 1, other, 1));
}

/** dot (there are no complex dtypes). */
export function vdot(x: Tensor, other: Tensor): Tensor {
  return product('vdot', ...pairOf('vdot', x, 1, other, 1));
}

/** Products over the last dim of both. */
export function inner(x: Tensor, other: Tensor): Tensor {
  checkPair('inner', x, other);
  if (x.ndim === 0 || other.ndim === 0) return x.mul(other);
  if (x.shape[x.ndim - 1] !== other.shape[other.ndim - 1]) innerMismatch('inner', x, other);
  return tensordot(x, other, [[-1], [-1]]);
}

/** Every element of one vector times every element of the other. */
export function outer(x: Tensor, other: Tensor): Tensor {
  checkTensor('outer', 'input', x);
  checkTensor('outer', 'other', other);
  if (x.ndim !== 1 || other.ndim !== 1)
    throw new RangeError(`outer: expected two vectors, got ${shapeText(x.shape)} x ${shapeText(other.shape)}`);
  return x.unsqueeze(1).mul(other);
}

/** outer under its other name. */
export function ger(x: Tensor, other: Tensor): Tensor {
  return outer(x, other);
}

/**
 * Contraction over the last `dims` dims of the first tensor and the first ones of the second, or over the listed pairs.
 */
export function tensordot(
  first: Tensor,
  second: Tensor,
  dims: number | readonly [readonly number[], readonly number[]] = 2,
): Tensor {
  const [x, other] = pair('tensordot', first, second);
  const pairs =
    typeof dims === 'number'
      ? ([
          Array.from({ length: dims }, (_, i) => x.ndim - dims + i),
          Array.from({ length: dims }, (_, i) => i),
        ] as const)
      : dims;
  const at = (tensor: Tensor, list: readonly number[]): number[] =>
    list.map(d => {
      if (!Number.isInteger(d) || d < -tensor.ndim || d >= tensor.ndim)
        throw new RangeError(`tensordot: dim ${d} is out of range for a tensor of ${tensor.ndim} dims`);
      return d < 0 ? d + tensor.ndim : d;
    });
  const left = at(x, pairs[0]);
  const right = at(other, pairs[1]);
  if (left.length !== right.length)
    throw new RangeError(`tensordot: dims: lists of ${left.length} and ${right.length} dims do not pair`);
  left.forEach((d, i) => {
    if (x.shape[d] !== other.shape[right[i]!]) innerMismatch('tensordot', x, other);
  });
  const labelsA = x.shape.map((_, d) => d);
  const labelsB = other.shape.map((_, d) => {
    const i = right.indexOf(d);
    return i >= 0 ? left[i]! : x.ndim + d;
  });
  const out = [...labelsA.filter(l => !left.includes(l)), ...labelsB.filter(l => l >= x.ndim)];
  return new Tensor(build.contract(x.node, other.node, labelsA, labelsB, out));
}

/** What products that are added to a tensor take. */
export interface AddmmOptions {
  /** Factor of the added tensor, 1 by default; 0 leaves it out. */
  readonly beta?: number;
  /** Factor of the product, 1 by default. */
  readonly alpha?: number;
}

/** Names of AddmmOptions. */
const ADDMM = ['beta', 'alpha'] as const;

function addProduct(op: string, x: Tensor, result: Tensor, options: AddmmOptions): Tensor {
  checkTensor(op, 'input', x);
  // Factors do not change the type: those of whole numbers are cut to whole ones, as in PyTorch.
  const factor = (value = 1): number => (isFloat(result.dtype) ? value : Math.trunc(value));
  const [beta, alpha] = [factor(options.beta), factor(options.alpha)];
  const scaled = alpha === 1 ? result : result.mul(alpha);
  const shape = broadcastShapes(op, [x.shape, result.shape]);
  if (shape.some((n, d) => n !== result.shape[d]) || shape.length !== result.ndim)
    throw new RangeError(
      `${op}: input ${shapeText(x.shape)} does not broadcast to the product ${shapeText(result.shape)}`,
    );
  if (beta === 0) return scaled;
  const added = x.dtype === result.dtype ? x : lowered(x);
  const sum = (beta === 1 ? added : added.mul(beta)).add(scaled);
  return result.dtype === 'bool' ? sum.to('bool') : sum;
}

/** beta * x + alpha * (a @ b), of matrices. */
export function addmm(x: Tensor, a: Tensor, b: Tensor, options: AddmmOptions = {}): Tensor {
  checkOptions('addmm', options, ADDMM);
  return addProduct('addmm', x, mm(a, b), options);
}

/** beta * x + alpha * (matrix @ vector). */
export function addmv(x: Tensor, matrix: Tensor, vector: Tensor, options: AddmmOptions = {}): Tensor {
  checkOptions('addmv', options, ADDMM);
  return addProduct('addmv', x, mv(matrix, vector), options);
}

/** beta * x + alpha * outer(a, b). */
export function addr(x: Tensor, a: Tensor, b: Tensor, options: AddmmOptions = {}): Tensor {
  checkOptions('addr', options, ADDMM);
  return addProduct('addr', x, outer(a, b), options);
}

/** beta * x + alpha * (a @ b), batch by batch. */
export function baddbmm(x: Tensor, a: Tensor, b: Tensor, options: AddmmOptions = {}): Tensor {
  checkOptions('baddbmm', options, ADDMM);
  return addProduct('baddbmm', x, bmm(a, b), options);
}

/** beta * x + alpha * the sum of the batch of products. */
export function addbmm(x: Tensor, first: Tensor, second: Tensor, options: AddmmOptions = {}): Tensor {
  checkOptions('addbmm', options, ADDMM);
  const [a, b] = pairOf('addbmm', first, 3, second, 3);
  if (a.shape[0] !== b.shape[0] || a.shape[2] !== b.shape[1]) innerMismatch('addbmm', a, b);
  const total = new Tensor(build.contract(a.node, b.node, [0, 1, 2], [0, 2, 3], [1, 3]));
  return addProduct('addbmm', x, total, options);
}
