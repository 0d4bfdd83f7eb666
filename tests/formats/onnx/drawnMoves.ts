/** Draws of operators that move, gather, scatter and sort elements: see draw.ts. */
import { A, ANY, type Draw, type Drawn, FLOATS, type Input, NUMBERS, type Operator, SINCE } from './draw.ts';

const ALL = SINCE(7);

const permutation = (d: Draw, rank: number): number[] => d.shuffled(Array.from({ length: rank }, (_, i) => i));

const gatherIndex = (d: Draw, size: number, dims: readonly number[]): Input =>
  d.tensor(d.pick(['int32', 'int64']), dims, -size, size - 1);

const scatterReduction = (d: Draw): Drawn['attributes'] =>
  d.opset >= 18
    ? d.maybe(A.text('reduction', d.pick(['none', 'add', 'mul', 'max', 'min'])))
    : d.opset >= 16
      ? d.maybe(A.text('reduction', d.pick(['none', 'add', 'mul'])))
      : [];

/** Indices along `axis` that name no place twice in a line. */
const distinct = (d: Draw, dims: readonly number[], axis: number, size: number): Input => {
  const lines = dims.reduce((a, n) => a * n, 1) / dims[axis]!;
  const inner = dims.slice(axis + 1).reduce((a, n) => a * n, 1);
  const values = new Array<number>(lines * dims[axis]!);
  for (let line = 0; line < lines; line++) {
    const order = permutation(d, size);
    const start = Math.floor(line / inner) * inner * dims[axis]! + (line % inner);
    for (let k = 0; k < dims[axis]!; k++) values[start + k * inner] = d.flag() ? order[k]! : order[k]! - size;
  }
  return d.of('int64', dims, values);
};

const scatterElements: Operator = {
  opsets: SINCE(11),
  entry: d => {
    const type = d.pick([...FLOATS, 'int32', 'int64', 'uint8'] as const);
    const dims = d.shape(1);
    const axis = d.int(0, dims.length - 1);
    const picked = dims.map(n => d.int(1, n));
    return {
      inputs: [d.tensor(type, dims, 0, 9), distinct(d, picked, axis, dims[axis]!), d.tensor(type, picked, 0, 9)],
      attributes: [A.int('axis', d.flag() ? axis : axis - dims.length), ...scatterReduction(d)!],
    };
  },
};

const scatterND: Operator = {
  opsets: SINCE(11),
  entry: d => {
    const type = d.pick([...FLOATS, 'int32', 'int64'] as const);
    const dims = d.shape(1);
    const k = d.int(1, dims.length);
    const places = dims.slice(0, k).reduce((a, n) => a * n, 1);
    const count = d.int(1, places);
    const at = permutation(d, places).slice(0, count);
    const tuples = at.flatMap(place => {
      const tuple: number[] = [];
      let rest = place;
      for (let i = k - 1; i >= 0; i--) {
        tuple[i] = rest % dims[i]!;
        rest = Math.floor(rest / dims[i]!);
      }
      return tuple;
    });
    return {
      inputs: [
        d.tensor(type, dims, 0, 9),
        d.of('int64', [count, k], tuples),
        d.tensor(type, [count, ...dims.slice(k)], 0, 9),
      ],
      attributes: scatterReduction(d)!,
    };
  },
};

const slice: Operator = {
  opsets: ALL,
  entry: d => {
    const x = d.tensor(d.pick(ANY), d.shape(1), 0, 9);
    const axes = d.some(x.dims.map((_, i) => i));
    if (axes.length === 0) axes.push(0);
    const starts = axes.map(() => d.int(-6, 6));
    const steps = axes.map(() => (d.opset < 10 ? 1 : d.pick([1, 2, 3, -1, -2])));
    // To the end in either direction, as the standard writes it.
    const ends = steps.map(step => d.pick([d.int(-6, 6), step > 0 ? 2 ** 31 - 1 : -(2 ** 31)]));
    if (d.opset < 10) return { inputs: [x], attributes: [A.ints('starts', starts), A.ints('ends', ends), A.ints('axes', axes)] }; // biome-ignore format: one line
    const signs = axes.map(axis => (d.flag() ? axis : axis - x.dims.length));
    return { inputs: [x, d.int64s(starts), d.int64s(ends), d.int64s(signs), d.int64s(steps)] };
  },
};

