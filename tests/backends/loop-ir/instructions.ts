/**
 * Every value instruction of the loop IR on every type and lane count, against the same arithmetic in plain JavaScript: one body for every
 * backend that translates it.
 */
import { describe, expect, it } from 'vitest';
import {
  type BinOp,
  type CmpOp,
  LoopBuilder,
  type LoopKernel,
  type Reg,
  registerScalar,
  type UnOp,
} from '../../../src/compiler/loops.ts';
import { bytesOf, type DType, type HostArray, hostArray } from '../../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../../src/graph/half.ts';
import type { KernelRun } from '../../support/run-kernel.ts';

type Num = 'i32' | 'i64' | 'f32' | 'f64';
const NUMS: readonly Num[] = ['i32', 'i64', 'f32', 'f64'];
const INTS: readonly Num[] = ['i32', 'i64'];
const FLOATS: readonly Num[] = ['f32', 'f64'];

/** Runs a kernel over arrays, which it may write. */
export type RunKernel = (kernel: LoopKernel, buffers: readonly HostArray[]) => KernelRun;

/** Awkward values, a multiple of four of them, so that each lane sees each kind. */
const SAMPLES: { readonly [T in Num]: readonly (number | bigint)[] } = {
  f32: [0, -0, 1, -1, 2.5, -2.5, 3.5, 1e-40, -1e-40, 3e38, -3e38, Infinity, -Infinity, NaN, 0.1, 7e9].map(Math.fround),
  f64: [0, -0, 1, -1, 2.5, -2.5, 3.5, 1e-310, -1e-310, 1e308, -1e308, Infinity, -Infinity, NaN, 0.1, 7e20],
  i32: [0, 1, -1, 2, -2, 7, -7, 100, -100, 65536, 2 ** 31 - 1, -(2 ** 31), 31, 33, 123456789, -987654321],
  i64: [
    0n,
    1n,
    -1n,
    2n,
    -2n,
    7n,
    -7n,
    100n,
    -100n,
    1n << 32n,
    (1n << 63n) - 1n,
    -(1n << 63n),
    63n,
    65n,
    1234567890123456789n,
    -987654321987n,
  ],
};

const array = (type: DType, values: readonly (number | bigint)[]): HostArray => {
  const out = hostArray(type, values.length);
  for (const [i, v] of values.entries()) (out as { [i: number]: number | bigint })[i] = v;
  return out;
};

/** Every sample with every other, padded to whole vectors. */
function pairs(type: Num, keep: (a: number | bigint, b: number | bigint) => boolean = () => true) {
  const a: (number | bigint)[] = [];
  const b: (number | bigint)[] = [];
  for (const x of SAMPLES[type])
    for (const y of SAMPLES[type])
      if (keep(x, y)) {
        a.push(x);
        b.push(y);
      }
  while (a.length % 16 !== 0) {
    a.push(a[0]!);
    b.push(b[0]!);
  }
  return { a, b };
}

type Any = number | bigint;
const f = (fn: (x: number) => number) => (x: Any) => fn(x as number);
const nearest = (x: number): number => {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const down = Math.floor(x);
  const rest = x - down;
  const even = down % 2 === 0 ? down : down + 1;
  const r = rest < 0.5 ? down : rest > 0.5 ? down + 1 : even;
  return r === 0 && (x < 0 || Object.is(x, -0)) ? -0 : r;
};
/** Wraps to the type; JavaScript's own typed arrays do that on writing, and bigint needs it before comparisons only. */
const wrap = (type: Num, x: Any): Any =>
  typeof x === 'bigint' ? BigInt.asIntN(64, x) : type === 'i32' ? x | 0 : type === 'f32' ? Math.fround(x) : x;
const unsigned = (type: Num, x: Any): bigint => BigInt.asUintN(type === 'i64' ? 64 : 32, BigInt(x));

