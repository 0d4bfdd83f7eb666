/** Random tensors. A node with a seed draws the same numbers on every run; one without draws from the default generator. */
import { Generator } from '../../runtime/index.ts';
import { bernoulli, multinomial, rand, randn, type Tensor } from '../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { type NumericType, TYPES } from '../elementTypes.ts';
import { typed } from '../values.ts';
import { dtypeAttribute } from './shape.ts';

function generatorOf(call: Call): { generator?: Generator } {
  return call.attribute('seed') ? { generator: new Generator(Math.trunc(call.float('seed'))) } : {};
}

const drawn = (call: Call, shape: readonly number[], type: NumericType, kind: 'normal' | 'uniform'): Tensor => {
  const { dtype } = TYPES[type];
  const options = { dtype: dtype === 'f64' ? ('f64' as const) : ('f32' as const), ...generatorOf(call) };
  if (kind === 'normal') return randn(shape, options).mul(call.float('scale', 1)).add(call.float('mean', 0)).to(dtype);
  const [low, high] = [call.float('low', 0), call.float('high', 1)];
  return rand(shape, options)
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
  return typed(bernoulli(call.x(0).to(wide), generatorOf(call)).to(TYPES[type].dtype), type);
};

/** The input is log probabilities, not normalised. */
const multinomialRule: Rule = call => {
  const type = dtypeAttribute(call, 'int32');
  const probabilities = call.x(0).to('f32').softmax(-1);
  const drawn = multinomial(probabilities, call.int('sample_size', 1), { replacement: true, ...generatorOf(call) });
  return typed(drawn.to(TYPES[type].dtype), type);
};

export const random: OperatorTable = {
  Bernoulli: bernoulliRule,
  Multinomial: multinomialRule,
  RandomNormal: ofShape('normal'),
  RandomNormalLike: like('normal'),
  RandomUniform: ofShape('uniform'),
  RandomUniformLike: like('uniform'),
};
