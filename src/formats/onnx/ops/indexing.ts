/** Gathering, scattering, sorting, selecting. Negative indices count from the end. */
import { sizeOf } from '../../../graph/shape.ts';
import { F, full, Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Result, Rule } from '../call.ts';
import { int64s, strings, typed } from '../values.ts';
import { Mersenne } from './mersenne.ts';
import { moving } from './shape.ts';

/** Indices counted from the start, i64. */
const wrapped = (index: Tensor, size: number): Tensor => {
  const i = index.to('i64');
  return i.lt(0).where(i.add(size), i);
};

const gather = moving((x, call) => {
  const axis = call.axisAttribute(0, x.ndim);
  const index = wrapped(call.x(1), x.shape[axis]!);
  const picked = x.indexSelect(axis, index.reshape([index.numel()]));
  return picked.reshape([...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)]);
});

const gatherElements = moving((x, call) => {
  const axis = call.axisAttribute(0, x.ndim);
  return x.gather(axis, wrapped(call.x(1), x.shape[axis]!));
});

/** Flat positions of index tuples [..., k] into the first k of `sizes`. */
function flatPositions(index: Tensor, sizes: readonly number[]): Tensor {
  const k = index.shape[index.ndim - 1]!;
  let flat: Tensor = full(index.shape.slice(0, -1), 0, { dtype: 'i64' });
  for (let d = 0; d < k; d++) flat = flat.mul(sizes[d]!).add(wrapped(index.select(-1, d), sizes[d]!));
  return flat;
}

const gatherND = moving((x, call) => {
  const batch = call.int('batch_dims', 0);
  const index = call.x(1);
  const k = index.shape[index.ndim - 1]!;
  if (batch + k > x.ndim) call.fail(`indices of ${k} positions and ${batch} batch dims for ${x.ndim} dims`);
  const lead = x.shape.slice(0, batch);
  const sizes = x.shape.slice(batch, batch + k);
  const rest = x.shape.slice(batch + k);
  const groups = sizeOf(lead);
  const inside = sizeOf(sizes);
  const flat = flatPositions(index, sizes);
  // Each batch reads its own block of rows.
  const perBatch = groups === 0 ? 0 : flat.numel() / groups;
  const start = int64s(Array.from({ length: groups }, (_, i) => i * inside)).reshape([groups, 1]);
  const rows = flat.reshape([groups, perBatch]).add(start).reshape([flat.numel()]);
  return x
    .reshape([groups * inside, ...rest])
    .indexSelect(0, rows)
    .reshape([...index.shape.slice(0, -1), ...rest]);
});

const REDUCE = { add: 'sum', mul: 'prod', max: 'amax', min: 'amin' } as const;

const reductionOf = (call: Call): 'none' | keyof typeof REDUCE =>
  call.choice('reduction', ['none', 'add', 'mul', 'max', 'min'], 'none');

const scatterElements: Rule = call => {
  const x = call.x(0);
  const axis = call.axisAttribute(0, x.ndim);
  const index = wrapped(call.x(1), x.shape[axis]!);
  const updates = call.x(2);
  const kind = reductionOf(call);
  return typed(
    kind === 'none' ? x.scatter(axis, index, updates) : x.scatterReduce(axis, index, updates, REDUCE[kind]),
    call.type(0),
  );
};

const scatterND: Rule = call => {
  const x = call.x(0);
  const index = call.x(1);
  const k = index.shape[index.ndim - 1]!;
  const sizes = x.shape.slice(0, k);
  const rest = x.shape.slice(k);
  const flat = flatPositions(index, sizes);
  const count = flat.numel();
  const width = sizeOf(rest);
  const base = x.reshape([sizeOf(sizes), width]);
  const rows = flat.reshape([count, 1]).expand([count, width]);
  const updates = call.x(2).reshape([count, width]);
  const kind = reductionOf(call);
  const scattered =
    kind === 'none' ? base.scatter(0, rows, updates) : base.scatterReduce(0, rows, updates, REDUCE[kind]);
  return typed(scattered.reshape(x.shape), call.type(0));
};

/** Writes updates into a cache at each row's own position: linear, or around its end (circular). */
const tensorScatter: Rule = call => {
  const [past, update] = [call.x(0), call.x(1)];
  const axis = call.axisAttribute(-2, past.ndim);
  const size = past.shape[axis]!;
  const steps = update.shape[axis]!;
  const batch = past.shape[0]!;
  const start = call.optional(2)?.to('i64') ?? full([batch], 0, { dtype: 'i64' });
  const along = (shape: number[]): number[] =>
    past.shape.map((_, d) => (d === 0 ? shape[0]! : d === axis ? shape[1]! : 1));
  const offsets = int64s(Array.from({ length: steps }, (_, i) => i)).reshape([1, steps]);
  const at = start.reshape([batch, 1]).add(offsets);
  const position = call.choice('mode', ['linear', 'circular'], 'linear') === 'circular' ? at.remainder(size) : at;
  const index = position.reshape(along([batch, steps])).expand(update.shape);
  return typed(past.scatter(axis, index, update), call.type(0));
};

