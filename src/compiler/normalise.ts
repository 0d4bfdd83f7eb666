/**
 * From the user's graph to a `Flow`: dead code falls away, equal subexpressions become one value, detach and barrier become the
 * value they pass on (a barrier keeps what is computed from it apart from its twins). Linear in the graph, without recursion.
 */
import type { DType } from '../graph/dtype.ts';
import { type Attrs, type AxisMap, isMark, type Node, type Primitive } from '../graph/node.ts';
import { identityAxis } from '../graph/reindex.ts';
import { type Flow, storage, Value } from './flow.ts';
import { uniform } from './fold-values.ts';
import type { GraphProgram } from './program.ts';

const axesKey = (axes: readonly AxisMap[]): string =>
  axes.map(map => `${map.terms.map(([d, c]) => `${d}*${c}`).join('+')}+${map.offset}/${map.div}`).join(';');

type AttrKey = { readonly [P in Primitive]: (attrs: Attrs[P]) => string };

const nothing = (): string => '';

const ATTR_KEY: AttrKey = {
  constant: a => (typeof a.value === 'bigint' ? `${a.value}n` : Object.is(a.value, -0) ? '-0' : String(a.value)),
  data: nothing,
  variable: nothing,
  placeholder: nothing,
  iota: nothing,
  unary: a => a.fn,
  binary: a => a.fn,
  compare: a => a.fn,
  where: nothing,
  cast: nothing,
  bitcast: nothing,
  checkIndex: a => `${a.size},${a.what}`,
  detach: nothing,
  barrier: a => String(a.group),
  reshape: nothing,
  reindex: a => `${axesKey(a.axes)}|${a.fill}`,
  concat: a => String(a.axis),
  gather: a => `${a.axis},${a.what}`,
  reduce: a => `${a.kind},${a.axes}`,
  argReduce: a => `${a.kind},${a.axis}`,
  scan: a => `${a.kind},${a.axis},${a.reverse}`,
  scatter: a => `${a.kind},${a.axis},${a.what},${a.drop}`,
  contract: a => `${a.a}|${a.b}|${a.out}`,
  argSort: a => `${a.axis},${a.descending}`,
  matrix: a => a.routine,
  random: nothing,
  custom: nothing,
  // The runtime runs control flow: compilers see the straight parts between.
  loop: nothing,
  choose: nothing,
};

/** What tells two values of one op, inputs, shape and dtype apart. */
export const attributesKey = (op: Primitive, attrs: Attrs[Primitive]): string =>
  (ATTR_KEY[op] as (attrs: Attrs[Primitive]) => string)(attrs);

/** A value, a number that tells its computation apart, and the barrier group it belongs to. */
interface Made {
  readonly value: Value;
  readonly key: number;
  readonly group: number;
}

/** A contraction that sums nothing is a product of two views, and fuses as one (per-sample gradients of weights are such). */
const isOuterProduct = ({ dtype, attrs: { a, b, out } }: Node<'contract'>): boolean =>
  dtype !== 'bool' && [...a, ...b].every(label => out.includes(label));

/** Sums and products of halves run in f32 and are rounded once, as those of reductions: one by one, 1000 ones of bf16 would be 256. */
const accumulatesHalves = ({ dtype, attrs: { kind, drop } }: Node<'scatter'>): boolean =>
  (dtype === 'bf16' || dtype === 'f16') && (kind === 'add' || kind === 'mul') && !drop;

