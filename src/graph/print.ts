/**
 * A graph as text, one node a line, inputs before readers: for TENON_DEBUG=graph, for tests, for people. Knows the
 * graph only.
 */
import type { Body } from './control.ts';
import type { Attrs, AxisMap, Node, Primitive } from './node.ts';
import { topologicalOrder } from './order.ts';

/** A dim of the result by letter: i, j, k, l, m, n, then d6, d7, ... */
const dimName = (d: number): string => 'ijklmn'[d] ?? `d${d}`;

/** `2*i - j + 1`, over `div` where it is not 1. */
function axisText({ terms, offset, div }: AxisMap): string {
  let text = '';
  const put = (amount: number, what: string): void => {
    if (text) text += amount < 0 ? ' - ' : ' + ';
    else if (amount < 0) text += '-';
    text += what;
  };
  for (const [dim, coef] of terms) put(coef, `${Math.abs(coef) === 1 ? '' : `${Math.abs(coef)}*`}${dimName(dim)}`);
  if (offset !== 0 || !text) put(offset, String(Math.abs(offset)));
  return div === 1 ? text : `(${text}) / ${div}`;
}

const labels = (of: readonly number[], names: Map<number, string>): string => of.map(l => names.get(l)!).join('');

/** Labels by letter in order of appearance, as einsum writes them: `ij,jk->ik`. */
function contractText({ a, b, out }: Attrs['contract']): string {
  const names = new Map<number, string>();
  for (const label of [...a, ...b]) {
    if (!names.has(label)) names.set(label, names.size < 18 ? String.fromCharCode(105 + names.size) : `(${label})`);
  }
  return `${labels(a, names)},${labels(b, names)}->${labels(out, names)}`;
}

const nothing = (): string => '';

/** What stands after the name of a primitive. */
const ATTRS: { readonly [P in Primitive]: (attrs: Attrs[P], node: Node) => string } = {
  constant: a => String(a.value),
  data: nothing,
  variable: a => (a.variable.name ? JSON.stringify(a.variable.name) : ''),
  placeholder: a => JSON.stringify(a.name),
  iota: nothing,
  unary: a => a.fn,
  binary: a => a.fn,
  compare: a => a.fn,
  where: nothing,
  cast: nothing,
  bitcast: nothing,
  checkIndex: a => `${JSON.stringify(a.what)} < ${a.size}`,
  detach: nothing,
  barrier: a => `group ${a.group}${a.checkpoint ? ' checkpoint' : ''}`,
  reshape: nothing,
  reindex: (a, { shape }) =>
    `[${shape.map((_, d) => dimName(d)).join(', ')}] <- [${a.axes.map(axisText).join(', ')}]${a.fill ? ` else ${a.fill}` : ''}`,
  concat: a => `axis ${a.axis}`,
  gather: a => `axis ${a.axis}`,
  reduce: a => `${a.kind} over ${a.axes.join(', ')}`,
  argReduce: a => `${a.kind} over ${a.axis}`,
  scan: a => `${a.kind} over ${a.axis}${a.reverse ? ' reversed' : ''}`,
  scatter: a => `${a.kind} axis ${a.axis}`,
  contract: contractText,
  argSort: a => `axis ${a.axis}${a.descending ? ' descending' : ''}`,
  matrix: a => a.routine,
  random: nothing,
  custom: a => (a.output ? `result ${a.output}` : ''),
  loop: ({ loop, output }) => {
    const steps = loop.cond ? `while, at most ${loop.length ?? 'any'} steps` : `${loop.length} steps`;
    return `${steps}${loop.reverse ? ' reversed' : ''}, result ${output}`;
  },
  choose: a => `result ${a.output}`,
};

/** Elementwise families are known by the function's name alone. */
const isFamily = (node: Node): boolean => node.is('unary') || node.is('binary') || node.is('compare');

/**
 * The graph under `roots`, a line for each node: number, type, primitive with its attributes, numbers of its inputs.
 * Nodes that have a value are leaves, as they are for a program.
 */
export function printGraph(roots: readonly Node[]): string {
  const isKnown = (node: Node): boolean => node.value !== null;
  const number = new Map<Node, number>();
  const lines = topologicalOrder(roots, isKnown).map((node, i) => {
    number.set(node, i);
    const left = `%${i}: ${node.dtype}[${node.shape.join(', ')}]`;
    if (isKnown(node) && node.op !== 'data' && node.op !== 'variable') return `${left} = known ${node.op}`;
    const attrs = (ATTRS[node.op] as (attrs: Attrs[Primitive], node: Node) => string)(node.attrs, node);
    const name = isFamily(node) ? attrs : [node.op, attrs].filter(Boolean).join(' ');
    const inputs = node.inputs.map(input => `%${number.get(input)}`).join(', ');
    return `${left} = ${name}${inputs && ` (${inputs})`}`;
  });
  return [
    ...lines,
    `return ${roots.map(root => `%${number.get(root)}`).join(', ')}`,
    ...bodiesText(number.keys()),
  ].join('\n');
}

/** The bodies of control flow among the nodes, in the order of their numbers: each application once. */
function bodiesText(nodes: Iterable<Node>): string[] {
  const bodies = new Map<object, readonly (readonly [name: string, body: Body])[]>();
  for (const node of nodes) {
    if (node.value) continue;
    if (node.is('loop')) {
      const { loop } = node.attrs;
      bodies.set(loop, [['step', loop.body], ...(loop.cond ? [['while', loop.cond] as const] : [])]);
    }
    if (node.is('choose')) {
      const { choice } = node.attrs;
      bodies.set(choice, [
        ['if true', choice.onTrue],
        ['if false', choice.onFalse],
      ]);
    }
  }
  return [...bodies.values()].flat().map(([name, body]) => {
    const text = printGraph(body.outputs).replaceAll(/^/gm, '  ');
    return `${name}:\n${text}`;
  });
}
