/**
 * Layers of networks: products and convolutions with what is fused to them, normalisation, pooling, activations,
 * resizing.
 */
import { F, isFloat, Tensor } from '../../../tensor/index.ts';
import { knownNumbers as numbers } from '../../controlFlow.ts';
import {
  avgPool,
  channelsLast,
  channelsSecond,
  conv,
  convTranspose,
  depthwiseConv,
  maxPool,
  type Window,
} from '../windows.ts';
import { type Attributes, binary, type Operator, type Operators, unary } from './operator.ts';

function windowOf(attributes: Attributes): Window {
  if (attributes.text('data_format', 'NHWC') !== 'NHWC')
    throw new Error(`data_format ${attributes.text('data_format')} came, expected NHWC`);
  const padding = attributes.text('padding').toLowerCase();
  const dilations = attributes.numbers('dilations');
  const explicit = attributes.numbers('explicit_paddings');
  const window = {
    stride: attributes.numbers('strides').slice(1, 3),
    ...(dilations.length > 0 && { dilation: dilations.slice(1, 3) }),
  };
  if (padding === 'explicit')
    return {
      ...window,
      padding: [
        [explicit[2]!, explicit[3]!],
        [explicit[4]!, explicit[5]!],
      ],
    };
  if (padding !== 'same' && padding !== 'valid')
    throw new Error(`padding ${padding} came, expected SAME, VALID or EXPLICIT`);
  return { ...window, padding };
}

const conv2d: Operator = ([x, filter], attributes) =>
  conv(x!, filter!, windowOf(attributes), x!.shape[3]! / filter!.shape[2]!);
const depthwise: Operator = ([x, filter], attributes) => depthwiseConv(x!, filter!, windowOf(attributes));

/** What a fused operator does after its product: BiasAdd, FusedBatchNorm, an activation. */
const fused =
  (product: Operator): Operator =>
  (inputs, attributes) => {
    let y = product(inputs, attributes) as Tensor;
    let next = 2;
    for (const op of attributes.texts('fused_ops')) {
      if (op === 'BiasAdd') y = y.add(inputs[next++]!);
      else if (op === 'Prelu') y = prelu(y, inputs[next++]!);
      else if (op === 'LeakyRelu') y = F.leakyRelu(y, { negativeSlope: attributes.number('leakyrelu_alpha', 0.2) });
      else {
        const activation = NETWORKS[op];
        if (!activation) throw new Error(`the fused operator ${op} is not known`);
        y = activation([y], attributes) as Tensor;
      }
    }
    return y;
  };

const prelu = (x: Tensor, alpha: Tensor): Tensor => x.relu().sub(alpha.mul(x.neg().relu()));

const matmul: Operator = ([a, b], attributes) => {
  const turned = (x: Tensor, ...names: string[]): Tensor =>
    names.some(name => attributes.flag(name)) ? x.transpose(-1, -2) : x;
  return turned(a!, 'transpose_a', 'adj_x').matmul(turned(b!, 'transpose_b', 'adj_y'));
};

/** (x, scale, offset, mean, variance) in inference; the other outputs are the statistics as they came. */
const batchNorm: Operator = ([x, scale, offset, mean, variance], attributes) => {
  const y = x!
    .sub(mean!)
    .mul(scale!.div(variance!.add(attributes.number('epsilon', 1e-4)).sqrt()))
    .add(offset!);
  return [y, mean!, variance!, mean!, variance!, mean!];
};

const resize =
  (mode: 'bilinear' | 'nearest'): Operator =>
  ([x, size], attributes) => {
    const out = numbers(size!);
    const halfPixel = attributes.flag('half_pixel_centers');
    const corners = attributes.flag('align_corners');
    const input = channelsSecond(isFloat(x!.dtype) ? x! : x!.to('f32'));
    if (mode === 'bilinear' && (halfPixel || corners))
      return channelsLast(F.interpolate(input, { size: out, mode, alignCorners: corners }));
    if (mode === 'nearest' && !halfPixel && !corners) return channelsLast(F.interpolate(input, { size: out, mode }));
    return channelsLast(sampled(input, out, mode, corners, halfPixel));
  };

/** Resampling dim by dim with TensorFlow's older conventions of where a pixel lies. */
function sampled(
  x: Tensor,
  out: readonly number[],
  mode: 'bilinear' | 'nearest',
  corners: boolean,
  halfPixel: boolean,
): Tensor {
  let y = x;
  out.forEach((size, d) => {
    const dim = 2 + d;
    const from = y.shape[dim]!;
    const scale = corners && size > 1 ? (from - 1) / (size - 1) : from / size;
    const places = Array.from({ length: size }, (_, i) =>
      halfPixel ? (i + 0.5) * scale - (mode === 'bilinear' ? 0.5 : 0) : i * scale,
    );
    const pick = (at: readonly number[]): Tensor =>
      y.indexSelect(
        dim,
        Tensor.from(
          at.map(p => Math.min(from - 1, Math.max(0, p))),
          { dtype: 'i64' },
        ),
      );
    if (mode === 'nearest') {
      // Ties away from zero with align_corners, as roundf.
      y = pick(places.map(p => (corners ? Math.floor(p + 0.5) : Math.floor(p))));
      return;
    }
    const low = places.map(p => Math.floor(Math.max(0, p)));
    const share = Tensor.from(places.map((p, i) => Math.max(0, p) - low[i]!)).reshape([
      size,
      ...y.shape.slice(dim + 1).map(() => 1),
    ]);
    const [a, b] = [pick(low), pick(low.map(p => p + 1))];
    y = a.add(b.sub(a).mul(share));
  });
  return y;
}

export const NETWORKS: Operators = {
  Relu: unary(x => x.relu()),
  Relu6: unary(F.relu6),
  Elu: unary(x => F.elu(x)),
  Selu: unary(F.selu),
  LeakyRelu: ([x], attributes) => F.leakyRelu(x!, { negativeSlope: attributes.number('alpha', 0.2) }),
  Prelu: binary(prelu),
  Sigmoid: unary(x => x.sigmoid()),
  Tanh: unary(x => x.tanh()),
  Softplus: unary(x => F.softplus(x)),
  Softmax: unary(x => x.softmax(-1)),
  LogSoftmax: unary(x => x.logSoftmax(-1)),
  MatMul: matmul,
  BatchMatMul: matmul,
  BatchMatMulV2: matmul,
  _FusedMatMul: fused(matmul),
  Conv2D: conv2d,
  _FusedConv2D: fused(conv2d),
  DepthwiseConv2d: depthwise,
  DepthwiseConv2dNative: depthwise,
  FusedDepthwiseConv2dNative: fused(depthwise),
  Conv1D: ([x, filter], attributes) =>
    conv(x!, filter!, {
      stride: [attributes.number('stride', 1)],
      padding: attributes.text('padding').toLowerCase() as 'same' | 'valid',
    }),
  Conv2DBackpropInput: ([size, filter, y], attributes) =>
    convTranspose(y!, filter!, windowOf(attributes), numbers(size!).slice(1, 3)),
  MaxPool: ([x], attributes) => maxPool(x!, attributes.numbers('ksize').slice(1, 3), windowOf(attributes)),
  AvgPool: ([x], attributes) => avgPool(x!, attributes.numbers('ksize').slice(1, 3), windowOf(attributes)),
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
  ResizeBilinear: resize('bilinear'),
  ResizeNearestNeighbor: resize('nearest'),
};
