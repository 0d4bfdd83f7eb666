/**
 * From the user's graph to a `Flow`: dead code falls away, equal subexpressions become one value, detach and barrier become the
 * value they pass on (a barrier keeps what is computed from it apart from its twins). Linear in the graph, without recursion.
 */
import type { Attrs, AxisMap, Node, Primitive } from '../graph/node.ts';
import { identityAxis } from '../graph/reindex.ts';
import { type Flow, storage, Value } from './flow.ts';
import type { GraphProgram } from './program.ts';

const axesKey = (axes: readonly AxisMap[]): string =>
  axes.map(map => `${map.terms.map(([d, c]) => `${d}*${c}`).join('+')}+${map.offset}/${map.div}`).join(';');

type AttrKey = { readonly [P in Primitive]: (attrs: Attrs[P]) => string };

const nothing = (): string => '';

/** What tells two values of one op, inputs, shape and dtype apart. */
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
  gather: a => `${a.axis},${a.what}`,
  reduce: a => `${a.kind},${a.axes}`,
  argReduce: a => `${a.kind},${a.axis}`,
  scan: a => `${a.kind},${a.axis},${a.reverse}`,
  scatter: a => `${a.kind},${a.axis},${a.what}`,
  contract: a => `${a.a}|${a.b}|${a.out}`,
  argSort: a => `${a.axis},${a.descending}`,
  random: nothing,
};

export function normalise(program: GraphProgram): Flow {
  const leafIndex = new Map<Node, number>();
  program.leaves.forEach((leaf, i) => {
    if (!leafIndex.has(leaf)) leafIndex.set(leaf, i);
  });
  const values: Value[] = [];
  const leaves: (Value | null)[] = program.leaves.map(() => null);
  /** What readers of a node read, and a number that tells its computation apart (barriers have their own). */
  const made = new Map<Node, { readonly value: Value; readonly key: number; readonly group: number }>();
  const known = new Map<string, { readonly value: Value; readonly key: number; readonly group: number }>();
  let keys = 0;

  const visit = (node: Node): void => {
    const leaf = leafIndex.get(node) ?? -1;
    if (leaf >= 0) {
      const value = new Value(values.length, node.op, node.attrs, [], node.shape, node.dtype, leaf, node.id, 0);
      values.push(value);
      leaves[leaf] = value;
      made.set(node, { value, key: keys++, group: 0 });
      return;
    }
    const inputs = node.inputs.map(input => made.get(input)!);
    if (node.op === 'detach') {
      made.set(node, inputs[0]!);
      return;
    }
    const attrs = (ATTR_KEY[node.op] as (attrs: Attrs[Primitive]) => string)(node.attrs);
    const key = `${node.op}|${node.dtype}|${node.shape}|${inputs.map(input => input.key)}|${attrs}`;
    const twin = known.get(key);
    if (twin) {
      made.set(node, twin);
      return;
    }
    let entry: { value: Value; key: number; group: number };
    if (node.is('barrier')) entry = { value: inputs[0]!.value, key: keys++, group: node.attrs.group + 1 };
    else {
      const group = inputs.reduce((g, input) => Math.max(g, input.group), 0);
      const value = new Value(
        values.length,
        node.op,
        node.attrs,
        inputs.map(input => input.value),
        node.shape,
        node.dtype,
        -1,
        node.id,
        group,
      );
      values.push(value);
      entry = { value, key: keys++, group };
    }
    known.set(key, entry);
    made.set(node, entry);
  };

  const roots = [...program.outputs, ...program.updates.map(update => update.node)];
  const stack: Node[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (made.has(node)) {
        stack.pop();
        continue;
      }
      let ready = true;
      if (!leafIndex.has(node)) {
        for (let i = node.inputs.length - 1; i >= 0; i--) {
          const input = node.inputs[i]!;
          if (!made.has(input)) {
            stack.push(input);
            ready = false;
          }
        }
      }
      if (!ready) continue;
      stack.pop();
      visit(node);
    }
  }
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
  return { values, leaves, outputs: program.outputs.map(node => made.get(node)!.value), updates, sameMemory: memory };
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
