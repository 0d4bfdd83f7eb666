/**
 * The printed form of loop IR, as TENON_DEBUG=code shows it.
 */
import { expect, it } from 'vitest';
import { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import { printKernel, printProgram } from '../../src/compiler/print-loops.ts';
import { mirrorProgram } from '../support/loop-programs.ts';

it('prints every instruction on a line, blocks indented', () => {
  const b = new LoopBuilder();
  b.parallel(4, row => {
    const x = b.addr(0, b.mul(row, b.i32(8)));
    const acc = b.copy(b.const('f32', 0, 4));
    b.for(0, 8, 4, i => {
      const v = b.load('f16', b.advance(x, i, 2), 8, 4);
      const m = b.cmp('lt', v, acc);
      b.if(
        b.anyTrue(m),
        () => b.move(acc, b.fma(v, v, acc)),
        () => b.move(acc, b.select(m, b.un('sqrt', v), b.shuffle(v, acc, [0, 4, 1, 5]))),
      );
    });
    const sum = b.reduce('add', acc);
    b.store('f32', b.addr(1, row), b.insert(b.splat(sum, 4), 1, b.extract(acc, 2)), -4);
    const n = b.copy(b.cvt('i32', sum));
    b.while(
      () => b.cmp('gt', n, b.i32(0)),
      () => b.move(n, b.bin('shrS', n, b.i32(1))),
    );
    b.fail(2, b.bitcast('i32', sum));
  });
  b.barrier();
  b.once(() => {
    b.store('i32', b.addr(1), b.add(b.thread(), b.threads()));
  });
  const text = printKernel({
    name: 'sample',
    buffers: [
      { name: 'x', dtype: 'f16', elements: 32, access: 'read' },
      { name: 'y', dtype: 'f32', elements: 4, access: 'write' },
    ],
    body: b.instructions,
  });
  expect(text).toMatchInlineSnapshot(`
    "kernel sample
      read x: f16[32]
      write y: f32[4]
      parallel i0 of 4
        i1 = 8
        i2 = mul i0, i1
        p3 = &x[i2]
        f4x4 = 0
        f5x4 = f4x4
        for i6 = 0 to 8 by 4
          p7 = p3 + i6 * 2
          f8x4 = load f16 [p7 + 8]
          m9x4 = lt f8x4, f5x4
          m10 = anyTrue m9x4
          if m10
            f11x4 = fma f8x4, f8x4, f5x4
            f5x4 = f11x4
          else
            f12x4 = sqrt f8x4
            f13x4 = shuffle f8x4, f5x4, 0 4 1 5
            f14x4 = select m9x4, f12x4, f13x4
            f5x4 = f14x4
        f15 = reduce add f5x4
        p16 = &y[i0]
        f17x4 = splat f15
        f18 = extract f5x4, 2
        f19x4 = insert f17x4, 1, f18
        store f32 [p16 - 4], f19x4
        i20 = cvt f15
        i21 = i20
        test
          i22 = 0
          m23 = gt i21, i22
        while m23
          i24 = 1
          i25 = shrS i21, i24
          i21 = i25
        i26 = bitcast f15
        fail 2, i26
      barrier
      once
        p27 = &y
        i28 = thread
        i29 = threads
        i30 = add i28, i29
        store i32 [p27], i30"
  `);
});

it('prints a program with its places and barriers', () => {
  expect(
    printProgram(mirrorProgram(10, 3))
      .split('\n')
      .filter(line => !line.startsWith('    ')),
  ).toMatchInlineSnapshot(`
    [
      "program: 3 kernels, arena of 128 bytes",
      "kernel mirror",
      "  read x: f32[10] = leaf 0",
      "  write out: f32[10] = arena+0",
      "  parallel i0 of 10",
      "--- barrier",
      "kernel mirror",
      "  read x: f32[10] = arena+0",
      "  write out: f32[10] = arena+64",
      "  parallel i0 of 10",
      "--- barrier",
      "kernel mirror",
      "  read x: f32[10] = arena+64",
      "  write out: f32[10] = output 0",
      "  parallel i0 of 10",
    ]
  `);
});
