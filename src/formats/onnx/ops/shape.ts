/**
 * Shapes: constants, reshaping, joining, cutting, padding. What was an attribute in early opsets became an input later;
 * both are read.
 */
import { sizeOf } from '../../../graph/shape.ts';
import { cat, eye, F, full, Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { isNumeric, type NumericType, TYPES, typeOfCode } from '../elementTypes.ts';
import { tensorOf } from '../tensorData.ts';
import { int64s, type StringTensor, strings, typed, type Value } from '../values.ts';

/** The attribute, or the input that took its place; null where neither is given. */
const attributeOrInput = (call: Call, name: string, input: number): number[] | null =>
  call.ints(name) ?? (call.has(input) ? call.numbers(input) : null);

/**
 * The first input, numbers of any type or strings, moved by `fn`: of strings the positions move, and the strings
 * follow.
 */
function moved(call: Call, fn: (x: Tensor) => Tensor): Value {
  return call.isString(0) ? moveStrings(call.stringTensor(0), fn, call) : typed(fn(call.x(0)), call.type(0));
}

/** A rule that moves elements, numbers of any type and strings alike. */
export const moving =
  (fn: (x: Tensor, call: Call) => Tensor): Rule =>
  call =>
    moved(call, x => fn(x, call));

function moveStrings(value: StringTensor, fn: (positions: Tensor) => Tensor, call: Call): Value {
  const positions = Tensor.from(
    Int32Array.from({ length: value.strings.length }, (_, i) => i),
    { shape: value.shape },
  );
  const places = fn(positions);
  const at = call.data(places, 0) as Int32Array;
  return strings(
    Array.from(at, i => value.strings[i]!),
    places.shape,
  );
}

const reshape = moving((x, call) => {
  const wanted = attributeOrInput(call, 'shape', 1) ?? call.fail('no shape is given');
  const keepZero = call.flag('allowzero');
  const shape = wanted.map((n, d) =>
    n === 0 && !keepZero ? (x.shape[d] ?? call.fail(`dim ${d} is 0, input has ${x.ndim} dims`)) : n,
  );
  const known = sizeOf(shape.filter(n => n !== -1));
  return x.reshape(shape.map(n => (n === -1 ? (known === 0 ? 0 : x.numel() / known) : n)));
});

const flatten = moving((x, call) => {
  const axis = call.int('axis', 1);
  const at = axis === x.ndim ? axis : call.axis(axis, x.ndim);
  return x.reshape([sizeOf(x.shape.slice(0, at)), sizeOf(x.shape.slice(at))]);
});

const squeeze = moving((x, call) => {
  const axes = attributeOrInput(call, 'axes', 1)?.map(axis => call.axis(axis, x.ndim));
  if (!axes) return x.reshape(x.shape.filter(n => n !== 1));
  const wrong = axes.find(axis => x.shape[axis] !== 1);
  if (wrong !== undefined) call.fail(`axis ${wrong} has size ${x.shape[wrong]}, expected 1`);
  return x.reshape(x.shape.filter((_, d) => !axes.includes(d)));
});

const unsqueeze = moving((x, call) => {
  const given = attributeOrInput(call, 'axes', 1) ?? call.fail('no axes are given');
  const rank = x.ndim + given.length;
  const axes = given.map(axis => call.axis(axis, rank));
  if (new Set(axes).size !== axes.length) call.fail(`axes [${given}] name an axis twice`);
  const sizes = [...x.shape];
  return x.reshape(Array.from({ length: rank }, (_, d) => (axes.includes(d) ? 1 : sizes.shift()!)));
});

const transpose = moving((x, call) => {
  const order = call.ints('perm') ?? x.shape.map((_, d) => x.ndim - 1 - d);
  return x.permute(order.map(axis => call.axis(axis, x.ndim)));
});

/** Dims align at the end; the input broadcasts to the shape as well as the shape to the input. */
export function broadcastShape(call: Call, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, d) => {
    const p = a[d - rank + a.length] ?? 1;
    const q = b[d - rank + b.length] ?? 1;
    if (p !== q && p !== 1 && q !== 1) call.fail(`shapes [${a}] and [${b}] do not broadcast`);
    return p === 1 ? q : p;
  });
}

