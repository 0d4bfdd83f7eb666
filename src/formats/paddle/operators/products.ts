/**
 * Products of matrices and fully connected layers.
 */
import { sizeOf } from '../../../graph/shape.ts';
import type { Tensor } from '../../../tensor/index.ts';
import type { Rule } from './rule.ts';

const matmul: Rule = call => {
  const turned = (x: Tensor, ...names: string[]): Tensor =>
    x.ndim > 1 && names.some(name => call.flag(name, false)) ? x.transpose(-1, -2) : x;
  const y = turned(call.input('X'), 'transpose_X', 'trans_x').matmul(turned(call.input('Y'), 'transpose_Y', 'trans_y'));
  const alpha = call.number('alpha', 1);
  return { Out: alpha === 1 ? y : y.mul(alpha) };
};

/** The product of two tensors flattened to matrices. */
const mul: Rule = call => {
  const [x, y] = [call.input('X'), call.input('Y')];
  const [nx, ny] = [call.number('x_num_col_dims', 1), call.number('y_num_col_dims', 1)];
  const flat = x.reshape([sizeOf(x.shape.slice(0, nx)), -1]).matmul(y.reshape([sizeOf(y.shape.slice(0, ny)), -1]));
  return { Out: flat.reshape([...x.shape.slice(0, nx), ...y.shape.slice(ny)]) };
};

/** x W + b with an activation, as the inference passes of Paddle fuse it. */
const fc: Rule = call => {
  const x = call.input('Input');
  const dims = call.number('in_num_col_dims', 1);
  const flat = x.reshape([sizeOf(x.shape.slice(0, dims)), -1]).matmul(call.input('W'));
  const bias = call.optional('Bias');
  const y = (bias ? flat.add(bias.reshape([-1])) : flat).reshape([...x.shape.slice(0, dims), -1]);
  const activation = call.text('activation_type', '');
  if (activation !== '' && activation !== 'relu')
    throw new Error(`activation_type ${activation} came, expected relu or none`);
  return { Out: activation === 'relu' ? y.relu() : y };
};

export const PRODUCTS: Readonly<Record<string, Rule>> = {
  matmul,
  matmul_v2: matmul,
  bmm: matmul,
  mul,
  fc,
  dot: call => ({ Out: call.input('X').mul(call.input('Y')).sum(-1) }),
};
