/**
 * Convolutions, pools, norms, resizing.
 */
import { F, full, type Tensor } from '../../../tensor/index.ts';
import { type Call, listOf, padded, type Rule, unary } from './rule.ts';

/** Padding as pairs per spatial dim, from one number a dim, two, or the algorithm. */
function pads(
  call: Call,
  sizes: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): number[][] {
  const algorithm = call.text('padding_algorithm', 'EXPLICIT');
  if (algorithm === 'VALID') return sizes.map(() => [0, 0]);
  if (algorithm === 'SAME')
    return sizes.map((size, d) => {
      const reach = (kernel[d]! - 1) * dilation[d]! + 1;
      const total = Math.max(0, (Math.ceil(size / stride[d]!) - 1) * stride[d]! + reach - size);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    });
  const given = call.numbers('paddings', [0]);
  if (given.length === 2 * sizes.length) return sizes.map((_, d) => [given[2 * d]!, given[2 * d + 1]!]);
  return sizes.map((_, d) => [given[d] ?? given[0]!, given[d] ?? given[0]!]);
}

function channelsFirst(call: Call, name = 'data_format'): void {
  const format = call.text(name, 'NCHW');
  if (format === 'NHWC') throw new Error(`${name} NHWC came, expected NCHW`);
}

const convolution: Rule = call => {
  channelsFirst(call);
  const [x, filter] = [call.input('Input'), call.input('Filter')];
  const stride = call.numbers('strides', [1, 1]);
  const dilation = call.numbers('dilations', [1, 1]);
  const pairs = pads(call, x.shape.slice(2), filter.shape.slice(2), stride, dilation);
  const options = { stride, dilation, groups: call.number('groups', 1) };
  const conv = filter.ndim === 5 ? F.conv3d : F.conv2d;
  const y = conv(padded(x, pairs), filter, null, options);
  const bias = call.optional('Bias');
  return { Output: bias ? y.add(bias.reshape([1, -1, ...filter.shape.slice(2).map(() => 1)])) : y };
};

const convolutionTranspose: Rule = call => {
  channelsFirst(call);
  const [x, filter] = [call.input('Input'), call.input('Filter')];
  const stride = call.numbers('strides', [1, 1]);
  const dilation = call.numbers('dilations', [1, 1]);
  const pairs = pads(call, x.shape.slice(2), filter.shape.slice(2), stride, dilation);
  if (pairs.some(([a, b]) => a !== b)) throw new Error(`paddings ${JSON.stringify(pairs)} differ between the sides`);
  const padding = pairs.map(([a]) => a!);
  const size = call.numbers('output_size', []);
  const extra = call.numbers('output_padding', []);
  const natural = x.shape
    .slice(2)
    .map((n, d) => (n - 1) * stride[d]! - 2 * padding[d]! + dilation[d]! * (filter.shape[2 + d]! - 1) + 1);
  const outputPadding = size.length > 0 ? size.map((n, d) => n - natural[d]!) : extra.length > 0 ? extra : 0;
  return {
    Output: F.convTranspose2d(x, filter, null, {
      stride,
      padding,
      dilation,
      outputPadding,
      groups: call.number('groups', 1),
    }),
  };
};

const pooling: Rule = call => {
  channelsFirst(call);
  const x = call.input('X');
  const kind = call.text('pooling_type', 'max');
  const spatial = x.shape.slice(2);
  if (call.flag('global_pooling', false) || (call.flag('adaptive', false) && call.numbers('ksize').every(n => n === 1)))
    return { Out: kind === 'max' ? x.amax([2, 3], { keepdim: true }) : x.mean([2, 3], { keepdim: true }) };
  const kernel = call.numbers('ksize');
  if (call.flag('adaptive', false))
    return { Out: kind === 'max' ? (F.adaptiveMaxPool2d(x, kernel) as Tensor) : F.adaptiveAvgPool2d(x, kernel) };
  const stride = call.numbers('strides', [1, 1]);
  const pairs = pads(call, spatial, kernel, stride, [1, 1]);
  const ceilMode = call.flag('ceil_mode', false);
  if (kind === 'max')
    return { Out: F.maxPool2d(padded(x, pairs, Number.NEGATIVE_INFINITY), kernel, { stride, ceilMode }) as Tensor };
  if (!call.flag('exclusive', true)) return { Out: F.avgPool2d(padded(x, pairs), kernel, { stride, ceilMode }) };
  const sums = (t: Tensor): Tensor => F.avgPool2d(padded(t, pairs), kernel, { stride, ceilMode, divisorOverride: 1 });
  return { Out: sums(x).div(sums(full([1, 1, ...spatial], 1, { dtype: x.dtype }))) };
};