const pad: Operator = {
  opsets: ALL,
  entry: d => {
    const mode = d.pick(d.opset >= 19 ? ['constant', 'reflect', 'edge', 'wrap'] : ['constant', 'reflect', 'edge']);
    const type = d.opset < 11 ? d.pick(['float', 'double'] as const) : d.pick(['float', 'double', 'int32', 'int64', 'uint8', 'int8', 'bool'] as const); // biome-ignore format: one line
    const dims = Array.from({ length: d.int(1, 3) }, () => d.int(2, 4));
    const x = d.tensor(type, dims);
    const axes = d.opset >= 18 && d.flag() ? permutation(d, dims.length).slice(0, d.int(1, dims.length)) : null;
    const count = 2 * (axes?.length ?? dims.length);
    const pads = Array.from({ length: count }, () => (mode === 'reflect' || mode === 'wrap' ? d.int(0, 1) : d.int(-1, 2))); // biome-ignore format: one line
    if (d.opset < 11) return { inputs: [x], attributes: [A.text('mode', mode), A.ints('pads', pads), A.float('value', 1.5)] }; // biome-ignore format: one line
    return {
      inputs: [x, d.int64s(pads), d.flag() ? d.scalar(type, type === 'bool' ? 1 : 2) : null, axes ? d.int64s(axes) : null], // biome-ignore format: one line
      attributes: d.maybe(A.text('mode', mode)),
    };
  },
};

const axesInput = (d: Draw, since: number, x: Input, axes: readonly number[]): Drawn =>
  d.opset < since ? { inputs: [x], attributes: [A.ints('axes', axes)] } : { inputs: [x, d.int64s(axes)] };

