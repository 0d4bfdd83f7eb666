/**
 * What a value of a file reads: less than its node does where a body has parameters that the results asked for do not
 * need, such as the keys that random numbers are drawn from (the file's operators draw their own). Pure functions over
 * graphs.
 */
import type { Body, Choice, Loop } from '../../../graph/control.ts';
import { roleOf } from '../../../graph/control.ts';
import type { Node } from '../../../graph/node.ts';
import { topologicalOrder } from '../../../graph/order.ts';

type InputsOf = (node: Node) => readonly Node[];

/** Which of a body's parameters `outputs` are computed from. */
function paramsRead({ params }: Body, outputs: readonly Node[], inputsOf: InputsOf): Set<number> {
  const read = new Set(topologicalOrder(outputs, node => node.value !== null || node.op === 'placeholder', inputsOf));
  return new Set([...params.keys()].filter(i => read.has(params[i]!)));
}

/** Which of a loop's inputs (carries, xs, constants by number) the results `wanted` need. */
export function liveInputs(loop: Loop, wanted: readonly number[], inputsOf: InputsOf): Set<number> {
  const { body, carries, xs } = loop;
  const roles = wanted.map(output => roleOf(loop, output));
  const ys = roles.filter(({ kind }) => kind === 'y').map(({ index }) => body.outputs[carries + index]!);
  const live = new Set(roles.flatMap(({ kind, index }) => (kind === 'carry' || kind === 'history' ? [index] : [])));
  if (loop.cond) for (const i of paramsRead(loop.cond, loop.cond.outputs, inputsOf)) live.add(i < carries ? i : i + xs);
  for (let before = -1; before !== live.size; ) {
    before = live.size;
    const next = [...live].filter(i => i < carries).map(i => body.outputs[i]!);
    for (const i of paramsRead(body, [...next, ...ys], inputsOf)) live.add(i);
  }
  return live;
}

/** Which operands of a choice the results `wanted` need, by number. */
export function liveOperands({ onTrue, onFalse }: Choice, wanted: readonly number[], inputsOf: InputsOf): Set<number> {
  const read = [onTrue, onFalse].map(body => paramsRead(body, wanted.map(k => body.outputs[k]!), inputsOf)); // biome-ignore format: one call
  return new Set(read.flatMap(set => [...set]));
}

/** The inputs that a primitive's rule reads. */
export function readsOf(node: Node, inputsOf: InputsOf): readonly Node[] {
  if (node.is('barrier')) return node.inputs.slice(0, 1);
  if (node.is('custom')) return node.inputs.slice(0, 1);
  if (node.is('random')) return [];
  if (node.is('loop')) {
    const live = liveInputs(node.attrs.loop, [node.attrs.output], inputsOf);
    return node.inputs.filter((_, i) => live.has(i));
  }
  if (node.is('choose')) {
    const live = liveOperands(node.attrs.choice, [node.attrs.output], inputsOf);
    return node.inputs.filter((_, i) => i === 0 || live.has(i - 1));
  }
  return node.inputs;
}
