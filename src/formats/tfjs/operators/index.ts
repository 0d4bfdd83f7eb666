/**
 * Operators of TensorFlow graphs as TensorFlow.js converts them: one rule per operator, from inputs and attributes to
 * outputs (tensorflow/core/ops/*.cc; the converter keeps these names). Numbers that decide shapes are read as values. A
 * file for each kind of operator.
 */
import { arange, einsum, F, full, Tensor, where } from '../../../tensor/index.ts';
import { knownNumbers as numbers } from '../../controlFlow.ts';
import { LISTS } from '../lists.ts';
import { ARITHMETIC } from './arithmetic.ts';
import { NETWORKS } from './networks.ts';
import { i32, number, type Operators, unary } from './operator.ts';
import { REDUCTIONS } from './reductions.ts';
import { SHAPES } from './shapes.ts';

const OTHERS: Operators = {
  Identity: unary(x => x),
  IdentityN: inputs => inputs,
  StopGradient: unary(x => x.detach()),
  PreventGradient: unary(x => x),
  Snapshot: unary(x => x),
  PlaceholderWithDefault: unary(x => x),
  ZerosLike: unary(x => x.mul(0)),
  OnesLike: unary(x => full(x.shape, 1, { dtype: x.dtype })),
  Cast: ([x], attributes) => x!.to(attributes.dtype('DstT')),
  Shape: unary(x => i32(x.shape)),
  ShapeN: inputs => inputs.map(x => i32(x.shape)),
  Size: unary(x => Tensor.from(Int32Array.of(x.numel()), { shape: [] })),
  Rank: unary(x => Tensor.from(Int32Array.of(x.ndim), { shape: [] })),
  Fill: ([size, value]) => value!.expand(numbers(size!)),
  Range: ([from, to, step]) => arange(number(from!), number(to!), number(step!), { dtype: from!.dtype }),
  LinSpace: ([from, to, count]) => {
    const [a, b, n] = [number(from!), number(to!), number(count!)];
    return Tensor.from(
      Float32Array.from({ length: n }, (_, i) => (n === 1 ? a : a + ((b - a) * i) / (n - 1))),
      { shape: [n] },
    );
  },
  OneHot: ([index, depth, on, off], attributes) => {
    const axis = attributes.number('axis', -1);
    const hot = F.oneHot(index!.to('i64'), number(depth!)).to('bool');
    const y = where(hot, on!, off!);
    return axis === -1 ? y : y.movedim(-1, axis);
  },
  Einsum: (inputs, attributes) => einsum(attributes.text('equation'), ...inputs),
};

/** Every operator that can be run, by TensorFlow's name. */
export const OPERATORS: Operators = {
  ...OTHERS,
  ...SHAPES,
  ...ARITHMETIC,
  ...NETWORKS,
  ...REDUCTIONS,
  ...LISTS,
};
