/**
 * Shapes, selections and constants.
 */
import { sizeOf } from '../../../graph/shape.ts';
import { arange, cat, F, full, stack, Tensor, where } from '../../../tensor/index.ts';
import { knownNumbers as numbersOf } from '../../controlFlow.ts';
import { gatherNd } from '../../gatherNd.ts';
import { type Call, listOf, normal, padded, type Rule, unary } from './rule.ts';

const reshape: Rule = call => {
  const x = call.input('X');
  const shape = listOf(call, 'shape', 'Shape', 'ShapeTensor');
  return { Out: x.reshape(shape.map((n, d) => (n === 0 ? x.shape[d]! : n))) };
};

const slice: Rule = call => {
  const axes = call.numbers('axes');
  const starts = listOf(call, 'starts', 'StartsTensor', 'StartsTensorList');
  const ends = listOf(call, 'ends', 'EndsTensor', 'EndsTensorList');
  const steps =
    call.type === 'strided_slice' ? listOf(call, 'strides', 'StridesTensor', 'StridesTensorList') : axes.map(() => 1);
  let y = call.input('Input');
  axes.forEach((axis, i) => {
    y = y.slice(axis, starts[i]!, ends[i]!, steps[i]!);
  });
  const dropped = call.numbers('decrease_axis', []);
  return { Out: dropped.length > 0 ? y.squeeze([...dropped]) : y };
};

const split: Rule = call => {
  const x = call.input('X');
  const axis = normal(
    call.optional('AxisTensor') ? numbersOf(call.input('AxisTensor'))[0]! : call.number('axis', 0),
    x.ndim,
  );
  const sections = call.numbers('sections', []);
  const parts = call.number('num', 0);
  if (sections.length === 0) return { Out: x.split(x.shape[axis]! / (parts || call.count('Out')), axis) };
  const rest = x.shape[axis]! - sections.filter(n => n >= 0).reduce((a, n) => a + n, 0);
  return {
    Out: x.split(
      sections.map(n => (n < 0 ? rest : n)),
      axis,
    ),
  };
};

const filled: Rule = call => {
  const shape = listOf(call, 'shape', 'ShapeTensor', 'ShapeTensorList');
  const text = call.text('str_value', '');
  const given = call.optional('ValueTensor');
  const value = given ? numbersOf(given)[0]! : text !== '' ? Number(text) : call.number('value', 0);
  return { Out: full([...shape], value, { dtype: call.dtype('dtype') }) };
};

function squeezed(x: Tensor, call: Call): Tensor {
  const dims = call.numbers('axes', []);
  return dims.length > 0 ? x.squeeze(dims.map(d => normal(d, x.ndim))) : x.squeeze();
}

function unsqueezed(call: Call): Tensor {
  return listOf(call, 'axes', 'AxesTensor', 'AxesTensorList').reduce((y, d) => y.unsqueeze(d), call.input('X'));
}

const oneHot = (call: Call, ids: Tensor): Tensor => {
  const depth = call.optional('depth_tensor') ? numbersOf(call.input('depth_tensor'))[0]! : call.number('depth', -1);
  return F.oneHot(ids.to('i64'), depth).to(call.has('dtype') ? call.dtype('dtype') : 'f32');
};

/** Amounts from the last dim on, as PyTorch's. */
function padded5d(x: Tensor, call: Call): Tensor {
  if (call.text('data_format', 'NCDHW') !== 'NCDHW')
    throw new Error(`data_format ${call.text('data_format')} came, expected NCDHW`);
  const mode = call.text('mode', 'constant');
  if (mode === 'constant') return F.pad(x, call.numbers('paddings'), { value: call.number('value', 0) });
  if (mode !== 'reflect' && mode !== 'replicate' && mode !== 'circular')
    throw new Error(`mode ${mode} came, expected constant, reflect, replicate or circular`);
  return F.pad(x, call.numbers('paddings'), { mode });
}

