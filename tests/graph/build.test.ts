/**
 * What the builders simplify must not change any number: literals against the same values computed by the reference
 * backend.
 */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import { DTYPES, type DType, isFloat } from '../../src/graph/dtype.ts';
import { BINARY, COMPARE, type Node, UNARY } from '../../src/graph/node.ts';
import { leaf, numbers, numbersOf } from './evaluate.ts';

const FLOATS = [0, -0, 1, -1, 2.5, -0.1, 1e-8, 70000, 1e10, -1e30, Infinity, -Infinity, Number.NaN];
const INTEGERS = [0, 1, -1, 2, 7, -8, 127, -128, 200, 2 ** 31 - 1, -(2 ** 31)];
const BIG = [0n, 1n, -1n, 5n, 2n ** 31n, -(2n ** 40n) - 3n, 2n ** 62n + 1n, -(2n ** 63n)];

const literals = (dtype: DType): readonly (number | bigint)[] =>
  isFloat(dtype) ? FLOATS : dtype === 'i64' ? BIG : dtype === 'bool' ? [0, 1] : INTEGERS;

/** Nodes of literals, and the same computed from data; skips what is not defined on the dtype. */
function compare(what: string, f: (...xs: Node[]) => Node, dtype: DType, rows: readonly (number | bigint)[][]): void {
  const computed = (): number[] => {
    const columns = rows[0]!.map((_, c) =>
      leaf(
        rows.map(row => row[c]!),
        [rows.length],
        dtype,
      ),
    );
    return numbers(f(...columns));
  };
  let expected: number[];
  try {
    expected = computed();
  } catch (error) {
    expect(String(error)).toMatch(/internal: .* is not defined on/);
    return;
  }
  const folded = rows.map(row => f(...row.map(value => g.constant(value, dtype))));
  numbersOf(...folded).forEach(([value], i) => {
    expect(value, `${what} of ${dtype} ${rows[i]!.join(', ')}`).toBe(expected[i]);
  });
}

describe('literals fold to what is computed', () => {
  it.each(DTYPES)('unary and conversions of %s', dtype => {
    const rows = literals(dtype).map(value => [value]);
    for (const fn of UNARY) compare(fn, x => g.unary(fn, x!), dtype, rows);
    for (const to of DTYPES) compare(`cast to ${to}`, x => g.cast(x!, to), dtype, rows);
  });

  it.each(DTYPES)('binary and comparisons of %s', dtype => {
    const rows = literals(dtype).flatMap(a => literals(dtype).map(b => [a, b]));
    for (const fn of BINARY) compare(fn, (a, b) => g.binary(fn, a!, b!), dtype, rows);
    for (const fn of COMPARE) compare(fn, (a, b) => g.compare(fn, a!, b!), dtype, rows);
  });

  it('conversions of counting nodes', () => {
    for (const dtype of ['u8', 'i8', 'bf16', 'i32', 'f32'] as const) {
      const expected = numbers(g.cast(g.barrier(g.iota(300, dtype), 1), 'f64'));
      expect(numbers(g.cast(g.iota(300, dtype), 'f64'))).toEqual(expected);
    }
  });

  it('identities with one literal keep every value, -0 and NaN too', () => {
    const x = leaf(FLOATS, [FLOATS.length], 'f64');
    const one = g.full(1, x.shape, 'f64');
    const zero = g.full(0, x.shape, 'f64');
    for (const y of [
      g.binary('mul', x, one),
      g.binary('mul', one, x),
      g.binary('div', x, one),
      g.binary('sub', x, zero),
    ])
      expect(y).toBe(x);
    // -0 + 0 is 0, so this one is no identity.
    expect(numbers(g.binary('add', x, zero))[1]).toBe(0);
    expect(g.unary('neg', g.unary('neg', x))).toBe(x);
  });
});

describe('shape rules', () => {
  it('views of views become one view', () => {
    const x = leaf([1, 2, 3, 4, 5, 6], [2, 3]);
    const back = g.permute(g.permute(x, [1, 0]), [1, 0]);
    expect(back).toBe(x);
    const sliced = g.slice(g.permute(x, [1, 0]), [1, 0], [2, 1]);
    expect(sliced.inputs[0]).toBe(x);
    expect(numbers(sliced)).toEqual([2, 3]);
    expect(g.reshape(g.reshape(x, [6]), [2, 3])).toBe(x);
  });

  it('reductions of reductions become one, and of nothing to reduce none', () => {
    const x = leaf([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
    const twice = g.reduce('max', g.reduce('max', x, [1]), [1]);
    expect(twice.inputs[0]).toBe(x);
    expect(numbers(twice)).toEqual([4, 8]);
    expect(g.reduce('sum', x, [])).toBe(x);
    expect(g.reduce('sum', leaf([1, 2], [2, 1]), [1]).op).toBe('reshape');
  });

  it('disagreement is an internal error that names both sides', () => {
    const a = leaf([1, 2], [2], 'f32');
    expect(() => g.binary('add', a, leaf([1, 2], [2]))).toThrow('internal: add: f32 [2] meets f64 [2]');
    expect(() => g.binary('add', a, leaf([1], [1], 'f32'))).toThrow('internal: add: f32 [2] meets f32 [1]');
    expect(() => g.contract(a, a, [0], [1], [0])).toThrow('internal: contract: label 1 stands in one operand only');
    expect(() => g.reshape(a, [3])).toThrow('internal: reshape of [2] to [3]');
  });
});
