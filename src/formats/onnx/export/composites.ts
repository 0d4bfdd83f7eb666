/**
 * Functions by name as operators: convolutions, pools, normalisations, softmax, products of matrices. What a function's
 * operator cannot say (a dtype, an option, an opset that has no such operator) is written by its primitives instead.
 */

import type { Composite } from '../../../graph/composite.ts';
import type { Node } from '../../../graph/node.ts';
import type { AttributeValue } from './graph.ts';
import { RANDOM } from './random.ts';
import type { Writer } from './writer.ts';

export interface CompositeRule {
  /** The first opset that has the operator. */
  readonly since: number;
  /** Whether this application can be written as the operator. */
  readonly when?: (composite: Composite) => boolean;
  readonly write: (writer: Writer, composite: Composite, node: Node) => string;
}

const list = (composite: Composite, name: string): readonly number[] => composite.attributes[name] as readonly number[];
const number = (composite: Composite, name: string): number => composite.attributes[name] as number;

/** Names of the inputs, '' where one is absent. */
const names = (writer: Writer, { inputs }: Composite): string[] =>
  inputs.map(input => (input ? writer.name(input) : ''));

const float = (value: number): AttributeValue => ({ float: value });

const isFloat = (node: Node | null | undefined): boolean =>
  node?.dtype === 'f32' || node?.dtype === 'f64' || node?.dtype === 'f16';

/**
 * What is normalised per channel (dimension 1), with its scale and shift: constant vectors for those that are not
 * there.
 */
function scaled(writer: Writer, x: Node, weight: Node | null, bias: Node | null): string[] {
  const channels = x.shape[1]!;
  return [writer.name(x), orConstant(writer, weight, channels, 1, x), orConstant(writer, bias, channels, 0, x)];
}

/** A constant vector for a scale or shift that is not there. */
function orConstant(writer: Writer, node: Node | null | undefined, count: number, value: number, like: Node): string {
  if (node) return writer.name(node);
  return writer.graph.constant(new Array<number>(count).fill(value), [count], like.dtype);
}

const pads = (before: readonly number[], after: readonly number[]): readonly number[] => [...before, ...after];

/**
 * Padding after each dim so that exactly `out` windows fit; may be negative where the last elements are read by none.
 */
function padsAfter(composite: Composite, sizes: readonly number[]): number[] {
  const [kernel, stride, padding, dilation, out] = ['kernel', 'stride', 'padding', 'dilation', 'out'].map(name => list(composite, name)) as [
    readonly number[], readonly number[], readonly number[], readonly number[], readonly number[],
  ]; // biome-ignore format: one list
  return sizes.map((n, d) =>
    Math.max(0, (out[d]! - 1) * stride[d]! + dilation[d]! * (kernel[d]! - 1) + 1 - n - padding[d]!),
  );
}

function pool(
  writer: Writer,
  composite: Composite,
  operator: string,
  more: Readonly<Record<string, AttributeValue>>,
): string {
  const input = composite.inputs[0]!;
  const padding = list(composite, 'padding');
  const after = floorOut(composite) ? padding : padsAfter(composite, input.shape.slice(2));
  return writer.graph.node(operator, [writer.name(input)], {
    kernel_shape: list(composite, 'kernel'),
    strides: list(composite, 'stride'),
    pads: pads(padding, after),
    ...more,
  });
}

/** The pool's window count as ONNX's floor mode gives it, from the padding that is written. */
function floorOut(composite: Composite): boolean {
  const input = composite.inputs[0]!;
  const [kernel, stride, padding, dilation, out] = ['kernel', 'stride', 'padding', 'dilation', 'out'].map(name => list(composite, name)) as [
    readonly number[], readonly number[], readonly number[], readonly number[], readonly number[],
  ]; // biome-ignore format: one list
  return input.shape
    .slice(2)
    .every(
      (n, d) => Math.floor((n + 2 * padding[d]! - dilation[d]! * (kernel[d]! - 1) - 1) / stride[d]!) + 1 === out[d],
    );
}

const conv: CompositeRule = {
  since: 11,
  when: ({ inputs }) => isFloat(inputs[0]),
  write: (writer, composite) =>
    writer.graph.node('Conv', names(writer, composite), {
      kernel_shape: composite.inputs[1]!.shape.slice(2),
      strides: list(composite, 'stride'),
      pads: pads(list(composite, 'before'), list(composite, 'after')),
      dilations: list(composite, 'dilation'),
      group: number(composite, 'groups'),
    }),
};

