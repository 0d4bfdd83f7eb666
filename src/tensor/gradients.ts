/**
 * Gradients while `compile` records a function. They are symbolic then and mean nothing outside, so what a parameter
 * held before is set aside at the first touch. What a function leaves in parameters is added up by every call, as
 * backward() adds up outside; but where it assigns to them itself (an optimizer's step), its gradients have done their
 * work and are forgotten, so that nobody computes those that nothing uses. Imports runtime.
 */
import { isTracing } from '../runtime/index.ts';
import type { Parameter } from './parameter.ts';
import type { Tensor } from './tensor.ts';

/** What the recorded function has done to one parameter's gradient. */
interface Touched {
  /** Whether it dropped or replaced what was there (zeroGrad), instead of adding to it. */
  readonly replaces: boolean;
  /** Gives the parameter back what it held before. */
  readonly restore: () => void;
}

const touched = new Map<Parameter, Touched>();

/**
 * Whether the gradient is one of before the function under way was recorded: what it holds now would become part of
 * every call.
 */
export const isFromOutside = (parameter: Parameter): boolean => isTracing() && !touched.has(parameter);

/** Notes the first change of a gradient by the function that is being recorded. */
export function touch(parameter: Parameter, change: Touched): void {
  if (isFromOutside(parameter)) touched.set(parameter, change);
}

/** A gradient that a recorded function leaves: every call adds to it, or replaces it. */
export interface LeftGradient {
  readonly parameter: Parameter;
  readonly replaces: boolean;
  /** Whether there is one; otherwise the function only drops what was there. */
  readonly isThere: boolean;
}

/**
 * The gradients that the function leaves, and the tensors of those that are there; none where it updates parameters
 * itself. Called at its end.
 */
export function gradientsLeft(): { readonly left: readonly LeftGradient[]; readonly tensors: readonly Tensor[] } {
  const updates = [...touched.keys()].some(({ cell }) => cell.node !== cell.leafNode);
  if (updates) return { left: [], tensors: [] };
  const left = [...touched].map(([parameter, { replaces }]) => ({
    parameter,
    replaces,
    isThere: parameter.grad !== null,
  }));
  return { left, tensors: left.flatMap(({ parameter }) => parameter.grad ?? []) };
}

/** Takes back the symbolic gradients. What was there before comes back unless it is to be forgotten. */
export function endRecording(forget: boolean): void {
  const changes = [...touched];
  touched.clear();
  for (const [parameter, { restore }] of changes) {
    if (forget) parameter.grad = null;
    else restore();
  }
}

/** Brings what one call has computed to where it belongs: the gradients that are there are its last results. */
export function deliver(left: readonly LeftGradient[], results: readonly Tensor[]): void {
  let at = results.length - left.filter(({ isThere }) => isThere).length;
  for (const { parameter, replaces, isThere } of left) {
    const value = isThere ? results[at++]! : null;
    if (replaces) parameter.grad = value;
    else if (value) parameter.addGrad(value);
  }
}
