/**
 * The simple elementwise operations, run as WebAssembly: integers with every awkward case against bigints, half floats
 * against the bit tricks of graph/half.ts, remainders against exact rational arithmetic.
 */
import { describe, expect, it } from 'vitest';
import type { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import type { Reg } from '../../src/compiler/loops.ts';
import {
  lowerBinary,
  lowerBitcast,
  lowerCast,
  lowerCompare,
  lowerUnary,
  lowerWhere,
} from '../../src/compiler/math/index.ts';
import type { DType, HostArray } from '../../src/graph/dtype.ts';
import { hostArray } from '../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';
import type { Binary, Unary } from '../../src/graph/node.ts';
import { apply } from './math-kernel.ts';

const INTEGERS: readonly (readonly [DType, bigint, bigint, number])[] = [
  ['u8', 0n, 255n, 8],
  ['i8', -128n, 127n, 8],
  ['i32', -(2n ** 31n), 2n ** 31n - 1n, 32],
  ['i64', -(2n ** 63n), 2n ** 63n - 1n, 64],
];

/** Every pair of `values`, padded to a multiple of four. */
function pairs<T>(values: readonly T[]): [T[], T[]] {
  const x: T[] = [];
  const y: T[] = [];
  for (const a of values)
    for (const c of values) {
      x.push(a);
      y.push(c);
    }
  while (x.length % 4) {
    x.push(values[0]!);
    y.push(values[1]!);
  }
  return [x, y];
}

function arrayOf(dtype: DType, values: readonly (number | bigint)[]): HostArray {
  const array = hostArray(dtype, values.length);
  values.forEach((value, i) => {
    let stored: number | bigint = dtype === 'i64' ? BigInt(value) : Number(value);
    if (dtype === 'f16') stored = f16Bits(Number(value));
    if (dtype === 'bf16') stored = bf16Bits(Number(value));
    array[i] = stored as never;
  });
  return array;
}

const listOf = (array: HostArray): (number | bigint)[] => Array.from(array as ArrayLike<number | bigint>);

function binary(fn: Binary, dtype: DType, x: readonly (number | bigint)[], y: readonly (number | bigint)[]) {
  const inputs = [
    { dtype, value: arrayOf(dtype, x) },
    { dtype, value: arrayOf(dtype, y) },
  ];
  return listOf(apply(inputs, dtype, (b, p, q) => lowerBinary(b, fn, dtype, p!, q!)));
}

function unary(fn: Unary, dtype: DType, x: readonly (number | bigint)[]) {
  return listOf(apply([{ dtype, value: arrayOf(dtype, x) }], dtype, (b, p) => lowerUnary(b, fn, dtype, p!)));
}

describe('integers', () => {
  for (const [dtype, least, most, width] of INTEGERS)
    it(`${dtype} arithmetic wraps, division by zero gives 0`, () => {
      const wrap = (v: bigint): bigint => (dtype === 'u8' ? BigInt.asUintN(width, v) : BigInt.asIntN(width, v));
      const values = [least, least + 1n, most, most - 1n, 0n, 1n, 2n, 3n, 7n, 100n];
      if (least < 0n) values.push(-1n, -2n, -3n, -7n, -100n);
      const [x, y] = pairs(values);
      const floorDiv = (a: bigint, c: bigint): bigint => {
        if (c === 0n) return 0n;
        const q = a / c;
        return a % c !== 0n && a < 0n !== c < 0n ? q - 1n : q;
      };
      const ordered = (a: bigint, c: bigint): readonly [bigint, bigint] => (a < c ? [a, c] : [c, a]);
      const expected: { [F in Binary]?: (a: bigint, c: bigint) => bigint } = {
        add: (a, c) => a + c,
        sub: (a, c) => a - c,
        mul: (a, c) => a * c,
        div: (a, c) => (c === 0n ? 0n : a / c),
        floorDiv,
        mod: (a, c) => (c === 0n ? 0n : a - c * floorDiv(a, c)),
        min: (a, c) => ordered(a, c)[0],
        max: (a, c) => ordered(a, c)[1],
        and: (a, c) => a & c,
        or: (a, c) => a | c,
        xor: (a, c) => a ^ c,
        shl: (a, c) => (c < 0n || c >= BigInt(width) ? 0n : a << c),
        shr: (a, c) => (c < 0n || c >= BigInt(width) ? (a < 0n ? -1n : 0n) : a >> c),
      };
      for (const [fn, f] of Object.entries(expected) as [Binary, (a: bigint, c: bigint) => bigint][])
        expect(binary(fn, dtype, x, y).map(BigInt), fn).toEqual(x.map((a, i) => wrap(f(a, y[i]!))));
      const exponents = [0n, 1n, 2n, 5n, 13n, 63n, 64n, 100n];
      const bases = [0n, 1n, 2n, 3n, most, least];
      const px = bases.flatMap(a => exponents.map(() => a));
      const py = bases.flatMap(() => exponents);
      expect(binary('pow', dtype, px, py).map(BigInt), 'pow').toEqual(px.map((a, i) => wrap(a ** py[i]!)));

      const signOf = (v: bigint): bigint => (v > 0n ? 1n : v < 0n ? -1n : 0n);
      const single = values.slice(0, values.length - (values.length % 4));
      expect(unary('neg', dtype, single).map(BigInt)).toEqual(single.map(v => wrap(-v)));
      expect(unary('abs', dtype, single).map(BigInt)).toEqual(single.map(v => wrap(v < 0n ? -v : v)));
      expect(unary('not', dtype, single).map(BigInt)).toEqual(single.map(v => wrap(~v)));
      expect(unary('sign', dtype, single).map(BigInt)).toEqual(single.map(v => wrap(signOf(v))));
    });

  it('i32 to a negative power is what integer division of 1 leaves', () => {
    expect(binary('pow', 'i32', [1, -1, -1, 2], [-3, -2, -3, -1])).toEqual([1, 1, -1, 0]);
  });
});

describe('bool', () => {
  const x = [0, 0, 1, 1];
  const y = [0, 1, 0, 1];
  const table: readonly (readonly [Binary, readonly number[]])[] = [
    ['and', [0, 0, 0, 1]],
    ['mul', [0, 0, 0, 1]],
    ['min', [0, 0, 0, 1]],
    ['or', [0, 1, 1, 1]],
    ['add', [0, 1, 1, 1]],
    ['max', [0, 1, 1, 1]],
    ['xor', [0, 1, 1, 0]],
  ];
  it('takes the logical operations', () => {
    for (const [fn, expected] of table) expect(binary(fn, 'bool', x, y), fn).toEqual(expected);
    expect(unary('not', 'bool', x)).toEqual([1, 1, 0, 0]);
    const compared = (fn: 'eq' | 'lt' | 'le'): (number | bigint)[] =>
      listOf(
        apply(
          [
            { dtype: 'bool', value: arrayOf('bool', x) },
            { dtype: 'bool', value: arrayOf('bool', y) },
          ],
          'bool',
          (b, p, q) => lowerCompare(b, fn, 'bool', p!, q!),
        ),
      );
    expect(compared('eq')).toEqual([1, 0, 0, 1]);
    expect(compared('lt')).toEqual([0, 1, 0, 0]);
    expect(compared('le')).toEqual([1, 1, 0, 1]);
  });

  it('selects in every dtype', () => {
    for (const dtype of ['f32', 'f64', 'bf16', 'i32', 'i64', 'u8', 'bool'] as const) {
      const result = apply(
        [
          { dtype: 'bool', value: arrayOf('bool', [1, 0, 0, 1]) },
          { dtype, value: arrayOf(dtype, [1, 1, 0, 0]) },
          { dtype, value: arrayOf(dtype, [0, 0, 1, 1]) },
        ],
        dtype,
        (b, c, p, q) => lowerWhere(b, dtype, c!, p!, q!),
      );
      expect(result, dtype).toEqual(arrayOf(dtype, [1, 0, 1, 0]));
    }
  });
});

describe('floats', () => {
  const NAN = Number.NaN;
  const INF = Number.POSITIVE_INFINITY;
  const awkward = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, INF, -INF, NAN, 1e-310, 2 ** 52 + 1];

  for (const dtype of ['f32', 'f64'] as const)
    it(`${dtype}: rounding, sign, min and max as IEEE says`, () => {
      const held = listOf(arrayOf(dtype, awkward)) as number[];
      const even = (v: number): number => {
        if (!Number.isFinite(v) || Number.isInteger(v)) return v;
        const low = Math.floor(v);
        const up = v - low > 0.5 || (v - low === 0.5 && low % 2 !== 0);
        const rounded = up ? low + 1 : low;
        return rounded === 0 && v < 0 ? -0 : rounded;
      };
      expect(unary('round', dtype, awkward)).toEqual(held.map(even));
      expect(unary('sign', dtype, awkward)).toEqual(held.map(Math.sign));
      expect(unary('floor', dtype, awkward)).toEqual(held.map(Math.floor));
      expect(unary('trunc', dtype, awkward)).toEqual(held.map(Math.trunc));
      const [x, y] = pairs(awkward);
      const hx = listOf(arrayOf(dtype, x)) as number[];
      const hy = listOf(arrayOf(dtype, y)) as number[];
      expect(binary('min', dtype, x, y)).toEqual(hx.map((v, i) => Math.min(v, hy[i]!)));
      expect(binary('max', dtype, x, y)).toEqual(hx.map((v, i) => Math.max(v, hy[i]!)));
      const compared = apply(
        [
          { dtype, value: arrayOf(dtype, x) },
          { dtype, value: arrayOf(dtype, y) },
        ],
        'bool',
        (b, p, q) => lowerCompare(b, 'le', dtype, p!, q!),
      );
      expect(listOf(compared)).toEqual(hx.map((v, i) => Number(v <= hy[i]!)));
    });

  /** The exact remainder with the divisor's sign, and the floored quotient: both operands times 2^1100 are integers. */
  function exact(x: number, y: number): { mod: number; floorDiv: number } {
    const unit = 1100;
    const big = (v: number): bigint => {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, v);
      const bits = view.getBigUint64(0);
      const exponent = Number((bits >> 52n) & 0x7ffn);
      const mantissa = (bits & 0xfffffffffffffn) | (exponent ? 0x10000000000000n : 0n);
      const magnitude = mantissa << BigInt(Math.max(exponent, 1) - 1075 + unit);
      return v < 0 ? -magnitude : magnitude;
    };
    const p = big(x);
    const q = big(y);
    let quotient = p / q;
    let rest = p % q;
    if (rest !== 0n && rest < 0n !== q < 0n) {
      rest += q;
      quotient -= 1n;
    }
    const back = (v: bigint): number => {
      // Number(bigint) rounds once; taking powers of two off is exact while the result is a normal number.
      const shift = Math.max(0, v.toString(2).length - 900);
      let value = Number(shift === 0 ? v : v / 2n ** BigInt(shift));
      let down = unit - shift;
      for (; down > 500; down -= 500) value *= 2 ** -500;
      return value * 2 ** -down;
    };
    return { mod: rest === 0n ? (x < 0 ? -0 : 0) : back(rest), floorDiv: Number(quotient) };
  }

  for (const dtype of ['f32', 'f64'] as const)
    it(`${dtype}: mod is exact and floorDiv is its quotient, however far apart the operands are`, () => {
      const wide = dtype === 'f64';
      const raw = [1, -1, 3, -3, 0.1, -0.1, 0.3, 7, 1e6 + 0.5, -1e6 - 0.5, 1e-3, 12345.678, wide ? 1e300 : 1e38];
      if (wide) raw.push(-1e200, 1e-200);
      else raw.push(-1e20, 1e-20);
      raw.push(0.7);
      const values = listOf(arrayOf(dtype, raw)) as number[];
      const [x, y] = pairs(values);
      const mod = binary('mod', dtype, x, y);
      const quotient = binary('floorDiv', dtype, x, y);
      const round = (v: number): number => (wide ? v : Math.fround(v));
      x.forEach((a, i) => {
        const want = exact(a, y[i]!);
        expect(mod[i], `${a} mod ${y[i]}`).toBe(round(want.mod));
        if (Math.abs(want.floorDiv) < (wide ? 2 ** 53 : 2 ** 24))
          expect(quotient[i], `floor(${a} / ${y[i]})`).toBe(
            want.floorDiv === 0 && a < 0 !== y[i]! < 0 ? -0 : want.floorDiv,
          );
      });
    });

  it('mod and floorDiv by zero, of infinity, by infinity (torch.remainder, torch.floor_divide)', () => {
    const x = [5, -5, 0, INF, 5, -5, NAN, 5];
    const y = [0, 0, 0, 2, INF, INF, 1, NAN];
    expect(binary('mod', 'f32', x, y)).toEqual([NAN, NAN, NAN, NAN, 5, INF, NAN, NAN]);
    // python3 -c "import torch; print(torch.floor_divide(torch.tensor([5.,-5.,0.]), torch.tensor([0.,0.,0.])))"
    expect(binary('floorDiv', 'f32', x, y).slice(0, 3)).toEqual([INF, -INF, NAN]);
  });

  for (const [dtype, bitsOf, read] of [
    ['f16', f16Bits, f16Value],
    ['bf16', bf16Bits, bf16Value],
  ] as const)
    it(`${dtype}: every operation is rounded to the type`, () => {
      const x: number[] = [];
      const y: number[] = [];
      for (let i = 0; i < 65536; i += 37) {
        x.push(read(i));
        y.push(read((i * 31 + 7) & 0xffff));
      }
      while (x.length % 4) {
        x.push(1);
        y.push(1);
      }
      for (const [fn, f] of [
        ['add', (a: number, c: number) => a + c],
        ['mul', (a: number, c: number) => a * c],
        ['div', (a: number, c: number) => a / c],
      ] as const) {
        const result = binary(fn, dtype, x, y) as number[];
        result.forEach((bits, i) => {
          const want = bitsOf(Math.fround(f(x[i]!, y[i]!)));
          // NaN may have any payload.
          if (Number.isNaN(read(want))) expect(read(bits)).toBe(Number.NaN);
          else if (bits !== want) expect(read(bits), `${fn}(${x[i]}, ${y[i]})`).toBe(read(want));
        });
      }
      // A chain shows that the value in the register is rounded too, not only the stored one.
      const chained = apply(
        [{ dtype, value: arrayOf(dtype, [1, 1, 1, 1]) }],
        'f32',
        (b: LoopBuilder, p: Reg | undefined) =>
          lowerCast(b, dtype, 'f32', lowerBinary(b, 'div', dtype, p!, b.const('f32', 3, p!.type.lanes))),
      );
      expect(chained[0]).toBe(read(bitsOf(1 / 3)));
    });
});

