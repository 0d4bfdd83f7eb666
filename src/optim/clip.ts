/**
 * Gradient clipping; lazy, so it belongs into a compiled step as well as outside.
 */
import { keepForFlush, quietly } from '../runtime/index.ts';
import { type Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';

const withGrad = (op: string, params: Iterable<Parameter>): (Parameter & { grad: Tensor })[] =>
  [...params].filter((parameter): parameter is Parameter & { grad: Tensor } => parameter.gradFor(op) !== null);

/** The norm of all gradients together, as of one long vector; an f32 scalar (f64 for f64 gradients). */
export function gradNorm(params: Iterable<Parameter>, normType = 2): Tensor {
  const grads = withGrad('gradNorm', params).map(({ grad }) => grad.detach().abs());
  if (!(normType > 0)) throw new Error(`gradNorm: normType ${normType} came, expected a number above 0 or Infinity`);
  if (grads.length === 0) return zeros([]);
  if (normType === Number.POSITIVE_INFINITY) return grads.map(grad => grad.amax()).reduce((a, b) => a.maximum(b));
  const powers = grads.map(grad => (normType === 2 ? grad.mul(grad) : grad.pow(normType)).sum());
  const total = powers.reduce((a, b) => a.add(b));
  return normType === 2 ? total.sqrt() : total.pow(1 / normType);
}

/**
 * Scales all gradients down so that their joint norm is at most `maxNorm`.
 * @returns the norm before clipping, computed together with the step, so that it may be read afterwards
 */
export function clipGradNorm(
  params: Iterable<Parameter>,
  maxNorm: number,
  options: { readonly normType?: number } = {},
): Tensor {
  const { normType = 2 } = checkOptions('clipGradNorm', options, ['normType']);
  if (!(maxNorm >= 0)) throw new Error(`clipGradNorm: maxNorm ${maxNorm} came, expected at least 0`);
  const parameters = withGrad('clipGradNorm', params);
  return quietly(() => {
    const norm = gradNorm(parameters, normType);
    const factor = norm.add(1e-6).reciprocal().mul(maxNorm).clamp(null, 1);
    for (const parameter of parameters) parameter.grad = parameter.grad.mul(factor);
    keepForFlush(norm.node);
    return norm;
  });
}

/** Clamps every element of every gradient to [-clipValue, clipValue]. */
export function clipGradValue(params: Iterable<Parameter>, clipValue: number): void {
  if (!(clipValue >= 0)) throw new Error(`clipGradValue: clipValue ${clipValue} came, expected at least 0`);
  const parameters = withGrad('clipGradValue', params);
  quietly(() => {
    for (const parameter of parameters) parameter.grad = parameter.grad.clamp(-clipValue, clipValue);
  });
}
