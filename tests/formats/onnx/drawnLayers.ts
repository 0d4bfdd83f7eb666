/**
 * Draws of operators of networks: windows, products, norms, recurrence, resampling, quantisation, signals, losses. See
 * draw.ts.
 */
import { A, type Attribute, codeOf, type Draw, type Entry, FLOATS, type Input, NUMBERS, type Operator, type Type } from './draw.ts'; // biome-ignore format: one line

const from = (...opsets: number[]): readonly number[] => opsets;
const op = (opsets: readonly number[], entry: Entry): Operator => ({ opsets, entry });

const product = (dims: readonly number[]): number => dims.reduce((a, n) => a * n, 1);
const repeat = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

/** Kernel, strides, dilations and pads of `dims` spatial dims, or auto_pad. */
function windowing(d: Draw, dims: number, kernel: readonly number[]): Attribute[] {
  const strides = A.ints(
    'strides',
    repeat(dims, () => d.int(1, 3)),
  );
  // Where a stride is beyond its kernel the paddings of SAME would be negative, and nobody says what that means.
  const within = A.ints(
    'strides',
    kernel.map(n => d.int(1, n)),
  );
  if (d.flag()) return [within, A.text('auto_pad', d.pick(['SAME_UPPER', 'SAME_LOWER', 'VALID', 'NOTSET']))];
  return [
    ...d.maybe(
      strides,
      A.ints(
        'dilations',
        repeat(dims, () => d.int(1, 2)),
      ),
    ),
    ...d.maybe(
      A.ints(
        'pads',
        repeat(2 * dims, i => d.int(0, kernel[i % dims]! - 1)),
      ),
    ),
  ];
}

const conv = op(from(7, 11, 13, 17, 22), d => {
  const [dims, group] = [d.int(1, 3), d.int(1, 3)];
  const kernel = repeat(dims, () => d.int(1, 3));
  const [per, out] = [d.int(1, 2), group * d.int(1, 2)];
  return {
    inputs: [
      d.tensor('float', [d.int(1, 2), per * group, ...repeat(dims, () => d.int(5, 7))]),
      d.tensor('float', [out, per, ...kernel]),
      d.flag() ? d.tensor('float', [out]) : null,
    ],
    attributes: [A.int('group', group), ...d.maybe(A.ints('kernel_shape', kernel)), ...windowing(d, dims, kernel)],
  };
});

const convTranspose = op(from(7, 11, 17, 22), d => {
  const [dims, group] = [d.int(1, 2), d.int(1, 2)];
  const kernel = repeat(dims, () => d.int(1, 3));
  const strides = repeat(dims, () => d.int(1, 3));
  const [per, channels] = [d.int(1, 2), group * d.int(1, 2)];
  const sizes = repeat(dims, () => d.int(3, 5));
  const attributes = [A.int('group', group), A.ints('strides', strides)];
  const padding = d.pick(['pads', 'auto', 'shape']);
  if (padding === 'pads')
    attributes.push(
      ...d.maybe(
        A.ints('pads', repeat(2 * dims, () => d.int(0, 1))),
        A.ints('dilations', repeat(dims, () => d.int(1, 2))),
        A.ints('output_padding', repeat(dims, i => d.int(0, strides[i]! - 1))),
      ),
    );
  // With a stride beyond the kernel onnxruntime gives less than the standard's input times stride.
  if (padding === 'auto' && kernel.every((n, i) => n >= strides[i]!)) attributes.push(A.text('auto_pad', d.pick(['SAME_UPPER', 'SAME_LOWER', 'VALID'])));
  if (padding === 'shape')
    attributes.push(A.ints('output_shape', sizes.map((n, i) => (n - 1) * strides[i]! + kernel[i]! - d.int(0, 1))));
  return {
    inputs: [
      d.tensor('float', [d.int(1, 2), channels, ...sizes]),
      d.tensor('float', [channels, per, ...kernel]),
      d.flag() ? d.tensor('float', [per * group]) : null,
    ],
    attributes,
  };
}); // biome-ignore format: as it is

