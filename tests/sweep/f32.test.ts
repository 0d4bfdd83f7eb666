/**
 * f32 within 2 units in the last place over all arguments, NaN, infinities and signed zeros among them: every so many
 * bit patterns here, each of the 2^32 by TENON_SWEEP_EVERY=1 (npm run sweep -- --dtype f32 --every 1).
 */
import { expect, it } from 'vitest';
import { RUNNERS } from './backends.ts';
import { EXACT } from './exact.ts';
import { LIMIT, SWEPT, SWEPT_NAMES } from './functions.ts';
import type { OracleUnary } from './oracle.ts';

const EVERY = Number(process.env['TENON_SWEEP_EVERY'] ?? 32_768);
const BLOCK = 2 ** 14;
const TOTAL = Math.ceil(2 ** 32 / EVERY);
/** This process takes every so many blocks, from its own on. */
const [PART, PARTS] = (process.env['TENON_SWEEP_PART'] ?? '1/1').split('/').map(Number) as [number, number];

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);
/** The exponent of a normal f32, -126 below. */
function exponentOf(x: number): number {
  float[0] = x;
  return Math.max(1, (bits[0]! >>> 23) & 255) - 127;
}

/**
 * Units in the last place between `got` and the exact value; infinite where one of both is NaN, infinite or a zero of
 * the other sign.
 */
function error(got: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (Object.is(got, rounded)) return 0;
  if (Number.isNaN(got) || Number.isNaN(exact)) return Number.POSITIVE_INFINITY;
  if (!Number.isFinite(rounded) || !Number.isFinite(got)) {
    // The largest number and infinity are neighbours.
    const [a, b] = [got, exact].map(v => Math.sign(v) * Math.min(Math.abs(v), 2 ** 128)) as [number, number];
    return Math.abs(a - b) / 2 ** 104;
  }
  if (got === 0 && exact === 0) return Number.POSITIVE_INFINITY;
  return Math.abs(got - exact) / 2 ** (exponentOf(rounded) - 23);
}

/**
 * Where sweeps of many more arguments found the largest errors, beyond 2 before they were mended: between the arguments
 * tried here.
 */
const HARDEST: { readonly [F in OracleUnary]?: readonly number[] } = {
  sigmoid: [-16.297433853149414, -3.43471360206604],
  lgamma: [3.300987482070923],
  digamma: [1.0594956874847412, 1.3408912420272827],
  tan: [0.7822916507720947, 55.52793884277344],
  asin: [0.2465239316225052, 0.2473546415567398],
  acos: [0.9692190289497375],
  acosh: [1.007729172706604],
  log10: [0.7499332427978516, 0.7566420435905457, 0.7669816613197327],
  erfc: [0.519814133644104, 8.427241325378418, 9.15792465209961],
  erfcx: [-0.8419394493103027, -0.8451769351959229, -9.380859375],
};

it.each(SWEPT_NAMES)(`%s at one of ${EVERY} arguments`, { timeout: 36_000_000 }, fn => {
  const x = new Float32Array(BLOCK);
  const patterns = new Uint32Array(x.buffer);
  const want = new Float64Array(BLOCK);
  const rounded = new Float32Array(BLOCK);
  const roundedBits = new Int32Array(rounded.buffer);
  const runners = RUNNERS.map(runner => ({
    ...runner,
    run: runner.compile(SWEPT[fn].of, 'f32', BLOCK),
    worst: 0,
    at: 0,
  }));
  const exact = EXACT[fn];
  const [from, to] = SWEPT[fn].domain;
  const tryAll = (): void => {
    for (let i = 0; i < BLOCK; i++) want[i] = exact(x[i]!);
    rounded.set(want);
    for (const runner of runners) {
      const got = runner.run(x) as Float32Array;
      const gotBits = new Int32Array(got.buffer, got.byteOffset, BLOCK);
      for (let i = 0; i < BLOCK; i++) {
        if (gotBits[i] === roundedBits[i]) continue;
        if (fn.endsWith('gamma') && x[i]! < 0) continue;
        const e = error(got[i]!, want[i]!);
        if (!(e <= runner.worst)) [runner.worst, runner.at] = [e, x[i]!];
      }
    }
  };
  x.set(HARDEST[fn] ?? []);
  tryAll();
  for (let block = (PART - 1) * BLOCK; block < TOTAL; block += PARTS * BLOCK) {
    // Odd steps within each stretch, so that all low bits are seen.
    for (let i = 0; i < BLOCK; i++) patterns[i] = (block + i) * EVERY + (((block + i) * 7919) % EVERY);
    tryAll();
  }
  if (process.env['TENON_SWEEP_EVERY'])
    for (const { name, worst, at } of runners)
      console.log(`sweep: f32 ${fn} ${name}: at most ${worst.toFixed(3)} ulp, at ${at}`);
  for (const { name, worst, at } of runners)
    expect(worst, `${fn}(${at}) on [${from}, ${to}], ${name}`).toBeLessThan(LIMIT);
});