describe('casts', () => {
  const cast = (from: DType, to: DType, values: readonly (number | bigint)[]): (number | bigint)[] =>
    listOf(apply([{ dtype: from, value: arrayOf(from, values) }], to, (b, x) => lowerCast(b, from, to, x!)));

  it('floats to integers truncate; NaN gives 0; bytes wrap', () => {
    const values = [1.9, -1.9, 300.5, -129.5, Number.NaN, 0.5, -0.5, 255];
    for (const from of ['f32', 'f64'] as const) {
      expect(cast(from, 'i32', values)).toEqual([1, -1, 300, -129, 0, 0, 0, 255]);
      expect(cast(from, 'i64', values)).toEqual([1n, -1n, 300n, -129n, 0n, 0n, 0n, 255n]);
      expect(cast(from, 'u8', values)).toEqual([1, 255, 44, 127, 0, 0, 0, 255]);
      expect(cast(from, 'i8', values)).toEqual([1, -1, 44, 127, 0, 0, 0, -1]);
    }
  });

  it('to bool is != 0, with NaN true', () => {
    const values = [0, -0, 0.1, Number.NaN];
    for (const from of ['f32', 'f64', 'f16', 'bf16'] as const) expect(cast(from, 'bool', values)).toEqual([0, 0, 1, 1]);
    expect(cast('i64', 'bool', [0n, 1n << 40n, -1n, 256n])).toEqual([0, 1, 1, 1]);
  });

  it('integers wrap into narrower ones and round into floats', () => {
    expect(cast('i64', 'i32', [2n ** 32n + 5n, -1n, 2n ** 31n, 7n])).toEqual([5, -1, -(2 ** 31), 7]);
    expect(cast('i32', 'u8', [256, -1, 300, 5])).toEqual([0, 255, 44, 5]);
    expect(cast('i32', 'f32', [16777217, -16777217, 3, 2 ** 31 - 1])).toEqual([16777216, -16777216, 3, 2 ** 31]);
    expect(cast('i32', 'bf16', [257, 3, -1000, 0]).map(v => bf16Value(Number(v)))).toEqual([256, 3, -1000, 0]);
    expect(cast('i32', 'f16', [65519, 65520, 2049, -1]).map(v => f16Value(Number(v)))).toEqual([
      65504,
      Number.POSITIVE_INFINITY,
      2048,
      -1,
    ]);
    for (const to of ['f32', 'f64', 'i32', 'u8'] as const) expect(cast('bool', to, [1, 0, 1, 0])).toEqual([1, 0, 1, 0]);
    expect(cast('bool', 'i64', [1, 0, 1, 0])).toEqual([1n, 0n, 1n, 0n]);
    expect(cast('u8', 'f16', [255, 0, 1, 128]).map(v => f16Value(Number(v)))).toEqual([255, 0, 1, 128]);
  });

  it('bitcasts keep the bits', () => {
    const bits = apply([{ dtype: 'f32', value: Float32Array.of(1, -2, 0, -0) }], 'i32', (b, x) =>
      lowerBitcast(b, 'f32', 'i32', x!),
    );
    expect(listOf(bits)).toEqual([0x3f800000, 0xc0000000 | 0, 0, 0x80000000 | 0]);
    const back = apply([{ dtype: 'i64', value: BigInt64Array.of(0x3ff0000000000000n, 0n, 1n, -1n) }], 'f64', (b, x) =>
      lowerBitcast(b, 'i64', 'f64', x!),
    );
    expect(listOf(back)).toEqual([1, 0, 5e-324, Number.NaN]);
  });
});