const batchNorm: Rule = call => {
  channelsFirst(call, 'data_layout');
  const y = F.batchNorm(
    call.input('X'),
    call.input('Mean'),
    call.input('Variance'),
    call.optional('Scale'),
    call.optional('Bias'),
    {
      training: false,
      eps: call.number('epsilon', 1e-5),
    },
  );
  return { Y: y };
};

const layerNorm: Rule = call => {
  const x = call.input('X');
  const from = call.number('begin_norm_axis', 1);
  const shape = x.shape.slice(from);
  const [scale, bias] = [call.optional('Scale'), call.optional('Bias')];
  return {
    Y: F.layerNorm(x, shape, scale?.reshape(shape) ?? null, bias?.reshape(shape) ?? null, call.number('epsilon', 1e-5)),
  };
};

const interpolation =
  (mode: 'nearest' | 'bilinear'): Rule =>
  call => {
    channelsFirst(call, 'data_layout');
    const x = call.input('X');
    const scales = call.numbers('scale', []);
    const given = listOf(call, 'out_shape', 'OutSize', 'SizeTensor');
    const attributes = [call.number('out_h', -1), call.number('out_w', -1)];
    const size =
      scales.length > 0 && scales[0]! > 0
        ? x.shape.slice(2).map((n, d) => Math.floor(n * (scales[d] ?? scales[0]!)))
        : given.length > 0
          ? given
          : attributes;
    if (mode === 'nearest') return { Out: F.interpolate(x, { size, mode }) };
    const corners = call.flag('align_corners', true);
    // align_mode 1 without corners places pixels at multiples of the scale.
    if (!corners && call.number('align_mode', 1) === 1)
      throw new Error('align_mode 1 without align_corners is not known');
    return { Out: F.interpolate(x, { size, mode, alignCorners: corners }) };
  };

export const NETWORKS: Readonly<Record<string, Rule>> = {
  conv2d: convolution,
  depthwise_conv2d: convolution,
  conv3d: convolution,
  conv2d_transpose: convolutionTranspose,
  depthwise_conv2d_transpose: convolutionTranspose,
  pool2d: pooling,
  batch_norm: batchNorm,
  sync_batch_norm: batchNorm,
  layer_norm: layerNorm,
  instance_norm: call => ({
    Y: F.instanceNorm(call.input('X'), {
      weight: call.optional('Scale'),
      bias: call.optional('Bias'),
      eps: call.number('epsilon', 1e-5),
    }),
  }),
  group_norm: call => ({
    Y: F.groupNorm(
      call.input('X'),
      call.number('groups'),
      call.optional('Scale'),
      call.optional('Bias'),
      call.number('epsilon', 1e-5),
    ),
  }),
  // In inference: upscale_in_train is the identity, downgrade_in_infer scales.
  dropout: unary((x, call) =>
    call.text('dropout_implementation', 'downgrade_in_infer') === 'upscale_in_train'
      ? x
      : x.mul(1 - call.number('dropout_prob', 0.5)),
  ),
  nearest_interp: interpolation('nearest'),
  nearest_interp_v2: interpolation('nearest'),
  bilinear_interp: interpolation('bilinear'),
  bilinear_interp_v2: interpolation('bilinear'),
  pixel_shuffle: unary((x, call) => F.pixelShuffle(x, call.number('upscale_factor', 1))),
};