const pooling = (more: (d: Draw) => Attribute[], types: readonly Type[], outputs = 1, opsets = from(7, 10, 11, 12, 19, 22)): Operator =>
  op(opsets, d => {
    const dims = d.int(1, 3);
    const kernel = repeat(dims, () => d.int(1, 3));
    const window = windowing(d, dims, kernel).filter(({ name }) => name !== 'dilations' || d.opset >= (types.length > 2 ? 10 : 19));
    const ceil = d.opset >= 10 && !window.some(({ name }) => name === 'auto_pad') ? d.maybe(A.int('ceil_mode', 1)) : [];
    return {
      inputs: [d.tensor(d.pick(d.opset < 12 ? ['float'] : types), [d.int(1, 2), d.int(1, 2), ...repeat(dims, () => d.int(5, 7))], -9, 9)],
      attributes: [A.ints('kernel_shape', kernel), ...window, ...ceil, ...more(d)],
      outputs,
    };
  }); // biome-ignore format: as it is

const globalPool = op(from(7, 22), d => ({ inputs: [d.tensor(d.pick(['float', 'double']), [d.int(1, 2), d.int(1, 3), ...d.shape(1, 3)])] })); // biome-ignore format: one line

const gemm = op(from(7, 9, 11, 13), d => {
  const [m, k, n] = [d.int(1, 4), d.int(1, 4), d.int(1, 4)];
  const [ta, tb] = [d.flag(), d.flag()];
  const type = d.pick(d.opset >= 13 ? ['float', 'double', 'float16'] as const : ['float', 'double'] as const);
  const bias = d.pick([[m, n], [n], [1, n], [m, 1], [], [1]]);
  return {
    inputs: [d.tensor(type, ta ? [k, m] : [m, k]), d.tensor(type, tb ? [n, k] : [k, n]), d.opset < 11 || d.flag() ? d.tensor(type, bias) : null],
    attributes: [A.int('transA', ta), A.int('transB', tb), ...d.maybe(A.float('alpha', 0.5), A.float('beta', 2))],
  };
}); // biome-ignore format: as it is

const matMulShapes = (d: Draw): [number[], number[]] => {
  const [m, k, n, lead] = [d.int(1, 4), d.int(1, 4), d.int(1, 4), d.shape(0, 2)];
  return d.pick([
    [[...lead, m, k], [...d.broadcast(lead), k, n]],
    [[...d.broadcast(lead), m, k], [...lead, k, n]],
    [[k], [...lead, k, n]],
    [[...lead, m, k], [k]],
    [[k], [k]],
  ] as [number[], number[]][]);
}; // biome-ignore format: as it is

const EQUATIONS: readonly (readonly [string, ...number[][]])[] = [
  ['ij->i', [3, 4]], ['ij->ji', [3, 4]], ['bij,bjk->bik', [2, 3, 4], [2, 4, 2]], ['...ii->...i', [2, 3, 3]], ['ii', [3, 3]],
  ['i,j->ij', [3], [4]], ['...ij,...jk->...ik', [2, 1, 3, 4], [5, 4, 2]], ['bhqd,bhkd->bhqk', [1, 2, 3, 4], [1, 2, 5, 4]], ['ij,jk', [3, 4], [4, 2]],
  ['i,i', [3], [3]], ['abc,cd->abd', [2, 3, 4], [4, 5]], ['ij,jk,kl->il', [2, 3], [3, 4], [4, 2]], ['... i j -> ... j i', [2, 3, 4]], ['bij->b', [2, 3, 4]],
]; // biome-ignore format: a table

/** Functions by name, with the alphas and betas of those that take them. */
const ACTIVATIONS: readonly (readonly [name: string, alpha?: number, beta?: number])[] = [
  ['Tanh'], ['Sigmoid'], ['Relu'], ['Softsign'], ['Softplus'], ['LeakyRelu', 0.1], ['ThresholdedRelu', 0.3],
  ['ScaledTanh', 0.9, 0.8], ['HardSigmoid', 0.3, 0.4], ['Elu', 0.7], ['Affine', 0.8, 0.1],
]; // biome-ignore format: a table
const activations = (d: Draw, count: number): Attribute[] => {
  // A gate that is not bounded lets states grow past what f32 holds.
  const picked = repeat(count, () => d.pick(count === 1 ? ACTIVATIONS : ACTIVATIONS.filter(([name]) => name !== 'Softplus')));
  return [
    A.texts('activations', picked.map(([name]) => name)),
    A.floats('activation_alpha', picked.flatMap(([, alpha]) => alpha ?? [])),
    A.floats('activation_beta', picked.flatMap(([, , beta]) => beta ?? [])),
  ].filter(({ floats }) => floats === undefined || floats.length > 0);
}; // biome-ignore format: as it is

