/** decimal.js' values of ours against mpmath's. */
import { expect, it } from 'vitest';
import { FIGURES, FIGURES2 } from '../compiler/math-figures.ts';
import { BINARY_ORACLE, decimalOf, UNARY_ORACLE } from './oracle.ts';

it.each(Object.keys(FIGURES) as (keyof typeof FIGURES)[])('%s', fn => {
  for (const [x, want] of FIGURES[fn]) expect(UNARY_ORACLE[fn](decimalOf(x)).toNumber(), `${fn}(${x})`).toBe(want);
});

it.each(Object.keys(FIGURES2) as (keyof typeof FIGURES2)[])('%s', fn => {
  for (const [x, y, want] of FIGURES2[fn])
    expect(BINARY_ORACLE[fn](decimalOf(x), decimalOf(y)).toNumber(), `${fn}(${x}, ${y})`).toBe(want);
});
