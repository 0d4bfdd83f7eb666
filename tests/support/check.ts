/**
 * Comparing values and gradients of the Tensor API with given figures.
 */
import { expect } from 'vitest';
import './backend.ts';
import { Parameter, Tensor, zerosLike } from '../../src/index.ts';

/** A tensor as fixtures keep it. */
export interface Figures {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** Every element within atol + rtol * |expected|; NaN only where NaN is expected. */
export function expectClose(got: Tensor, want: Figures, what: string, tolerance = 1e-8): void {
  expect([...got.shape], `${what}: shape`).toEqual([...want.shape]);
  const values = got.to('f64').data() as Float64Array;
  want.data.forEach((expected, i) => {
    const close = Math.abs(values[i]! - expected) <= tolerance * (1 + Math.abs(expected));
    const same = Object.is(values[i], expected) || values[i] === expected;
    if (!close && !same) expect.fail(`${what}: element ${i} is ${values[i]}, expected ${expected}`);
  });
}

/** Value and gradients of `fn` over f64 inputs, for the cotangent sin(k + 1) of output element k. */
export function checkCase(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Figures[],
  value: Figures,
  grads: readonly (readonly number[] | null)[],
): void {
  const parameters = inputs.map(({ data, shape }) => new Parameter(Tensor.from([...data], { dtype: 'f64', shape })));
  const result = fn(...parameters);
  const cotangent = Tensor.from(
    Array.from({ length: result.numel() }, (_, k) => Math.sin(k + 1)),
    { dtype: 'f64', shape: result.shape },
  );
  if (result.requiresGrad) result.backward(cotangent);
  expectClose(result, value, 'value');
  grads.forEach((grad, i) => {
    // PyTorch gives zeros where nothing flows, Tenon null.
    if (grad)
      expectClose(
        parameters[i]!.grad ?? zerosLike(parameters[i]!),
        { shape: inputs[i]!.shape, data: grad },
        `gradient ${i}`,
      );
  });
}
