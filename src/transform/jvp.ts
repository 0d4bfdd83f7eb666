/**
 * Forward mode: one rule per primitive says how tangents of its inputs become the tangent of its result, as more graph.
 * Imports the graph only. Built from primitives, so it composes with itself and with vjp.
 */
import * as g from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node, Primitive, ReduceKind, ScanKind, ScatterKind } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { add, keep, mul, zero } from './arithmetic.ts';
import { choiceTangents } from './choices.ts';
import { resultsOf } from './custom.ts';
import { BINARY, UNARY } from './elementwise.ts';
import { reduceWeights, scanSources, scatterWeights, survivingUpdates } from './extrema.ts';
import { loopTangents } from './loops.ts';
import { MATRIX_JVP } from './matrix.ts';
import { productOfOthers, scanProductJvp, scatterProductOfOthers } from './products.ts';

/** Tangents of a node's inputs; null stands for zero. At least one is there when a rule is asked. */
type Tangents = readonly (Node | null)[];
/** `shared` keeps what is made once for several nodes, by what they share. */
type JvpRule<P extends Primitive> = (node: Node<P>, tangents: Tangents, shared: Map<object, unknown>) => Node | null;

const none = (): null => null;
const or0 = (tangent: Node | null | undefined, x: Node): Node => tangent ?? zero(x);
const plus = (a: Node | null, b: Node | null): Node | null => (a && b ? add(a, b) : (a ?? b));

const REDUCE: { readonly [K in ReduceKind]: (t: Node, node: Node<'reduce'>, x: Node) => Node } = {
  sum: t => t,
  prod: (t, { attrs }, x) => mul(t, productOfOthers(x, attrs.axes)),
  max: (t, node, x) => mul(t, reduceWeights(x, node, node.attrs.axes)),
  min: (t, node, x) => mul(t, reduceWeights(x, node, node.attrs.axes)),
};

const scanExtreme = (t: Node, node: Node<'scan'>): Node =>
  g.reshape(g.gather(g.reshape(t, [t.size]), scanSources(node), 0), t.shape);

const SCAN: { readonly [K in ScanKind]: (t: Node, node: Node<'scan'>, x: Node) => Node } = {
  sum: (t, { attrs }) => g.scan('sum', t, attrs.axis, attrs.reverse),
  prod: (t, { attrs }, x) => scanProductJvp(t, x, attrs.axis, attrs.reverse),
  max: scanExtreme,
  min: scanExtreme,
};

/** base + updates at their places. */
const addedAt = (base: Node, updates: Node, { inputs, attrs }: Node<'scatter'>): Node =>
  g.scatter('add', base, inputs[1]!, updates, attrs.axis, attrs.what);

const scatterExtreme = (base: Node, updates: Node, node: Node<'scatter'>): Node => {
  const weights = scatterWeights(node);
  return addedAt(mul(base, weights.base), mul(updates, weights.updates), node);
};

/** From tangents of base and updates. */
const SCATTER: { readonly [K in ScatterKind]: (base: Node, updates: Node, node: Node<'scatter'>) => Node } = {
  set: (base, updates, node) => {
    const { axis, what } = node.attrs;
    const untouched = g.scatter('set', base, node.inputs[1]!, zero(updates), axis, what);
    return addedAt(untouched, keep(survivingUpdates(node), updates), node);
  },
  add: addedAt,
  mul: (base, updates, node) => {
    const [, index, factors] = node.inputs as [Node, Node, Node];
    const { axis, what } = node.attrs;
    return addedAt(
      g.scatter('mul', base, index, factors, axis, what),
      mul(updates, scatterProductOfOthers(node)),
      node,
    );
  },
  max: scatterExtreme,
  min: scatterExtreme,
};

