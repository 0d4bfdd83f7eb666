/**
 * Transcendental functions, run as WebAssembly and (f32) as machine code: f32 over all exponents against f64
 * arithmetic, f64 against correctly rounded figures, special values against IEEE 754 and C's Annex F. With and without
 * fused multiply-add, in vectors and in scalars.
 */
import { describe, expect, it } from 'vitest';
import { lowerBinary, lowerUnary } from '../../src/compiler/math/index.ts';
import type { Unary } from '../../src/graph/node.ts';
import { EXACT } from '../sweep/exact.ts';
import { FIGURES, FIGURES2 } from './math-figures.ts';
import { apply, RUNNERS, ulps } from './math-kernel.ts';

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;

/** f32 values of every sign and exponent, NaN and infinities among them: one for each of 2^17 leading bit patterns. */
function allExponents(): Float32Array {
  const bits = new Uint32Array(2 ** 17);
  for (let i = 0; i < bits.length; i++) bits[i] = i * 2 ** 15 + ((i * 7919) % 2 ** 15);
  return new Float32Array(bits.buffer);
}

describe('f32 within 2 units in the last place, over all exponents', () => {
  const x = allExponents();
  for (const fn of Object.keys(FIGURES) as (keyof typeof FIGURES)[])
    it(fn, () => {
      const exact = EXACT[fn];
      for (const runner of RUNNERS) {
        const y = apply([{ dtype: 'f32', value: x }], 'f32', (b, v) => lowerUnary(b, fn, 'f32', v!), runner);
        let worst = 0;
        let at = 0;
        for (let i = 0; i < x.length; i++) {
          const want = exact(x[i]!);
          const rounded = Math.fround(want);
          const got = y[i] as number;
          // See tests/sweep/functions.ts.
          if (fn.endsWith('gamma') && x[i]! < 0) continue;
          if (!Number.isFinite(rounded) || !Number.isFinite(got) || want === 0) {
            if (!Object.is(got, rounded)) expect(got, `${fn}(${x[i]})`).toBe(rounded);
            continue;
          }
          const error = ulps(got, want, 24);
          if (error > worst) [worst, at] = [error, x[i]!];
        }
        expect(worst, `${fn}(${at}), ${runner.name}`).toBeLessThanOrEqual(2);
      }
    });
});

describe('f64 within 2 units of the correctly rounded result', () => {
  const columns = (rows: readonly (readonly number[])[], column: number): Float64Array =>
    Float64Array.from(rows, row => row[column]!);
  for (const [fn, rows] of Object.entries(FIGURES) as [Unary, readonly (readonly number[])[]][])
    it(fn, () => {
      const y = apply([{ dtype: 'f64', value: columns(rows, 0) }], 'f64', (b, v) => lowerUnary(b, fn, 'f64', v!));
      for (const [i, [x, want]] of rows.entries())
        expect(ulps(y[i] as number, want!, 53), `${fn}(${x}) = ${want}, got ${y[i]}`).toBeLessThanOrEqual(2);
    });
  for (const [fn, rows] of Object.entries(FIGURES2) as ['pow' | 'atan2', readonly (readonly number[])[]][])
    it(fn, () => {
      const inputs = [0, 1].map(column => ({ dtype: 'f64', value: columns(rows, column) }) as const);
      const y = apply(inputs, 'f64', (b, p, q) => lowerBinary(b, fn, 'f64', p!, q!));
      for (const [i, [p, q, want]] of rows.entries())
        expect(ulps(y[i] as number, want!, 53), `${fn}(${p}, ${q}) = ${want}, got ${y[i]}`).toBeLessThanOrEqual(2);
    });
});

