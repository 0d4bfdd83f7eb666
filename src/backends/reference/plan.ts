/**
 * From a graph to a list of steps over numbered slots: plain data that keeps no node, so no value, alive between runs.
 */
import type { GraphProgram } from '../../compiler/program.ts';
import type { DType } from '../../graph/dtype.ts';
import type { Attrs, Node, Primitive } from '../../graph/node.ts';
import { topologicalOrder } from '../../graph/order.ts';

/** Type of a value. */
export interface Type {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly size: number;
}

/** One primitive to compute into slot `out`. */
export interface Step<P extends Primitive = Primitive> {
  readonly op: P;
  readonly attrs: Attrs[P];
  readonly type: Type;
  readonly inputTypes: readonly Type[];
  readonly inputs: readonly number[];
  readonly out: number;
  /** Slots nobody reads after this step. */
  readonly drops: readonly number[];
}

export interface Plan {
  /** Leaf i starts in slot i. */
  readonly leaves: number;
  readonly steps: readonly Step[];
  /** What the program computes: its outputs, then the new values of its updates. */
  readonly roots: readonly { readonly slot: number; readonly dtype: DType }[];
}

const typeOf = ({ shape, dtype, size }: Node): Type => ({ shape, dtype, size });

export function planOf(program: GraphProgram): Plan {
  const slot = new Map<Node, number>(program.leaves.map((leaf, i) => [leaf, i]));
  const roots = [...program.outputs, ...program.updates.map(update => update.node)];
  const nodes = topologicalOrder(roots, node => slot.has(node)).filter(node => !slot.has(node));
  nodes.forEach((node, i) => {
    slot.set(node, program.leaves.length + i);
  });

  const last = new Map<Node, Node>();
  for (const node of nodes) for (const input of node.inputs) last.set(input, node);
  for (const root of roots) last.delete(root);
  const drops = new Map<Node, number[]>();
  for (const [input, node] of last) drops.set(node, [...(drops.get(node) ?? []), slot.get(input)!]);

  return {
    leaves: program.leaves.length,
    steps: nodes.map(node => ({
      op: node.op,
      attrs: node.attrs,
      type: typeOf(node),
      inputTypes: node.inputs.map(typeOf),
      inputs: node.inputs.map(input => slot.get(input)!),
      out: slot.get(node)!,
      drops: drops.get(node) ?? [],
    })),
    roots: roots.map(root => ({ slot: slot.get(root)!, dtype: root.dtype })),
  };
}