const compress = moving((x, call) => {
  const keep = call.numbers(1);
  const kept = (limit: number): Tensor => int64s(keep.flatMap((flag, i) => (flag && i < limit ? [i] : [])));
  if (!call.attribute('axis')) return x.reshape([x.numel()]).indexSelect(0, kept(x.numel()));
  const axis = call.axisAttribute(0, x.ndim);
  return x.indexSelect(axis, kept(x.shape[axis]!));
});

/** Positions of what is not 0, one row per dim. A value without dims counts as one of size 1. */
const nonZero: Rule = call => {
  const x = call.x(0);
  const shape = x.ndim === 0 ? [1] : x.shape;
  const host = call.data(x.ne(0), 0) as Uint8Array;
  const found: number[] = [];
  host.forEach((flag, i) => {
    if (flag) found.push(i);
  });
  const rows: number[] = [];
  for (let d = 0; d < shape.length; d++) {
    const inner = sizeOf(shape.slice(d + 1));
    for (const i of found) rows.push(Math.floor(i / inner) % shape[d]!);
  }
  return int64s(rows).reshape([x.ndim === 0 ? 1 : shape.length, found.length]);
};

const oneHot: Rule = call => {
  const index = call.x(0);
  const depth = call.number(1);
  const values = call.x(2);
  const axis = call.int('axis', -1);
  const at = axis < 0 ? axis + index.ndim + 1 : axis;
  const whole = index.to('i64');
  const position = whole.lt(0).where(whole.add(depth), whole).unsqueeze(at);
  const classes = int64s(Array.from({ length: depth }, (_, i) => i)).reshape([
    depth,
    ...new Array<number>(index.ndim - at).fill(1),
  ]);
  return typed(position.eq(classes).where(values.select(0, 1), values.select(0, 0)), call.type(2));
};

/** Values and where they stand; equal ones keep the order of their positions. */
const topK: Rule = call => {
  const x = call.x(0);
  const axis = call.axisAttribute(-1, x.ndim);
  const k = call.opset < 10 ? call.int('k') : call.number(1);
  const { values, indices } = x.topk(k, axis, { largest: call.flag('largest', true) });
  return [typed(values, call.type(0)), indices];
};

/** Each batch entry reversed up to its own length. */
const reverseSequence = moving((x, call) => {
  const [time, batch] = [call.int('time_axis', 0), call.int('batch_axis', 1)];
  const steps = x.shape[time]!;
  const lengths = call
    .x(1)
    .to('i64')
    .reshape(x.shape.map((n, d) => (d === batch ? n : 1)));
  const step = int64s(Array.from({ length: steps }, (_, i) => i)).reshape(x.shape.map((n, d) => (d === time ? n : 1)));
  const at = step.lt(lengths).where(lengths.sub(1).sub(step), step);
  return x.gather(time, at.expand(x.shape));
});

/** Order of code points, which is that of UTF-8 bytes (JavaScript's own order is that of UTF-16 units). */
function byCodePoints(a: string, b: string): number {
  const [p, q] = [Array.from(a), Array.from(b)];
  const at = p.findIndex((character, i) => character !== q[i]);
  if (at < 0) return p.length - q.length;
  return at >= q.length ? 1 : p[at]!.codePointAt(0)! - q[at]!.codePointAt(0)!;
}

