/** Unary, binary and fused instructions of the loop IR. */
import { describe, it } from 'vitest';
import type { BinOp, UnOp } from '../../../src/compiler/loops.ts';
import {
  type Any,
  FLOATS,
  f,
  INTS,
  NUMS,
  type Num,
  nearest,
  pairs,
  SAMPLES,
  type Subject,
  unsigned,
  wrap,
} from './samples.ts';

export function testArithmetic({ check, lanesOf }: Subject): void {
  describe('unary', () => {
    const both = (x: Any, num: (x: number) => number, big: (x: bigint) => bigint): Any =>
      typeof x === 'bigint' ? big(x) : num(x);
    const cases: readonly (readonly [UnOp, readonly Num[], (x: Any) => Any])[] = [
      [
        'neg',
        NUMS,
        x =>
          both(
            x,
            v => -v,
            v => -v,
          ),
      ],
      ['abs', NUMS, x => both(x, Math.abs, v => (v < 0n ? -v : v))],
      ['sqrt', FLOATS, f(Math.sqrt)],
      ['floor', FLOATS, f(Math.floor)],
      ['ceil', FLOATS, f(Math.ceil)],
      ['trunc', FLOATS, f(Math.trunc)],
      ['nearest', FLOATS, f(nearest)],
      [
        'not',
        INTS,
        x =>
          both(
            x,
            v => ~v,
            v => ~v,
          ),
      ],
    ];
    for (const [fn, types, expected] of cases)
      for (const type of types)
        for (const lanes of lanesOf(type))
          it(`${fn} ${type}x${lanes}`, () =>
            check(fn, [[type, SAMPLES[type]]], type, lanes, (b, [a]) => b.un(fn, a!), expected));
    it('clz', () => {
      check('clz', [['i32', SAMPLES.i32]], 'i32', 1, (b, [a]) => b.un('clz', a!), f(Math.clz32));
      check(
        'clz',
        [['i64', SAMPLES.i64]],
        'i64',
        1,
        (b, [a]) => b.un('clz', a!),
        x => BigInt(64 - (unsigned('i64', x) === 0n ? 0 : unsigned('i64', x).toString(2).length)),
      );
    });
  });

  describe('binary', () => {
    const less = (a: Any, b: Any): boolean => a < b;
    const min = (a: Any, b: Any): Any =>
      typeof a === 'bigint' ? (a < (b as bigint) ? a : b) : Math.min(a, b as number);
    const max = (a: Any, b: Any): Any =>
      typeof a === 'bigint' ? (a > (b as bigint) ? a : b) : Math.max(a, b as number);
    const int = (num: (a: number, b: number) => number, big: (a: bigint, b: bigint) => bigint) => (a: Any, b: Any) =>
      typeof a === 'bigint' ? big(a, b as bigint) : num(a, b as number);
    const plain: readonly (readonly [BinOp, readonly Num[], (a: Any, b: Any) => Any])[] = [
      [
        'add',
        NUMS,
        int(
          (a, b) => a + b,
          (a, b) => a + b,
        ),
      ],
      [
        'sub',
        NUMS,
        int(
          (a, b) => a - b,
          (a, b) => a - b,
        ),
      ],
      [
        'mul',
        FLOATS,
        int(
          (a, b) => a * b,
          (a, b) => a * b,
        ),
      ],
      ['mul', INTS, int(Math.imul, (a, b) => a * b)],
      [
        'div',
        FLOATS,
        int(
          (a, b) => a / b,
          (a, b) => a / b,
        ),
      ],
      ['min', NUMS, min],
      ['max', NUMS, max],
      ['pmin', NUMS, (a, b) => (less(b, a) ? b : a)],
      ['pmax', NUMS, (a, b) => (less(a, b) ? b : a)],
      [
        'and',
        INTS,
        int(
          (a, b) => a & b,
          (a, b) => a & b,
        ),
      ],
      [
        'or',
        INTS,
        int(
          (a, b) => a | b,
          (a, b) => a | b,
        ),
      ],
      [
        'xor',
        INTS,
        int(
          (a, b) => a ^ b,
          (a, b) => a ^ b,
        ),
      ],
      [
        'andnot',
        INTS,
        int(
          (a, b) => a & ~b,
          (a, b) => a & ~b,
        ),
      ],
      [
        'shl',
        INTS,
        int(
          (a, b) => a << b,
          (a, b) => a << (b & 63n),
        ),
      ],
      [
        'shrS',
        INTS,
        int(
          (a, b) => a >> b,
          (a, b) => a >> (b & 63n),
        ),
      ],
      [
        'shrU',
        INTS,
        int(
          (a, b) => a >>> b,
          (a, b) => unsigned('i64', a) >> (b & 63n),
        ),
      ],
      [
        'copysign',
        FLOATS,
        int(
          (a, b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a)),
          a => a,
        ),
      ],
      ['mulHiU', ['i32'], (a, b) => Number(BigInt.asIntN(32, (unsigned('i32', a) * unsigned('i32', b)) >> 32n))],
    ];
    for (const [fn, types, expected] of plain)
      for (const type of types)
        for (const lanes of lanesOf(type))
          it(`${fn} ${type}x${lanes}`, () => {
            // The sign of a NaN cannot be seen in JavaScript.
            const { a, b } = pairs(type, (x, y) => fn !== 'copysign' || !(Number.isNaN(x) || Number.isNaN(y)));
            check(
              fn,
              [
                [type, a],
                [type, b],
              ],
              type,
              lanes,
              (l, [x, y]) => l.bin(fn, x!, y!),
              expected,
            );
          });
    const division: readonly (readonly [BinOp, (type: Num) => (a: Any, b: Any) => Any])[] = [
      ['div', type => (a, b) => wrap(type, typeof a === 'bigint' ? a / (b as bigint) : Math.trunc(a / (b as number)))],
      ['rem', type => (a, b) => wrap(type, typeof a === 'bigint' ? a % (b as bigint) : a % (b as number))],
      [
        'divU',
        type => (a, b) => {
          const q = unsigned(type, a) / unsigned(type, b);
          return type === 'i64' ? q : Number(q);
        },
      ],
      [
        'remU',
        type => (a, b) => {
          const q = unsigned(type, a) % unsigned(type, b);
          return type === 'i64' ? q : Number(q);
        },
      ],
    ];
    for (const [fn, expected] of division)
      for (const type of INTS)
        it(`${fn} ${type}`, () => {
          const smallest = type === 'i32' ? -(2 ** 31) : -(1n << 63n);
          const { a, b } = pairs(type, (x, y) => BigInt(y) !== 0n && !(x === smallest && BigInt(y) === -1n));
          check(
            fn,
            [
              [type, a],
              [type, b],
            ],
            type,
            1,
            (l, [x, y]) => l.bin(fn, x!, y!),
            expected(type),
          );
        });
    for (const type of INTS)
      for (const fn of ['shl', 'shrS', 'shrU'] as const)
        for (const lanes of lanesOf(type))
          it(`${fn} ${type}x${lanes} by a constant and by a splat`, () => {
            const oracle = plain.find(([name, types]) => name === fn && types.includes(type))![2];
            const count = type === 'i64' ? 37n : 21;
            check(
              fn,
              [[type, SAMPLES[type]]],
              type,
              lanes,
              (b, [x]) => b.bin(fn, x!, b.const(type, count, lanes)),
              x => oracle(x, count),
            );
            check(
              fn,
              [[type, SAMPLES[type]]],
              type,
              lanes,
              (b, [x]) =>
                b.bin(fn, x!, b.splat(b.add(b.const(type, count), b.const(type, type === 'i64' ? 1n : 1)), lanes)),
              x => oracle(x, typeof count === 'bigint' ? count + 1n : count + 1),
            );
          });
  });

  describe('fma', () => {
    it('rounds once where madd is fused, in vectors and scalars alike', () => {
      // (1 + e)^2 - (1 + 2 e) = e^2, lost when the product is rounded.
      const sixteen = (few: readonly number[]): number[] => Array.from({ length: 16 }, (_, i) => few[i % few.length]!);
      for (const [type, e] of [
        ['f32', 2 ** -13],
        ['f64', 2 ** -27],
      ] as const)
        for (const lanes of lanesOf(type))
          check(
            'fma',
            [
              [type, sixteen([1 + e, 3, 1 + e, 5])],
              [type, sixteen([1 + e, 7, 1 + e, 6])],
              [type, sixteen([-(1 + 2 * e), 1, -(1 + 2 * e), 2])],
            ],
            type,
            lanes,
            (b, [x, y, z]) => b.fma(x!, y!, z!),
            (x, y, z) => ((x as number) > 2 ? (x as number) * (y as number) + (z as number) : e * e),
          );
    });
    it('works on integers', () => {
      check(
        'fma',
        [['i32', SAMPLES.i32]],
        'i32',
        4,
        (b, [x]) => b.fma(x!, x!, x!),
        x => Math.imul(x as number, x as number) + (x as number),
      );
      check(
        'fma',
        [['i64', SAMPLES.i64]],
        'i64',
        1,
        (b, [x]) => b.fma(x!, x!, x!),
        x => (x as bigint) * (x as bigint) + (x as bigint),
      );
    });
  });
}
