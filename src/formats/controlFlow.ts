/**
 * Branches and loops of programs of other frameworks. Where a condition is known while a program is run (always,
 * outside of compile), the branch taken is run, and loops step by step, so shapes may change on the way; inside compile
 * they become the library's own control flow.
 */

import { constantValue, isSymbolic, isTracing } from '../runtime/index.ts';
import { shapeText } from '../tensor/convert.ts';
import { cond, full, type Tensor, whileLoop } from '../tensor/index.ts';

/** How many steps are taken at most before a loop is held to be endless. */
export const ENDLESS = 1_000_000;

/** The host elements of a tensor, or null where they only become known when a compiled program runs. */
export function dataIfKnown(tensor: Tensor): ReturnType<Tensor['data']> | null {
  const { node } = tensor;
  return constantValue(node) ?? (isTracing() || isSymbolic(node) ? null : tensor.data());
}

/**
 * Elements that decide shapes, axes and the like.
 * @throws Error where only the data of a compiled program decides them
 */
export function knownNumbers(x: Tensor): number[] {
  const data = dataIfKnown(x);
  if (data === null) throw new Error('what decides a shape depends on the data: run the model outside of compile');
  return Array.from(data, Number);
}

/** The truth of a tensor of one element, or null where it is not known yet. */
export function truthOf(condition: Tensor): boolean | null {
  if (condition.numel() !== 1)
    throw new Error(`a condition has shape ${shapeText(condition.shape)}, expected one element`);
  const data = dataIfKnown(condition);
  return data === null ? null : Boolean(data[0]);
}

type Branch = () => readonly Tensor[];

/** The tensors of one of two branches. */
export function branch(condition: Tensor, onTrue: Branch, onFalse: Branch): readonly Tensor[] {
  const known = truthOf(condition);
  if (known !== null) return known ? onTrue() : onFalse();
  return cond(condition, onTrue, onFalse);
}

/**
 * What a loop of a compiled program carries keeps its shape. A list whose elements had none yet (it holds nothing)
 * takes that of the first element put in.
 * @throws Error where a value grows from step to step
 */
function settled(values: readonly Tensor[], after: readonly Tensor[]): Tensor[] {
  return values.map((value, i) => {
    const next = after[i]!;
    if (value.shape.join() === next.shape.join() && value.dtype === next.dtype) return value;
    if (value.numel() === 0 && value.shape[0] === next.shape[0]) return full(next.shape, 0, { dtype: next.dtype });
    throw new Error(
      `a value of the loop grows from ${shapeText(value.shape)} to ${shapeText(next.shape)} in a step, and how many steps there are depends on the data: run the model outside of compile`,
    );
  });
}

/** `step` while `test` holds, from `first` on. */
export function repeat(
  test: (values: readonly Tensor[]) => Tensor,
  step: (values: readonly Tensor[]) => readonly Tensor[],
  first: readonly Tensor[],
): readonly Tensor[] {
  let values = first;
  for (let i = 0; i < ENDLESS; i++) {
    const known = truthOf(test(values));
    if (known === false) return values;
    if (known === null)
      return whileLoop<Tensor[]>(
        carried => test(carried),
        carried => [...step(carried)],
        settled(values, step(values)),
      );
    values = step(values);
  }
  throw new Error(`a loop did not end after ${ENDLESS} steps`);
}