const expand = moving((x, call) => {
  const shape = broadcastShape(call, x.shape, call.numbers(1));
  return x.expand(shape);
});

const concat: Rule = call => {
  const values = call.inputs.map((_, i) => call.value(i));
  if (values.every(value => value.kind === 'strings')) {
    const all = values as StringTensor[];
    let start = 0;
    const parts = all.map(({ strings: texts, shape }) => {
      const part = Tensor.from(
        Int32Array.from({ length: texts.length }, (_, i) => start + i),
        { shape },
      );
      start += texts.length;
      return part;
    });
    const axis = call.axisAttribute(1, parts[0]!.ndim);
    const moved = cat(parts, axis);
    const texts = all.flatMap(value => value.strings);
    return strings(
      Array.from(call.data(moved, 0) as Int32Array, i => texts[i]!),
      moved.shape,
    );
  }
  const tensors = call.tensors();
  const axis = call.axisAttribute(1, tensors[0]?.ndim ?? 1);
  return typed(cat(tensors, axis), call.type(0));
};

/** Sizes of the parts: given, or even ones where the last may be smaller. */
export function splitSizes(call: Call, total: number, given: number[] | null, parts: number): number[] {
  if (given) {
    if (given.some(n => n < 0) || given.reduce((a, n) => a + n, 0) !== total)
      call.fail(`split [${given}] does not add up to ${total}`);
    return given;
  }
  const size = Math.ceil(total / parts);
  return Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(size, total - i * size)));
}

const split: Rule = call => {
  const { shape } = call.isString(0) ? call.stringTensor(0) : call.x(0);
  const axis = call.axisAttribute(0, shape.length);
  const given = attributeOrInput(call, 'split', 1);
  const parts = call.int('num_outputs', call.context.outputs.length);
  let start = 0;
  return splitSizes(call, shape[axis]!, given, parts).map(size => {
    start += size;
    return moved(call, x => x.narrow(axis, start - size, size));
  });
};

/**
 * A slice of one dim: starts and ends clamp, negative steps go down (from 0 when the start lies before it, unlike
 * numpy's).
 */
function sliceDim(x: Tensor, axis: number, start: number, end: number, step: number): Tensor {
  const size = x.shape[axis]!;
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  if (step > 0) {
    const first = Math.min(Math.max(from, 0), size);
    const last = Math.min(Math.max(to, 0), size);
    return x.slice(axis, first, Math.max(first, last), step);
  }
  const first = Math.min(Math.max(from, 0), size - 1);
  const last = Math.min(Math.max(to, -1), size - 1);
  if (first <= last) return x.narrow(axis, 0, 0);
  const part = x.narrow(axis, last + 1, first - last).flip(axis);
  return step === -1 ? part : part.slice(axis, 0, part.shape[axis]!, -step);
}

const slice = moving((x, call) => {
  const old = call.opset < 10;
  const read = (name: string, input: number): number[] | null =>
    old ? call.ints(name) : call.has(input) ? call.numbers(input) : null;
  const starts = read('starts', 1) ?? call.fail('starts are missing');
  const ends = read('ends', 2) ?? call.fail('ends are missing');
  const axes = read('axes', 3) ?? starts.map((_, i) => i);
  const steps = (old ? null : read('steps', 4)) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
    call.fail('starts, ends, axes and steps differ in length');
  return axes.reduce((out, given, i) => {
    const step = steps[i]!;
    if (step === 0) call.fail('a step is 0');
    return sliceDim(out, call.axis(given, x.ndim), starts[i]!, ends[i]!, step);
  }, x);
});

const tile = moving((x, call) => {
  // Opset 1: how many times, along which axis.
  if (call.opset < 6) {
    const [times, axis] = [call.number(1), call.number(2)];
    return x.tile(x.shape.map((_, d) => (d === axis ? times : 1)));
  }
  const repeats = call.numbers(1);
  if (repeats.length !== x.ndim) call.fail(`repeats has ${repeats.length} elements for ${x.ndim} dims`);
  return x.tile(repeats);
});

const PAD_MODES = { constant: 'constant', reflect: 'reflect', edge: 'replicate', wrap: 'circular' } as const;

