/**
 * Reverse mode: one rule per primitive says how the cotangent of its result becomes cotangents of its inputs, as more
 * graph. Imports the graph only. The rules are built from primitives, so gradients of every order follow.
 */
import * as g from '../graph/build.ts';
import type { Checkpoint, Node, Primitive, ReduceKind, ScanKind, ScatterKind } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { add, expand, keep, mul, zero } from './arithmetic.ts';
import { recompute } from './checkpoint.ts';
import { choiceCotangents } from './choices.ts';
import { resultsOf } from './custom.ts';
import { BINARY, UNARY } from './elementwise.ts';
import { reduceWeights, scanSources, scatterWeights, survivingUpdates } from './extrema.ts';
import { type Arrived, loopCotangents } from './loops.ts';
import { MATRIX_JVP, solveTriangularVjp, solveVjp } from './matrix.ts';
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

/**
 * The transpose of the routine's derivative, which is linear in the tangents. Solving systems has rules of its own, for
 * all others to end in.
 */
function matrixVjp(node: Node<'matrix'>, ct: Node): Cotangents {
  const { routine } = node.attrs;
  if (routine === 'solveTriangular') return solveTriangularVjp(node, ct);
  if (routine === 'solve') return solveVjp(node, ct);
  const marks = node.inputs.map(input => (input.requiresGrad ? markGrad(zero(input)) : null));
  const pushed = g.withGradient(() => MATRIX_JVP[routine](node, marks));
  const wrt = marks.filter(mark => mark !== null);
  const found = pushed ? vjp([pushed], [ct], wrt) : wrt.map(() => null);
  return marks.map(mark => (mark ? found[wrt.indexOf(mark)]! : null));
}

/**
 * Nodes that differentiate together with others: all results of one loop, choice or function. Their rules are GROUPS.
 */
type Grouped = 'custom' | 'loop' | 'choose';

const RULES: { readonly [P in Exclude<Primitive, Grouped>]: VjpRule<P> } = {
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
  concat: ({ inputs, attrs: { axis } }, ct) => {
    let before = 0;
    return inputs.map(input => {
      const start = ct.shape.map((_, d) => (d === axis ? before : 0));
      before += input.shape[axis]!;
      return g.slice(ct, start, input.shape);
    });
  },
  // what was read several times collects several cotangents
  gather: ({ inputs: [x, index], attrs }, ct) => [g.scatter('add', zero(x!), index!, ct, attrs.axis, attrs.what)],

  reduce: (node, ct) => {
    const [x] = node.inputs as [Node];
    return [REDUCE[node.attrs.kind](expand(ct, node.attrs.axes, x.shape), node, x)];
  },
  argReduce: none,
  scan: (node, ct) => [SCAN[node.attrs.kind](ct, node, node.inputs[0]!)],
  scatter: (node, ct) => {
    if (node.attrs.drop) throw new Error('internal: a dropping scatter has no derivative');
    return SCATTER[node.attrs.kind](ct, node);
  },
  // linear in each operand: the other one and the cotangent contract to its labels
  contract: ({ inputs: [a, b], attrs }, ct) => [
    a!.requiresGrad ? g.contract(ct, b!, attrs.out, attrs.b, attrs.a) : null,
    b!.requiresGrad ? g.contract(a!, ct, attrs.a, attrs.out, attrs.b) : null,
  ],

  argSort: none,
  matrix: (node, ct) => matrixVjp(node, ct),
  random: none,
};

/** From this many cotangents of disjoint slices on, they are put side by side instead of being padded and added. */
const MANY_SLICES = 4;

/** Where a node is zero but for one stretch of one axis: which, and from where on. */
function placement(node: Node): { readonly axis: number; readonly start: number } | null {
  if (!node.is('reindex') || node.attrs.fill !== 0) return null;
  const { shape } = node.inputs[0]!;
  if (shape.length !== node.shape.length) return null;
  let found: { axis: number; start: number } | null = null;
  for (let d = 0; d < shape.length; d++) {
    const { terms, offset, div } = node.attrs.axes[d]!;
    if (div !== 1 || terms.length !== 1 || terms[0]![0] !== d || terms[0]![1] !== 1) return null;
    if (shape[d] === node.shape[d] && offset === 0) continue;
    if (found || offset > 0 || shape[d]! - offset > node.shape[d]!) return null;
    found = { axis: d, start: -offset };
  }
  return found;
}

