/**
 * Reverse mode: one rule per primitive says how the cotangent of its result becomes cotangents of its inputs, as more graph. Imports the
 * graph only. The rules are built from primitives, so gradients of every order follow.
 */
import * as g from '../graph/build.ts';
import type { Node, Primitive, ReduceKind, ScanKind, ScatterKind } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { add, expand, keep, mul, zero } from './arithmetic.ts';
import { recompute } from './checkpoint.ts';
import { BINARY, UNARY } from './elementwise.ts';
import { reduceWeights, scanSources, scatterWeights, survivingUpdates } from './extrema.ts';
import { productOfOthers, scanProductVjp, scatterProductOfOthers } from './products.ts';

/** Cotangents of a node's inputs, in order; null (or nothing) where none flows. */
type Cotangents = readonly (Node | null)[];
type VjpRule<P extends Primitive> = (node: Node<P>, ct: Node) => Cotangents;

const none = (): Cotangents => [];

const REDUCE: { readonly [K in ReduceKind]: (ct: Node, node: Node<'reduce'>, x: Node) => Node } = {
  sum: ct => ct,
  prod: (ct, { attrs }, x) => mul(ct, productOfOthers(x, attrs.axes)),
  max: (ct, node, x) => mul(ct, reduceWeights(x, node, node.attrs.axes)),
  min: (ct, node, x) => mul(ct, reduceWeights(x, node, node.attrs.axes)),
};

/** Every element of a running extreme sends its cotangent to the element it equals. */
const scanExtreme = (ct: Node, node: Node<'scan'>): Node => {
  const empty = g.full(0, [ct.size], ct.dtype);
  return g.reshape(g.scatter('add', empty, scanSources(node), g.reshape(ct, [ct.size]), 0), ct.shape);
};

const SCAN: { readonly [K in ScanKind]: (ct: Node, node: Node<'scan'>, x: Node) => Node } = {
  sum: (ct, { attrs }) => g.scan('sum', ct, attrs.axis, !attrs.reverse),
  prod: (ct, { attrs }, x) => scanProductVjp(ct, x, attrs.axis, attrs.reverse),
  max: scanExtreme,
  min: scanExtreme,
};

/** What arrives at the places the updates went to. */
const atUpdates = (x: Node, { inputs, attrs }: Node<'scatter'>): Node =>
  g.gather(x, inputs[1]!, attrs.axis, attrs.what);

const scatterExtreme = (ct: Node, node: Node<'scatter'>): Cotangents => {
  const weights = scatterWeights(node);
  return [mul(ct, weights.base), null, mul(atUpdates(ct, node), weights.updates)];
};

const SCATTER: { readonly [K in ScatterKind]: (ct: Node, node: Node<'scatter'>) => Cotangents } = {
  set: (ct, node) => {
    const [, index, updates] = node.inputs as [Node, Node, Node];
    const untouched = g.scatter('set', ct, index, zero(updates), node.attrs.axis, node.attrs.what);
    return [untouched, null, keep(survivingUpdates(node), atUpdates(ct, node))];
  },
  add: (ct, node) => [ct, null, atUpdates(ct, node)],
  mul: (ct, node) => {
    const [base, index, updates] = node.inputs as [Node, Node, Node];
    const factors = g.scatter(
      'mul',
      g.full(1, base.shape, base.dtype),
      index,
      updates,
      node.attrs.axis,
      node.attrs.what,
    );
    return [mul(ct, factors), null, mul(atUpdates(ct, node), scatterProductOfOthers(node))];
  },
  max: scatterExtreme,
  min: scatterExtreme,
};