/** One dim, in any mode, also beyond the input's own size (where reflections bounce and wraps go round). */
function padDim(x: Tensor, axis: number, before: number, after: number, mode: keyof typeof PAD_MODES): Tensor {
  const size = x.shape[axis]!;
  const total = before + size + after;
  const at = Array.from({ length: Math.max(total, 0) }, (_, i) => {
    const position = i - before;
    if (mode === 'edge') return Math.min(Math.max(position, 0), size - 1);
    if (mode === 'wrap') return ((position % size) + size) % size;
    const period = Math.max(2 * (size - 1), 1);
    const bounced = ((position % period) + period) % period;
    return bounced < size ? bounced : period - bounced;
  });
  return x.indexSelect(axis, int64s(at));
}

/** ONNX lists all befores, then all afters, of the axes named (of all by default). */
function padTensor(
  call: Call,
  x: Tensor,
  pads: readonly number[],
  axes: readonly number[],
  mode: string,
  value: number | Tensor,
): Tensor {
  if (pads.length !== 2 * axes.length) call.fail(`pads has ${pads.length} elements for ${axes.length} axes`);
  const before = x.shape.map(() => 0);
  const after = x.shape.map(() => 0);
  axes.forEach((axis, i) => {
    before[axis] = pads[i]!;
    after[axis] = pads[i + axes.length]!;
  });
  if (!(mode in PAD_MODES)) call.fail(`mode: expected constant, reflect, edge or wrap, got "${mode}"`);
  if (mode !== 'constant')
    return x.shape.reduce<Tensor>(
      (out, size, d) =>
        before[d] || after[d]
          ? size === 0
            ? call.fail('an empty dim cannot be continued')
            : padDim(out, d, before[d]!, after[d]!, mode as 'edge')
          : out,
      x,
    );
  const amounts = x.shape.flatMap((_, i) => [before[x.ndim - 1 - i]!, after[x.ndim - 1 - i]!]);
  if (typeof value === 'number') return F.pad(x, amounts, { value });
  // A value that is only known later: pad with zeros, and put it where nothing of x is.
  const inside = F.pad(x.eq(x).logicalOr(x.ne(x)), amounts);
  return inside.where(F.pad(x, amounts), value.reshape([]));
}

const pad = moving((x, call) => {
  const mode = call.text('mode', 'constant');
  if (call.opset < 11) {
    const pads = call.ints('pads') ?? call.ints('paddings') ?? call.fail('pads are missing');
    return padTensor(call, x, pads, x.shape.map((_, d) => d), mode, call.float('value', 0)); // biome-ignore format: one line
  }
  const axes = call.has(3) ? call.numbers(3).map(axis => call.axis(axis, x.ndim)) : x.shape.map((_, d) => d);
  const value = call.optional(2);
  const known = value ? call.dataIfKnown(value) : null;
  const fill =
    value === null
      ? 0
      : known && typeof known[0] !== 'bigint' && value.dtype !== 'f16' && value.dtype !== 'bf16'
        ? (known[0] as number)
        : value;
  return padTensor(call, x, call.numbers(1), axes, mode, fill);
});

const shapeOf: Rule = call => {
  const value = call.value(0);
  const sizes = value.kind === 'strings' ? value.shape : call.x(0).shape;
  const rank = sizes.length;
  const limit = (n: number): number => Math.min(Math.max(n < 0 ? n + rank : n, 0), rank);
  return int64s(sizes.slice(limit(call.int('start', 0)), limit(call.int('end', rank))));
};

const elementCount: Rule = call => {
  const value = call.value(0);
  return Tensor.from(BigInt(value.kind === 'strings' ? value.strings.length : call.x(0).numel()));
};

const constant: Rule = call => {
  const value = call.tensorAttribute('value') ?? call.tensorAttribute('sparse_value');
  if (value) return value;
  if (call.attribute('value_float')) return Tensor.from(call.float('value_float'));
  if (call.attribute('value_floats'))
    return tensorOf(call.floats('value_floats')!, [call.floats('value_floats')!.length], 'f32');
  if (call.attribute('value_int')) return Tensor.from(call.attribute('value_int')!.i);
  const ints = call.attribute('value_ints')?.ints;
  if (ints) return Tensor.from(BigInt64Array.from(ints), { shape: [ints.length] });
  if (call.attribute('value_string')) return strings([call.text('value_string')], []);
  return strings(call.texts('value_strings') ?? call.fail('no value is given'));
};