/**
 * The sum of cotangents. Those of many slices of one tensor (unbind, split: the steps of a recurrent network) meet no
 * other, and become one concatenation: padding and adding them would read every element once per slice.
 */
function sum(parts: readonly Node[]): Node {
  if (parts.length < MANY_SLICES) return parts.reduce(add);
  const byAxis = new Map<number, { readonly node: Node; readonly start: number }[]>();
  const others: Node[] = [];
  for (const node of parts) {
    const place = placement(node);
    if (!place) others.push(node);
    else byAxis.set(place.axis, [...(byAxis.get(place.axis) ?? []), { node, start: place.start }]);
  }
  for (const [axis, list] of byAxis) {
    list.sort((a, b) => a.start - b.start);
    const end = (i: number): number => list[i]!.start + list[i]!.node.inputs[0]!.shape[axis]!;
    if (list.length < MANY_SLICES || list.some((_, i) => i > 0 && list[i]!.start < end(i - 1))) {
      others.push(...list.map(part => part.node));
      continue;
    }
    const { shape, dtype } = list[0]!.node;
    const gap = (size: number): Node[] =>
      size > 0
        ? [
            g.full(
              0,
              shape.map((n, d) => (d === axis ? size : n)),
              dtype,
            ),
          ]
        : [];
    const row = list.flatMap(({ node, start }, i) => [...gap(start - (i > 0 ? end(i - 1) : 0)), node.inputs[0]!]);
    others.push(g.concat([...row, ...gap(shape[axis]! - end(list.length - 1))], axis));
  }
  return others.reduce(add);
}

/** A result that cotangents have arrived at. */
interface Result {
  readonly node: Node;
  readonly ct: Node;
}

/** Cotangents of the group's sources, from those of the results they have arrived at. */
type GroupRule = (results: readonly Result[], sources: readonly Node[], leads: readonly boolean[]) => Cotangents;

/** What several nodes are results of: the sources their cotangents flow to, and how. Found by the object they share. */
interface Group {
  readonly key: object;
  readonly sources: readonly Node[];
  readonly rule: GroupRule;
}

/** The cotangent of each result by its number: several nodes may stand for one result. */
function arrivedAt(results: readonly Result[]): Arrived[] {
  const byOutput = new Map<number, Node>();
  for (const { node, ct } of results) {
    const { output } = (node as Node<Grouped>).attrs;
    const before = byOutput.get(output);
    byOutput.set(output, before ? add(before, ct) : ct);
  }
  return [...byOutput].map(([output, ct]) => ({ output, ct }));
}

const GROUPS: { readonly [P in Grouped]: (node: Node<P>) => Group } = {
  custom: ({ inputs, attrs: { rule } }) => ({
    key: rule,
    sources: inputs.slice(1),
    rule: (results, args) => {
      const cotangents: (Node | null)[] = Array.from({ length: rule.count }, () => null);
      for (const { output, ct } of arrivedAt(results)) cotangents[output] = ct;
      const nodes = results.map(({ node }) => node as Node<'custom'>);
      return rule.vjp(args, resultsOf(rule, args, nodes), cotangents);
    },
  }),
  loop: ({ inputs, attrs: { loop } }) => ({
    key: loop,
    sources: inputs,
    rule: (results, sources, leads) => loopCotangents(loop, sources, arrivedAt(results), leads, vjp),
  }),
  choose: ({ inputs, attrs: { choice } }) => ({
    key: choice,
    sources: inputs,
    rule: (results, sources, leads) => choiceCotangents(choice, sources, arrivedAt(results), leads, vjp),
  }),
};

