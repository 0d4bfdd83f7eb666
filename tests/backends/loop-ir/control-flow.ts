/**
 * Structured control flow, registers across blocks, and values that must not move past what changes them: random
 * programs and cases by hand.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { KernelBuffer, LoopKernel, Reg } from '../../../src/compiler/loops.ts';
import { verifyKernel } from '../../../src/compiler/verify/index.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import type { KernelRun } from '../../support/run-kernel.ts';

const i32s = (name: string, elements: number): KernelBuffer => ({ name, dtype: 'i32', elements, access: 'readwrite' });

/** Runs a kernel over arrays, which it may write; on one thread unless told otherwise. */
export type RunKernel = (
  kernel: LoopKernel,
  buffers: readonly HostArray[],
  options?: { threads?: number },
) => KernelRun;

/** Tests control flow as `runKernel` runs it. */
export function testControlFlow(runKernel: RunKernel): void {
  /** Builds, verifies and runs a kernel over i32 buffers. */
  function run(
    fill: (b: LoopBuilder) => void,
    arrays: readonly Int32Array[],
    options?: Parameters<typeof runKernel>[2],
  ): ReturnType<typeof runKernel> {
    const b = new LoopBuilder();
    fill(b);
    const kernel: LoopKernel = {
      name: 'case',
      buffers: arrays.map((a, i) => i32s(`b${i}`, a.length)),
      body: b.instructions,
    };
    verifyKernel(kernel);
    return runKernel(kernel, arrays as readonly HostArray[], options);
  }

  describe('loops', () => {
    it('for runs from lo to hi by step, never when empty, once when short', () => {
      for (const [lo, hi, step] of [
        [0, 10, 1],
        [0, 10, 4],
        [3, 3, 1],
        [5, 2, 1],
        [7, 9, 8],
        [-5, 6, 3],
      ] as const) {
        const want: number[] = [];
        for (let i = lo; i < hi; i += step) want.push(i);
        for (const dynamic of [false, true]) {
          const out = new Int32Array(40);
          run(
            b => {
              const count = b.copy(b.i32(0));
              const ends = b.addr(1);
              const visit = (i: Reg) => {
                b.store('i32', b.addr(0, count), i);
                b.move(count, b.add(count, b.i32(1)));
              };
              if (dynamic) b.for(b.load('i32', ends, 0), b.load('i32', ends, 4), step, visit);
              else b.for(lo, hi, step, visit);
              b.store('i32', ends, count, 8);
            },
            [out, Int32Array.of(lo, hi, 0)],
          );
          expect([...out.subarray(0, want.length)]).toEqual(want);
          expect(out[want.length]).toBe(0);
        }
      }
    });

    it('while tests first; its condition may be made of several instructions', () => {
      // Collatz: steps until 1.
      const x = Int32Array.of(1, 2, 3, 27, 97);
      const out = new Int32Array(5);
      run(
        b =>
          b.for(0, 5, 1, i => {
            const n = b.copy(b.load('i32', b.addr(0, i)));
            const steps = b.copy(b.i32(0));
            b.while(
              () => b.cmp('ne', n, b.i32(1)),
              () => {
                b.if(
                  b.cmp('eq', b.bin('and', n, b.i32(1)), b.i32(0)),
                  () => b.move(n, b.bin('shrU', n, b.i32(1))),
                  () => b.move(n, b.add(b.mul(n, b.i32(3)), b.i32(1))),
                );
                b.move(steps, b.add(steps, b.i32(1)));
              },
            );
            b.store('i32', b.addr(1, i), steps);
          }),
        [x, out],
      );
      expect([...out]).toEqual([0, 1, 7, 111, 118]);
    });

    it('a value of an outer loop outlives the inner loops that read it', () => {
      const out = new Int32Array(9);
      run(
        b =>
          b.for(0, 3, 1, i => {
            const tens = b.mul(i, b.i32(10));
            b.for(0, 3, 1, j => {
              const sum = b.add(tens, j);
              b.store('i32', b.addr(0, b.add(b.mul(i, b.i32(3)), j)), sum);
            });
          }),
        [out],
      );
      expect([...out]).toEqual([0, 1, 2, 10, 11, 12, 20, 21, 22]);
    });
  });

  describe('values stay where they were made', () => {
    it('a read of a register comes before its next write', () => {
      const out = new Int32Array(2);
      run(
        b => {
          const x = b.copy(b.i32(5));
          const before = b.add(x, b.i32(1));
          b.move(x, b.i32(100));
          b.store('i32', b.addr(0), before);
          b.store('i32', b.addr(0), x, 4);
        },
        [out],
      );
      expect([...out]).toEqual([6, 100]);
    });

    it('registers swap through their moves', () => {
      const out = new Int32Array(2);
      run(
        b => {
          const a = b.copy(b.i32(0));
          const c = b.copy(b.i32(1));
          b.for(0, 10, 1, () => {
            const next = b.add(a, c);
            b.move(a, c);
            b.move(c, next);
          });
          b.store('i32', b.addr(0), a);
          b.store('i32', b.addr(0), c, 4);
        },
        [out],
      );
      expect([...out]).toEqual([55, 89]);
    });

    it('a load comes before the store that follows it, and before a block that stores', () => {
      const x = Int32Array.of(1, 2, 0, 0);
      run(
        b => {
          const p = b.addr(0);
          const first = b.load('i32', p);
          const second = b.load('i32', p, 4);
          b.store('i32', p, b.i32(70));
          b.if(b.cmp('eq', b.i32(1), b.i32(1)), () => b.store('i32', p, b.i32(80), 4));
          b.store('i32', p, first, 8);
          b.store('i32', p, second, 12);
        },
        [x],
      );
      expect([...x]).toEqual([70, 80, 1, 2]);
    });

    it('a moving pointer is read where it points at the time', () => {
      const x = Int32Array.of(1, 2, 3, 4);
      const out = new Int32Array(4);
      run(
        b => {
          const p = b.copy(b.addr(0));
          const q = b.copy(b.addr(1));
          const one = b.i32(1);
          b.for(0, 4, 1, () => {
            const v = b.load('i32', p);
            b.move(p, b.advance(p, one, 4));
            b.store('i32', q, b.mul(v, v));
            b.move(q, b.advance(q, one, 4));
          });
        },
        [x, out],
      );
      expect([...out]).toEqual([1, 4, 9, 16]);
    });

    it('pointers reach back by negative offsets and steps', () => {
      const x = Int32Array.of(1, 2, 3, 4);
      run(
        b => {
          const end = b.addr(0, b.i32(3));
          b.store('i32', b.advance(end, b.i32(-1), 4), b.load('i32', end, -12), -4);
        },
        [x],
      );
      expect([...x]).toEqual([1, 1, 3, 4]);
    });

    it('an if with two branches gives a register its value either way', () => {
      const x = Int32Array.of(3, -3, 0);
      run(
        b =>
          b.for(0, 3, 1, i => {
            const p = b.addr(0, i);
            const v = b.load('i32', p);
            const r = b.reg('i32');
            b.if(
              b.cmp('lt', v, b.i32(0)),
              () => b.move(r, b.un('neg', v)),
              () => b.move(r, b.add(v, b.i32(10))),
            );
            b.store('i32', p, r);
          }),
        [x],
      );
      expect([...x]).toEqual([13, 3, 10]);
    });
  });

  describe('random straight-line programs with nested blocks', () => {
    const MEMORY = 8;
    type Op =
      | {
          readonly kind: 'bin';
          readonly d: number;
          readonly fn: 'add' | 'sub' | 'mul' | 'xor' | 'min';
          readonly a: number;
          readonly b: number;
          readonly fresh: boolean;
        }
      | { readonly kind: 'load' | 'store'; readonly d: number; readonly at: number; readonly fresh: boolean }
      | { readonly kind: 'if' | 'for'; readonly d: number; readonly body: readonly Op[] };
    const leaf: fc.Arbitrary<Op> = fc.oneof(
      fc.record({
        kind: fc.constant('bin' as const),
        d: fc.nat(3),
        fn: fc.constantFrom('add', 'sub', 'mul', 'xor', 'min'),
        a: fc.nat(11),
        b: fc.nat(11),
        fresh: fc.boolean(),
      }),
      fc.record({
        kind: fc.constantFrom('load', 'store'),
        d: fc.nat(11),
        at: fc.nat(MEMORY - 1),
        fresh: fc.boolean(),
      }),
    );
    const ops: fc.Arbitrary<Op[]> = fc.letrec<{ list: Op[] }>(tie => ({
      list: fc.array(
        fc.oneof(
          { maxDepth: 3 },
          { weight: 6, arbitrary: leaf },
          {
            weight: 1,
            arbitrary: fc.record({
              kind: fc.constantFrom('if', 'for'),
              d: fc.nat(3),
              body: tie('list'),
            }) as fc.Arbitrary<Op>,
          },
        ),
        { maxLength: 12 },
      ),
    })).list;

    const apply = (fn: string, a: number, b: number): number =>
      fn === 'add'
        ? (a + b) | 0
        : fn === 'sub'
          ? (a - b) | 0
          : fn === 'mul'
            ? Math.imul(a, b)
            : fn === 'xor'
              ? a ^ b
              : Math.min(a, b);

    it('compute what the same steps in JavaScript compute', () => {
      fc.assert(
        fc.property(ops, fc.array(fc.integer(), { minLength: MEMORY, maxLength: MEMORY }), (program, start) => {
          // Four mutable registers, and fresh single-use values that a block may see: the oracle keeps the same lists.
          const oracle = Int32Array.from(start);
          const x = Int32Array.from(start);
          const regs = [1, 2, 3, 4];
          const interpret = (list: readonly Op[], values: readonly number[]): void => {
            const seen = [...values];
            const value = (i: number): number => (i < 4 ? regs[i]! : (seen[i % Math.max(1, seen.length)] ?? regs[0]!));
            for (const op of list) {
              if (op.kind === 'bin' || op.kind === 'load') {
                const v = op.kind === 'bin' ? apply(op.fn, value(op.a), value(op.b)) : oracle[op.at]!;
                if (op.fresh) seen.push(v);
                else regs[op.d % 4] = v;
              } else if (op.kind === 'store') oracle[op.at] = value(op.d);
              else if (op.kind === 'if') {
                if (regs[op.d]! < 100) interpret(op.body, seen);
              } else if (op.kind === 'for') for (let i = 0; i < 2; i++) interpret(op.body, [...seen, i]);
            }
          };
          interpret(program, []);
          for (let i = 0; i < 4; i++) oracle[i] = regs[i]!;
          run(
            b => {
              const mutable = [1, 2, 3, 4].map(v => b.copy(b.i32(v)));
              const emit = (list: readonly Op[], values: readonly Reg[]): void => {
                const seen = [...values];
                const value = (i: number): Reg =>
                  i < 4 ? mutable[i]! : (seen[i % Math.max(1, seen.length)] ?? mutable[0]!);
                for (const op of list) {
                  if (op.kind === 'bin' || op.kind === 'load') {
                    const v =
                      op.kind === 'bin'
                        ? b.bin(op.fn, value(op.a), value(op.b))
                        : b.load('i32', b.addr(0, b.i32(op.at)));
                    if (op.fresh) seen.push(v);
                    else b.move(mutable[op.d % 4]!, v);
                  } else if (op.kind === 'store') b.store('i32', b.addr(0), value(op.d), op.at * 4);
                  else if (op.kind === 'if') b.if(b.cmp('lt', mutable[op.d]!, b.i32(100)), () => emit(op.body, seen));
                  else if (op.kind === 'for') b.for(0, 2, 1, i => emit(op.body, [...seen, i]));
                }
              };
              emit(program, []);
              for (let i = 0; i < 4; i++) b.store('i32', b.addr(0), mutable[i]!, i * 4);
            },
            [x],
          );
          expect([...x]).toEqual([...oracle]);
        }),
        { numRuns: 400 },
      );
    });
  });

  describe('top level', () => {
    it('parallel shares every iteration out once, for any number of threads, also when extent * thread exceeds 32 bits', () => {
      for (const threads of [1, 2, 3, 7]) {
        const out = new Int32Array(25);
        run(
          b =>
            b.parallel(25, i => b.store('i32', b.addr(0, i), b.add(b.load('i32', b.addr(0, i)), b.add(i, b.i32(1))))),
          [out],
          { threads },
        );
        expect([...out]).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
      }
      // Only the first and last iteration of each thread's share are noted: the contract's floor(extent * t / n).
      const extent = 2 ** 21 + 3;
      const threads = 5;
      const seen = new Int32Array(threads * 2).fill(-1);
      run(
        b => {
          const at = b.mul(b.thread(), b.i32(2));
          b.parallel(extent, i => {
            const p = b.addr(0, at);
            b.if(b.cmp('eq', b.load('i32', p), b.i32(-1)), () => b.store('i32', p, i));
            b.store('i32', p, i, 4);
          });
        },
        [seen],
        { threads },
      );
      const share = (t: number): number => Math.floor((extent * t) / threads);
      expect([...seen]).toEqual(Array.from({ length: threads }, (_, t) => [share(t), share(t + 1) - 1]).flat());
    });

    it('once is run by thread 0, the rest by all; thread and threads say who and how many', () => {
      const out = new Int32Array(6);
      run(
        b => {
          b.once(() => b.store('i32', b.addr(0), b.add(b.load('i32', b.addr(0)), b.i32(1))));
          b.store('i32', b.addr(0, b.add(b.thread(), b.i32(1))), b.threads());
        },
        [out],
        { threads: 4 },
      );
      expect([...out]).toEqual([1, 4, 4, 4, 4, 0]);
    });

    it('the first failure is kept, and the kernel goes on', () => {
      const out = new Int32Array(1);
      const { failed } = run(
        b => {
          b.fail(3, b.i32(-7));
          b.fail(4, b.const('i64', 1n << 40n));
          b.store('i32', b.addr(0), b.i32(1));
        },
        [out],
      );
      expect(failed).toEqual({ site: 3, value: -7n });
      expect(out[0]).toBe(1);
    });
  });
}
