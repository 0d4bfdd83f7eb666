/**
 * Properties that hold for every operator whatever PyTorch says: the same result inside `compile` and under `vmap`
 * (against a loop) as on its own, and a forward derivative that agrees with the reverse one. Checked on the float
 * tensors of a case; all else is fixed.
 */
import { compile, isFloat, jvp, stack, Tensor, vjp, vmap } from 'tenon';

export type Property = 'eager' | 'compile' | 'vmap' | 'jvp';

export const PROPERTIES: readonly Property[] = ['eager', 'compile', 'vmap', 'jvp'];

/** A call as a function of its float tensors. */
export interface Call {
  readonly inputs: readonly Tensor[];
  readonly run: (inputs: readonly Tensor[]) => Tensor[];
}

/** What a property says of a call: null where it holds. */
export type Verdict = { readonly skip: string } | { readonly problem: string } | null;

/** The call of `fn` with arguments in which float tensors, however deep, are variables. */
export function callOf(args: readonly unknown[], call: (args: readonly unknown[]) => Tensor[]): Call {
  const inputs: Tensor[] = [];
  const collect = (value: unknown): void => {
    if (value instanceof Tensor) {
      if (isFloat(value.dtype)) inputs.push(value.detach());
    } else if (Array.isArray(value)) value.forEach(collect);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect);
  };
  collect(args);
  return {
    inputs,
    run: given => {
      let at = 0;
      const replace = (value: unknown): unknown => {
        if (value instanceof Tensor) return isFloat(value.dtype) ? given[at++] : value;
        if (Array.isArray(value)) return value.map(replace);
        if (typeof value !== 'object' || value === null) return value;
        return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, replace(part)]));
      };
      return call(replace(args) as unknown[]);
    },
  };
}

const elements = (x: Tensor): ArrayLike<number | bigint> => (isFloat(x.dtype) ? x.to('f64') : x).data();

function difference(got: readonly Tensor[], want: readonly Tensor[]): string | null {
  if (got.length !== want.length) return `${got.length} results, expected ${want.length}`;
  for (let k = 0; k < want.length; k++) {
    const [a, b] = [got[k]!, want[k]!];
    if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join())
      return `result ${k} is ${a.dtype} [${a.shape}], expected ${b.dtype} [${b.shape}]`;
    const [x, y] = [elements(a), elements(b)];
    for (let i = 0; i < y.length; i++) {
      const near = Math.abs(Number(x[i]) - Number(y[i])) <= 1e-5 + 1e-4 * Math.abs(Number(y[i]));
      if (!near && !Object.is(x[i], y[i]) && x[i] !== y[i])
        return `result ${k}, element ${i} is ${x[i]}, expected ${y[i]}`;
    }
  }
  return null;
}

const verdict = (problem: string | null): Verdict => (problem === null ? null : { problem });

/** A number that looks random, the same in every run. */
const direction = (i: number, seed: number): number => (((i + 7 * seed) * 0.6180339887498949) % 1) * 2 - 0.93;

const directionsLike = (xs: readonly Tensor[], seed: number): Tensor[] =>
  xs.map((x, k) =>
    Tensor.from(
      Float64Array.from({ length: x.numel() }, (_, i) => direction(i, seed + k)),
      { shape: x.shape },
    ).to(x.dtype),
  );

const CHECKS: { readonly [P in Exclude<Property, 'eager'>]: (call: Call) => Verdict } = {
  compile({ inputs, run }) {
    return verdict(difference(compile(run)(inputs), run(inputs)));
  },
  vmap({ inputs, run }) {
    if (inputs.length === 0) return { skip: 'no float tensors' };
    const other = inputs.map((x, k) => x.mul(0.5).add(directionsLike([x], k)[0]!.mul(0.125)));
    const both = inputs.map((x, k) => stack([x, other[k]!], 0));
    const mapped = vmap((...xs: Tensor[]) => run(xs), { outAxes: 0 })(...both);
    for (const [i, alone] of [inputs, other].entries()) {
      const problem = difference(
        mapped.map(x => x.select(0, i)),
        run(alone),
      );
      if (problem) return { problem: `example ${i}: ${problem}` };
    }
    return null;
  },
  jvp({ inputs, run }) {
    if (inputs.length === 0) return { skip: 'no float tensors' };
    const floats = (xs: readonly Tensor[]): Tensor[] => run(xs).filter(x => isFloat(x.dtype));
    const outputs = floats(inputs);
    if (outputs.length === 0) return { skip: 'no float results' };
    // Where a value is infinite or NaN there is no slope to agree on.
    if (!outputs.every(x => x.isfinite().all().item())) return { skip: 'results that are not finite' };
    const tangents = directionsLike(inputs, 3);
    const cotangents = directionsLike(outputs, 11);
    const [, pushed] = jvp((...xs: Tensor[]) => floats(xs), [...inputs], tangents);
    const [, pullback] = vjp((...xs: Tensor[]) => floats(xs), ...inputs);
    const pulled = pullback(cotangents) as readonly Tensor[];
    const dot = (xs: readonly Tensor[], ys: readonly Tensor[]): { sum: number; size: number } => {
      let [sum, size] = [0, 0];
      xs.forEach((x, k) => {
        const [a, b] = [elements(x), elements(ys[k]!)];
        for (let i = 0; i < a.length; i++) {
          sum += Number(a[i]) * Number(b[i]);
          size += Math.abs(Number(a[i]) * Number(b[i]));
        }
      });
      return { sum, size };
    };
    const [forward, reverse] = [dot(pushed, cotangents), dot(pulled, tangents)];
    const same =
      Object.is(forward.sum, reverse.sum) ||
      Math.abs(forward.sum - reverse.sum) <= 1e-4 + 1e-3 * Math.max(forward.size, reverse.size);
    // Infinite slopes meet zeros in one order or the other.
    const wild = !Number.isFinite(forward.sum) && !Number.isFinite(reverse.sum);
    return same || wild ? null : { problem: `jvp gives ${forward.sum}, vjp ${reverse.sum}` };
  },
};

/** What an error says when values are asked for that a transform does not have. */
const READS = /read|recorded|vmap: random|randomness/i;

export function checkProperty(property: Exclude<Property, 'eager'>, call: Call): Verdict {
  const [first, second] = [call.run(call.inputs), call.run(call.inputs)];
  if (difference(first, second)) return { skip: 'random results' };
  try {
    return CHECKS[property](call);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (READS.test(message)) return { skip: 'reads values when it is called' };
    throw error;
  }
}