const unique: Rule = call => {
  // Strings stand as their ranks in order of their code points, so that they sort and compare as numbers.
  const texts = call.isString(0) ? call.stringTensor(0) : null;
  const words = texts ? [...new Set(texts.strings)].sort(byCodePoints) : [];
  const rank = new Map(words.map((word, i) => [word, i] as const));
  const x = texts
    ? Tensor.from(
        Int32Array.from(texts.strings, text => rank.get(text)!),
        { shape: texts.shape },
      )
    : call.x(0);
  const along = call.attribute('axis') !== undefined;
  const axis = along ? call.axisAttribute(0, x.ndim) : 0;
  const rows = along ? x.movedim(axis, 0) : x.reshape([x.numel()]);
  const count = rows.shape[0]!;
  const width = count === 0 ? 0 : rows.numel() / count;
  const host = call.data(rows, 0);
  const compare = (a: number, b: number): number => {
    for (let i = 0; i < width; i++) {
      const [p, q] = [host[a * width + i]!, host[b * width + i]!];
      if (p !== q) return p < q ? -1 : 1;
    }
    return 0;
  };
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => compare(a, b) || a - b);
  const groups: number[][] = [];
  for (const row of order) {
    const last = groups[groups.length - 1];
    if (last && compare(last[0]!, row) === 0) last.push(row);
    else groups.push([row]);
  }
  if (!call.flag('sorted', true)) groups.sort((a, b) => a[0]! - b[0]!);
  const inverse = new Array<number>(count);
  groups.forEach((group, i) => {
    for (const row of group) inverse[row] = i;
  });
  const first = int64s(groups.map(group => group[0]!));
  const kept = rows.indexSelect(0, first);
  const values = along ? kept.movedim(0, axis) : kept;
  const named = (): string[] => Array.from(call.data(values, 0) as Int32Array, i => words[i]!);
  return [
    texts ? strings(named(), values.shape) : typed(values, call.type(0)),
    first,
    int64s(inverse),
    int64s(groups.map(group => group.length)),
  ];
};

/** Boxes kept greedily by score; those that overlap a kept one too much are dropped. */
const nonMaxSuppression: Rule = call => {
  const [boxes, scores] = [call.x(0), call.x(1)];
  const [most, iou] = [call.numberOr(2, 0), call.numberOr(3, 0)];
  const least = call.has(4) ? call.number(4) : Number.NEGATIVE_INFINITY;
  const center = call.flag('center_point_box');
  const [batches, classes, count] = scores.shape as [number, number, number];
  const box = call.data(boxes, 0) as Float32Array;
  const score = call.data(scores, 1) as Float32Array;
  const corners = (b: number, i: number): [number, number, number, number] => {
    const [p, q, r, s] = box.subarray((b * count + i) * 4, (b * count + i) * 4 + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    if (center) return [q - s / 2, p - r / 2, q + s / 2, p + r / 2];
    return [Math.min(p, r), Math.min(q, s), Math.max(p, r), Math.max(q, s)];
  };
  const overlap = (a: readonly number[], b: readonly number[]): number => {
    const height = Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!);
    const width = Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!);
    if (height <= 0 || width <= 0) return 0;
    const area = (c: readonly number[]): number => (c[2]! - c[0]!) * (c[3]! - c[1]!);
    return (height * width) / (area(a) + area(b) - height * width);
  };
  const kept: number[] = [];
  for (let b = 0; b < batches; b++)
    for (let c = 0; c < classes; c++) {
      const at = (i: number): number => score[(b * classes + c) * count + i]!;
      const order = Array.from({ length: count }, (_, i) => i)
        .filter(i => at(i) > least)
        .sort((i, j) => at(j) - at(i) || i - j);
      const chosen: [number, number, number, number][] = [];
      for (const i of order) {
        if (chosen.length >= most) break;
        const corner = corners(b, i);
        if (chosen.some(other => overlap(other, corner) > iou)) continue;
        chosen.push(corner);
        kept.push(b, c, i);
      }
    }
  return int64s(kept).reshape([kept.length / 3, 3]);
};

/** Dropout and its mask: the identity unless it is told to train. */
const dropout: Rule = (call): Result => {
  const x = call.x(0);
  const ratio = call.opset < 12 ? call.float('ratio', 0.5) : call.numberOr(1, 0.5);
  const asked = call.opset >= 7 && call.has(2) && call.number(2) !== 0;
  const training = (asked || call.context.training) && ratio > 0;
  if (!training) {
    const mask = full(x.shape, 1, { dtype: 'bool' });
    return [typed(x, call.type(0)), call.opset < 10 ? mask.to(x.dtype) : mask];
  }
  if (call.attribute('seed')) {
    const source = new Mersenne(call.int('seed'));
    const kept = Uint8Array.from({ length: x.numel() }, () => Number(source.uniform() >= ratio));
    const mask = Tensor.from(kept, { shape: x.shape, dtype: 'bool' });
    return [typed(mask.where(x.mul(1 / (1 - ratio)), 0), call.type(0)), mask];
  }
  const kept = F.dropout(full(x.shape, 1, { dtype: 'f32' }), { p: ratio, training: true });
  return [typed(x.mul(kept.to(x.dtype)), call.type(0)), kept.ne(0)];
};

export const indexing: OperatorTable = {
  Compress: compress,
  Dropout: dropout,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  NonMaxSuppression: nonMaxSuppression,
  NonZero: nonZero,
  OneHot: oneHot,
  ReverseSequence: reverseSequence,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  TensorScatter: tensorScatter,
  TopK: topK,
  Unique: unique,
};
