/**
 * Many elements to one: reductions, scans, contraction; and sorting. Floats accumulate in f64 and are rounded once at
 * the end.
 */
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { Attrs, ReduceKind } from '../../graph/node.ts';
import { bigBinary, numberBinary } from './elementwise.ts';
import { around, isBig, offsetsOf, stridesOf, type Values } from './values.ts';

const COMBINE = { sum: 'add', prod: 'mul', max: 'max', min: 'min' } as const;

const LOWEST: Partial<Record<DType, number | bigint>> = {
  i32: -(2 ** 31),
  i64: -(2n ** 63n),
  u8: 0,
  i8: -128,
  bool: 0,
};
const HIGHEST: Partial<Record<DType, number | bigint>> = {
  i32: 2 ** 31 - 1,
  i64: 2n ** 63n - 1n,
  u8: 255,
  i8: 127,
  bool: 1,
};

/** The value that changes nothing: what reducing no elements gives. */
function neutral(kind: ReduceKind, dtype: DType): number | bigint {
  switch (kind) {
    case 'sum':
      return dtype === 'i64' ? 0n : 0;
    case 'prod':
      return dtype === 'i64' ? 1n : 1;
    case 'max':
      return LOWEST[dtype] ?? Number.NEGATIVE_INFINITY;
    case 'min':
      return HIGHEST[dtype] ?? Number.POSITIVE_INFINITY;
  }
}

/** acc, x -> acc. Narrow integers wrap at 32 bits on the way, which the store's own wrapping cannot tell. */
function combiner(kind: ReduceKind, dtype: DType): (acc: number | bigint, x: number | bigint) => number | bigint {
  if (dtype === 'i64') {
    const fn = bigBinary(COMBINE[kind]);
    return (acc, x) => BigInt.asIntN(64, fn(acc as bigint, x as bigint));
  }
  const fn = numberBinary(COMBINE[kind], dtype);
  if (isFloat(dtype)) return (acc, x) => fn(acc as number, x as number);
  return (acc, x) => fn(acc as number, x as number) | 0;
}

export function reduce(
  kind: ReduceKind,
  dtype: DType,
  input: Values,
  inShape: readonly number[],
  axes: readonly number[],
  out: Values,
): void {
  const strides = stridesOf(inShape);
  const pick = (keep: boolean): Int32Array => {
    const dims = inShape.map((_, d) => d).filter(d => axes.includes(d) === keep);
    return offsetsOf(
      dims.map(d => inShape[d]!),
      dims.map(d => strides[d]!),
    );
  };
  const bases = pick(false);
  const steps = pick(true);
  const combine = combiner(kind, dtype);
  const start = neutral(kind, dtype);
  for (let o = 0; o < bases.length; o++) {
    let acc = start;
    for (let s = 0; s < steps.length; s++) acc = combine(acc, input[bases[o]! + steps[s]!]!);
    out[o] = acc;
  }
}

export function scan(
  kind: ReduceKind,
  dtype: DType,
  input: Values,
  shape: readonly number[],
  axis: number,
  reverse: boolean,
  out: Values,
): void {
  const { outer, n, inner } = around(shape, axis);
  const combine = combiner(kind, dtype);
  for (let o = 0; o < outer; o++)
    for (let k = 0; k < inner; k++) {
      let acc = neutral(kind, dtype);
      for (let j = 0; j < n; j++) {
        const at = (o * n + (reverse ? n - 1 - j : j)) * inner + k;
        acc = combine(acc, input[at]!);
        out[at] = acc;
      }
    }
}

const isNaNValue = (x: number | bigint): boolean => typeof x === 'number' && Number.isNaN(x);

/** Order of elements with NaN above everything; -0 and 0 are equal. */
function order(x: number | bigint, y: number | bigint): number {
  if (isNaNValue(x) || isNaNValue(y)) return Number(isNaNValue(x)) - Number(isNaNValue(y));
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Position of the first extreme; a NaN is one. */
export function argReduce(
  kind: 'max' | 'min',
  input: Values,
  shape: readonly number[],
  axis: number,
  out: BigInt64Array,
): void {
  const { outer, n, inner } = around(shape, axis);
  for (let o = 0; o < outer; o++)
    for (let k = 0; k < inner; k++) {
      let best = 0;
      for (let j = 1; j < n; j++) {
        const x = input[(o * n + j) * inner + k]!;
        const champion = input[(o * n + best) * inner + k]!;
        if (isNaNValue(champion)) break;
        if (isNaNValue(x) || (kind === 'max' ? x > champion : x < champion)) best = j;
      }
      out[o * inner + k] = BigInt(best);
    }
}

/** The permutation that sorts along `axis`, equal elements in their old order. */
export function argSort(
  input: Values,
  shape: readonly number[],
  axis: number,
  descending: boolean,
  out: BigInt64Array,
): void {
  const { outer, n, inner } = around(shape, axis);
  const sign = descending ? -1 : 1;
  for (let o = 0; o < outer; o++)
    for (let k = 0; k < inner; k++) {
      const at = (j: number): number => (o * n + j) * inner + k;
      const sorted = Array.from({ length: n }, (_, j) => j).sort((i, j) => sign * order(input[at(i)]!, input[at(j)]!));
      sorted.forEach((from, j) => {
        out[at(j)] = BigInt(from);
      });
    }
}

/** The sum over all labels that are not in `out` of a * b. */
export function contract(
  labels: Attrs['contract'],
  dtype: DType,
  a: Values,
  aShape: readonly number[],
  b: Values,
  bShape: readonly number[],
  out: Values,
): void {
  const sizes = new Map<number, number>();
  labels.a.forEach((label, d) => {
    sizes.set(label, aShape[d]!);
  });
  labels.b.forEach((label, d) => {
    sizes.set(label, bShape[d]!);
  });
  const summed = [...sizes.keys()].filter(label => !labels.out.includes(label));
  /** Where an operand stands for every position of the given labels; it does not move along labels it lacks. */
  const offsets = (over: readonly number[], own: readonly number[], shape: readonly number[]): Int32Array => {
    const strides = stridesOf(shape);
    return offsetsOf(
      over.map(label => sizes.get(label)!),
      over.map(label => (own.includes(label) ? strides[own.indexOf(label)]! : 0)),
    );
  };
  const baseA = offsets(labels.out, labels.a, aShape);
  const baseB = offsets(labels.out, labels.b, bShape);
  const stepA = offsets(summed, labels.a, aShape);
  const stepB = offsets(summed, labels.b, bShape);

  if (isBig(a) && isBig(b)) {
    for (let o = 0; o < out.length; o++) {
      let acc = 0n;
      for (let s = 0; s < stepA.length; s++) acc += a[baseA[o]! + stepA[s]!]! * b[baseB[o]! + stepB[s]!]!;
      out[o] = acc;
    }
    return;
  }
  const exact = isFloat(dtype);
  // A product that sums nothing keeps its sign where it is 0; a sum starts from 0.
  const start = summed.length === 0 && exact ? -0 : 0;
  for (let o = 0; o < out.length; o++) {
    let acc = start;
    const fromA = baseA[o]!;
    const fromB = baseB[o]!;
    for (let s = 0; s < stepA.length; s++) {
      const x = a[fromA + stepA[s]!] as number;
      const y = b[fromB + stepB[s]!] as number;
      acc = exact ? acc + x * y : (acc + Math.imul(x, y)) | 0;
    }
    out[o] = dtype === 'bool' ? Number(acc !== 0) : acc;
  }
}
