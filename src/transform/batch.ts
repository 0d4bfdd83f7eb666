/**
 * Vectorising map: one rule per primitive says how it computes many examples at once, given which of its inputs have an
 * axis of examples. That axis is always the first one here. Imports the graph only; built from primitives, so it
 * composes with vjp and jvp.
 */
import * as g from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Checkpoint, Node, Primitive } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { identityAxis } from '../graph/reindex.ts';
import { moveAxis, spread } from './arithmetic.ts';
import { batchedChoice } from './choices.ts';
import { newGroup, referencesOf } from './copy.ts';
import { batchedRule } from './custom.ts';
import { batchedLoop } from './loops.ts';

/** What the rules know of the map they work for. */
export interface Batching {
  /** Examples. */
  readonly size: number;
  /**
   * Whether random numbers drawn by the mapped function differ from example to example; else all examples share them.
   */
  readonly different: boolean;
  /** The batched twin of a node, or null for one that is the same for all examples. */
  of(node: Node): Node | null;
  /** Nodes that stand for one example, and the batched ones beside them. */
  readonly examples: readonly Node[];
  readonly batched: readonly Node[];
  /** Nodes with smaller ids are shared by all examples. */
  readonly since: number;
  /** What was made once for several nodes (the outputs of one checkpoint, say), by what they share. */
  readonly shared: Map<object, unknown>;
}

/** Batched inputs in order; null stands for an input that all examples share. */
type Inputs = readonly (Node | null)[];
/** Null where the result is the same for all examples after all. */
type BatchRule<P extends Primitive> = (node: Node<P>, inputs: Inputs, batching: Batching) => Node | null;

/** Input `i` with an axis of examples, whether or not it differs between them. */
const full = (node: Node, inputs: Inputs, i: number, { size }: Batching): Node =>
  inputs[i] ?? spread(node.inputs[i]!, size);

/** What is made once for all nodes that share `key`. */
function once<T>({ shared }: Batching, key: object, make: () => T): T {
  const made = (shared.get(key) as T | undefined) ?? make();
  shared.set(key, made);
  return made;
}

const never = (node: Node): never => {
  throw new Error(`internal: ${node.op} has no inputs to batch`);
};

/**
 * x[b, pre, n, post] with the examples laid out along n: [b * n, pre, post]. A gather or scatter that differs by
 * example becomes one along that axis, at positions from `positions`.
 */
const lined = (x: Node, axis: number): Node => {
  const moved = moveAxis(x, axis + 1, 1);
  return g.reshape(moved, [moved.shape[0]! * moved.shape[1]!, ...moved.shape.slice(2)]);
};

/** index[b, ...] in [0, n) as positions along `lined`; still refuses what is outside. */
function positions(index: Node, n: number, what: string): Node {
  const size = index.shape[0]!;
  const dtype = size * n < 2 ** 31 ? 'i32' : 'i64';
  const inside = g.cast(g.checkIndex(index, n, what), dtype);
  const start = g.binary('mul', g.iota(size, dtype), g.full(n, [size], dtype));
  return g.binary('add', inside, g.reindex(start, index.shape, [identityAxis(0)]));
}