const recurrent = (gates: number, states: number, more: (d: Draw) => Attribute[], peepholes = false): Operator =>
  op(from(7, 14, 22), d => {
    const [steps, batch, width, hidden] = [d.int(1, 4), d.int(1, 3), d.int(1, 3), d.int(1, 3)];
    const direction = d.pick(['forward', 'reverse', 'bidirectional']);
    const n = direction === 'bidirectional' ? 2 : 1;
    const lengths = d.of('int32', [batch], repeat(batch, () => d.int(1, steps)));
    const state = (): Input | null => (d.flag() ? d.tensor('float', [n, batch, hidden]) : null);
    const inputs = [
      d.tensor('float', [steps, batch, width]),
      d.tensor('float', [n, gates * hidden, width], -1, 1),
      d.tensor('float', [n, gates * hidden, hidden], -1, 1),
      d.flag() ? d.tensor('float', [n, 2 * gates * hidden], -1, 1) : null,
      d.flag() ? lengths : null,
      ...repeat(states, state),
    ];
    if (peepholes && d.flag()) inputs.push(d.tensor('float', [n, 3 * hidden], -1, 1));
    return {
      inputs,
      attributes: [A.int('hidden_size', hidden), A.text('direction', direction), ...d.maybe(A.float('clip', 0.7)), ...more(d), ...(d.flag() ? activations(d, n * (gates === 1 ? 1 : gates - 1)) : [])],
      outputs: 1 + states,
    };
  }); // biome-ignore format: as it is

const resize = op(from(10, 11, 13, 18, 19), d => {
  const mode = d.pick(d.opset < 11 ? ['nearest', 'linear'] : ['nearest', 'linear', 'cubic']);
  const dims = [1, d.int(1, 2), d.int(2, 5), d.int(2, 5)];
  const x = d.tensor('float', dims);
  const sizes = dims.map((n, i) => (i < 2 ? n : d.int(1, 8)));
  const scales = dims.map((_, i) => (i < 2 ? 1 : d.pick([0.5, 0.6, 1.5, 2, 2.5, 3])));
  const factors = d.of('float', [4], scales);
  if (d.opset < 11) return { inputs: [x, d.of('float', [4], scales.map(Math.ceil))], attributes: [A.text('mode', mode)] };
  // What align_corners means for lengths that scales leave fractional is told apart by the reference evaluator only.
  const given = d.flag();
  const coordinates = d.pick(['half_pixel', 'pytorch_half_pixel', 'asymmetric', ...(given ? ['align_corners'] : []), ...(d.opset >= 19 ? ['half_pixel_symmetric'] : [])]);
  return {
    inputs: given ? [x, null, null, d.int64s(sizes)] : [x, null, factors],
    attributes: [
      A.text('mode', mode),
      A.text('coordinate_transformation_mode', coordinates),
      ...(mode === 'nearest' ? d.maybe(A.text('nearest_mode', d.pick(['floor', 'ceil', 'round_prefer_ceil', 'round_prefer_floor']))) : []),
      ...(mode === 'cubic' ? d.maybe(A.float('cubic_coeff_a', -0.5), A.int('exclude_outside', 1)) : []),
      ...(mode !== 'nearest' && coordinates !== 'align_corners' && d.opset >= 18 ? d.maybe(A.int('antialias', 1)) : []),
    ],
  };
}); // biome-ignore format: as it is

const normalisation = (inputs: (d: Draw, channels: number) => (Input | null)[], attributes: (d: Draw) => Attribute[], opsets: readonly number[]): Operator =>
  op(opsets, d => {
    const channels = d.int(1, 4);
    return { inputs: [d.tensor('float', [d.int(1, 3), channels, ...d.shape(1, 2).map(n => n + 2)]), ...inputs(d, channels)], attributes: attributes(d) };
  }); // biome-ignore format: as it is

const lastDims = (second: boolean): Operator => op(second ? from(17) : from(23), d => {
  const x = d.tensor('float', d.shape(1, 4).map(n => n + 1));
  const axis = d.axis(x.dims.length);
  const shape = x.dims.slice(axis < 0 ? axis + x.dims.length : axis);
  return {
    inputs: [x, d.tensor('float', shape), ...(second && d.flag() ? [d.tensor('float', shape)] : [])],
    attributes: [A.int('axis', axis), ...d.maybe(A.float('epsilon', 0.01))],
    outputs: second ? d.pick([1, 3]) : 1,
  };
}); // biome-ignore format: as it is

