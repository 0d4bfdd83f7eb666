/**
 * Gradient clipping; lazy, so it belongs into a compiled step as well as outside.
 */
import { keepForFlush, quietly } from '../runtime/index.ts';
import { Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { checkOptions, type OrAlone, withName } from '../tensor/options.ts';

type WithGrad = Parameter & { grad: Tensor };

/** The parameters that have a gradient. @throws TypeError for what are no parameters, such as a module */
function withGrad(op: string, params: Iterable<Parameter>): WithGrad[] {
  const refuse = (what: unknown): never => {
    throw new TypeError(`${op}: params: expected parameters, for instance model.parameters(), got ${describe(what)}`);
  };
  if (typeof (params as Partial<typeof params>)?.[Symbol.iterator] !== 'function') refuse(params);
  return [...params].filter((parameter): parameter is WithGrad => {
    if (!(parameter instanceof Parameter)) refuse(parameter);
    return parameter.gradFor(op) !== null;
  });
}

export interface NormTypeOption {
  /** The p of the p-norm, above 0, or Infinity for the largest magnitude; 2 by default. */
  readonly normType?: number;
}

function normTypeOf(op: string, given: OrAlone<NormTypeOption, 'normType'>): number {
  const { normType = 2 } = checkOptions(op, withName<NormTypeOption, 'normType'>('normType', given), ['normType']);
  if (!(normType > 0)) throw new Error(`${op}: normType ${normType} came, expected a number above 0 or Infinity`);
  return normType;
}

/** The norm of all gradients together, as of one long vector; an f32 scalar (f64 for f64 gradients). */
export function gradNorm(params: Iterable<Parameter>, options: OrAlone<NormTypeOption, 'normType'> = {}): Tensor {
  const normType = normTypeOf('gradNorm', options);
  return normOf(withGrad('gradNorm', params), normType);
}

function normOf(parameters: readonly WithGrad[], normType: number): Tensor {
  const grads = parameters.map(({ grad }) => grad.detach().abs());
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
  options: OrAlone<NormTypeOption, 'normType'> = {},
): Tensor {
  const normType = normTypeOf('clipGradNorm', options);
  if (!(maxNorm >= 0)) throw new Error(`clipGradNorm: maxNorm ${maxNorm} came, expected at least 0`);
  const parameters = withGrad('clipGradNorm', params);
  return quietly(() => {
    const norm = normOf(parameters, normType);
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