describe('special values', () => {
  const cases: { readonly [F in Unary]?: readonly (readonly [number, number])[] } = {
    exp: [[0, 1], [-0, 1], [INF, INF], [-INF, 0], [NAN, NAN], [1000, INF], [-1000, 0]],
    expm1: [[0, 0], [-0, -0], [INF, INF], [-INF, -1], [NAN, NAN], [-1000, -1]],
    log: [[1, 0], [0, -INF], [-0, -INF], [-1, NAN], [INF, INF], [-INF, NAN], [NAN, NAN]],
    log1p: [[0, 0], [-0, -0], [-1, -INF], [-2, NAN], [INF, INF], [NAN, NAN]],
    sin: [[0, 0], [-0, -0], [INF, NAN], [-INF, NAN], [NAN, NAN]],
    cos: [[0, 1], [-0, 1], [INF, NAN], [-INF, NAN], [NAN, NAN]],
    tan: [[0, 0], [-0, -0], [INF, NAN], [-INF, NAN], [NAN, NAN]],
    tanh: [[0, 0], [-0, -0], [INF, 1], [-INF, -1], [NAN, NAN], [50, 1]],
    sigmoid: [[0, 0.5], [-0, 0.5], [INF, 1], [-INF, 0], [NAN, NAN]],
    erf: [[0, 0], [-0, -0], [INF, 1], [-INF, -1], [NAN, NAN]],
    atan: [[0, 0], [-0, -0], [NAN, NAN]],
    lgamma: [[1, 0], [2, 0], [0, INF], [-0, INF], [-1, INF], [-7, INF], [-1e30, INF], [-3e38, INF], [INF, INF], [-INF, INF], [NAN, NAN]],
    digamma: [[0, -INF], [-0, INF], [-1, NAN], [-30, NAN], [INF, INF], [NAN, NAN]],
  }; // biome-ignore format: a table
  for (const dtype of ['f32', 'f64'] as const) {
    const array = (values: readonly number[]) =>
      dtype === 'f32' ? Float32Array.from(values) : Float64Array.from(values);
    it(`unary, ${dtype}`, () => {
      for (const [fn, rows] of Object.entries(cases) as [Unary, readonly (readonly [number, number])[]][]) {
        const x = rows.map(row => row[0]);
        while (x.length % 4) x.push(1);
        const y = apply([{ dtype, value: array(x) }], dtype, (b, v) => lowerUnary(b, fn, dtype, v!));
        for (const [i, [at, want]] of rows.entries()) expect(y[i], `${fn}(${at})`).toBe(want);
      }
    });

    it(`pow and atan2, ${dtype}: as JavaScript's, but for pow(1, NaN) and pow(-1, inf), which are 1 in C`, () => {
      const values = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, INF, -INF, NAN, 1e30, -1e30, 4];
      const p = values.flatMap(v => values.map(() => v));
      const q = values.flatMap(() => values);
      const inputs = [
        { dtype, value: array(p) },
        { dtype, value: array(q) },
      ];
      const pow = apply(inputs, dtype, (b, x, y) => lowerBinary(b, 'pow', dtype, x!, y!));
      const atan2 = apply(inputs, dtype, (b, x, y) => lowerBinary(b, 'atan2', dtype, x!, y!));
      for (let i = 0; i < p.length; i++) {
        const [x, y] = [inputs[0]!.value[i]!, inputs[1]!.value[i]!];
        const one = x === 1 || (x === -1 && Math.abs(y) === INF);
        const round = (v: number): number => (dtype === 'f32' ? Math.fround(v) : v);
        const want = one ? 1 : round(x ** y);
        const got = pow[i] as number;
        if (Number.isFinite(want) && want !== 0 && Number.isFinite(got))
          expect(ulps(got, want, dtype === 'f32' ? 24 : 53), `pow(${x}, ${y})`).toBeLessThanOrEqual(2);
        else expect(got, `pow(${x}, ${y})`).toBe(want);
        const angle = round(Math.atan2(x, y));
        if (angle === 0 || Number.isNaN(angle)) expect(atan2[i], `atan2(${x}, ${y})`).toBe(angle);
        else
          expect(ulps(atan2[i] as number, angle, dtype === 'f32' ? 24 : 53), `atan2(${x}, ${y})`).toBeLessThanOrEqual(
            2,
          );
      }
    });
  }
});
