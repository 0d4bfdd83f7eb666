/**
 * Random tensors. A node with a seed draws the same numbers on every run; one without draws from the default generator.
 */
import { rand, randn, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { type NumericType, TYPES } from '../elementTypes.ts';
import { tensorOf } from '../tensorData.ts';
import { typed } from '../values.ts';
import { Mersenne } from './mersenne.ts';
import { dtypeAttribute } from './shape.ts';

/** Numbers a seeded node draws, on the host. */
function seeded(call: Call, shape: readonly number[], kind: 'normal' | 'uniform', dtype: 'f32' | 'f64'): Tensor {
  const source = new Mersenne(Math.trunc(call.float('seed')));
  const count = shape.reduce((a, n) => a * n, 1);
  return tensorOf(
    Float64Array.from({ length: count }, () => source[kind]()),
    shape,
    dtype,
  );
}

function standard(call: Call, shape: readonly number[], kind: 'normal' | 'uniform', dtype: 'f32' | 'f64'): Tensor {
  if (call.attribute('seed')) return seeded(call, shape, kind, dtype);
  return kind === 'normal' ? randn(shape, { dtype }) : rand(shape, { dtype });
}

const drawn = (call: Call, shape: readonly number[], type: NumericType, kind: 'normal' | 'uniform'): Tensor => {
  const { dtype } = TYPES[type];
  const values = standard(call, shape, kind, dtype === 'f64' ? 'f64' : 'f32');
  if (kind === 'normal') return values.mul(call.float('scale', 1)).add(call.float('mean', 0)).to(dtype);
  const [low, high] = [call.float('low', 0), call.float('high', 1)];
  return values
    .mul(high - low)
    .add(low)
    .to(dtype);
};

const ofShape =
  (kind: 'normal' | 'uniform'): Rule =>
  call => {
    const type = dtypeAttribute(call, 'float');
    return typed(drawn(call, call.ints('shape') ?? call.fail('attribute shape is missing'), type, kind), type);
  };

const like =
  (kind: 'normal' | 'uniform'): Rule =>
  call => {
    const type = dtypeAttribute(call, call.isFloat() ? call.type(0) : 'float');
    return typed(drawn(call, call.x(0).shape, type, kind), type);
  };

const bernoulliRule: Rule = call => {
  const type = dtypeAttribute(call, call.type(0));
  const wide = call.x(0).dtype === 'f64' ? 'f64' : 'f32';
  const probability = call.x(0).to(wide);
  return typed(standard(call, probability.shape, 'uniform', wide).lt(probability).to(TYPES[type].dtype), type);
};

/** The input is log probabilities, not normalised. */
const multinomialRule: Rule = call => {
  const type = dtypeAttribute(call, 'int32');
  const probabilities = call.x(0).to('f32').softmax(-1);
  const samples = call.int('sample_size', 1);
  // The class whose share of [0, 1) a uniform number falls into.
  const drawn = standard(call, [probabilities.shape[0]!, samples], 'uniform', 'f32');
  const ends = probabilities.cumsum(1).narrow(1, 0, probabilities.shape[1]! - 1);
  const picked = drawn.unsqueeze(2).ge(ends.unsqueeze(1)).sum(2);
  return typed(picked.to(TYPES[type].dtype), type);
};

export const random: OperatorTable = {
  Bernoulli: bernoulliRule,
  Multinomial: multinomialRule,
  RandomNormal: ofShape('normal'),
  RandomNormalLike: like('normal'),
  RandomUniform: ofShape('uniform'),
  RandomUniformLike: like('uniform'),
};
