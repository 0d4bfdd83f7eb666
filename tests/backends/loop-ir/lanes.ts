/** Comparisons, conversions, and instructions that move lanes. */
import { describe, expect, it } from 'vitest';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { CmpOp, Reg } from '../../../src/compiler/loops.ts';
import { type DType, hostArray } from '../../../src/graph/dtype.ts';
import { type Any, array, INTS, NUMS, type Num, pairs, SAMPLES, type Subject, unsigned, wrap } from './samples.ts';

export function testLanes({ check, lanesOf, runKernel }: Subject): void {
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
          // Four results per group: lane k everywhere, lane 0 replaced by lane k, reversed, and interleaved with itself
          // shifted.
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
}
