/** Loads and stores of every type that memory has. */
import { describe, expect, it } from 'vitest';
import { registerScalar } from '../../../src/compiler/loops.ts';
import type { DType } from '../../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../../src/graph/half.ts';
import { SAMPLES, type Subject } from './samples.ts';

export function testMemory({ check, lanesOf }: Subject): void {
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
