/**
 * From the user's graph to a `Flow`: dead code falls away, equal subexpressions become one value, detach and barrier
 * become the value they pass on (a barrier keeps what is computed from it apart from its twins). Linear in the graph,
 * without recursion.
 */
import type { DType } from '../graph/dtype.ts';
import { type Attrs, type AxisMap, isMark, type Node, type Primitive } from '../graph/node.ts';
import { topologicalOrder } from '../graph/order.ts';
import { identityAxis } from '../graph/reindex.ts';
import { type Flow, storage, Value } from './flow.ts';
import { uniform } from './fold-values.ts';
import { longProduct } from './long-products.ts';
import type { GraphProgram } from './program.ts';

function axesKey(axes: readonly AxisMap[]): string {
  let key = '';
  for (let a = 0; a < axes.length; a++) {
    const { terms, offset, div } = axes[a]!;
    for (let t = 0; t < terms.length; t++) key += `${terms[t]![0]}*${terms[t]![1]}+`;
    key += `${offset}/${div};`;
  }
  return key;
}

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

/**
 * What readers of a node read, a number that tells its computation apart (barriers have their own), and the barrier
 * group it belongs to.
 */
export interface Made {
  readonly value: Value;
  readonly key: number;
  readonly group: number;
}

/**
 * A contraction that sums nothing is a product of two views, and fuses as one (per-sample gradients of weights are
 * such).
 */
const isOuterProduct = ({ dtype, attrs: { a, b, out } }: Node<'contract'>): boolean =>
  dtype !== 'bool' && [...a, ...b].every(label => out.includes(label));

/**
 * Sums and products of halves run in f32 and are rounded once, as those of reductions: one by one, 1000 ones of bf16
 * would be 256.
 */
const accumulatesHalves = ({ dtype, attrs: { kind, drop } }: Node<'scatter'>): boolean =>
  (dtype === 'bf16' || dtype === 'f16') && (kind === 'add' || kind === 'mul') && !drop;

export function normalise(program: GraphProgram): Flow {
  const values = new Values();
  const leaves = leavesOf(program);
  const leafValues: (Value | null)[] = program.leaves.map(() => null);
  const roots = [...program.outputs, ...program.updates.map(update => update.node)];
  const order = program.order ?? topologicalOrder(roots, node => leaves.has(node));
  const readers = soleReaders(order, roots, leaves);
  const made = new Map<Node, Made>();
  for (const node of order) {
    const leaf = leaves.get(node);
    const entry = leaf === undefined ? computed(values, node, made, readers) : values.leaf(node, leaf);
    if (leaf !== undefined) leafValues[leaf] = entry.value;
    made.set(node, entry);
  }
  const memory = sameMemory(program.leaves);
  return {
    values: values.all,
    leaves: leafValues,
    outputs: program.outputs.map(node => made.get(node)!.value),
    updates: changes(program, values, made, memory),
    sameMemory: memory,
    lasts: lastingValues(values.all, program.lasting ?? []),
  };
}

/** Where each leaf stands first. */
function leavesOf(program: GraphProgram): ReadonlyMap<Node, number> {
  const leaves = new Map<Node, number>();
  for (const [i, leaf] of program.leaves.entries()) if (!leaves.has(leaf)) leaves.set(leaf, i);
  return leaves;
}

/** The type of a value, and the node it is born with. */
export interface Place {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly born: number;
}

/** The values made so far, one for each computation. */
export class Values {
  readonly all: Value[] = [];
  private readonly known = new Map<string, Made>();
  private keys = 0;

  private add(
    op: Primitive,
    attrs: Attrs[Primitive],
    inputs: Value[],
    { shape, dtype, born }: Place,
    leaf = -1,
    group = 0,
  ): Value {
    const value = new Value(this.all.length, op, attrs, inputs, shape, dtype, leaf, born, group);
    this.all.push(value);
    return value;
  }

  leaf({ op, attrs, shape, dtype, id }: Node, leaf: number): Made {
    return { value: this.add(op, attrs, [], { shape, dtype, born: id }, leaf), key: this.keys++, group: 0 };
  }

  /** A value without elements, whatever would compute it: index arithmetic may not divide by its sizes. */
  empty({ shape, dtype, id: born }: Node): Made {
    const literal = this.add('constant', { value: dtype === 'i64' ? 0n : 0 }, [], { shape: [], dtype, born });
    const value = this.add('reindex', { axes: [], fill: 0 }, [literal], { shape, dtype, born });
    return { value, key: this.keys++, group: 0 };
  }

  /** The value of an op over inputs made before: a new one, or its twin. */
  enter(op: Primitive, attrs: Attrs[Primitive], inputs: readonly Made[], place: Place): Made {
    const key = `${op}|${place.dtype}|${place.shape}|${inputs.map(input => input.key)}|${attributesKey(op, attrs)}`;
    const twin = this.known.get(key);
    if (twin) return twin;
    const group = inputs.reduce((g, input) => Math.max(g, input.group), 0);
    const sources = inputs.map(input => input.value);
    const entry = { value: this.add(op, attrs, sources, place, -1, group), key: this.keys++, group };
    this.known.set(key, entry);
    return entry;
  }