/** Tests every instruction as `runKernel` runs it, on vectors of `vectorBytes` bytes. */
export function testInstructions(runKernel: RunKernel, vectorBytes: number): void {
  /** Lane counts a type may have; f32 and i32 also come as half vectors. */
  const lanesOf = (type: DType): readonly number[] =>
    bytesOf(type) === 8 ? [1, vectorBytes / 8] : [1, vectorBytes / 8, vectorBytes / 4];

  /** Applies `make` to vectors of the inputs and stores what it returns; checks every element against `expected`. */
  function check(
    name: string,
    inputs: readonly (readonly [DType, readonly (number | bigint)[]])[],
    output: DType,
    lanes: number,
    make: (b: LoopBuilder, values: readonly Reg[]) => Reg,
    expected: (...values: (number | bigint)[]) => number | bigint,
  ): void {
    const n = inputs[0]![1].length;
    const b = new LoopBuilder();
    b.for(0, n, lanes, i => {
      const values = inputs.map(([type], k) => b.load(type, b.addr(k, i), 0, lanes));
      b.store(output, b.addr(inputs.length, i), make(b, values));
    });
    const kernel: LoopKernel = {
      name,
      buffers: [
        ...inputs.map(([dtype], k) => ({ name: `in${k}`, dtype, elements: n, access: 'read' as const })),
        { name: 'out', dtype: output, elements: n, access: 'write' as const },
      ],
      body: b.instructions,
    };
    const arrays = inputs.map(([type, values]) => array(type, values));
    const got = hostArray(output, n);
    runKernel(kernel, [...arrays, got]);
    const want = array(
      output,
      Array.from({ length: n }, (_, i) => expected(...arrays.map(a => a[i]!))),
    );
    for (let i = 0; i < n; i++) {
      if (Object.is(got[i], want[i])) continue;
      expect.fail(`${name} x${lanes}: of ${arrays.map(a => a[i])} came ${got[i]}, expected ${want[i]}`);
    }
  }

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

  describe('compare and select', () => {
    const fns: readonly (readonly [CmpOp, (a: Any, b: Any) => boolean])[] = [
      ['eq', (a, b) => a === b],
      ['ne', (a, b) => a !== b],
      ['lt', (a, b) => a < b],
      ['le', (a, b) => a <= b],
      ['gt', (a, b) => a > b],
      ['ge', (a, b) => a >= b],
    ];
    for (const type of NUMS)
      for (const lanes of lanesOf(type)) {
        const { a, b } = pairs(type);
        const all =
          type === 'i32' || type === 'i64'
            ? [...fns, ['ltU', (x: Any, y: Any) => unsigned(type, x) < unsigned(type, y)] as const]
            : fns;
        for (const [fn, expected] of all)
          it(`${fn} ${type}x${lanes}`, () => {
            check(
              fn,
              [
                [type, a],
                [type, b],
              ],
              'bool',
              lanes,
              (l, [x, y]) => l.cvt('i32', l.cmp(fn, x!, y!)),
              (x, y) => (expected(x, y) ? 1 : 0),
            );
            check(
              fn,
              [
                [type, a],
                [type, b],
              ],
              type,
              lanes,
              (l, [x, y]) => l.select(l.cmp(fn, x!, y!), x!, y!),
              (x, y) => (expected(x, y) ? x : y),
            );
          });
        it(`masks of ${type}x${lanes} combine`, () => {
          const make =
            (join: (l: LoopBuilder, p: Reg, q: Reg) => Reg) =>
            (l: LoopBuilder, [x, y]: readonly Reg[]) =>
              l.cvt(type, join(l, l.cmp('lt', x!, y!), l.cmp('ne', x!, l.const(type, type === 'i64' ? 1n : 1, lanes))));
          const bit = (p: boolean): Any => (type === 'i64' ? (p ? 1n : 0n) : p ? 1 : 0);
          const one = type === 'i64' ? 1n : 1;
          const joins: readonly (readonly [
            (l: LoopBuilder, p: Reg, q: Reg) => Reg,
            (p: boolean, q: boolean) => boolean,
          ])[] = [
            [(l, p, q) => l.bin('and', p, q), (p, q) => p && q],
            [(l, p, q) => l.bin('or', p, q), (p, q) => p || q],
            [(l, p, q) => l.bin('xor', p, q), (p, q) => p !== q],
            [(l, p, q) => l.bin('andnot', p, q), (p, q) => p && !q],
            [(l, p) => l.un('not', p), p => !p],
          ];
          for (const [join, expected] of joins)
            check(
              'mask',
              [
                [type, a],
                [type, b],
              ],
              type,
              lanes,
              make(join),
              (x, y) => bit(expected(x < y, x !== one)),
            );
        });
        it(`anyTrue and mask lanes of ${type}x${lanes}`, () => {
          // Elements of each group of `lanes` that are above 1, counted lane by lane, and whether there is any.
          const l = new LoopBuilder();
          const n = SAMPLES[type].length;
          l.for(0, n, lanes, i => {
            const above = l.cmp(
              'gt',
              l.load(type, l.addr(0, i), 0, lanes),
              l.const(type, type === 'i64' ? 1n : 1, lanes),
            );
            const any = l.cvt('i32', l.anyTrue(above));
            for (let k = 0; k < lanes; k++) {
              const at = l.add(i, l.i32(k));
              l.store('i32', l.addr(1, at), any);
              l.store('i32', l.addr(2, at), l.cvt('i32', lanes > 1 ? l.extract(above, k) : above));
            }
          });
          const any = new Int32Array(n);
          const each = new Int32Array(n);
          const buffer = (name: string, dtype: DType) => ({ name, dtype, elements: n, access: 'readwrite' as const });
          runKernel(
            {
              name: 'any',
              buffers: [buffer('x', type), buffer('any', 'i32'), buffer('each', 'i32')],
              body: l.instructions,
            },
            [array(type, SAMPLES[type]), any, each],
          );
          const want = SAMPLES[type].map(x => (x > 1 ? 1 : 0));
          expect([...each]).toEqual(want);
          expect([...any]).toEqual(
            want.map((_, i) => Math.max(...want.slice(i - (i % lanes), i - (i % lanes) + lanes))),
          );
        });
      }
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

  describe('conversions', () => {
    const saturate = (x: number, bits: number): bigint => {
      if (Number.isNaN(x)) return 0n;
      const limit = 1n << BigInt(bits - 1);
      if (x >= Number(limit)) return limit - 1n;
      if (x <= -Number(limit)) return -limit;
      return BigInt(Math.trunc(x));
    };
    const convert = (from: Num, to: Num, x: Any): Any => {
      if (to === 'f32' || to === 'f64') return typeof x === 'bigint' && to === 'f32' ? roundBigTo32(x) : Number(x);
      if (typeof x === 'bigint') return to === 'i32' ? Number(BigInt.asIntN(32, x)) : x;
      if (from === 'i32') return BigInt(x);
      return to === 'i32' ? Number(saturate(x, 32)) : saturate(x, 64);
    };
    /** i64 to f32 with one rounding: to odd at 53 bits first, so that the second rounding is harmless. */
    const roundBigTo32 = (x: bigint): number => {
      const sign = x < 0n ? -1 : 1;
      let m = x < 0n ? -x : x;
      let shift = 0;
      while (m >= 1n << 50n) {
        m = (m >> 1n) | (m & 1n);
        shift++;
      }
      return sign * Math.fround(Number(m)) * 2 ** shift;
    };
    for (const from of NUMS)
      for (const to of NUMS)
        if (from !== to)
          for (const lanes of lanesOf(from).filter(n => lanesOf(to).includes(n)))
            it(`${from} to ${to} x${lanes}`, () =>
              check(
                'cvt',
                [[from, SAMPLES[from]]],
                to,
                lanes,
                (b, [x]) => b.cvt(to, x!),
                x => convert(from, to, x),
              ));
    for (const [from, to] of [
      ['f32', 'i32'],
      ['f64', 'i64'],
    ] as const)
      for (const lanes of lanesOf(from))
        it(`${from} bits are ${to} x${lanes}`, () => {
          const view = new DataView(new ArrayBuffer(8));
          const bits = (x: Any): Any => {
            if (from === 'f32') view.setFloat32(0, x as number);
            else view.setFloat64(0, x as number);
            return from === 'f32' ? view.getInt32(0) : view.getBigInt64(0);
          };
          check('bitcast', [[from, SAMPLES[from]]], to, lanes, (b, [x]) => b.bitcast(to, x!), bits);
          check(
            'bitcast',
            [[from, SAMPLES[from]]],
            from,
            lanes,
            (b, [x]) => b.bitcast(from, b.bitcast(to, x!)),
            x => x,
          );
        });
  });

  describe('lanes', () => {
    for (const type of NUMS)
      for (const lanes of lanesOf(type).filter(n => n > 1)) {
        it(`extract, splat, insert and shuffle of ${type}x${lanes}`, () => {
          const n = SAMPLES[type].length;
          const l = new LoopBuilder();
          // Four results per group: lane k everywhere, lane 0 replaced by lane k, reversed, and interleaved with itself shifted.
          l.for(0, n, lanes, i => {
            const v = l.load(type, l.addr(0, i), 0, lanes);
            const last = l.extract(v, lanes - 1);
            l.store(type, l.addr(1, i), l.splat(last, lanes));
            l.store(type, l.addr(2, i), l.insert(v, 0, last));
            const order = Array.from({ length: lanes }, (_, k) => lanes - 1 - k);
            const reversed = l.shuffle(v, v, order);
            l.store(type, l.addr(3, i), reversed);
            l.store(
              type,
              l.addr(4, i),
              l.shuffle(
                v,
                reversed,
                order.map((_, k) => (k % 2 === 0 ? k : k + lanes)),
              ),
            );
          });
          const x = array(type, SAMPLES[type]);
          const outs = Array.from({ length: 4 }, () => hostArray(type, n));
          runKernel(
            {
              name: 'lanes',
              buffers: Array.from({ length: 5 }, (_, k) => ({
                name: `b${k}`,
                dtype: type,
                elements: n,
                access: 'readwrite' as const,
              })),
              body: l.instructions,
            },
            [x, ...outs],
          );
          const group = (i: number): number => i - (i % lanes);
          for (let i = 0; i < n; i++) {
            const mirrored = x[group(i) + lanes - 1 - (i % lanes)]!;
            expect(outs[0]![i]).toBe(x[group(i) + lanes - 1]);
            expect(outs[1]![i]).toBe(i % lanes === 0 ? x[i + lanes - 1] : x[i]);
            expect(outs[2]![i]).toBe(mirrored);
            expect(outs[3]![i]).toBe(i % 2 === 0 ? x[i] : mirrored);
          }
        });
        for (const fn of ['add', 'mul', 'min', 'max', 'and', 'or'] as const) {
          if ((fn === 'and' || fn === 'or') && !INTS.includes(type)) continue;
          it(`reduce ${fn} of ${type}x${lanes}`, () => {
            const apply = (a: Any, b: Any): Any => {
              if (fn === 'min' || fn === 'max') {
                if (typeof a === 'bigint') return (fn === 'min') === a < (b as bigint) ? a : b;
                return fn === 'min' ? Math.min(a, b as number) : Math.max(a, b as number);
              }
              if (typeof a === 'bigint') {
                const y = b as bigint;
                return wrap(type, fn === 'add' ? a + y : fn === 'mul' ? a * y : fn === 'and' ? a & y : a | y);
              }
              const y = b as number;
              if (fn === 'mul') return type === 'i32' ? Math.imul(a, y) : wrap(type, a * y);
              return wrap(type, fn === 'add' ? a + y : fn === 'and' ? a & y : a | y);
            };
            // Halves first: lane i meets lane i + lanes / 2.
            const fold = (values: Any[]): Any => {
              if (values.length === 1) return values[0]!;
              const half = values.length / 2;
              return fold(values.slice(0, half).map((v, i) => apply(v, values[i + half]!)));
            };
            const n = SAMPLES[type].length;
            const l = new LoopBuilder();
            l.for(0, n, lanes, i => l.store(type, l.addr(1, i), l.reduce(fn, l.load(type, l.addr(0, i), 0, lanes))));
            const x = array(type, SAMPLES[type]);
            const out = hostArray(type, n);
            const buffer = (name: string) => ({ name, dtype: type, elements: n, access: 'readwrite' as const });
            runKernel({ name: 'reduce', buffers: [buffer('x'), buffer('out')], body: l.instructions }, [x, out]);
            for (let i = 0; i < n; i += lanes)
              expect(out[i]).toBe(fold(Array.from({ length: lanes }, (_, k) => x[i + k]!)));
          });
        }
      }
  });

  describe('memory types', () => {
    /** f32 values at and around every rounding boundary of both half formats. */
    const floats: number[] = [];
    for (let h = 0; h < 65536; h += 37) {
      const v = f16Value(h);
      floats.push(
        v,
        v * (1 + 2 ** -11),
        v * (1 + 2 ** -12),
        v * (1 - 2 ** -12),
        bf16Value(h),
        bf16Value(h) * (1 + 2 ** -8),
      );
    }
    floats.push(
      65504,
      65519.996,
      65520,
      65536,
      2 ** -24,
      2 ** -25,
      2 ** -25 * 1.0001,
      -(2 ** -14),
      1.5 * 2 ** -25,
      NaN,
      Infinity,
      -Infinity,
    );
    while (floats.length % 16) floats.push(1);

    for (const lanes of lanesOf('f32')) {
      it(`f16 and bf16 x${lanes} round to nearest even on the way out`, () => {
        check(
          'f16',
          [['f32', floats]],
          'f16',
          lanes,
          (_, [x]) => x!,
          x => f16Bits(x as number),
        );
        check(
          'bf16',
          [['f32', floats]],
          'bf16',
          lanes,
          (_, [x]) => x!,
          x => bf16Bits(x as number),
        );
      });
      it(`f16 and bf16 x${lanes} widen exactly, all 65536 of them`, () => {
        const all = Array.from({ length: 65536 }, (_, h) => h);
        check(
          'f16',
          [['f16', all]],
          'f32',
          lanes,
          (_, [x]) => x!,
          h => f16Value(h as number),
        );
        check(
          'bf16',
          [['bf16', all]],
          'f32',
          lanes,
          (_, [x]) => x!,
          h => bf16Value(h as number),
        );
      });
      it(`bytes x${lanes} widen by their sign and wrap on the way out`, () => {
        const bytes = Array.from({ length: 256 }, (_, i) => i);
        const ints = [
          ...SAMPLES.i32,
          255,
          256,
          257,
          -129,
          127,
          128,
          -128,
          300,
          511,
          512,
          513,
          -255,
          -256,
          -257,
          1000,
          -1000,
        ];
        check(
          'u8',
          [['u8', bytes]],
          'i32',
          lanes,
          (_, [x]) => x!,
          x => x,
        );
        check(
          'i8',
          [['i8', bytes]],
          'i32',
          lanes,
          (_, [x]) => x!,
          x => ((x as number) << 24) >> 24,
        );
        check(
          'bool',
          [['bool', bytes.map(x => x & 1)]],
          'i32',
          lanes,
          (_, [x]) => x!,
          x => x,
        );
        check(
          'u8',
          [['i32', ints]],
          'u8',
          lanes,
          (_, [x]) => x!,
          x => (x as number) & 255,
        );
        check(
          'i8',
          [['i32', ints]],
          'i8',
          lanes,
          (_, [x]) => x!,
          x => ((x as number) << 24) >> 24,
        );
        check(
          'bool',
          [['i32', ints]],
          'bool',
          lanes,
          (_, [x]) => x!,
          x => (x === 0 ? 0 : 1),
        );
      });
    }
    it('registers fit every memory type', () => {
      expect(['f16', 'bf16', 'u8', 'i8', 'bool', 'i64'].map(t => registerScalar(t as DType))).toEqual([
        'f32',
        'f32',
        'i32',
        'i32',
        'i32',
        'i64',
      ]);
    });
  });
}