export function normalise(program: GraphProgram): Flow {
  const leafIndex = new Map<Node, number>();
  program.leaves.forEach((leaf, i) => {
    if (!leafIndex.has(leaf)) leafIndex.set(leaf, i);
  });
  const values: Value[] = [];
  const leaves: (Value | null)[] = program.leaves.map(() => null);
  /** What readers of a node read, and a number that tells its computation apart (barriers have their own). */
  const made = new Map<Node, Made>();
  const known = new Map<string, Made>();
  let keys = 0;

  const roots = [...program.outputs, ...program.updates.map(update => update.node)];
  const order = topologicalOrder(roots, leafIndex);
  const reader = soleReaders(order, roots, leafIndex);

  /** A value without elements, whatever would compute it: index arithmetic may not divide by its sizes. */
  const emptyOf = ({ shape, dtype, id }: Node): Value => {
    const zero = dtype === 'i64' ? 0n : 0;
    const literal = new Value(values.length, 'constant', { value: zero }, [], [], dtype, -1, id, 0);
    values.push(literal);
    const empty = new Value(values.length, 'reindex', { axes: [], fill: 0 }, [literal], shape, dtype, -1, id, 0);
    values.push(empty);
    return empty;
  };

  /** The value of an op over inputs made before: a new one, or its twin. */
  const enter = (
    op: Primitive,
    attrs: Attrs[Primitive],
    inputs: readonly Made[],
    { shape, dtype, born }: { readonly shape: readonly number[]; readonly dtype: DType; readonly born: number },
  ): Made => {
    const key = `${op}|${dtype}|${shape}|${inputs.map(input => input.key)}|${attributesKey(op, attrs)}`;
    const twin = known.get(key);
    if (twin) return twin;
    const group = inputs.reduce((g, input) => Math.max(g, input.group), 0);
    const sources = inputs.map(input => input.value);
    const value = new Value(values.length, op, attrs, sources, shape, dtype, -1, born, group);
    values.push(value);
    const entry = { value, key: keys++, group };
    known.set(key, entry);
    return entry;
  };

  /** `side` of an outer product, read at the coordinates of the result. */
  const stretched = (side: Made, labels: readonly number[], out: readonly number[], node: Node): Made => {
    if (labels.length === out.length && labels.every((label, d) => label === out[d])) return side;
    const axes = labels.map(label => identityAxis(out.indexOf(label)));
    return enter('reindex', { axes, fill: 0 }, [side], { shape: node.shape, dtype: node.dtype, born: node.id });
  };

  const visit = (node: Node): void => {
    const leaf = leafIndex.get(node) ?? -1;
    if (leaf >= 0) {
      const value = new Value(values.length, node.op, node.attrs, [], node.shape, node.dtype, leaf, node.id, 0);
      values.push(value);
      leaves[leaf] = value;
      made.set(node, { value, key: keys++, group: 0 });
      return;
    }
    if (node.size === 0) {
      made.set(node, { value: emptyOf(node), key: keys++, group: 0 });
      return;
    }
    const inputs = node.inputs.map(input => made.get(input)!);
    const isIdentity = node.op === 'detach' || node.op === 'custom' || isMark(node);
    if (isIdentity || permutedContract(node.inputs[0], reader)?.reader === node) {
      made.set(node, inputs[0]!);
      return;
    }
    if (node.is('barrier')) {
      const key = `barrier|${inputs.map(input => input.key)}|${attributesKey('barrier', node.attrs)}`;
      const entry = known.get(key) ?? { value: inputs[0]!.value, key: keys++, group: node.attrs.group + 1 };
      known.set(key, entry);
      made.set(node, entry);
      return;
    }
    const place = { shape: node.shape, dtype: node.dtype, born: node.id };
    if (node.is('contract') && isOuterProduct(node)) {
      const { a, b, out } = node.attrs;
      const sides = [stretched(inputs[0]!, a, out, node), stretched(inputs[1]!, b, out, node)];
      made.set(node, enter('binary', { fn: 'mul' }, sides, place));
      return;
    }
    if (node.is('scatter') && accumulatesHalves(node)) {
      const [base, index, updates] = inputs as [Made, Made, Made];
      const wide = (x: Made): Made => {
        const f32 = { shape: x.value.shape, dtype: 'f32', born: node.id } as const;
        if (!Object.is(uniform(x.value), 0)) return enter('cast', {}, [x], f32);
        // What starts from zeros needs no memory to start from.
        return enter(
          'reindex',
          { axes: [], fill: 0 },
          [enter('constant', { value: 0 }, [], { ...f32, shape: [] })],
          f32,
        );
      };
      const sum = enter('scatter', node.attrs, [wide(base), index, wide(updates)], { ...place, dtype: 'f32' });
      made.set(node, enter('cast', {}, [sum], place));
      return;
    }
    // A contraction writes its result in the order in which it is read.
    const permuted = permutedContract(node, reader);
    const shape = permuted?.reader.shape ?? node.shape;
    made.set(node, enter(node.op, permuted?.attrs ?? node.attrs, inputs, { ...place, shape }));
  };

  for (const node of order) visit(node);
  const memory = sameMemory(program.leaves);
  const written = new Set(program.updates.map(update => memory[update.leaf]!));
  /** A variable that takes the old value of another one which is written too: the value is moved out of the way first. */
  const snapshot = (value: Value): Value => {
    const root = storage(value);
    if (root.leaf < 0 || !written.has(memory[root.leaf]!)) return value;
    const attrs: Attrs['reindex'] = { axes: root.shape.map((_, d) => identityAxis(d)), fill: 0 };
    const copy = new Value(values.length, 'reindex', attrs, [root], root.shape, root.dtype, -1, root.born, 0);
    values.push(copy as unknown as Value);
    return copy as unknown as Value;
  };
  const updates = program.updates.flatMap(({ leaf, node }) => {
    const { value } = made.get(node)!;
    const root = storage(value);
    const unchanged = root.leaf >= 0 && memory[root.leaf] === memory[leaf];
    return unchanged ? [] : [{ leaf, value: snapshot(value) }];
  });
  const outputs = program.outputs.map(node => made.get(node)!.value);
  return { values, leaves, outputs, updates, sameMemory: memory, lasts: lastingValues(values, program.lasting ?? []) };
}

