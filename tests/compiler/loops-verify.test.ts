/**
 * The verifier accepts what the builder makes and refuses each kind of mistake by name.
 */
import { describe, expect, it } from 'vitest';
import { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import type { LoopKernel, Reg } from '../../src/compiler/loops.ts';
import type { LoopProgram } from '../../src/compiler/program.ts';
import { verifyKernel, verifyProgram } from '../../src/compiler/verify/index.ts';
import { gatherUpdateProgram, mirrorProgram } from '../support/loop-programs.ts';

const kernelOf = (fill: (b: LoopBuilder) => void): LoopKernel => {
  const b = new LoopBuilder();
  fill(b);
  return { name: 'k', buffers: [{ name: 'x', dtype: 'f32', elements: 8, access: 'readwrite' }], body: b.instructions };
};
const f32 = (id: number, lanes = 1): Reg => ({ id, type: { scalar: 'f32', lanes } });
const i32 = (id: number): Reg => ({ id, type: { scalar: 'i32', lanes: 1 } });

describe('a kernel is refused', () => {
  const one = (b: LoopBuilder): Reg => b.const('f32', 1);
  const cases: readonly (readonly [string, (b: LoopBuilder) => void, string])[] = [
    [
      'reading what was never written',
      b => b.emit({ op: 'move', d: f32(90), a: f32(91) }),
      'r91 is read before it is written',
    ],
    [
      'reading what only one branch wrote',
      b => {
        const m = b.cmp('lt', one(b), one(b));
        b.if(m, () => b.emit({ op: 'const', d: f32(90), value: 1 }));
        b.emit({ op: 'move', d: f32(91), a: f32(90) });
      },
      'r90 is read before it is written',
    ],
    [
      'reading what a loop wrote that may not run',
      b => {
        b.for(0, 2, 1, () => b.emit({ op: 'const', d: f32(90), value: 1 }));
        b.emit({ op: 'move', d: f32(91), a: f32(90) });
      },
      'r90 is read before it is written',
    ],
    ['types that differ', b => b.bin('add', one(b), b.i32(1)), 'bin add: r1 is i32, expected f32'],
    [
      'one register with two types',
      b => b.emit({ op: 'move', d: i32(b.const('f32', 1).id), a: b.i32(1) }),
      'r0 is f32, written as i32',
    ],
    ['bitwise operations on floats', b => b.bin('and', one(b), one(b)), 'expected one of i32, i64, mask'],
    ['square roots of integers', b => b.un('sqrt', b.i32(4)), 'expected one of f32, f64'],
    ['integer division of vectors', b => b.bin('div', b.const('i32', 1, 4), b.const('i32', 1, 4)), 'on scalars only'],
    ['unsigned comparison of floats', b => b.cmp('ltU', one(b), one(b)), 'cmp ltU: r0 is f32'],
    [
      'a mask of the wrong length',
      b => b.select(b.const('mask', 1), b.const('f32', 1, 4), b.const('f32', 2, 4)),
      'r0 is mask, expected maskx4',
    ],
    ['a fused product of mixed lanes', b => b.fma(one(b), one(b), b.const('f32', 1, 4)), 'r2 is f32x4, expected f32'],
    [
      'conversion that changes lanes',
      b => b.emit({ op: 'cvt', d: i32(90), a: b.const('f32', 1, 4) }),
      'from f32x4 to i32',
    ],
    ['bits of another width', b => b.bitcast('i64', one(b)), 'from f32 to i64'],
    ['a lane that is not there', b => b.extract(b.const('f32', 1, 4), 4), 'lane 4 of 4'],
    [
      'a shuffle of too few lanes',
      b => b.shuffle(b.const('f32', 1, 4), b.const('f32', 1, 4), [0, 1]),
      '2 lane numbers',
    ],
    ['a vector of three', b => b.const('f32', 1, 3), '3 lanes'],
    ['a literal that does not fit', b => b.const('i32', 2 ** 31), '2147483648 is no 32-bit integer'],
    ['a buffer that does not exist', b => b.addr(1), 'buffer 1 does not exist, the kernel has 1'],
    ['an address by float', b => b.addr(0, one(b)), 'addr: r0 is f32, expected i32'],
    [
      'a load into the wrong type',
      b => b.emit({ op: 'load', d: i32(90), p: b.addr(0), offset: 0, mem: 'f32' }),
      'load: r90 is i32',
    ],
    ['a store of the wrong type', b => b.store('f16', b.addr(0), b.i32(1)), 'store: r1 is i32, expected one of f32'],
    ['writing the counter of a loop', b => b.for(0, 4, 1, i => b.move(i, b.i32(0))), 'r0 belongs to a loop around it'],
    [
      'writing the end of a loop',
      b => {
        const end = b.copy(b.i32(4));
        b.for(0, end, 1, () => b.move(end, b.i32(0)));
      },
      'belongs to a loop around it',
    ],
    ['a step of zero', b => b.for(0, 4, 0, () => {}), 'step 0'],
    [
      'a condition that is no mask',
      b => b.emit({ op: 'if', m: i32(b.i32(1).id), body: [], otherwise: [] }),
      'if: r0 is i32, expected mask',
    ],
    ['a barrier in a loop', b => b.for(0, 4, 1, () => b.barrier()), 'barrier: stands inside another block'],
    [
      'parallel in parallel',
      b => b.parallel(2, () => b.parallel(2, () => {})),
      'parallel: stands inside another block',
    ],
    ['once in a branch', b => b.if(b.const('mask', 1), () => b.once(() => {})), 'once: stands inside another block'],
    ['failing with a float', b => b.fail(0, one(b)), 'fail: r0 is f32'],
    ['failing at an unknown site', b => b.fail(5, b.i32(1)), 'site 5 does not exist'],
  ];
  for (const [what, fill, message] of cases)
    it(`for ${what}`, () => {
      const verify = () => verifyKernel(kernelOf(fill), 2);
      expect(verify).toThrow('internal: kernel k: ');
      expect(verify).toThrow(message);
    });
});

describe('a kernel is accepted', () => {
  it('when both branches, or the test of a while, define what comes after', () => {
    const kernel = kernelOf(b => {
      const d = b.reg('f32');
      b.if(
        b.const('mask', 1),
        () => b.move(d, b.const('f32', 1)),
        () => b.move(d, b.const('f32', 2)),
      );
      let last: Reg = d;
      b.while(
        () => {
          last = b.add(d, d);
          return b.cmp('lt', last, b.const('f32', 1));
        },
        () => b.move(d, last),
      );
      b.store('f32', b.addr(0), last);
    });
    expect(() => verifyKernel(kernel)).not.toThrow();
  });
});

describe('a program', () => {
  it('of well-placed buffers is accepted', () => {
    expect(() => verifyProgram(mirrorProgram(10, 3))).not.toThrow();
    expect(() => verifyProgram(gatherUpdateProgram(10, 3))).not.toThrow();
  });
  const change = (program: LoopProgram, message: string): void => expect(() => verifyProgram(program)).toThrow(message);
  it('is refused where a buffer does not fit its place', () => {
    const program = mirrorProgram(10, 3);
    const first = program.kernels[0]!;
    const withPlaces = (places: typeof first.places): LoopProgram => ({ ...program, kernels: [{ ...first, places }] });
    change({ ...program, arenaBytes: 64 }, 'out at 64 to 104 of an arena of 64 bytes');
    change(withPlaces([{ kind: 'leaf', index: 0 }]), '1 places for 2 buffers');
    change(
      withPlaces([
        { kind: 'leaf', index: 1 },
        { kind: 'output', index: 0 },
      ]),
      'x is in leaf 1, which does not exist',
    );
    change(
      withPlaces([
        { kind: 'leaf', index: 0 },
        { kind: 'leaf', index: 0 },
      ]),
      'out writes leaf 0, which is not marked as written',
    );
    change(
      withPlaces([
        { kind: 'leaf', index: 0 },
        { kind: 'arena', offset: 8 },
      ]),
      'out at 8 to 48',
    );
    change({ ...program, outputs: [{ dtype: 'f32', elements: 9 }] }, 'out needs 10 elements, output 0 has 9');
  });
});