const dequantize = op(from(10, 13, 19, 21, 23), d => {
  const type = d.pick(['int8', 'uint8', ...(d.opset >= 21 ? ['int16', 'uint16'] : [])] as Type[]);
  const x = d.tensor(type, d.shape(1, 3), -100, 100);
  const axis = d.axis(x.dims.length);
  const along = d.opset >= 13 && d.flag();
  const dims = along ? [x.dims.at(axis)!] : [];
  return {
    inputs: [x, d.tensor('float', dims, 0.1, 2), d.flag() ? d.tensor(type, dims, -20, 20) : null],
    attributes: along ? [A.int('axis', axis)] : [],
  };
}); // biome-ignore format: as it is

const quantize = op(from(10, 13, 19, 21, 23), d => {
  const type = d.pick(['int8', 'uint8', ...(d.opset >= 21 ? ['int16', 'uint16'] : [])] as Type[]);
  const x = d.tensor('float', d.shape(1, 3), -100, 100);
  const axis = d.axis(x.dims.length);
  const along = d.opset >= 13 && d.flag();
  const dims = along ? [x.dims.at(axis)!] : [];
  return { inputs: [x, d.tensor('float', dims, 0.1, 2), d.tensor(type, dims, 0, 20)], attributes: along ? [A.int('axis', axis)] : [] };
}); // biome-ignore format: as it is

const loss = (crossEntropy: boolean): Operator => op(crossEntropy ? from(12, 13) : from(12, 13, 22), d => {
  const [n, classes, rest] = [d.int(1, 3), d.int(2, 4), d.shape(0, 3)];
  const dims = [n, ...rest];
  const ignored = d.pick([null, 1, -1, -100]);
  const index = d.of(d.pick(['int32', 'int64']), dims, repeat(product(dims), () => (ignored !== null && d.flag() ? ignored : d.int(0, classes - 1))));
  return {
    inputs: [d.tensor('float', [n, classes, ...rest]), index, d.flag() ? d.tensor('float', [classes], 0.1, 1) : null],
    attributes: [...d.maybe(A.text('reduction', d.pick(['none', 'mean', 'sum']))), ...(ignored === null ? [] : [A.int('ignore_index', ignored)])],
    outputs: crossEntropy ? d.int(1, 2) : 1,
  };
}); // biome-ignore format: as it is

const windowFunction = op(from(17), d => ({
  inputs: [d.scalar(d.pick(['int32', 'int64']), d.int(3, 9))],
  attributes: d.maybe(A.int('periodic', d.flag()), A.int('output_datatype', d.pick([1, 11]))),
}));

const attention = op(from(23, 24), d => {
  const [batch, heads, q, kv, size, wide] = [d.int(1, 2), d.int(1, 2), d.int(1, 4), d.int(1, 4), d.int(1, 4), d.int(1, 4)];
  const groups = d.int(1, 2);
  const three = d.flag();
  const of = (count: number, length: number, width: number): number[] => (three ? [batch, length, count * width] : [batch, count, length, width]);
  const past = d.flag() ? d.int(1, 3) : 0;
  const mask = d.flag() ? d.tensor(d.pick(['float', 'bool']), d.pick([[q, kv + past], [1, 1, q, kv + past], [batch, heads * groups, q, kv + past]])) : null;
  const cache = past > 0 ? [d.tensor('float', [batch, heads, past, size]), d.tensor('float', [batch, heads, past, wide])] : [];
  return {
    inputs: [d.tensor('float', of(heads * groups, q, size)), d.tensor('float', of(heads, kv, size)), d.tensor('float', of(heads, kv, wide)), mask, ...cache],
    attributes: [
      ...(three ? [A.int('q_num_heads', heads * groups), A.int('kv_num_heads', heads)] : []),
      // The standard's causal mask starts at the upper left, that of onnxruntime 1.30 ends at the lower right where
      // there are fewer queries.
      ...(mask?.type === 'bool' || q !== kv ? [] : d.maybe(A.int('is_causal', 1))),
      ...d.maybe(A.float('scale', 0.5), A.float('softcap', 2)),
    ],
    outputs: past > 0 ? 3 : 1,
  };
}); // biome-ignore format: as it is

const CASTS: readonly Type[] = [...NUMBERS, 'bool'];

