/**
 * Branches and loops of programs of other frameworks. Where a condition is known while a program is run (always, outside of compile), the branch taken
 * is run, and loops step by step, so shapes may change on the way; inside compile they become the library's own control flow.
 */
import { constantValue, isSymbolic, isTracing } from '../runtime/index.ts';
import { cond, type Tensor, whileLoop } from '../tensor/index.ts';

/** How many steps are taken at most before a loop is held to be endless. */
export const ENDLESS = 1_000_000;

/** The host elements of a tensor, or null where they only become known when a compiled program runs. */
export function dataIfKnown(tensor: Tensor): ReturnType<Tensor['data']> | null {
  const { node } = tensor;
  return constantValue(node) ?? (isTracing() || isSymbolic(node) ? null : tensor.data());
}

/** The truth of a tensor of one element, or null where it is not known yet. */
export function truthOf(condition: Tensor): boolean | null {
  if (condition.numel() !== 1) throw new Error(`a condition has shape [${condition.shape}], expected one element`);
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
        [...values],
      );
    values = step(values);
  }
  throw new Error(`a loop did not end after ${ENDLESS} steps`);
}