/** The outputs of a checkpoint: its interior is computed again, once all their cotangents are there. */
const checkpointGroup = (checkpoint: Checkpoint): Group => ({
  key: checkpoint,
  sources: checkpoint.inputs,
  rule: (results, sources, leads) => {
    const cts = results.map(({ ct }) => ct);
    const again = recompute(
      checkpoint,
      results.map(({ node }) => node.inputs[0]!),
      cts,
    );
    const inner = sources.map((_, k) => k).filter(k => leads[k]);
    const found = vjp(
      again.outputs,
      cts,
      inner.map(k => again.inputs[k]!),
    );
    return sources.map((_, k) => (leads[k] ? found[inner.indexOf(k)]! : null));
  },
});

function groupOf(node: Node): Group | null {
  if (node.is('barrier')) return node.attrs.checkpoint ? checkpointGroup(node.attrs.checkpoint) : null;
  if (node.is('custom')) return GROUPS.custom(node);
  if (node.is('loop')) return GROUPS.loop(node);
  if (node.is('choose')) return GROUPS.choose(node);
  return null;
}

/** What a node's cotangent flows to: its inputs, or the sources of the group it is a result of. */
const sourcesOf = (node: Node): readonly Node[] => groupOf(node)?.sources ?? node.inputs;

/**
 * Cotangents of `wrt` given those of `outputs` (same shapes and dtypes): the vector-Jacobian product. Flows only
 * through nodes that require a gradient, so every node of `wrt` must (see `markGrad`). The interior of checkpoints is
 * computed again from its inputs.
 *
 * @returns one node per `wrt`, null where no output depends on it (or only through steps, like `floor`)
 */
export function vjp(outputs: readonly Node[], cotangents: readonly Node[], wrt: readonly Node[]): (Node | null)[] {
  const targets = new Set(wrt);
  const order = topologicalOrder(outputs, node => !node.requiresGrad, sourcesOf);
  // Only what lies between the outputs and wrt is differentiated.
  const leads = new Set<Node>();
  /** Results of each group whose turn has not come yet. */
  const waiting = new Map<object, number>();
  for (const node of order) {
    const group = groupOf(node);
    const sources = group?.sources ?? node.inputs;
    const through = node.requiresGrad && sources.some(source => leads.has(source));
    if (through || targets.has(node)) leads.add(node);
    if (group && through) waiting.set(group.key, (waiting.get(group.key) ?? 0) + 1);
  }

  const total = new Map<Node, Node[]>();
  const accumulate = (nodes: readonly Node[], parts: Cotangents): void => {
    nodes.forEach((node, i) => {
      const part = parts[i];
      if (!part || !leads.has(node)) return;
      const before = total.get(node);
      if (before) before.push(part);
      else total.set(node, [part]);
    });
  };
  accumulate(outputs, cotangents);

  const arrived = new Map<object, Result[]>();
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    if (!leads.has(node)) continue;
    const parts = total.get(node);
    const ct = parts && sum(parts);
    if (!targets.has(node)) total.delete(node);
    else if (ct) total.set(node, [ct]);
    const group = groupOf(node);
    if (group && waiting.has(group.key)) {
      const results = arrived.get(group.key) ?? [];
      if (ct) results.push({ node, ct });
      arrived.set(group.key, results);
      const left = waiting.get(group.key)! - 1;
      waiting.set(group.key, left);
      // All results are there: none of the sources has had its turn, since every result counts as their reader.
      if (left === 0 && results.length > 0)
        accumulate(
          group.sources,
          group.rule(
            results,
            group.sources,
            group.sources.map(source => leads.has(source)),
          ),
        );
      continue;
    }
    if (ct && node.inputs.some(input => leads.has(input))) accumulate(node.inputs, (RULES as Rules)[node.op](node, ct));
  }
  return wrt.map(node => {
    const parts = total.get(node);
    return parts ? sum(parts) : null;
  });
}

/** Groups are dealt with before: a node of one that leads nowhere has no rule of its own. */
type Rules = { readonly [op: string]: (node: Node, ct: Node) => Cotangents };

/** An identity of `x` that requires a gradient: what explicit transforms differentiate with respect to. */
export const markGrad = (x: Node): Node => g.marked(x);