/** Which values depend on lasting leaves alone, or on nothing at all: a literal that must be in memory is computed once too. */
export function lastingValues(values: readonly Value[], leaves: readonly boolean[]): (value: Value) => boolean {
  const lasting = new Set<Value>();
  if (!leaves.includes(true)) return () => false;
  for (const value of values)
    if (value.leaf >= 0 ? leaves[value.leaf] : value.inputs.every(input => lasting.has(input))) lasting.add(value);
  return value => lasting.has(value);
}

/** Every node under `roots`, inputs first, without recursion; leaves are not looked below. */
function topologicalOrder(roots: readonly Node[], leaves: ReadonlyMap<Node, number>): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  const stack: Node[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (done.has(node)) {
        stack.pop();
        continue;
      }
      let ready = true;
      if (!leaves.has(node)) {
        for (let i = node.inputs.length - 1; i >= 0; i--) {
          const input = node.inputs[i]!;
          if (!done.has(input)) {
            stack.push(input);
            ready = false;
          }
        }
      }
      if (!ready) continue;
      stack.pop();
      done.add(node);
      order.push(node);
    }
  }
  return order;
}

/** The only node that reads a node, null where there are several or the program itself wants it. */
function soleReaders(
  order: readonly Node[],
  roots: readonly Node[],
  leaves: ReadonlyMap<Node, number>,
): ReadonlyMap<Node, Node | null> {
  const reader = new Map<Node, Node | null>(roots.map(root => [root, null]));
  for (const node of order) {
    if (leaves.has(node)) continue;
    for (const input of node.inputs) reader.set(input, reader.has(input) ? null : node);
  }
  return reader;
}

/** For a contraction that is only read through a permutation: the permutation, and the contraction's attributes when it does that itself. */
function permutedContract(
  node: Node | undefined,
  readers: ReadonlyMap<Node, Node | null>,
): { readonly reader: Node; readonly attrs: Attrs['contract'] } | null {
  if (!node?.is('contract') || node.value || isOuterProduct(node)) return null;
  const reader = readers.get(node);
  if (!reader?.is('reindex') || reader.value || reader.shape.length !== node.shape.length) return null;
  const out: number[] = Array.from({ length: node.shape.length });
  for (const [a, map] of reader.attrs.axes.entries()) {
    const [term] = map.terms;
    if (map.terms.length !== 1 || term![1] !== 1 || map.offset !== 0 || map.div !== 1) return null;
    if (reader.shape[term![0]] !== node.shape[a]) return null;
    out[term![0]] = node.attrs.out[a]!;
  }
  // A dim that no axis reads is a broadcast.
  for (let d = 0; d < out.length; d++) if (out[d] === undefined) return null;
  return { reader, attrs: { a: node.attrs.a, b: node.attrs.b, out } };
}

function sameMemory(leaves: readonly Node[]): number[] {
  const first = new Map<object, number>();
  return leaves.map((leaf, i) => {
    if (!leaf.is('variable')) return i;
    const known = first.get(leaf.attrs.variable);
    if (known !== undefined) return known;
    first.set(leaf.attrs.variable, i);
    return i;
  });
}
