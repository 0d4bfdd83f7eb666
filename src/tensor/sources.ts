/**
 * Which parameter a node of a graph stands for. Apart from parameter.ts, so that Tensor may ask without importing its
 * subclass.
 */
import { isMark, type Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import type { Parameter } from './parameter.ts';

const byVariable = new WeakMap<Variable, Parameter>();
const byAlias = new WeakMap<Node, Parameter>();

/** Says whose memory a variable is. */
export function registerVariable(variable: Variable, parameter: Parameter): void {
  byVariable.set(variable, parameter);
}

/** Says whose pending value a node is: a mark (build.ts, `marked`). */
export function registerAlias(node: Node, parameter: Parameter): void {
  byAlias.set(node, parameter);
}

/** The parameter whose value the node is, if it is one's. */
export function parameterOf(node: Node): Parameter | undefined {
  if (node.is('variable')) return byVariable.get(node.attrs.variable);
  return isMark(node) ? byAlias.get(node) : undefined;
}