/** Scales and zero points of blocks along an axis. */
const blocked = (from: readonly Type[], quantises: boolean): Operator => op([21, 23, 24, 25], d => {
  const type = d.pick(from);
  const [rows, blocks, size] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
  const axis = d.int(0, 1);
  const dims = axis === 0 ? [blocks * size, rows] : [rows, blocks * size];
  const scales = axis === 0 ? [blocks, rows] : [rows, blocks];
  return {
    inputs: [d.tensor(quantises ? 'float' : type, dims, -100, 100), d.tensor('float', scales, 0.5, 2), d.tensor(type, scales, 0, 9)],
    attributes: [A.int('axis', axis), A.int('block_size', size)],
  };
}); // biome-ignore format: as it is
const either = (a: Operator, b: Operator): Operator => ({
  opsets: [...a.opsets, ...b.opsets],
  entry: d => (b.opsets.includes(d.opset) && d.flag() ? b : a).entry(d),
});

/** Operators by name. */
export const LAYERS: Readonly<Record<string, Operator>> = {
  AffineGrid: op(from(20), d => {
    const dims = d.int(2, 3);
    return { inputs: [d.tensor(d.pick(['float', 'double']), [2, dims, dims + 1]), d.int64s([2, 3, ...repeat(dims, () => d.int(2, 4))])], attributes: d.maybe(A.int('align_corners', 1)) };
  }), // biome-ignore format: as it is
  Attention: attention,
  AveragePool: pooling(d => d.maybe(A.int('count_include_pad', 1)), ['float', 'float']),
  BatchNormalization: normalisation(
    (d, n) => [d.tensor('float', [n]), d.tensor('float', [n]), d.tensor('float', [n]), d.tensor('float', [n], 0.1, 2)],
    d => d.maybe(A.float('epsilon', 0.01)),
    from(7, 9, 14, 15),
  ),
  BlackmanWindow: windowFunction,
  Cast: op(from(9, 13, 19, 21, 23), d => ({
    inputs: [d.tensor(d.pick(CASTS), d.shape(0), 0, 100)],
    attributes: [A.int('to', codeOf(d.pick(CASTS)))],
  })),
  CenterCropPad: op(from(18), d => {
    const x = d.tensor('float', d.shape(1, 3));
    const axes = d.shuffled(x.dims.map((_, i) => i)).slice(0, d.int(1, x.dims.length));
    return { inputs: [x, d.int64s(axes.map(() => d.int(1, 6)))], attributes: [A.ints('axes', axes.map(i => (d.flag() ? i : i - x.dims.length)))] };
  }), // biome-ignore format: as it is
  Col2Im: op(from(18), d => {
    const image = repeat(2, () => d.int(4, 6));
    const kernel = repeat(2, () => d.int(1, 3));
    const [strides, dilations] = [repeat(2, () => d.int(1, 2)), repeat(2, () => d.int(1, 2))];
    const pads = repeat(4, () => d.int(0, 1));
    const out = image.map((n, i) => Math.floor((n + pads[i]! + pads[i + 2]! - dilations[i]! * (kernel[i]! - 1) - 1) / strides[i]!) + 1);
    return {
      inputs: [d.tensor('float', [d.int(1, 2), d.int(1, 2) * product(kernel), product(out)]), d.int64s(image), d.int64s(kernel)],
      attributes: [A.ints('strides', strides), A.ints('dilations', dilations), A.ints('pads', pads)],
    };
  }), // biome-ignore format: as it is
  Conv: conv,
  ConvInteger: op(from(10), d => {
    const type = d.pick(['uint8'] as const);
    const kernel = [d.int(1, 3), d.int(1, 3)];
    return {
      inputs: [d.tensor(type, [1, 2, 5, 5], 0, 200), d.tensor('uint8', [2, 2, ...kernel], 0, 200), d.flag() ? d.scalar(type, d.int(0, 100)) : null],
      attributes: windowing(d, 2, kernel),
    };
  }), // biome-ignore format: as it is
  ConvTranspose: convTranspose,
  DFT: op(from(17, 20), d => {
    const complex = d.flag();
    const x = d.tensor(d.pick(['float', 'double']), [...repeat(d.int(1, 2), () => d.int(1, 4)), d.int(2, 6), complex ? 2 : 1]);
    const axis = x.dims.length - 2;
    const inverse = complex && d.flag();
    const n = d.flag() ? d.scalar('int64', d.int(2, 8)) : null;
    const flags = [A.int('inverse', inverse), A.int('onesided', !inverse && !complex && d.flag())];
    return d.opset < 20 ? { inputs: [x, n], attributes: [A.int('axis', axis), ...flags] } : { inputs: [x, n, d.scalar('int64', axis)], attributes: flags };
  }), // biome-ignore format: as it is
  DeformConv: op(from(19, 22), d => {
    const [group, offsets, kernel] = [d.int(1, 2), d.int(1, 2), [d.int(1, 3), d.int(1, 3)]];
    const [strides, dilations, pads] = [repeat(2, () => d.int(1, 2)), repeat(2, () => d.int(1, 2)), repeat(4, () => d.int(0, 1))];
    const out = [0, 1].map(i => Math.floor((6 + pads[i]! + pads[i + 2]! - dilations[i]! * (kernel[i]! - 1) - 1) / strides[i]!) + 1);
    const taps = offsets * product(kernel);
    return {
      inputs: [d.tensor('float', [2, 4, 6, 6]), d.tensor('float', [2 * group, 4 / group, ...kernel]), d.tensor('float', [2, 2 * taps, ...out], -2, 2), d.flag() ? d.tensor('float', [2 * group]) : null, d.flag() ? d.tensor('float', [2, taps, ...out], 0, 1) : null],
      attributes: [A.ints('kernel_shape', kernel), A.int('group', group), A.int('offset_group', offsets), A.ints('strides', strides), A.ints('dilations', dilations), A.ints('pads', pads)],
    };
  }), // biome-ignore format: as it is
  DequantizeLinear: either(dequantize, blocked(['int8', 'uint8', 'int16', 'uint16', 'int32'], false)),
  Det: op(from(11, 22), d => { const n = d.int(1, 5); return { inputs: [d.tensor('float', [...d.shape(0, 2), n, n])] }; }), // biome-ignore format: one line
  Dropout: op(from(7, 10, 12, 13, 22), d => ({
    inputs: [d.tensor('float', d.shape(0))],
    outputs: d.int(1, d.opset < 12 ? 1 : 2),
  })),
  DynamicQuantizeLinear: op(from(11), d => ({
    inputs: [d.tensor('float', d.shape(1), d.pick([-3, 0, 1]), 7)],
    outputs: 3,
  })),
  Einsum: op(from(12), d => {
    const [equation, ...shapes] = d.pick(EQUATIONS);
    const type = d.pick(['float', 'double', 'int64', 'int32'] as const);
    return { inputs: shapes.map(dims => d.tensor(type, dims)), attributes: [A.text('equation', equation)] };
  }),
  GRU: recurrent(3, 1, d => d.maybe(A.int('linear_before_reset', 1))),
  Gemm: gemm,
  GlobalAveragePool: globalPool,
  GlobalLpPool: op(from(7), d => ({ inputs: [d.tensor('float', [1, 2, ...d.shape(1, 3)])], attributes: d.maybe(A.int('p', d.int(1, 3))) })), // biome-ignore format: one line
  GlobalMaxPool: globalPool,
  GridSample: op(from(16, 20, 22), d => {
    const dims = d.opset >= 20 ? d.int(2, 3) : 2;
    const mode = d.pick(d.opset >= 20 ? (dims === 2 ? ['linear', 'nearest', 'cubic'] : ['linear', 'nearest']) : ['bilinear', 'nearest', 'bicubic']);
    return {
      inputs: [d.tensor('float', [1, 2, ...repeat(dims, () => d.int(2, 4))]), d.tensor('float', [1, ...repeat(dims, () => d.int(1, 3)), dims], -1.6, 1.6)],
      attributes: [A.text('mode', mode), ...d.maybe(A.text('padding_mode', d.pick(['zeros', 'border', 'reflection'])), A.int('align_corners', 1))],
    };
  }), // biome-ignore format: as it is
  GroupNormalization: op(from(18, 21), d => {
    const [groups, per] = [d.int(1, 3), d.int(1, 2)];
    const n = d.opset < 21 ? groups : groups * per;
    return { inputs: [d.tensor('float', [2, groups * per, ...d.shape(1, 2).map(k => k + 1)]), d.tensor('float', [n]), d.tensor('float', [n])], attributes: [A.int('num_groups', groups), ...d.maybe(A.float('epsilon', 0.01))] };
  }), // biome-ignore format: as it is
  HammingWindow: windowFunction,
  HannWindow: windowFunction,
  InstanceNormalization: normalisation((d, n) => [d.tensor('float', [n]), d.tensor('float', [n])], d => d.maybe(A.float('epsilon', 0.01)), from(7, 22)), // biome-ignore format: one line
  LRN: op(from(7, 13), d => ({
    inputs: [d.tensor('float', [d.int(1, 2), d.int(1, 6), d.int(1, 3), d.int(1, 3)])],
    attributes: [A.int('size', d.pick([1, 3, 5])), ...d.maybe(A.float('alpha', 0.3), A.float('beta', 0.5), A.float('bias', 2))],
  })), // biome-ignore format: as it is
  LSTM: recurrent(4, 2, () => [], true),
  LayerNormalization: lastDims(true),
  LpNormalization: op(from(7, 22), d => { const x = d.tensor(d.pick(['float', 'double']), d.shape(1)); return { inputs: [x], attributes: d.maybe(A.int('axis', d.axis(x.dims.length)), A.int('p', d.int(1, 2))) }; }), // biome-ignore format: one line
  LpPool: pooling(d => d.maybe(A.int('p', d.int(1, 3))), ['float', 'float'], 1, from(7, 11, 18, 22)),
  MatMul: op(from(7, 9, 13), d => {
    const [a, b] = matMulShapes(d);
    const type = d.pick(d.opset < 9 ? FLOATS.slice(0, 2) : ['float', 'double', 'int32', 'int64', 'uint32', 'uint64'] as const);
    return { inputs: [d.tensor(type, a), d.tensor(type, b)] };
  }), // biome-ignore format: as it is
  MatMulInteger: op(from(10), d => {
    const [a, b] = matMulShapes(d);
    const [p, q] = [d.pick(['uint8', 'int8'] as const), d.pick(['uint8', 'int8'] as const)];
    const zero = (type: Type): Input | null => (d.flag() ? d.scalar(type, d.int(0, 50)) : null);
    return { inputs: [d.tensor(p, a, -100, 100), d.tensor(q, b, -100, 100), zero(p), zero(q)] };
  }), // biome-ignore format: as it is
  MaxPool: pooling(
    d => d.maybe(A.int('storage_order', d.pick([0, 1]))),
    ['float', 'double', 'int8', 'uint8'],
    2,
    from(8, 10, 11, 12, 22),
  ),
  MaxRoiPool: op(from(7, 22), d => {
    const rois = repeat(d.int(1, 3), () => { const [x, y] = [d.int(0, 3), d.int(0, 3)]; return [0, x, y, x + d.int(0, 4), y + d.int(0, 4)]; });
    return { inputs: [d.tensor('float', [1, 2, 7, 7]), d.of('float', [rois.length, 5], rois.flat())], attributes: [A.ints('pooled_shape', [d.int(1, 3), d.int(1, 3)]), ...d.maybe(A.float('spatial_scale', 0.5))] };
  }), // biome-ignore format: as it is
  MaxUnpool: op(from(9, 11, 22), d => {
    const [kernel, strides] = [[2, 2], [2, 2]];
    const dims = [d.int(1, 2), d.int(1, 2), d.int(1, 3), d.int(1, 3)];
    const whole = product(dims) * 4;
    const at = d.shuffled(repeat(whole, i => i)).slice(0, product(dims));
    return { inputs: [d.tensor('float', dims), d.of('int64', dims, at)], attributes: [A.ints('kernel_shape', kernel), A.ints('strides', strides)] };
  }), // biome-ignore format: as it is
  MeanVarianceNormalization: op(from(9, 13), d => ({ inputs: [d.tensor('float', [2, 3, 2, 4])], attributes: d.maybe(A.ints('axes', d.pick([[0, 2, 3], [1], [2, 3]]))) })), // biome-ignore format: one line
  MelWeightMatrix: op(from(17), d => ({ inputs: [d.scalar('int64', d.int(2, 6)), d.scalar('int64', d.pick([16, 32])), d.scalar('int64', 8000), d.scalar('float', d.pick([0, 100])), d.scalar('float', 4000)] })), // biome-ignore format: one line
  NegativeLogLikelihoodLoss: loss(false),
  NonMaxSuppression: op(from(10, 11), d => {
    const boxes = d.int(1, 6);
    return {
      inputs: [d.tensor('float', [1, boxes, 4], 0, 1), d.tensor('float', [1, 2, boxes], 0, 1), d.of('int64', [1], [d.int(0, 4)]), d.of('float', [1], [d.real(0, 0.8)]), d.flag() ? d.of('float', [1], [0.3]) : null],
      attributes: d.maybe(A.int('center_point_box', 1)),
    };
  }), // biome-ignore format: as it is
  QLinearMatMul: op(from(10, 21), d => {
    const [a, b] = [[d.int(1, 3), 4], [4, d.int(1, 3)]];
    const type = d.pick(['uint8', 'int8'] as const);
    const scale = (): Input => d.scalar('float', d.real(0.01, 0.05));
    const zero = (): Input => d.scalar(type, d.int(0, 50));
    return { inputs: [d.tensor(type, a, -100, 100), scale(), zero(), d.tensor(type, b, -100, 100), scale(), zero(), scale(), zero()] };
  }), // biome-ignore format: as it is
  QuantizeLinear: either(quantize, blocked(['int8', 'uint8', 'int16', 'uint16'], true)),
  RMSNormalization: lastDims(false),
  RNN: recurrent(1, 1, () => []),
  Resize: resize,
  RoiAlign: op(from(10, 16, 22), d => {
    const rois = repeat(d.int(1, 3), () => { const [x, y] = [d.real(-1, 4), d.real(-1, 4)]; return [x, y, x + d.real(0, 5), y + d.real(0, 5)]; });
    return {
      inputs: [d.tensor('float', [2, 2, 6, 6]), d.of('float', [rois.length, 4], rois.flat()), d.of('int64', [rois.length], rois.map(() => d.int(0, 1)))],
      attributes: d.maybe(A.text('mode', d.pick(['avg', 'max'])), A.int('output_height', d.int(1, 3)), A.int('output_width', d.int(1, 3)), A.int('sampling_ratio', d.int(0, 2)), A.float('spatial_scale', 0.5), ...(d.opset >= 16 ? [A.text('coordinate_transformation_mode', d.pick(['half_pixel', 'output_half_pixel']))] : [])),
    };
  }), // biome-ignore format: as it is
  RotaryEmbedding: op(from(23), d => {
    const [batch, heads, steps, half, most] = [d.int(1, 2), d.int(1, 3), d.int(1, 4), d.int(1, 3), 6];
    const three = d.flag();
    const positions = d.flag();
    const rotary = d.flag() ? 2 * d.int(1, half) : 0;
    const table = (): Input => d.tensor('float', positions ? [most, rotary > 0 ? rotary / 2 : half] : [batch, steps, rotary > 0 ? rotary / 2 : half], -1, 1);
    return {
      inputs: [d.tensor('float', three ? [batch, steps, heads * 2 * half] : [batch, heads, steps, 2 * half]), table(), table(), positions ? d.of('int64', [batch, steps], repeat(batch * steps, () => d.int(0, most - 1))) : null],
      attributes: [...(three || rotary > 0 ? [A.int('num_heads', heads)] : []), ...(rotary > 0 ? [A.int('rotary_embedding_dim', rotary)] : []), ...d.maybe(A.int('interleaved', 1))],
    };
  }), // biome-ignore format: as it is
  STFT: op(from(17), d => {
    const [length, step] = [d.pick([4, 5, 8]), d.int(1, 4)];
    const x = d.tensor(d.pick(['float', 'double']), [d.int(1, 2), 16, 1]);
    return { inputs: [x, d.scalar('int64', step), d.flag() ? d.tensor(x.type, [length]) : null, d.scalar('int64', length)], attributes: d.maybe(A.int('onesided', d.flag())) };
  }), // biome-ignore format: as it is
  SoftmaxCrossEntropyLoss: loss(true),
  Swish: op(from(24), d => ({
    inputs: [d.tensor(d.pick(FLOATS), d.shape(0))],
    attributes: d.maybe(A.float('alpha', 0.5)),
  })),
  TensorScatter: op(from(24), d => {
    const [batch, size, steps, width] = [d.int(1, 3), d.int(3, 5), d.int(1, 2), d.int(1, 3)];
    const circular = d.flag();
    return {
      inputs: [d.tensor('float', [batch, size, width]), d.tensor('float', [batch, steps, width]), d.of('int64', [batch], repeat(batch, () => d.int(0, circular ? size - 1 : size - steps)))],
      attributes: [A.int('axis', 1), A.text('mode', circular ? 'circular' : 'linear')],
    };
  }), // biome-ignore format: as it is
  Upsample: op(from(9), d => ({ inputs: [d.tensor('float', [1, 2, d.int(1, 3), d.int(1, 3)]), d.of('float', [4], [1, 1, d.int(1, 3), d.int(1, 3)])], attributes: d.maybe(A.text('mode', d.pick(['nearest', 'linear']))) })), // biome-ignore format: one line
};