const constantOfShape: Rule = call => {
  const shape = call.numbers(0);
  const value = call.tensorAttribute('value');
  if (value === null) return full(shape, 0, { dtype: 'f32' });
  if (value.kind !== 'tensor') return call.fail('value: expected a tensor of numbers');
  return typed(value.tensor.reshape([]).expand(shape), value.type);
};

const eyeLike: Rule = call => {
  const [rows, columns] = call.x(0).shape as [number, number];
  const type = dtypeAttribute(call, call.type(0));
  const k = call.int('k', 0);
  // eye has no offset: a larger one is cut, so that row i of the result is row i + k of it.
  const square = eye(rows + Math.abs(k), columns + Math.abs(k), { dtype: TYPES[type].dtype });
  return typed(square.narrow(0, Math.max(0, k), rows).narrow(1, Math.max(0, -k), columns), type);
};

/** The `dtype` attribute as a type of numbers. */
export function dtypeAttribute(call: Call, absent: NumericType, name = 'dtype'): NumericType {
  if (!call.attribute(name)) return absent;
  const type = typeOfCode(call.int(name)) ?? call.fail(`${name}: element type ${call.int(name)} is unknown`);
  return isNumeric(type) ? type : call.fail(`${name}: ${type} is not supported`);
}

const range: Rule = call => {
  const [start, limit, delta] = [call.number(0), call.number(1), call.number(2)];
  if (delta === 0) call.fail('delta is 0');
  const count = Math.max(Math.ceil((limit - start) / delta), 0);
  if (!(count < 2 ** 31)) call.fail(`${count} elements are too many`);
  const { dtype } = TYPES[call.type(0)];
  return typed(
    tensorOf(
      Float64Array.from({ length: count }, (_, i) => start + i * delta),
      [count],
      dtype,
    ),
    call.type(0),
  );
};

const trilu = moving((x, call) => {
  const k = call.has(1) ? call.number(1) : 0;
  const bool = x.dtype === 'bool';
  const input = bool ? x.to('u8') : x;
  const kept = call.flag('upper', true) ? input.triu(k) : input.tril(k);
  return bool ? kept.to('bool') : kept;
});

const depthToSpace = moving((x, call) => {
  const b = call.int('blocksize');
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const mode = call.choice('mode', ['DCR', 'CRD'], 'DCR');
  const inner = c / (b * b);
  const blocks = mode === 'DCR' ? x.reshape([n, b, b, inner, h, w]) : x.reshape([n, inner, b, b, h, w]);
  return blocks.permute(mode === 'DCR' ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]).reshape([n, inner, h * b, w * b]);
});

const spaceToDepth = moving((x, call) => {
  const b = call.int('blocksize');
  const [n, c, h, w] = x.shape as [number, number, number, number];
  return x
    .reshape([n, c, h / b, b, w / b, b])
    .permute([0, 3, 5, 1, 2, 4])
    .reshape([n, c * b * b, h / b, w / b]);
});

const centerCropPad = moving((x, call) => {
  const axes = (call.ints('axes') ?? x.shape.map((_, d) => d)).map(axis => call.axis(axis, x.ndim));
  const wanted = call.numbers(1);
  return axes.reduce((out, axis, i) => {
    const size = out.shape[axis]!;
    const target = wanted[i]!;
    if (target <= size) return out.narrow(axis, Math.floor((size - target) / 2), target);
    const before = Math.floor((target - size) / 2);
    return padTensor(call, out, [before, target - size - before], [axis], 'constant', 0);
  }, x);
});

export const shape: OperatorTable = {
  CenterCropPad: centerCropPad,
  Concat: concat,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  DepthToSpace: depthToSpace,
  Expand: expand,
  EyeLike: eyeLike,
  Flatten: flatten,
  Pad: pad,
  Range: range,
  Reshape: reshape,
  Shape: shapeOf,
  Size: elementCount,
  Slice: slice,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Squeeze: squeeze,
  Tile: tile,
  Transpose: transpose,
  Trilu: trilu,
  Unsqueeze: unsqueeze,
};
