/**
 * Products that sum very many terms, as sums of shorter ones. One f32 accumulator that takes n terms is off by up to n
 * / 2 units in the last place (2^20 terms of one sign: 2e-4 of the result); sums of sums are not. Rewrites values of
 * the flow; knows no kernels.
 */
import type { Attrs } from '../graph/node.ts';
import { axis, identityAxis } from '../graph/reindex.ts';
import type { Value } from './flow.ts';
import type { Made, Place, Values } from './normalise.ts';

/**
 * From so many terms on a sum is cut: above those of a convolution's weights in training on small images, which are
 * made for.
 */
const LONG = 2 ** 17;
/** Terms of each part. */
const PART = 2 ** 13;
/** Elements of all parts, and of the result, at most. */
const MOST_PARTIAL = 2 ** 22;
const MOST_RESULT = 2 ** 16;

/** Sliding windows are read where they lie by kernels of their own. */
const growsFromLess = (value: Value): boolean => {
  if (value.op === 'reshape') return growsFromLess(value.inputs[0]!);
  return value.op === 'reindex' && value.size > value.inputs[0]!.size && value.inputs[0]!.size > 1;
};

/** The summed label with most values, and how many terms there are in all. */
function longest(
  { a, b, out }: Attrs['contract'],
  shape: readonly number[],
): { label: number; size: number; terms: number } {
  let [label, size, terms] = [-1, 0, 1];
  for (const [d, name] of a.entries()) {
    if (!b.includes(name) || out.includes(name)) continue;
    terms *= shape[d]!;
    if (shape[d]! > size) [label, size] = [name, shape[d]!];
  }
  return { label, size, terms };
}

/** The parts' length along an axis of `size`: about `wanted`, a divisor where there is one near. */
function partOf(size: number, wanted: number): number {
  for (let length = wanted; length > wanted / 2; length--) if (size % length === 0) return length;
  return wanted;
}

/** Labels of a value in the order in which its elements lie, where it is a transposed view. */
function inMemory(value: Value, labels: readonly number[]): readonly number[] {
  if (value.op !== 'reindex') return labels;
  const dims = (value.attrs as Attrs['reindex']).axes.flatMap(({ terms }) => terms.map(([d]) => d));
  return [...new Set([...dims.map(d => labels[d]!), ...labels])];
}

/** The sum of products of elements, whose parts are those of any long sum. */
function multiplied(values: Values, { a, b, out }: Attrs['contract'], inputs: readonly Made[], place: Place): Made {
  const labels = [...new Set([...a, ...b])];
  const sizeOf = (label: number): number =>
    a.includes(label) ? inputs[0]!.value.shape[a.indexOf(label)]! : inputs[1]!.value.shape[b.indexOf(label)]!;
  const first = inputs[0]!.value.size >= inputs[1]!.value.size;
  const wide = first ? inMemory(inputs[0]!.value, a) : inMemory(inputs[1]!.value, b);
  const order = [...wide, ...labels.filter(label => !wide.includes(label))];
  const all = { shape: order.map(sizeOf), dtype: place.dtype, born: place.born };
  const [x, y] = [a, b].map((side, i) =>
    values.enter(
      'reindex',
      { axes: side.map(label => identityAxis(order.indexOf(label))), fill: 0 },
      [inputs[i]!],
      all,
    ),
  ) as [Made, Made];
  const products = values.enter('binary', { fn: 'mul' }, [x, y], all);
  const axes = order.flatMap((label, d) => (out.includes(label) ? [] : [d]));
  const kept = order.filter(label => out.includes(label));
  const sum = values.enter('reduce', { kind: 'sum', axes }, [products], { ...all, shape: kept.map(sizeOf) });
  if (kept.every((label, d) => label === out[d])) return sum;
  return values.enter('reindex', { axes: kept.map(label => identityAxis(out.indexOf(label))), fill: 0 }, [sum], place);
}

/** The contraction as a sum of parts; null where it is not long. */
export function longProduct(
  values: Values,
  attrs: Attrs['contract'],
  inputs: readonly Made[],
  place: Place,
): Made | null {
  if (place.dtype !== 'f32') return null;
  const [left, right] = inputs as [Made, Made];
  const { label, size, terms } = longest(attrs, left.value.shape);
  const elements = place.shape.reduce((n, m) => n * m, 1);
  if (terms <= LONG || elements > MOST_RESULT || inputs.some(({ value }) => growsFromLess(value))) return null;
  const wanted = Math.max(Math.floor((PART * size) / terms), Math.ceil((size * elements) / MOST_PARTIAL), 1);
  const length = partOf(size, wanted);
  const count = Math.ceil(size / length);
  if (count < 2) return null;
  const part = Math.max(...attrs.a, ...attrs.b, ...attrs.out) + 1;
  const labelsOf = (labels: readonly number[]): number[] => labels.flatMap(l => (l === label ? [part, l] : [l]));
  // A vector over rows is read once, in the rows' own order: no product is worth setting up.
  if (inputs.some(({ value }) => value.size === size)) return multiplied(values, attrs, inputs, place);
  const cut = (side: Made, labels: readonly number[]): Made => {
    const at = labels.indexOf(label);
    const shape = side.value.shape.flatMap((n, d) => (d === at ? [count, length] : [n]));
    const of = { shape, dtype: place.dtype, born: place.born };
    if (size === count * length) return values.enter('reshape', {}, [side], of);
    // The last part reads zeros behind the end.
    const axes = labels.map((_, d) => {
      if (d !== at) return identityAxis(d < at ? d : d + 1);
      return axis([
        [at, length],
        [at + 1, 1],
      ]);
    });
    return values.enter('reindex', { axes, fill: 0 }, [side], of);
  };
  const products = values.enter(
    'contract',
    { a: labelsOf(attrs.a), b: labelsOf(attrs.b), out: [part, ...attrs.out] },
    [cut(left, attrs.a), cut(right, attrs.b)],
    { ...place, shape: [count, ...place.shape] },
  );
  return values.enter('reduce', { kind: 'sum', axes: [0] }, [products], place);
}
