/**
 * What the rules of optimizers are made of: running means of gradients, as the Adam family uses them, and weight decay.
 */
import type { Parameter, Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import type { Scalar } from './optimizer.ts';

/** 1 - beta. */
export const complement = (beta: Scalar): Scalar => (typeof beta === 'number' ? 1 - beta : beta.neg().add(1));

/** 1 - beta^t for a tensor of step counts: accurate for betas near 1, where the power itself loses digits. */
export function biasCorrection(beta: Scalar, steps: Tensor): Tensor {
  const log = typeof beta === 'number' ? Math.log(beta) : beta.log();
  return steps.mul(log).expm1().neg();
}

/** `direction` with the pull of an L2 penalty: direction + weightDecay * parameter. */
export const decayed = (direction: Tensor, parameter: Parameter, weightDecay: number): Tensor =>
  weightDecay === 0 ? direction : direction.add(parameter.mul(weightDecay));

/** Moves a running mean on: mean = beta * mean + (1 - beta) * value. */
export function follow(mean: Parameter, value: Tensor, beta: Scalar): Parameter {
  return mean.assign(mean.mul(beta).add(value.mul(complement(beta))));
}

/** The same for the mean of squares. */
export function followSquare(square: Parameter, value: Tensor, beta: number): Parameter {
  return square.assign(square.mul(beta).add(value.mul(1 - beta).mul(value)));
}

/** @throws Error unless every beta is at least 0 and below 1 */
export function checkBetas(name: string, betas: readonly number[]): void {
  if (!Array.isArray(betas) || betas.length < 2)
    throw new TypeError(`${name}: betas: expected two numbers, got ${describe(betas)}`);
  for (const beta of betas)
    if (!(beta >= 0 && beta < 1)) throw new Error(`${name}: beta ${beta} came, expected at least 0 and below 1`);
}