const RULES: { readonly [P in Primitive]: VjpRule<P> } = {
  constant: none,
  data: none,
  variable: none,
  placeholder: none,
  iota: none,

  unary: (node, ct) => [UNARY[node.attrs.fn](ct, node.inputs[0]!, node)],
  binary: (node, ct) => {
    const [a, b] = node.inputs as [Node, Node];
    const [toA, toB] = BINARY[node.attrs.fn];
    return [a.requiresGrad ? toA(ct, a, b, node) : null, b.requiresGrad ? toB(ct, a, b, node) : null];
  },
  compare: none,
  where: ({ inputs: [condition] }, ct) => [null, keep(condition!, ct), g.where(condition!, zero(ct), ct)],
  cast: ({ inputs: [x] }, ct) => [g.cast(ct, x!.dtype)],
  bitcast: none,
  checkIndex: none,
  detach: none,
  barrier: (_, ct) => [ct],

  reshape: ({ inputs: [x] }, ct) => [g.reshape(ct, x!.shape)],
  reindex: ({ inputs: [x], attrs }, ct) => [g.reindexTranspose(ct, attrs.axes, x!.shape)],
  // what was read several times collects several cotangents
  gather: ({ inputs: [x, index], attrs }, ct) => [g.scatter('add', zero(x!), index!, ct, attrs.axis, attrs.what)],

  reduce: (node, ct) => {
    const [x] = node.inputs as [Node];
    return [REDUCE[node.attrs.kind](expand(ct, node.attrs.axes, x.shape), node, x)];
  },
  argReduce: none,
  scan: (node, ct) => [SCAN[node.attrs.kind](ct, node, node.inputs[0]!)],
  scatter: (node, ct) => SCATTER[node.attrs.kind](ct, node),
  // linear in each operand: the other one and the cotangent contract to its labels
  contract: ({ inputs: [a, b], attrs }, ct) => [
    a!.requiresGrad ? g.contract(ct, b!, attrs.out, attrs.b, attrs.a) : null,
    b!.requiresGrad ? g.contract(a!, ct, attrs.a, attrs.out, attrs.b) : null,
  ],

  argSort: none,
  random: none,
};

const checkpointOf = (node: Node) => (node.is('barrier') ? node.attrs.checkpoint : undefined);

/** What a node's cotangent flows to: its inputs, or those of the whole checkpoint that it is an output of. */
const sourcesOf = (node: Node): readonly Node[] => checkpointOf(node)?.inputs ?? node.inputs;

/**
 * Cotangents of `wrt` given those of `outputs` (same shapes and dtypes): the vector-Jacobian product. Flows only through nodes that
 * require a gradient, so every node of `wrt` must (see `markGrad`). The interior of checkpoints is computed again from its inputs.
 *
 * @returns one node per `wrt`, null where no output depends on it (or only through steps, like `floor`)
 */
export function vjp(outputs: readonly Node[], cotangents: readonly Node[], wrt: readonly Node[]): (Node | null)[] {
  const targets = new Set(wrt);
  const order = topologicalOrder(outputs, node => !node.requiresGrad, sourcesOf);
  // Only what lies between the outputs and wrt is differentiated.
  const leads = new Set<Node>();
  /** Outputs of each checkpoint whose turn has not come yet. */
  const waiting = new Map<object, number>();
  for (const node of order) {
    const through = node.requiresGrad && sourcesOf(node).some(source => leads.has(source));
    if (through || targets.has(node)) leads.add(node);
    const checkpoint = checkpointOf(node);
    if (checkpoint && through) waiting.set(checkpoint, (waiting.get(checkpoint) ?? 0) + 1);
  }

  const total = new Map<Node, Node>();
  const accumulate = (nodes: readonly Node[], parts: Cotangents): void => {
    nodes.forEach((node, i) => {
      const part = parts[i];
      if (!part || !leads.has(node)) return;
      const before = total.get(node);
      total.set(node, before ? add(before, part) : part);
    });
  };
  accumulate(outputs, cotangents);

  const arrived = new Map<object, { readonly node: Node; readonly ct: Node }[]>();
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    if (!leads.has(node)) continue;
    const ct = total.get(node);
    if (!targets.has(node)) total.delete(node);
    const checkpoint = checkpointOf(node);
    if (checkpoint && waiting.has(checkpoint)) {
      const parts = arrived.get(checkpoint) ?? [];
      if (ct) parts.push({ node, ct });
      arrived.set(checkpoint, parts);
      const left = waiting.get(checkpoint)! - 1;
      waiting.set(checkpoint, left);
      // All outputs are there: none of the inputs has had its turn, since every output counts as their reader.
      if (left === 0 && parts.length > 0) {
        const cts = parts.map(part => part.ct);
        const again = recompute(
          checkpoint,
          parts.map(part => part.node.inputs[0]!),
          cts,
        );
        const inner = again.inputs.map((_, k) => k).filter(k => leads.has(checkpoint.inputs[k]!));
        accumulate(
          inner.map(k => checkpoint.inputs[k]!),
          vjp(
            again.outputs,
            cts,
            inner.map(k => again.inputs[k]!),
          ),
        );
      }
      continue;
    }
    if (ct && node.inputs.some(input => leads.has(input)))
      accumulate(node.inputs, (RULES[node.op] as (node: Node, ct: Node) => Cotangents)(node, ct));
  }
  return wrt.map(node => total.get(node) ?? null);
}

/** An identity of `x` that requires a gradient: what explicit transforms differentiate with respect to. */
export const markGrad = (x: Node): Node => g.marked(x);
