/** bf16 and f16 over all their arguments: the nearest number to the exact value, or where it is all but a tie the next. */
import { expect, it } from 'vitest';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';
import { RUNNERS } from './backends.ts';
import { EXACT } from './exact.ts';
import { SWEPT, SWEPT_NAMES } from './functions.ts';

const ALL = 2 ** 16;
/** From the middle between two halves, in units of the f32 that is rounded: results in f32 are within 2. */
const TIE = 2 * 2 ** -23;

const FORMATS = {
  bf16: { bits: bf16Bits, value: bf16Value },
  f16: { bits: f16Bits, value: f16Value },
} as const;

it.each(SWEPT_NAMES)('%s', fn => {
  for (const dtype of ['bf16', 'f16'] as const) {
    const { bits, value } = FORMATS[dtype];
    const x = Uint16Array.from({ length: ALL }, (_, i) => i);
    const exact = Float64Array.from(x, i => EXACT[fn](value(i)));
    const [below, above] = [1 - TIE, 1 + TIE].map(factor => Uint16Array.from(exact, want => bits(want * factor)));
    for (const { name, compile } of RUNNERS) {
      const got = compile(SWEPT[fn].of, dtype, ALL)(x) as Uint16Array;
      for (let i = 0; i < ALL; i++) {
        if (got[i] === below![i] || got[i] === above![i]) continue;
        const [result, want] = [value(got[i]!), value(bits(exact[i]!))];
        // NaN has many bits.
        if (Object.is(result, want) || (fn.endsWith('gamma') && value(i) < 0)) continue;
        expect(result, `${fn}(${value(i)}) = ${exact[i]}, ${dtype}, ${name}`).toBe(want);
      }
    }
  }
});
