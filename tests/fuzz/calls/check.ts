/**
 * A program of calls on a backend against the reference: within rounding, or within what results change by when every
 * intermediate is disturbed by some units in the last place (a sort, a comparison or a pole may make much of them).
 */
import { type DType, isFloat, setBackend, setNumThreads, Tensor } from '../../../src/index.ts';
import { THREADS } from '../budget.ts';
import { Random } from '../random.ts';
import { type Disturb, isLeaf, magnitude, type Program, printed, pruned, refused, resultsOf } from './program.ts';

/** Units in the last place of 1. */
const UNIT: { readonly [D in DType]?: number } = { f64: 2 ** -52, f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 };
/** Rounding may differ by so many, of the largest number. */
const UNITS = 300;
const HALF_UNITS = 8;

type Figures = { readonly dtype: DType; readonly data: Float64Array | BigInt64Array };

const figures = (tensors: readonly Tensor[]): Figures[] =>
  tensors.map(x => ({
    dtype: x.dtype,
    data: (isFloat(x.dtype) ? x.to('f64') : x.to('i64')).data() as Float64Array | BigInt64Array,
  }));

/** The coarsest dtype among the values: what rounding the whole is right to. */
function unitOf({ values, mode }: Program): number {
  const units = values.map(x => UNIT[x.dtype] ?? 0);
  return Math.max(2 ** -52, mode === 'autocast' ? 2 ** -7 : 0, ...units);
}

/** By how much two results differ: of floats the largest distance, of others 1 where they are not the same. */
function distance(a: Figures, b: Figures): number {
  if (a.data.length !== b.data.length || a.dtype !== b.dtype) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.data.length; i++) {
    if (a.data[i] === b.data[i]) continue;
    if (typeof a.data[i] === 'bigint') return 1;
    const [x, y] = [a.data[i] as number, b.data[i] as number];
    if (Number.isNaN(x) && Number.isNaN(y)) continue;
    const off = Math.abs(x - y);
    if (!(off <= most)) most = Number.isNaN(off) ? Number.POSITIVE_INFINITY : off;
  }
  return most;
}

function disturbed(program: Program, seed: number): Figures[] {
  const r = new Random(seed);
  const units = program.mode === 'autocast' ? 2 ** -7 : null;
  const noise: Disturb = (x, k) => {
    if (!isFloat(x.dtype)) return x;
    const size = 2 * (units ?? UNIT[x.dtype]!) * Math.max(1e-3, magnitude(program.values[k]!));
    const by = Float64Array.from({ length: x.numel() }, () => size * (2 * r.next() - 1));
    return x
      .to('f64')
      .add(Tensor.from(by, { shape: x.shape }))
      .to(x.dtype);
  };
  return figures(resultsOf(program, 'eager', noise));
}

/** Where the program differs on this backend, in words; null where it does not. */
export function differenceOf(program: Program, backend: string): string | null {
  setBackend('reference');
  let want: Figures[];
  try {
    want = figures(resultsOf(program, 'eager'));
  } catch (error) {
    // Under autocast products become bf16, which some partners then are not.
    if (program.mode === 'autocast' && refused(error)) return null;
    throw error;
  }
  setBackend(backend);
  const [one, ...more] = THREADS.map(threads => {
    setNumThreads(threads);
    return figures(resultsOf(program, 'compiled'));
  }) as [Figures[], ...Figures[][]];
  for (const [k, other] of more.entries())
    for (const [i, result] of other.entries())
      if (distance(result, one[i]!) > 0) return `result ${i} on ${THREADS[k + 1]} threads is another`;
  const unit = unitOf(program);
  const tolerance = unit * (unit >= 2 ** -10 ? HALF_UNITS : UNITS);
  const sizes = want.map(({ dtype, data }) => (isFloat(dtype) ? (data as Float64Array).reduce((m, v) => Math.max(m, Number.isFinite(v) ? Math.abs(v) : 0), 0) : 0)); // biome-ignore format: one line
  const largest = Math.max(1, ...sizes);
  const off = want.map((result, i) => distance(one[i]!, result));
  const suspects = off.flatMap((d, i) => (d > (isFloat(want[i]!.dtype) ? tolerance * largest : 0) ? [i] : []));
  if (suspects.length === 0) return null;
  setBackend('reference');
  const moved = want.map(() => 0);
  for (let seed = 1; seed <= 5; seed++)
    for (const [i, result] of disturbed(program, seed).entries()) moved[i] = Math.max(moved[i]!, distance(result, want[i]!)); // biome-ignore format: one line
  const worst = suspects.find(i => off[i]! > 10 * moved[i]!);
  if (worst === undefined) return null;
  return `result ${worst} of ${want.length} (${want[worst]!.dtype}) is off by ${off[worst]}, where rounding moves it by ${moved[worst]}`;
}

/** The smallest program found that still fails. */
function shrunk(program: Program, fails: (program: Program) => boolean): Program {
  let small = program;
  for (const output of program.outputs) {
    const one = pruned({ ...program, outputs: [output] });
    if (fails(one)) small = one;
  }
  for (let smaller = true; smaller; ) {
    smaller = false;
    for (let k = small.entries.length - 1; k >= 0 && !smaller; k--) {
      const entry = small.entries[k]!;
      if (isLeaf(entry) || small.outputs.includes(k)) continue;
      const tensor = small.values[k]!;
      const entries = small.entries.map((e, i) => (i === k ? { tensor, input: isFloat(tensor.dtype) } : e));
      const candidate = pruned({ ...small, entries });
      if (!fails(candidate)) continue;
      small = candidate;
      smaller = true;
    }
  }
  return small;
}

/** @throws Error with the smallest program that differs on the backend */
export function check(program: Program, backend: string, name: string): void {
  const wrong = (p: Program): string | null => {
    try {
      return differenceOf(p, backend);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const message = wrong(program);
  if (message === null) return;
  const small = shrunk(program, p => wrong(p) !== null);
  throw new Error(`${name}: ${message}\n${printed(small)}\n  there: ${wrong(small)}`);
}