const convTranspose: CompositeRule = {
  since: 11,
  when: ({ inputs }) => isFloat(inputs[0]),
  write: (writer, composite) =>
    writer.graph.node('ConvTranspose', names(writer, composite), {
      kernel_shape: composite.inputs[1]!.shape.slice(2),
      strides: list(composite, 'stride'),
      pads: pads(list(composite, 'padding'), list(composite, 'padding')),
      output_padding: list(composite, 'outputPadding'),
      dilations: list(composite, 'dilation'),
      group: number(composite, 'groups'),
    }),
};

/** x [.., in], weight [out, in]: Gemm for a matrix, otherwise MatMul with the weight transposed, and Add. */
const linear: CompositeRule = {
  since: 13,
  when: ({ inputs }) => isFloat(inputs[0]) && inputs[1]!.shape.length === 2,
  write(writer, composite) {
    const [x, weight, bias] = composite.inputs as [Node, Node, Node | null];
    if (x.shape.length === 2)
      return writer.graph.node('Gemm', names(writer, composite), { transB: 1, alpha: float(1), beta: float(1) });
    const transposed = writer.graph.node('Transpose', [writer.name(weight)], { perm: [1, 0] });
    const product = writer.graph.node('MatMul', [writer.name(x), transposed]);
    return bias ? writer.graph.node('Add', [product, writer.name(bias)]) : product;
  },
};

const batchNorm: CompositeRule = {
  since: 14,
  when: ({ inputs }) => isFloat(inputs[0]) && Boolean(inputs[1]) && Boolean(inputs[2]) && inputs[0]!.shape.length >= 2,
  write(writer, composite) {
    const [x, mean, variance, weight, bias] = composite.inputs as [Node, Node, Node, Node | null, Node | null];
    const inputs = [...scaled(writer, x, weight, bias), writer.name(mean), writer.name(variance)];
    return writer.graph.node('BatchNormalization', inputs, { epsilon: float(number(composite, 'eps')) });
  },
};

const instanceNorm: CompositeRule = {
  since: 6,
  when: ({ inputs }) => isFloat(inputs[0]),
  write(writer, composite) {
    const [x, weight, bias] = composite.inputs as [Node, Node | null, Node | null];
    const inputs = scaled(writer, x, weight, bias);
    return writer.graph.node('InstanceNormalization', inputs, { epsilon: float(number(composite, 'eps')) });
  },
};

/** Norms over the last dimensions with a weight: ONNX's `operator` of opset `since`. */
const normalization = (operator: string, since: number): CompositeRule => ({
  since,
  when: ({ inputs }) => isFloat(inputs[0]) && Boolean(inputs[1]),
  write: (writer, composite) =>
    writer.graph.node(operator, names(writer, composite), {
      axis: number(composite, 'axis'),
      epsilon: float(number(composite, 'eps')),
    }),
});

const layerNorm = normalization('LayerNormalization', 17);
const rmsNorm = normalization('RMSNormalization', 23);

const groupNorm: CompositeRule = {
  since: 21,
  when: ({ inputs }) => isFloat(inputs[0]),
  write(writer, composite) {
    const [x, weight, bias] = composite.inputs as [Node, Node | null, Node | null];
    const inputs = scaled(writer, x, weight, bias);
    return writer.graph.node('GroupNormalization', inputs, {
      num_groups: number(composite, 'numGroups'),
      epsilon: float(number(composite, 'eps')),
    });
  },
};

const alongAxis = (operator: string): CompositeRule => ({
  since: 13,
  when: ({ inputs }) => isFloat(inputs[0]),
  write: (writer, composite) =>
    writer.graph.node(operator, names(writer, composite), { axis: number(composite, 'axis') }),
});

const activation = (
  operator: string,
  since: number,
  attributes: (composite: Composite) => Readonly<Record<string, AttributeValue>> = () => ({}),
): CompositeRule => ({
  since,
  when: ({ inputs }) => isFloat(inputs[0]),
  write: (writer, composite) => writer.graph.node(operator, names(writer, composite), attributes(composite)),
});