const RULES: { readonly [P in Primitive]: BatchRule<P> } = {
  constant: never,
  data: never,
  variable: never,
  placeholder: never,
  iota: never,

  unary: (node, [x]) => g.unary(node.attrs.fn, x!),
  binary: (node, inputs, batching) =>
    g.binary(node.attrs.fn, full(node, inputs, 0, batching), full(node, inputs, 1, batching)),
  compare: (node, inputs, batching) =>
    g.compare(node.attrs.fn, full(node, inputs, 0, batching), full(node, inputs, 1, batching)),
  where: (node, inputs, batching) =>
    g.where(full(node, inputs, 0, batching), full(node, inputs, 1, batching), full(node, inputs, 2, batching)),
  cast: (node, [x]) => g.cast(x!, node.dtype),
  bitcast: (node, [x]) => g.bitcast(x!, node.dtype),
  checkIndex: (node, [x]) => g.checkIndex(x!, node.attrs.size, node.attrs.what),
  detach: (_, [x]) => g.detach(x!),
  barrier: (node, inputs, batching) => {
    const { group, checkpoint } = node.attrs;
    const x = full(node, inputs, 0, batching);
    if (group === 0) return g.marked(x);
    const after = inputs.slice(1).map((input, i) => input ?? node.inputs[i + 1]!);
    const batched = (of: Checkpoint): Checkpoint =>
      once(batching, of, () => ({ inputs: of.inputs.map(input => batching.of(input) ?? input) }));
    return g.barrier(x, group, { after, checkpoint: checkpoint && batched(checkpoint) });
  },

  reshape: (node, [x], { size }) => g.reshape(x!, [size, ...node.shape]),
  reindex: (node, [x], { size }) => {
    const { axes, fill } = node.attrs;
    const moved = axes.map(map => ({ ...map, terms: map.terms.map(([dim, coef]) => [dim + 1, coef] as const) }));
    return g.reindex(x!, [size, ...node.shape], [identityAxis(0), ...moved], fill);
  },
  concat: (node, inputs, batching) =>
    g.concat(
      inputs.map((_, i) => full(node, inputs, i, batching)),
      node.attrs.axis + 1,
    ),
  gather: (node, [x, index], { size }) => {
    const { axis, what } = node.attrs;
    const [single] = node.inputs as [Node];
    if (!index) return g.gather(x!, node.inputs[1]!, axis + 1, what);
    if (!x) return moveAxis(g.gather(single, index, axis, what), axis, 0);
    // [b * n, pre, post] at [b, ...index] -> [b, ...index, pre, post]
    const found = g.gather(lined(x, axis), positions(index, single.shape[axis]!, what), 0, what);
    const count = index.shape.length - 1;
    const order = [
      0,
      ...single.shape.slice(0, axis).map((_, d) => 1 + count + d),
      ...index.shape.slice(1).map((_, d) => 1 + d),
      ...single.shape.slice(axis + 1).map((_, d) => 1 + count + axis + d),
    ];
    return g.reshape(g.permute(found, order), [size, ...node.shape]);
  },

  reduce: (node, [x]) =>
    g.reduce(
      node.attrs.kind,
      x!,
      node.attrs.axes.map(d => d + 1),
    ),
  argReduce: (node, [x]) => g.argReduce(node.attrs.kind, x!, node.attrs.axis + 1),
  scan: (node, [x]) => g.scan(node.attrs.kind, x!, node.attrs.axis + 1, node.attrs.reverse),
  scatter: (node, inputs, batching) => {
    const { kind, axis, what, drop } = node.attrs;
    const base = full(node, inputs, 0, batching);
    const updates = full(node, inputs, 2, batching);
    const index = inputs[1];
    if (!index) return g.scatter(kind, base, node.inputs[1]!, updates, axis + 1, what, drop);
    if (drop) throw new Error('internal: vmap of a dropping scatter whose indices differ by example');
    const n = node.shape[axis]!;
    // updates [b, pre, ...index, post] -> [b, ...index, pre, post]
    const count = index.shape.length - 1;
    const order = [
      0,
      ...index.shape.slice(1).map((_, d) => 1 + axis + d),
      ...node.shape.slice(0, axis).map((_, d) => 1 + d),
      ...node.shape.slice(axis + 1).map((_, d) => 1 + axis + count + d),
    ];
    const into = lined(base, axis);
    const done = g.scatter(kind, into, positions(index, n, what), g.permute(updates, order), 0, what);
    return moveAxis(g.reshape(done, [batching.size, n, ...done.shape.slice(1)]), 1, axis + 1);
  },
  contract: (node, [a, b]) => {
    const { attrs } = node;
    const label = 1 + Math.max(-1, ...attrs.a, ...attrs.b, ...attrs.out);
    const with1 = (batched: Node | null | undefined, labels: readonly number[]): readonly number[] =>
      batched ? [label, ...labels] : labels;
    return g.contract(a ?? node.inputs[0]!, b ?? node.inputs[1]!, with1(a, attrs.a), with1(b, attrs.b), [
      label,
      ...attrs.out,
    ]);
  },

  argSort: (node, [x]) => g.argSort(x!, node.attrs.axis + 1, node.attrs.descending),
  // Leading dims are a batch already.
  matrix: (node, inputs, batching) =>
    g.matrix(node.attrs.routine, ...inputs.map((_, i) => full(node, inputs, i, batching))),
  random: (node, [key], { size }) => {
    if (!key) return g.random(node.inputs[0]!, [size, ...node.shape]);
    // Every example has a key of its own: a stretch of the stream each.
    const rows = Array.from({ length: size }, (_, b) => {
      const own = g.reshape(g.slice(key, [b, 0], [1, 2]), [2]);
      return g.reshape(g.random(own, node.shape), [1, ...node.shape]);
    });
    return g.concat(rows, 0);
  },

  custom: (node, inputs, batching) => {
    const { rule, output } = node.attrs;
    const args = node.inputs.slice(1);
    const differs = args.map((_, i) => inputs[i + 1] !== null);
    const own = once(batching, rule, () => batchedRule(rule, differs, batching, batch));
    return g.custom(
      full(node, inputs, 0, batching),
      args.map((arg, i) => inputs[i + 1] ?? arg),
      own,
      output,
    );
  },
  loop: (node, inputs, batching) => {
    const { loop, output } = node.attrs;
    return once(batching, loop, () => batchedLoop(loop, node.inputs, inputs, batching, batch))(output);
  },
  choose: (node, inputs, batching) => {
    const { choice, output } = node.attrs;
    return once(batching, choice, () => batchedChoice(choice, node.inputs, inputs, batching, batch))[output]!;
  },
};

