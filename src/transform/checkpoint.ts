/**
 * Activation checkpointing: what lies between some inputs and outputs is not kept for the backward pass but computed
 * again there. The outputs are barriers that know the checkpoint's ends; vjp asks for a copy of the interior when the
 * cotangents have arrived.
 */
import * as g from '../graph/build.ts';
import { type Checkpoint, isMark, type Node } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { copyGraph, newGroup } from './copy.ts';

/** Nodes that compute nothing from inputs: shared by a copy. */
const isLeaf = (node: Node): boolean => node.inputs.length === 0;

/**
 * Runs `fn` on `inputs`; gradients of what it returns recompute everything `fn` built. Values that `fn` reads from
 * outside (parameters, say) are found, and get their gradients as usual.
 */
export function checkpointed(inputs: readonly Node[], fn: (inputs: readonly Node[]) => readonly Node[]): Node[] {
  // Nodes are numbered in order of making: what `fn` builds is younger than this one.
  const start = g.constant(0, 'f32').id;
  const outputs = fn(inputs);
  // A mark of what lies outside is outside, too, as it is for the bodies of control flow: a body around would not know
  // what it stands for.
  const outside = (node: Node): boolean =>
    node.id < start || isLeaf(node) || (isMark(node) && outside(node.inputs[0]!));
  const ends = topologicalOrder(outputs, outside).filter(
    node => outside(node) && node.op !== 'constant' && node.op !== 'iota',
  );
  const checkpoint: Checkpoint = { inputs: ends };
  const group = newGroup();
  return outputs.map(output => g.barrier(output, group, { checkpoint }));
}

/**
 * A copy of what computes `outputs` from the checkpoint's inputs. The copied inputs stand behind barriers, so nothing
 * of the copy is taken for its original, and the barriers wait for the cotangents, so nothing is computed before the
 * backward pass needs it.
 */
export function recompute(
  checkpoint: Checkpoint,
  outputs: readonly Node[],
  cotangents: readonly Node[],
): { readonly inputs: readonly Node[]; readonly outputs: readonly Node[] } {
  const group = newGroup();
  const copies = new Map(
    checkpoint.inputs.map(input => [input, g.barrier(input, group, { after: cotangents })] as const),
  );
  const inputs = [...copies.values()];
  return { inputs, outputs: copyGraph(outputs, copies) };
}
