/**
 * Operators of Paddle's programs that run other blocks, or choose between what two blocks computed. A block sees the
 * variables around it, and what it writes to them stays.
 */
import { type Tensor, where } from '../../tensor/index.ts';
import { branch, repeat, truthOf } from '../controlFlow.ts';
import type { Value } from './operators/index.ts';

/** Variables by name. */
export type Variables = Map<string, Value>;

/** Runs a block over the variables. */
export type RunBlock = (variables: Variables) => void;

export const CONTROL: ReadonlySet<string> = new Set([
  'while',
  'conditional_block',
  'conditional_block_infer',
  'select_input',
]);

const tensorIn = (variables: Variables, name: string): Tensor => {
  const found = variables.get(name);
  if (!found) throw new Error(`nothing computes ${name}`);
  return found.tensor;
};

/** Repeats the block as long as the variable `condition` holds. */
export function runWhile(condition: string, block: RunBlock, outputs: readonly string[], variables: Variables): void {
  // What a step computes first cannot be carried into it, and is nothing that the next step reads.
  const names = [...new Set([condition, ...outputs.filter(name => variables.has(name))])];
  const scope = (values: readonly Tensor[]): Variables => {
    const inner = new Map(variables);
    for (const [i, name] of names.entries()) inner.set(name, { ...variables.get(name), tensor: values[i]! });
    return inner;
  };
  // Followed step by step, variables may change their shapes, and those that a step makes are there afterwards.
  const known = truthOf(tensorIn(variables, condition)) !== null;
  let last: Variables = variables;
  const left = repeat(
    ([goes]) => goes!,
    values => {
      last = scope(values);
      block(last);
      return names.map(name => tensorIn(last, name));
    },
    names.map(name => tensorIn(variables, name)),
  );
  if (known) for (const name of outputs) if (last.has(name)) variables.set(name, last.get(name)!);
  for (const [i, name] of names.entries()) variables.set(name, { ...variables.get(name), tensor: left[i]! });
}

/** Runs the block where the condition holds. */
export function runConditional(
  condition: Tensor,
  block: RunBlock,
  outputs: readonly string[],
  variables: Variables,
): void {
  const known = truthOf(condition);
  if (known === false) return;
  const inner = new Map(variables);
  block(inner);
  for (const name of outputs) {
    const found = inner.get(name);
    if (!found) continue;
    const before = variables.get(name);
    // Not known yet, the block is computed anyhow: what was there before stays where the condition does not hold.
    if (known || !before) variables.set(name, found);
    else {
      const [tensor] = branch(
        condition,
        () => [found.tensor],
        () => [before.tensor],
      );
      variables.set(name, { ...found, tensor: tensor! });
    }
  }
}

/** The one of two inputs that the mask names. */
export function selectInput(mask: Tensor, names: readonly string[], variables: Variables): Value {
  const known = truthOf(mask);
  if (known !== null) {
    const name = names[Number(known)];
    const found = name === undefined ? undefined : variables.get(name);
    if (!found) throw new Error(`nothing computes ${name ?? 'the input that the mask names'}`);
    return found;
  }
  const [no, yes] = names.map(name => tensorIn(variables, name));
  return { tensor: where(mask.reshape([]).ne(0), yes!, no!) };
}