/** Operators by name. */
export const MOVES: Readonly<Record<string, Operator>> = {
  Compress: {
    opsets: SINCE(9),
    entry: d => {
      const x = d.tensor(d.pick(ANY), d.shape(1), 0, 9);
      const axis = d.axis(x.dims.length);
      const along = d.flag();
      const size = along ? x.dims.at(axis)! : x.dims.reduce((a, n) => a * n, 1);
      return { inputs: [x, d.tensor('bool', [d.int(1, size)])], attributes: along ? [A.int('axis', d.opset < 11 && axis < 0 ? axis + x.dims.length : axis)] : [] }; // biome-ignore format: one line
    },
  },
  Concat: {
    opsets: ALL,
    entry: d => {
      const [type, dims] = [d.pick(ANY), d.shape(1)];
      const axis = d.int(0, dims.length - 1);
      const parts = Array.from({ length: d.int(1, 3) }, () => d.tensor(type, dims.map((n, i) => (i === axis ? d.int(0, 3) : n)))); // biome-ignore format: one line
      return { inputs: parts, attributes: [A.int('axis', d.opset >= 11 && d.flag() ? axis - dims.length : axis)] };
    },
  },
  ConstantOfShape: { opsets: SINCE(9), entry: d => ({ inputs: [d.int64s(d.shape(0))] }) },
  DepthToSpace: {
    opsets: ALL,
    entry: d => {
      const b = d.int(1, 3);
      return {
        inputs: [d.tensor(d.pick(FLOATS), [d.int(1, 2), b * b * d.int(1, 2), d.int(1, 3), d.int(1, 3)])],
        attributes: [A.int('blocksize', b), ...(d.opset >= 11 ? d.maybe(A.text('mode', d.pick(['DCR', 'CRD']))) : [])],
      };
    },
  },
  Expand: {
    opsets: SINCE(8),
    entry: d => {
      const dims = d.shape(0);
      return { inputs: [d.tensor(d.pick(ANY), d.broadcast(dims)), d.int64s(d.flag() ? dims : d.broadcast(dims))] };
    },
  },
  EyeLike: {
    opsets: SINCE(9),
    entry: d => ({
      inputs: [d.tensor(d.pick(['float', 'double', 'int32', 'int64', 'uint64']), [d.int(1, 4), d.int(1, 4)])],
      attributes: d.maybe(A.int('k', d.int(-3, 3)), A.int('dtype', d.pick([1, 6, 7, 11]))),
    }),
  },
  Flatten: {
    opsets: ALL,
    entry: d => {
      const x = d.tensor(d.pick(['float', 'double', 'int64', 'string']), d.shape(1));
      return { inputs: [x], attributes: d.maybe(A.int('axis', d.opset < 11 ? d.int(0, x.dims.length) : d.int(-x.dims.length, x.dims.length))) }; // biome-ignore format: one line
    },
  },
  Gather: {
    opsets: SINCE(11),
    entry: d => {
      // onnxruntime 1.30 leaves strings beyond the first of a row empty.
      const x = d.tensor(d.pick([...NUMBERS, 'bool']), d.shape(1), 0, 9);
      const axis = d.axis(x.dims.length);
      return { inputs: [x, gatherIndex(d, x.dims.at(axis)!, d.shape(0, 2))], attributes: [A.int('axis', axis)] };
    },
  },
  GatherElements: {
    opsets: SINCE(11),
    entry: d => {
      const x = d.tensor(d.pick(ANY), d.shape(1), 0, 9);
      const axis = d.axis(x.dims.length);
      const dims = x.dims.map((n, i) => (i === (axis + x.dims.length) % x.dims.length ? d.int(1, 5) : d.int(1, n)));
      return { inputs: [x, gatherIndex(d, x.dims.at(axis)!, dims)], attributes: [A.int('axis', axis)] };
    },
  },
  GatherND: {
    opsets: SINCE(12),
    entry: d => {
      const dims = d.shape(1);
      const batch = d.int(0, dims.length - 1);
      const k = d.int(1, dims.length - batch);
      const index = [...dims.slice(0, batch), ...d.shape(0, 2), k];
      const count = index.reduce((a, n) => a * n, 1);
      const values = Array.from({ length: count }, (_, i) =>
        d.int(-dims[batch + (i % k)]!, dims[batch + (i % k)]! - 1),
      );
      return { inputs: [d.tensor(d.pick(ANY), dims, 0, 9), d.of('int64', index, values)], attributes: [A.int('batch_dims', batch)] }; // biome-ignore format: one line
    },
  },
  Identity: { opsets: ALL, entry: d => ({ inputs: [d.tensor(d.pick(ANY), d.shape(0))] }) },
  NonZero: { opsets: SINCE(9), entry: d => ({ inputs: [d.tensor(d.pick(['float', 'int32', 'int64', 'uint8', 'bool']), d.shape(1), 0, 1)] }) }, // biome-ignore format: one line
  OneHot: {
    opsets: SINCE(11),
    entry: d => {
      const [rank, depth] = [d.int(0, 2), d.int(1, 4)];
      const [index, value] = [
        d.pick(['int64', 'int32', 'float'] as const),
        d.pick(['float', 'int64', 'int32'] as const),
      ];
      const dims = d.shape(rank, rank);
      const whole = d.of(index, dims, Array.from({ length: dims.reduce((a, n) => a * n, 1) }, () => d.int(-depth, depth + 1))); // biome-ignore format: one line
      return { inputs: [whole, d.of(d.pick(['int64', 'int32', 'float']), d.flag() ? [] : [1], [depth]), d.of(value, [2], [1, 4])], attributes: d.maybe(A.int('axis', d.axis(rank + 1))) }; // biome-ignore format: one line
    },
  },
  Pad: pad,
  Range: {
    opsets: SINCE(11),
    entry: d => {
      const type = d.pick(['float', 'double', 'int16', 'int32', 'int64'] as const);
      const step = d.pick([1, 2, -1, -3]);
      const start = d.int(-3, 3);
      return { inputs: [start, start + step * d.int(0, 4) + d.int(-1, 1), step].map(v => d.scalar(type, v)) };
    },
  },
  Reshape: {
    opsets: ALL,
    entry: d => {
      const x = d.tensor(d.pick(ANY), d.shape(1));
      const target = d.shuffled(x.dims).map((n, i) => (n === x.dims[i] && d.flag() ? 0 : n));
      const free = d.flag() ? d.int(0, target.length - 1) : -1;
      return { inputs: [x, d.int64s(target.map((n, i) => (i === free ? -1 : n)))] };
    },
  },
  ReverseSequence: {
    opsets: SINCE(10),
    entry: d => {
      const batch = d.int(0, 1);
      const x = d.tensor(d.pick(ANY), [d.int(1, 4), d.int(1, 4), d.int(1, 2)]);
      const length = x.dims[1 - batch]!;
      return { inputs: [x, d.of('int64', [x.dims[batch]!], Array.from({ length: x.dims[batch]! }, () => d.int(1, length)))], attributes: [A.int('batch_axis', batch), A.int('time_axis', 1 - batch)] }; // biome-ignore format: one line
    },
  },
  Scatter: { opsets: [9, 10], entry: d => scatterElements.entry(d) },
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  Shape: { opsets: ALL, entry: d => ({ inputs: [d.tensor(d.pick(ANY), d.shape(0))], attributes: d.opset >= 15 ? d.maybe(A.int('start', d.int(-5, 5)), A.int('end', d.int(-5, 5))) : [] }) }, // biome-ignore format: one line
  Size: { opsets: ALL, entry: d => ({ inputs: [d.tensor(d.pick(ANY), d.shape(0))] }) },
  Slice: slice,
  SpaceToDepth: {
    opsets: ALL,
    entry: d => {
      const b = d.int(1, 3);
      return { inputs: [d.tensor(d.pick(FLOATS), [d.int(1, 2), d.int(1, 2), b * d.int(1, 3), b * d.int(1, 3)])], attributes: [A.int('blocksize', b)] }; // biome-ignore format: one line
    },
  },
  Split: {
    opsets: ALL,
    entry: d => {
      const dims = d.shape(1).map(n => n + 2);
      const axis = d.int(0, dims.length - 1);
      const x = d.tensor(d.pick(['float', 'double', 'int32', 'int64', 'uint8', 'bool', 'string']), dims, 0, 9);
      const first = d.int(d.opset < 13 ? 1 : 0, dims[axis]!);
      const sizes = [first, dims[axis]! - first];
      const named = A.int('axis', d.opset >= 11 && d.flag() ? axis - dims.length : axis);
      if (d.opset < 13) return { inputs: [x], attributes: [named, A.ints('split', sizes)], outputs: 2 };
      if (d.opset >= 18 && d.flag())
        return { inputs: [x, null], attributes: [named, A.int('num_outputs', 2)], outputs: 2 };
      return { inputs: [x, d.int64s(sizes)], attributes: [named], outputs: 2 };
    },
  },
  Squeeze: {
    opsets: ALL,
    entry: d => {
      const dims = d.shape(1).map(n => (d.flag() ? 1 : n));
      const ones = dims.flatMap((n, i) => (n === 1 ? [i] : []));
      const x = d.tensor(d.pick(ANY), dims);
      const axes = d.some(ones).map(axis => (d.opset >= 11 && d.flag() ? axis - dims.length : axis));
      return axes.length === 0 ? { inputs: [x] } : axesInput(d, 13, x, axes);
    },
  },
  Tile: { opsets: ALL, entry: d => { const x = d.tensor(d.pick(['float', 'double', 'int32', 'int64', 'bool', 'string', 'uint8']), d.shape(1)); return { inputs: [x, d.int64s(x.dims.map(() => d.int(0, 3)))] }; } }, // biome-ignore format: one line
  TopK: {
    opsets: SINCE(11),
    entry: d => {
      const dims = d.shape(1);
      const axis = d.axis(dims.length);
      // No value twice: which of two equal ones comes first is not said.
      const count = dims.reduce((a, n) => a * n, 1);
      const x = d.of(d.pick(['float', 'double', 'int32', 'int64']), dims, permutation(d, count));
      return { inputs: [x, d.int64s([d.int(0, dims.at(axis)!)])], attributes: [A.int('axis', axis), ...d.maybe(A.int('largest', d.flag()))], outputs: 2 }; // biome-ignore format: one line
    },
  },
  Transpose: { opsets: ALL, entry: d => { const x = d.tensor(d.pick(ANY), d.shape(1)); return { inputs: [x], attributes: d.maybe(A.ints('perm', permutation(d, x.dims.length))) }; } }, // biome-ignore format: one line
  Trilu: { opsets: SINCE(14), entry: d => ({ inputs: [d.tensor(d.pick(['float', 'double', 'int64', 'bool']), [...d.shape(0, 2), d.int(1, 4), d.int(1, 4)], 1, 9), d.flag() ? d.scalar('int64', d.int(-4, 4)) : null], attributes: d.maybe(A.int('upper', d.flag())) }) }, // biome-ignore format: one line
  Unique: {
    opsets: SINCE(11),
    entry: d => {
      const x = d.tensor(d.pick(['float', 'int64', 'int8', 'string', 'double']), d.shape(1), 0, 2);
      const rounded = x.type === 'float' || x.type === 'double' ? d.of(x.type, x.dims, Array.from(x.data as ArrayLike<number>, Math.round)) : x; // biome-ignore format: one line
      return { inputs: [rounded], attributes: d.maybe(A.int('axis', d.axis(x.dims.length)), A.int('sorted', d.flag())), outputs: 4 }; // biome-ignore format: one line
    },
  },
  Unsqueeze: {
    opsets: ALL,
    entry: d => {
      const x = d.tensor(d.pick(ANY), d.shape(0));
      const rank = x.dims.length + 2;
      const axes = permutation(d, rank).slice(0, 2);
      return axesInput(d, 13, x, d.opset >= 11 && d.flag() ? axes.map(axis => axis - rank) : axes);
    },
  },
  Where: {
    opsets: SINCE(9),
    entry: d => {
      const [type, dims] = [d.pick(['float', 'double', 'int32', 'int64', 'uint8', 'string'] as const), d.shape(0)];
      return { inputs: [d.tensor('bool', d.broadcast(dims)), d.tensor(type, dims), d.tensor(type, d.broadcast(dims))] };
    },
  },
};
