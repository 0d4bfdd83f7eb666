/** Whether a value is the expected one: the suite's tolerance, wider for halves and quantised results. */
import { describeValue, type Value } from 'tenon/formats/onnx';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** The suite's own. */
const STANDARD: Tolerance = { rtol: 1e-3, atol: 1e-7 };
/** One unit in the last place or two, and what cancels in sums of halves. */
const HALVES: Readonly<Record<string, Tolerance>> = {
  float16: { rtol: 2e-3, atol: 1e-3 },
  bfloat16: { rtol: 1e-2, atol: 1e-2 },
};

/** In a quantised model a rounding may fall to the other side: one step of the result. */
const QUANTISED: Tolerance = { rtol: 0, atol: 1 };

function differing(
  got: Value & { kind: 'tensor' },
  want: Value & { kind: 'tensor' },
  quantised: boolean,
  half: boolean,
): string | null {
  if (got.type !== want.type) return `${got.type}, expected ${want.type}`;
  // Arrays that numpy's atleast_1d went over: [1] stands for any shape of one element.
  const single = want.tensor.shape.join() === '1' && got.tensor.numel() === 1;
  if (!single && got.tensor.shape.join() !== want.tensor.shape.join())
    return `shape [${got.tensor.shape}], expected [${want.tensor.shape}]`;
  const numbers = (value: typeof got): number[] => value.tensor.reshape([-1]).toArray() as number[];
  const [a, b] = [numbers(got), numbers(want)];
  const whole = /int|bool/.test(got.type);
  const { rtol, atol } = whole
    ? quantised ? QUANTISED : { rtol: 0, atol: 0 }
    : (HALVES[got.type] ?? (half ? HALVES['float16']! : STANDARD)); // biome-ignore format: one choice
  for (let i = 0; i < a.length; i++) {
    const [p, q] = [a[i]!, b[i]!];
    if (Object.is(p, q) || p === q || (Number.isNaN(p) && Number.isNaN(q))) continue;
    if (!(Math.abs(p - q) <= atol + rtol * Math.abs(q))) return `element ${i} is ${p}, expected ${q}`;
  }
  return null;
}

/** What is wrong with `got`, in a few words, or null. */
export function difference(got: Value, want: Value, quantised: boolean, half: boolean): string | null {
  if (want.kind === 'tensor' && got.kind === 'tensor') return differing(got, want, quantised, half);
  if (want.kind === 'none' && got.kind === 'none') return null;
  if (want.kind === 'strings' && got.kind === 'strings') {
    if (got.shape.join() !== want.shape.join()) return `shape [${got.shape}], expected [${want.shape}]`;
    const at = want.strings.findIndex((text, i) => text !== got.strings[i]);
    return at < 0
      ? null
      : `string ${at} is ${JSON.stringify(got.strings[at])}, expected ${JSON.stringify(want.strings[at])}`;
  }
  if ((want.kind === 'sequence' && got.kind === 'sequence') || (want.kind === 'map' && got.kind === 'map')) {
    if (got.values.length !== want.values.length)
      return `${got.values.length} elements, expected ${want.values.length}`;
    if (want.kind === 'map' && got.kind === 'map' && want.keys.join() !== got.keys.join())
      return `keys ${got.keys.join()}, expected ${want.keys.join()}`;
    for (const [i, value] of want.values.entries()) {
      const found = difference(got.values[i]!, value, quantised, half);
      if (found) return `[${i}]: ${found}`;
    }
    return null;
  }
  return `${describeValue(got)}, expected ${describeValue(want)}`;
}