export const SHAPES: Readonly<Record<string, Rule>> = {
  reshape,
  reshape2: reshape,
  transpose: unary((x, call) => x.permute(call.numbers('axis'))),
  transpose2: unary((x, call) => x.permute(call.numbers('axis'))),
  flatten: unary((x, call) => x.reshape([sizeOf(x.shape.slice(0, call.number('axis', 1))), -1])),
  flatten2: unary((x, call) => x.reshape([sizeOf(x.shape.slice(0, call.number('axis', 1))), -1])),
  flatten_contiguous_range: unary((x, call) => x.flatten(call.number('start_axis', 1), call.number('stop_axis', -1))),
  squeeze: unary(squeezed),
  squeeze2: unary(squeezed),
  unsqueeze: call => ({ Out: unsqueezed(call) }),
  unsqueeze2: call => ({ Out: unsqueezed(call) }),
  slice,
  strided_slice: slice,
  split,
  concat: call => ({
    Out: cat(
      call.all('X'),
      call.optional('AxisTensor') ? numbersOf(call.input('AxisTensor'))[0]! : call.number('axis', 0),
    ),
  }),
  stack: call => ({ Y: stack(call.all('X'), call.number('axis', 0)) }),
  unstack: call => ({ Y: call.input('X').unbind(call.number('axis', 0)) }),
  expand_v2: call => ({ Out: call.input('X').expand([...listOf(call, 'shape', 'Shape', 'expand_shapes_tensor')]) }),
  expand: call => ({
    Out: call.input('X').tile([...listOf(call, 'expand_times', 'ExpandTimes', 'expand_times_tensor')]),
  }),
  tile: call => ({
    Out: call.input('X').tile([...listOf(call, 'repeat_times', 'RepeatTimes', 'repeat_times_tensor')]),
  }),
  expand_as_v2: call => ({ Out: call.input('X').expand([...call.numbers('target_shape')]) }),
  shape: call => ({
    Out: Tensor.from(Int32Array.from(call.input('Input').shape), { shape: [call.input('Input').ndim] }),
  }),
  cast: unary((x, call) => x.to(call.dtype('out_dtype'))),
  assign: unary(x => x),
  share_data: unary(x => x),
  print: unary(x => x),
  fill_constant: filled,
  fill_any_like: call => ({
    Out: full(call.input('X').shape, call.number('value', 0), {
      dtype: call.number('dtype', -1) < 0 ? call.input('X').dtype : call.dtype('dtype'),
    }),
  }),
  fill_constant_batch_size_like: call => {
    const shape = [...call.numbers('shape')];
    shape[call.number('output_dim_idx', 0)] = call.input('Input').shape[call.number('input_dim_idx', 0)]!;
    return { Out: full(shape, call.number('value', 0), { dtype: call.dtype('dtype') }) };
  },
  assign_value: call => {
    const lists = ['values', 'fp32_values', 'int32_values', 'int64_values', 'bool_values', 'fp64_values'];
    const values = lists.map(name => call.numbers(name, [])).find(list => list.length > 0) ?? [];
    return { Out: Tensor.from([...values], { shape: [...call.numbers('shape')], dtype: call.dtype('dtype') }) };
  },
  range: call => {
    const [from, to, step] = ['Start', 'End', 'Step'].map(name => numbersOf(call.input(name))[0]!) as [
      number,
      number,
      number,
    ];
    return { Out: arange(from, to, step, { dtype: call.input('Start').dtype }) };
  },
  gather: call => {
    const axis = call.optional('Axis') ? numbersOf(call.input('Axis'))[0]! : call.number('axis', 0);
    return { Out: call.input('X').indexSelect(axis, call.input('Index').reshape([-1]).to('i64')) };
  },
  gather_nd: call => ({ Out: gatherNd(call.input('X'), call.input('Index')) }),
  index_select: call => ({ Out: call.input('X').indexSelect(call.number('dim', 0), call.input('Index').to('i64')) }),
  where: call => ({ Out: where(call.input('Condition'), call.input('X'), call.input('Y')) }),
  one_hot: call => ({ Out: oneHot(call, call.input('X').squeeze(-1)) }),
  one_hot_v2: call => ({ Out: oneHot(call, call.input('X')) }),
  pad: unary((x, call) => {
    const flat = call.numbers('paddings');
    return padded(
      x,
      x.shape.map((_, d) => [flat[2 * d]!, flat[2 * d + 1]!]),
      call.number('pad_value', 0),
    );
  }),
  pad3d: unary((x, call) => padded5d(x, call)),
  tril_triu: unary((x, call) =>
    call.flag('lower', true) ? x.tril(call.number('diagonal', 0)) : x.triu(call.number('diagonal', 0)),
  ),
  roll: unary((x, call) => {
    const dims = call.numbers('axis', []);
    return dims.length > 0 ? x.roll(call.numbers('shifts'), dims) : x.roll(call.numbers('shifts')[0]!);
  }),
  flip: unary((x, call) => x.flip(call.numbers('axis'))),
};