export interface BatchOptions {
  readonly size: number;
  readonly different: boolean;
  /** Nodes with smaller ids were there before the mapped function ran: all examples share them. */
  readonly since?: number;
}

/**
 * The `outputs` of many examples at once, where each node of `examples` stands for one example of the `batched` node
 * beside it (whose first axis counts examples).
 *
 * @returns one node per output, with the axis of examples first; null where it is the same for all examples
 */
export function batch(
  outputs: readonly Node[],
  examples: readonly Node[],
  batched: readonly Node[],
  { size, different, since = 0 }: BatchOptions,
): (Node | null)[] {
  const ends = new Set<Node>();
  for (const node of topologicalOrder(outputs, other => other.id < since, referencesOf))
    if (node.is('barrier')) for (const end of node.attrs.checkpoint?.inputs ?? []) ends.add(end);
  // A barrier behind each end of a checkpoint: built anew, the interior must not read past it, or what is computed
  // again would, too.
  const opaque = (node: Node, twin: Node): Node => (ends.has(node) ? g.barrier(twin, newGroup()) : twin);
  const known = new Map<Node, Node | null>(examples.map((example, i) => [example, opaque(example, batched[i]!)]));
  const batching: Batching = {
    size,
    different,
    since,
    examples,
    batched,
    of: node => known.get(node) ?? null,
    shared: new Map(),
  };
  const isShared = (node: Node): boolean => known.has(node) || node.id < since;
  for (const node of topologicalOrder(outputs, isShared, referencesOf)) {
    if (isShared(node)) continue;
    const inputs = node.inputs.map(input => known.get(input) ?? null);
    const drawn = different && node.op === 'random';
    if (!drawn && inputs.every(input => input === null)) {
      known.set(node, null);
      continue;
    }
    const rule = RULES[node.op] as BatchRule<Primitive>;
    const make = (): Node | null => rule(node, inputs, batching);
    // What noGrad has cut off stays cut off.
    const twin = isFloat(node.dtype) && !node.requiresGrad ? g.withoutGradient(make) : make();
    known.set(node, twin && opaque(node, twin));
  }
  return outputs.map(output => known.get(output) ?? null);
}