const RULES: { readonly [P in Primitive]: JvpRule<P> } = {
  constant: none,
  data: none,
  variable: none,
  placeholder: none,
  iota: none,

  unary: (node, [t]) => UNARY[node.attrs.fn](t!, node.inputs[0]!, node),
  binary: (node, [ta, tb]) => {
    const [a, b] = node.inputs as [Node, Node];
    const [fromA, fromB] = BINARY[node.attrs.fn];
    return plus(ta ? fromA(ta, a, b, node) : null, tb ? fromB(tb, a, b, node) : null);
  },
  compare: none,
  where: ({ inputs: [condition, a, b] }, [, ta, tb]) => g.where(condition!, or0(ta, a!), or0(tb, b!)),
  cast: (node, [t]) => g.cast(t!, node.dtype),
  bitcast: none,
  checkIndex: none,
  detach: none,
  barrier: (_, [t]) => t ?? null,

  reshape: (node, [t]) => g.reshape(t!, node.shape),
  reindex: (node, [t]) => g.reindex(t!, node.shape, node.attrs.axes),
  concat: ({ inputs, attrs }, tangents) =>
    g.concat(
      inputs.map((input, i) => or0(tangents[i], input)),
      attrs.axis,
    ),
  gather: ({ inputs: [, index], attrs }, [t]) => g.gather(t!, index!, attrs.axis, attrs.what),

  reduce: (node, [t]) => g.reduce('sum', REDUCE[node.attrs.kind](t!, node, node.inputs[0]!), node.attrs.axes),
  argReduce: none,
  scan: (node, [t]) => SCAN[node.attrs.kind](t!, node, node.inputs[0]!),
  scatter: (node, [base, , updates]) => {
    if (node.attrs.drop) throw new Error('internal: a dropping scatter has no derivative');
    return SCATTER[node.attrs.kind](or0(base, node.inputs[0]!), or0(updates, node.inputs[2]!), node);
  },
  contract: ({ inputs: [a, b], attrs }, [ta, tb]) =>
    plus(
      ta ? g.contract(ta, b!, attrs.a, attrs.b, attrs.out) : null,
      tb ? g.contract(a!, tb, attrs.a, attrs.b, attrs.out) : null,
    ),

  argSort: none,
  matrix: (node, tangents) => MATRIX_JVP[node.attrs.routine](node, tangents),
  random: none,

  custom: (node, tangents, shared) => {
    const { rule, output } = node.attrs;
    const args = node.inputs.slice(1);
    return once(shared, rule, () => rule.jvp(args, resultsOf(rule, args, [node]), tangents))[output] ?? null;
  },
  loop: ({ inputs, attrs: { loop, output } }, tangents, shared) =>
    once(shared, loop, () => loopTangents(loop, inputs, tangents, jvp))(output),
  choose: ({ inputs, attrs: { choice, output } }, tangents, shared) =>
    once(shared, choice, () => choiceTangents(choice, inputs, tangents, jvp))[output] ?? null,
};

/** What a node's tangent comes from: its inputs, or the arguments of a function with a rule of its own. */
const sourcesOf = (node: Node): readonly Node[] => (node.is('custom') ? node.inputs.slice(1) : node.inputs);

function once<T>(shared: Map<object, unknown>, key: object, make: () => T): T {
  const made = (shared.get(key) as T | undefined) ?? make();
  shared.set(key, made);
  return made;
}

/**
 * Tangents of `outputs` given those of `wrt` (same shapes and dtypes): the Jacobian-vector product. Nodes of `wrt`
 * count as independent of each other.
 *
 * @returns one node per output, null where it depends on none of `wrt`
 */
export function jvp(outputs: readonly Node[], wrt: readonly Node[], tangents: readonly Node[]): (Node | null)[] {
  const known = new Map<Node, Node>(wrt.map((node, i) => [node, tangents[i]!]));
  const isGiven = new Set(wrt);
  const shared = new Map<object, unknown>();
  for (const node of topologicalOrder(outputs, node => isGiven.has(node), sourcesOf)) {
    if (known.has(node) || !isFloat(node.dtype)) continue;
    const parts = sourcesOf(node).map(input => known.get(input) ?? null);
    if (parts.every(part => part === null)) continue;
    const tangent = (RULES[node.op] as JvpRule<Primitive>)(node, parts, shared);
    if (tangent) known.set(node, tangent);
  }
  return outputs.map(output => known.get(output) ?? null);
}
