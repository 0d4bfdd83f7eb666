/**
 * f32 rounded to the values of binary16 and bfloat16 by instructions of their own: as graph/half.ts rounds them, at
 * every exponent, between neighbours and at their midpoints.
 */
import { expect, it } from 'vitest';
import type { Isa } from '../../../src/backends/x86/isa.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { LoopKernel } from '../../../src/compiler/loops.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../../src/graph/half.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { bf16Dots, isas } from './available.ts';

/**
 * Every value of binary16, the midpoint to the next, and their neighbours among f32; of both signs, with infinities and
 * NaN.
 */
function samples(): Float32Array {
  const patterns: number[] = [];
  const bits = new Int32Array(1);
  const float = new Float32Array(bits.buffer);
  const around = (x: number): void => {
    float[0] = x;
    const at = bits[0]!;
    for (const step of [-1, 0, 1]) patterns.push(at + step);
  };
  for (let h = 0; h < 0x7c00; h++) {
    around(f16Value(h));
    around((f16Value(h) + (h === 0x7bff ? 65536 : f16Value(h + 1))) / 2);
  }
  const positive = patterns.filter(p => p >= 0).concat(0x7f80_0000, 0x7fc0_0000, 1, 0x007f_ffff, 0x7f7f_ffff);
  return new Float32Array(Int32Array.from([...positive, ...positive.map(p => p | 0x8000_0000)]).buffer);
}

/** The same for bfloat16. */
function samplesOfBf16(): Float32Array {
  const patterns: number[] = [0x7fc0_0000, 0x7f80_0001];
  for (let h = 0; h <= 0x7f80; h++)
    for (const low of [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff])
      if (h < 0x7f80 || low === 0) patterns.push(h * 65536 + low);
  while (patterns.length % 16 !== 0) patterns.push(0);
  return new Float32Array(Int32Array.from(patterns.flatMap(p => [p, p | 0x8000_0000])).buffer);
}

/** What `fn` makes of `x`. */
function rounded(fn: 'toF16' | 'toBf16' | 'toNormalBf16', x: Float32Array, lanes: number, isa: Isa): Float32Array {
  const b = new LoopBuilder();
  b.for(0, x.length, lanes, i => b.store('f32', b.addr(1, i), b.un(fn, b.load('f32', b.addr(0, i), 0, lanes))));
  const kernel: LoopKernel = {
    name: 'half',
    buffers: [
      { name: 'x', dtype: 'f32', elements: x.length, access: 'read' },
      { name: 'y', dtype: 'f32', elements: x.length, access: 'write' },
    ],
    body: b.instructions,
  };
  const y = new Float32Array(x.length);
  runX86Kernel(kernel, [x, y], { isa });
  return y;
}

it.each(isas.flatMap(isa => [1, isa === 'avx2' ? 8 : 16].map(lanes => [isa, lanes] as const)))(
  '%s, %i lanes',
  (isa, lanes) => {
    const all = samples();
    const x = all.subarray(0, all.length - (all.length % lanes));
    const y = rounded('toF16', x, lanes, isa);
    const wrong = y.findIndex((v, i) => !Object.is(v, f16Value(f16Bits(x[i]!))));
    expect(wrong < 0 ? null : [x[wrong], y[wrong]]).toBeNull();
  },
);

it.skipIf(!bf16Dots).each(['toBf16', 'toNormalBf16'] as const)('%s', fn => {
  const x = samplesOfBf16();
  const y = rounded(fn, x, 16, 'avx512');
  const least = fn === 'toNormalBf16' ? 2 ** -126 : 0;
  const wrong = y.findIndex((v, i) => {
    const expected = bf16Value(bf16Bits(x[i]!));
    return Math.abs(x[i]!) < least ? v !== 0 && v !== expected : !Object.is(v, expected);
  });
  expect(wrong < 0 ? null : [x[wrong], y[wrong]]).toBeNull();
});

it.skipIf(!bf16Dots).each([4, 8, 16])('toBf16Words, %i lanes', lanes => {
  const x = samplesOfBf16();
  const y = x.slice().reverse();
  const b = new LoopBuilder();
  b.for(0, x.length, lanes, i => {
    const [low, high] = [0, 1].map(buffer => b.load('f32', b.addr(buffer, i), 0, lanes));
    b.store('i32', b.addr(2, i), b.bf16Words(low!, high!));
  });
  const buffers: LoopKernel['buffers'] = [
    { name: 'x', dtype: 'f32', elements: x.length, access: 'read' },
    { name: 'y', dtype: 'f32', elements: x.length, access: 'read' },
    { name: 'words', dtype: 'i32', elements: x.length, access: 'write' },
  ];
  const words = new Int32Array(x.length);
  runX86Kernel({ name: 'words', buffers, body: b.instructions }, [x, y, words], { isa: 'avx512' });
  const bits = (v: Float32Array): Uint32Array => new Uint32Array(v.buffer).map(u => u >>> 16);
  const [low, high] = [x, y].map(v => bits(rounded('toNormalBf16', v, 16, 'avx512')));
  expect(words).toEqual(Int32Array.from(words, (_, i) => (high![i]! << 16) | low![i]!));
});
