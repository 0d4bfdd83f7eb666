/**
 * Elementwise primitives. Constants fold, identities fall away.
 */
import { type DType, isInt } from '../dtype.ts';
import { foldBinary, foldCast, foldCompare, foldUnary } from '../fold.ts';
import type { Binary, Compare, Node, Unary } from '../node.ts';
import { sameShape } from '../shape.ts';
import { iota, uniformValue } from './leaves.ts';
import { fail, node, pending } from './node.ts';
import { full } from './reindex.ts';

export function unary(fn: Unary, x: Node): Node {
  const value = uniformValue(x);
  if (value !== null) {
    const folded = foldUnary(fn, value, x.dtype);
    if (folded !== null) return full(folded, x.shape, x.dtype);
  }
  if (fn === 'neg' && pending(x, 'unary') && x.attrs.fn === 'neg') return x.inputs[0]!;
  return node('unary', [x], { fn }, x.shape, x.dtype);
}

function checkPair(what: string, a: Node, b: Node): void {
  if (!sameShape(a.shape, b.shape) || a.dtype !== b.dtype)
    fail(`${what}: ${a.dtype} [${a.shape}] meets ${b.dtype} [${b.shape}]`);
}

export function binary(fn: Binary, a: Node, b: Node): Node {
  checkPair(fn, a, b);
  const va = uniformValue(a);
  const vb = uniformValue(b);
  if (va !== null && vb !== null) {
    const folded = foldBinary(fn, va, vb, a.dtype);
    if (folded !== null) return full(folded, a.shape, a.dtype);
  }
  if ((fn === 'mul' || fn === 'div') && vb !== null && Number(vb) === 1) return a;
  if (fn === 'mul' && va !== null && Number(va) === 1) return b;
  if (fn === 'sub' && Object.is(vb, 0)) return a;
  if (a.dtype === 'bool' && (fn === 'and' || fn === 'or')) {
    const neutral = fn === 'and';
    if (vb !== null) return Boolean(Number(vb)) === neutral ? a : b;
    if (va !== null) return Boolean(Number(va)) === neutral ? b : a;
  }
  return node('binary', [a, b], { fn }, a.shape, a.dtype);
}

export function compare(fn: Compare, a: Node, b: Node): Node {
  checkPair(fn, a, b);
  const va = uniformValue(a);
  const vb = uniformValue(b);
  if (va !== null && vb !== null) return full(foldCompare(fn, va, vb) ? 1 : 0, a.shape, 'bool');
  return node('compare', [a, b], { fn }, a.shape, 'bool');
}

export function where(condition: Node, a: Node, b: Node): Node {
  checkPair('where', a, b);
  if (condition.dtype !== 'bool' || !sameShape(condition.shape, a.shape))
    fail(`where: condition is ${condition.dtype} [${condition.shape}], values [${a.shape}]`);
  const value = uniformValue(condition);
  if (value !== null) return Number(value) ? a : b;
  return node('where', [condition, a, b], {}, a.shape, a.dtype);
}

/** How many whole numbers from 0 a dtype tells apart: longer iotas wrap or round. */
const COUNTS_TO: { readonly [D in DType]: number } = {
  bool: 2, u8: 2 ** 8, i8: 2 ** 7, i32: 2 ** 31, i64: 2 ** 53, f16: 2 ** 11, bf16: 2 ** 8, f32: 2 ** 24, f64: 2 ** 53,
}; // biome-ignore format: a table

export function cast(x: Node, dtype: DType): Node {
  if (x.dtype === dtype) return x;
  const value = uniformValue(x);
  const folded = value === null ? null : foldCast(value, dtype);
  if (folded !== null) return full(folded, x.shape, dtype);
  if (x.is('iota') && x.size <= COUNTS_TO[x.dtype]) return iota(x.size, dtype);
  return node('cast', [x], {}, x.shape, dtype);
}

const BITCASTS: Partial<Record<DType, DType>> = { f32: 'i32', i32: 'f32', f64: 'i64', i64: 'f64' };

export function bitcast(x: Node, dtype: DType): Node {
  if (BITCASTS[x.dtype] !== dtype) fail(`bitcast from ${x.dtype} to ${dtype}`);
  return node('bitcast', [x], {}, x.shape, dtype);
}

export function checkIndex(x: Node, size: number, what: string): Node {
  if (!isInt(x.dtype)) fail(`checkIndex on ${x.dtype}`);
  return node('checkIndex', [x], { size, what }, x.shape, x.dtype);
}