const interpolate: CompositeRule = {
  since: 13,
  when: ({ attributes, inputs }) =>
    isFloat(inputs[0]) &&
    ['nearest', 'linear', 'bilinear', 'trilinear', 'bicubic'].includes(String(attributes['mode'])),
  write(writer, composite, node) {
    const mode = String(composite.attributes['mode']);
    const align = composite.attributes['alignCorners'] === true;
    const scales = list(composite, 'scales');
    const attributes = {
      mode: mode === 'nearest' ? 'nearest' : mode === 'bicubic' ? 'cubic' : 'linear',
      coordinate_transformation_mode: mode === 'nearest' ? 'asymmetric' : align ? 'align_corners' : 'half_pixel',
      nearest_mode: 'floor',
      cubic_coeff_a: float(-0.75),
    };
    const x = writer.name(composite.inputs[0]!);
    if (scales.length > 0)
      return writer.graph.node(
        'Resize',
        [x, '', writer.graph.constant([1, 1, ...scales], [2 + scales.length], 'f32')],
        attributes,
      );
    return writer.graph.node('Resize', [x, '', '', writer.graph.sizes(writer.shape(node))], attributes);
  },
};

/** Every function that has an operator; the tables of tensor/ name them. */
export const COMPOSITES: Readonly<Record<string, CompositeRule>> = {
  avgPool: {
    since: 11,
    // Where the last window leaves the padded input, divisors differ between versions of the operator.
    when: composite => isFloat(composite.inputs[0]) && floorOut(composite),
    write: (writer, composite) =>
      pool(writer, composite, 'AveragePool', { count_include_pad: Number(composite.attributes['countIncludePad']) }),
  },
  batchNorm,
  concat: {
    since: 13,
    write: (writer, composite) =>
      writer.graph.node('Concat', names(writer, composite), { axis: number(composite, 'dim') }),
  },
  conv,
  clamp: {
    since: 13,
    when: ({ inputs }) => isFloat(inputs[0]) || inputs[0]?.dtype === 'i64' || inputs[0]?.dtype === 'i32',
    write(writer, composite) {
      const bound = (name: string): string =>
        Number.isNaN(number(composite, name))
          ? ''
          : writer.graph.scalar(number(composite, name), composite.inputs[0]!.dtype);
      return writer.graph.node('Clip', [writer.name(composite.inputs[0]!), bound('min'), bound('max')]);
    },
  },
  convTranspose,
  elu: activation('Elu', 6, composite => ({ alpha: float(number(composite, 'alpha')) })),
  gelu: {
    since: 20,
    when: ({ inputs }) => isFloat(inputs[0]),
    write: (writer, composite) =>
      writer.graph.node('Gelu', names(writer, composite), { approximate: String(composite.attributes['approximate']) }),
  },
  globalAvgPool: {
    since: 1,
    when: ({ inputs }) => isFloat(inputs[0]),
    write: (writer, composite) => writer.graph.node('GlobalAveragePool', names(writer, composite)),
  },
  groupNorm,
  hardsigmoid: activation('HardSigmoid', 6, () => ({ alpha: float(1 / 6), beta: float(0.5) })),
  hardswish: activation('HardSwish', 14),
  instanceNorm,
  interpolate,
  layerNorm,
  leakyRelu: activation('LeakyRelu', 16, composite => ({ alpha: float(number(composite, 'negativeSlope')) })),
  linear,
  logSoftmax: alongAxis('LogSoftmax'),
  matmul: {
    since: 13,
    when: ({ inputs }) => isFloat(inputs[0]) || inputs[0]?.dtype === 'i32' || inputs[0]?.dtype === 'i64',
    write: (writer, composite) => writer.graph.node('MatMul', names(writer, composite)),
  },
  maxPool: {
    since: 12,
    when: ({ inputs }) => isFloat(inputs[0]),
    write: (writer, composite) => pool(writer, composite, 'MaxPool', { dilations: list(composite, 'dilation') }),
  },
  mean: {
    since: 13,
    when: ({ inputs, attributes }) => isFloat(inputs[0]) && (attributes['dims'] as readonly number[]).length > 0,
    write(writer, composite) {
      const x = writer.name(composite.inputs[0]!);
      const keepdims = Number(composite.attributes['keepdim']);
      if (writer.opset >= 18)
        return writer.graph.node('ReduceMean', [x, writer.graph.int64s(list(composite, 'dims'))], { keepdims });
      return writer.graph.node('ReduceMean', [x], { axes: list(composite, 'dims'), keepdims });
    },
  },
  ...RANDOM,
  relu: activation('Relu', 14),
  rmsNorm,
  softplus: {
    ...activation('Softplus', 1),
    when: ({ inputs, attributes }) => isFloat(inputs[0]) && attributes['beta'] === 1,
  },
  softsign: activation('Softsign', 1),
  softmax: alongAxis('Softmax'),
};