  /** What a barrier passes on, in a group of its own. */
  behind(barrier: Node<'barrier'>, inputs: readonly Made[]): Made {
    const key = `barrier|${inputs.map(input => input.key)}|${attributesKey('barrier', barrier.attrs)}`;
    const entry = this.known.get(key) ?? {
      value: inputs[0]!.value,
      key: this.keys++,
      group: barrier.attrs.group + 1,
    };
    this.known.set(key, entry);
    return entry;
  }

  copy(root: Value): Value {
    const { shape, dtype, born } = root;
    const axes = shape.map((_, d) => identityAxis(d));
    return this.add('reindex', { axes, fill: 0 }, [root], { shape, dtype, born });
  }
}

/** What readers of a node that is no leaf read. */
function computed(
  values: Values,
  node: Node,
  made: ReadonlyMap<Node, Made>,
  readers: ReadonlyMap<Node, Node | null>,
): Made {
  if (node.size === 0) return values.empty(node);
  const inputs = node.inputs.map(input => made.get(input)!);
  const isIdentity = node.op === 'detach' || node.op === 'custom' || isMark(node);
  if (isIdentity || (node.op === 'reindex' && permutedContract(node.inputs[0]!, readers)?.reader === node))
    return inputs[0]!;
  if (node.is('barrier')) return values.behind(node, inputs);
  if (node.is('contract') && isOuterProduct(node)) return outerProduct(values, node, inputs);
  if (node.is('scatter') && accumulatesHalves(node)) return scatterOfHalves(values, node, inputs);
  // A contraction writes its result in the order in which it is read.
  const permuted = node.op === 'contract' ? permutedContract(node, readers) : null;
  const shape = permuted?.reader.shape ?? node.shape;
  const place = { shape, dtype: node.dtype, born: node.id };
  const long = node.is('contract') && longProduct(values, permuted?.attrs ?? node.attrs, inputs, place);
  return long || values.enter(node.op, permuted?.attrs ?? node.attrs, inputs, place);
}

/** The product of both sides, each read at the coordinates of the result. */
function outerProduct(values: Values, node: Node<'contract'>, inputs: readonly Made[]): Made {
  const { a, b, out } = node.attrs;
  const place = { shape: node.shape, dtype: node.dtype, born: node.id };
  const stretched = (side: Made, labels: readonly number[]): Made => {
    if (labels.length === out.length && labels.every((label, d) => label === out[d])) return side;
    return values.enter(
      'reindex',
      { axes: labels.map(label => identityAxis(out.indexOf(label))), fill: 0 },
      [side],
      place,
    );
  };
  return values.enter('binary', { fn: 'mul' }, [stretched(inputs[0]!, a), stretched(inputs[1]!, b)], place);
}

/** In f32, rounded once. */
function scatterOfHalves(values: Values, node: Node<'scatter'>, inputs: readonly Made[]): Made {
  const [base, index, updates] = inputs as [Made, Made, Made];
  const place = { shape: node.shape, dtype: node.dtype, born: node.id };
  const wide = (x: Made): Made => {
    const f32 = { shape: x.value.shape, dtype: 'f32', born: node.id } as const;
    if (!Object.is(uniform(x.value), 0)) return values.enter('cast', {}, [x], f32);
    // What starts from zeros needs no memory to start from.
    const zero = values.enter('constant', { value: 0 }, [], { ...f32, shape: [] });
    return values.enter('reindex', { axes: [], fill: 0 }, [zero], f32);
  };
  const sum = values.enter('scatter', node.attrs, [wide(base), index, wide(updates)], { ...place, dtype: 'f32' });
  return values.enter('cast', {}, [sum], place);
}

/** The updates that change something, each with a value that no other update overwrites. */
function changes(
  program: GraphProgram,
  values: Values,
  made: ReadonlyMap<Node, Made>,
  memory: readonly number[],
): Flow['updates'] {
  const written = new Set(program.updates.map(update => memory[update.leaf]!));
  return program.updates.flatMap(({ leaf, node }) => {
    const { value } = made.get(node)!;
    const root = storage(value);
    if (root.leaf < 0) return [{ leaf, value }];
    if (memory[root.leaf] === memory[leaf]) return [];
    // A variable that takes the old value of another one which is written too: the value is moved out of the way first.
    return [{ leaf, value: written.has(memory[root.leaf]!) ? values.copy(root) : value }];
  });
}

/**
 * Which values depend on lasting leaves alone, or on nothing at all: a literal that must be in memory is computed once
 * too.
 */
export function lastingValues(values: readonly Value[], leaves: readonly boolean[]): (value: Value) => boolean {
  const lasting = new Set<Value>();
  if (!leaves.includes(true)) return () => false;
  for (const value of values)
    if (value.leaf >= 0 ? leaves[value.leaf] : value.inputs.every(input => lasting.has(input))) lasting.add(value);
  return value => lasting.has(value);
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

/**
 * For a contraction that is only read through a permutation: the permutation, and the contraction's attributes when it
 * does that itself.
 */
function permutedContract(
  node: Node,
  readers: ReadonlyMap<Node, Node | null>,
): { readonly reader: Node; readonly attrs: Attrs['contract'] } | null {
  if (!node.is('contract') || node.value || isOuterProduct(node)) return null;
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
