/**
 * One rule per primitive of the graph: how its value is computed by ONNX's operators. The table is total; what ONNX has
 * no operator for is refused by name.
 */

import { isFloat, isInt } from '../../../graph/dtype.ts';
import type { Binary, Node, Primitive, Unary } from '../../../graph/node.ts';
import { codeOf, NATURAL } from '../elementTypes.ts';
import { choose, loop, running } from './control.ts';
import { type Lowering, lowered, MATRIX_LOWERED, UNARY_LOWERED } from './lowered.ts';
import { randomBits } from './random.ts';
import { literal, operands, reindex } from './views.ts';
import { isStatic, type Writer } from './writer.ts';

type PrimitiveRules = { readonly [P in Primitive]: (writer: Writer, node: Node<P>) => string };

const first = (writer: Writer, node: Node): string => writer.name(node.inputs[0]!);
const pass = first;

const refused =
  (what: string) =>
  (writer: Writer, _node: Node): never =>
    writer.fail(what);

const UNARY_OPERATORS: Partial<Record<Unary, string>> = {
  abs: 'Abs', atan: 'Atan', ceil: 'Ceil', cos: 'Cos', erf: 'Erf', exp: 'Exp', floor: 'Floor', log: 'Log', neg: 'Neg',
  round: 'Round', sigmoid: 'Sigmoid', sign: 'Sign', sin: 'Sin', sqrt: 'Sqrt', tan: 'Tan', tanh: 'Tanh',
}; // biome-ignore format: a table

const written = (writer: Writer, node: Node, lowering: Lowering): string =>
  writer.values(t => [lowered(lowering, writer.twins(node)[t]!)])[0]!;

function unary(writer: Writer, node: Node<'unary'>): string {
  const { graph } = writer;
  const { fn } = node.attrs;
  const x = first(writer, node);
  const scalar = (value: number): string => graph.scalar(value, node.dtype);
  const operator = UNARY_OPERATORS[fn];
  if (operator) return graph.node(operator, [x]);
  switch (fn) {
    case 'not':
      return graph.node(node.dtype === 'bool' ? 'Not' : 'BitwiseNot', [x]);
    case 'trunc':
      return graph.node('Mul', [graph.node('Sign', [x]), graph.node('Floor', [graph.node('Abs', [x])])]);
    case 'expm1': {
      // tanh(x / 2) (exp(x) + 1) = exp(x) - 1, without cancellation near 0.
      const half = graph.node('Tanh', [graph.node('Mul', [x, scalar(0.5)])]);
      return graph.node('Mul', [half, graph.node('Add', [graph.node('Exp', [x]), scalar(1)])]);
    }
    case 'log1p': {
      // 2 atanh(x / (x + 2)) = log(1 + x), exact near 0; the plain logarithm elsewhere.
      const near = graph.node('Less', [graph.node('Abs', [x]), scalar(0.5)]);
      const ratio = graph.node('Div', [x, graph.node('Add', [x, scalar(2)])]);
      const safe = graph.node('Where', [near, ratio, scalar(0)]);
      const small = graph.node('Mul', [graph.node('Atanh', [safe]), scalar(2)]);
      return graph.node('Where', [near, small, graph.node('Log', [graph.node('Add', [x, scalar(1)])])]);
    }
    default:
      return written(writer, node, UNARY_LOWERED[fn] ?? writer.fail(`ONNX has no operator for ${fn}`));
  }
}

const BINARY_OPERATORS: Partial<Record<Binary, string>> = {
  add: 'Add', sub: 'Sub', mul: 'Mul', div: 'Div', pow: 'Pow', min: 'Min', max: 'Max',
}; // biome-ignore format: a table

function binary(writer: Writer, node: Node<'binary'>): string {
  const { graph } = writer;
  const { fn } = node.attrs;
  const { dtype } = node;
  const [a, b] = node.inputs as [Node, Node];
  if (isFloat(dtype)) {
    if (fn === 'max' && literal(writer, b) === 0) return graph.node('Relu', [writer.name(a)]);
    if (fn === 'max' && literal(writer, a) === 0) return graph.node('Relu', [writer.name(b)]);
    const inner =
      fn === 'min' && literal(writer, b) !== null && a.is('binary') && a.attrs.fn === 'max' && !a.value ? a : null;
    const low = inner ? literal(writer, inner.inputs[1]!) : null;
    if (inner && low !== null)
      return graph.node('Clip', [
        writer.name(inner.inputs[0]!),
        graph.scalar(low, dtype),
        graph.scalar(literal(writer, b)!, dtype),
      ]);
  }
  const [p, q] = operands(writer, node) as [string, string];
  const operator = BINARY_OPERATORS[fn];
  if (operator) return graph.node(operator, [p, q]);
  const logic = dtype === 'bool' ? '' : 'Bitwise';
  switch (fn) {
    case 'and':
      return graph.node(`${logic}And`, [p, q]);
    case 'or':
      return graph.node(`${logic}Or`, [p, q]);
    case 'xor':
      return graph.node(`${logic}Xor`, [p, q]);
    case 'mod':
      return isInt(dtype)
        ? graph.node('Mod', [p, q])
        : graph.node('Sub', [p, graph.node('Mul', [q, graph.node('Floor', [graph.node('Div', [p, q])])])]);
    case 'floorDiv':
      // Of integers: what is left after the floored remainder divides evenly.
      return isInt(dtype)
        ? graph.node('Div', [graph.node('Sub', [p, graph.node('Mod', [p, q])]), q])
        : graph.node('Floor', [graph.node('Div', [p, q])]);
    case 'shl':
      return graph.node('Mul', [p, graph.node('Pow', [graph.scalar(2, dtype), q])]);
    case 'shr': {
      const power = graph.node('Pow', [graph.scalar(2, dtype), q]);
      return graph.node('Div', [graph.node('Sub', [p, graph.node('Mod', [p, power])]), power]);
    }
    default:
      return arcTangent(writer, p, q, dtype);
  }
}

/** The angle of (q, p) from atan(p / q), moved by pi where q is negative. */
function arcTangent(writer: Writer, p: string, q: string, dtype: Node['dtype']): string {
  const { graph } = writer;
  const scalar = (value: number): string => graph.scalar(value, dtype);
  const zero = scalar(0);
  const vertical = graph.node('Equal', [q, zero]);
  const side = graph.node('Where', [graph.node('Less', [p, zero]), scalar(-1), scalar(1)]);
  const safe = graph.node('Where', [vertical, scalar(1), q]);
  const angle = graph.node('Atan', [graph.node('Div', [p, safe])]);
  const turned = graph.node('Where', [
    graph.node('Less', [q, zero]),
    graph.node('Add', [angle, graph.node('Mul', [side, scalar(Math.PI)])]),
    angle,
  ]);
  const upright = graph.node('Where', [
    graph.node('Equal', [p, zero]),
    zero,
    graph.node('Mul', [side, scalar(Math.PI / 2)]),
  ]);
  return graph.node('Where', [vertical, upright, turned]);
}

const COMPARISONS = { eq: 'Equal', lt: 'Less', le: 'LessOrEqual' } as const;

function reshape(writer: Writer, node: Node<'reshape'>): string {
  const { graph } = writer;
  const [x] = node.inputs as [Node];
  const shape = writer.shape(node);
  const dynamic = shape.filter(({ symbols }) => symbols.length > 0).length;
  if (dynamic === 0 && node.shape.length === 0) return graph.node('Reshape', [first(writer, node), graph.int64s([])]);
  const from = writer.shape(x);
  // 0 copies the input's size, -1 is what is left: most dynamic shapes need no arithmetic.
  const same = (d: number): boolean => {
    const a = from[d];
    const b = shape[d]!;
    return (
      a !== undefined &&
      a.symbols.length > 0 &&
      a.symbols.length === b.symbols.length &&
      a.symbols.every((s, i) => s === b.symbols[i]) &&
      a.a === b.a &&
      a.b === b.b &&
      a.c === b.c
    );
  };
  const written = shape.map((size, d) => (size.symbols.length === 0 ? size.b : same(d) ? 0 : null));
  if (written.filter(size => size === null).length <= 1)
    return graph.node('Reshape', [first(writer, node), graph.int64s(written.map(size => size ?? -1))]);
  return graph.node('Reshape', [first(writer, node), graph.sizes(shape)]);
}

/** A number, which may have been computed from the sizes of dynamic axes: a size, or one over it. */
function constant(writer: Writer, node: Node<'constant'>): string {
  const { graph } = writer;
  const values = writer.twins(node).map(twin => Number((twin as Node<'constant'>).attrs.value));
  if (values.every(value => Object.is(value, values[0]))) return graph.scalar(values[0]!, node.dtype);
  const sized = (sizes: readonly number[]): string =>
    graph.node('Cast', [graph.scalarSize(writer.expression(sizes, 'a number'))], { to: codeOf(NATURAL[node.dtype]) });
  if (values.every(Number.isInteger)) return sized(values);
  const reciprocals = values.map(value => Math.round(1 / value));
  if (isFloat(node.dtype) && reciprocals.every((n, t) => 1 / n === values[t]))
    return graph.node('Reciprocal', [sized(reciprocals)]);
  return writer.fail(`the number ${values[0]} depends on the sizes of the dynamic axes: it is ${values.join(', ')} for other sizes`); // biome-ignore format: one sentence
}

const REDUCTIONS = { sum: 'ReduceSum', prod: 'ReduceProd', max: 'ReduceMax', min: 'ReduceMin' } as const;

function reduce(writer: Writer, node: Node<'reduce'>): string {
  const { graph } = writer;
  const { kind, axes } = node.attrs;
  const bool = node.dtype === 'bool';
  const x = bool ? graph.node('Cast', [first(writer, node)], { to: codeOf('int32') }) : first(writer, node);
  const byInput = kind === 'sum' || writer.opset >= 18;
  const y = byInput
    ? graph.node(REDUCTIONS[kind], [x, graph.int64s(axes)], { keepdims: 0 })
    : graph.node(REDUCTIONS[kind], [x], { axes, keepdims: 0 });
  return bool ? graph.node('Cast', [y], { to: codeOf('bool') }) : y;
}

function contract(writer: Writer, node: Node<'contract'>): string {
  const { a, b, out } = node.attrs;
  const all = [...new Set([...a, ...b, ...out])];
  const letter = (label: number): string => String.fromCharCode(97 + all.indexOf(label));
  const text = (labels: readonly number[]): string => labels.map(letter).join('');
  return writer.graph.node('Einsum', node.inputs.map(input => writer.name(input)), { equation: `${text(a)},${text(b)}->${text(out)}` }); // biome-ignore format: one call
}

function iota(writer: Writer, node: Node<'iota'>): string {
  const { graph } = writer;
  const [size] = writer.shape(node);
  if (isStatic([size!])) return graph.constant(Array.from({ length: node.size }, (_, i) => i), [node.size], node.dtype); // biome-ignore format: one call
  const end = graph.scalarSize(size!);
  const range = graph.node('Range', [graph.scalar(0, 'i64'), end, graph.scalar(1, 'i64')]);
  return node.dtype === 'i64' ? range : graph.node('Cast', [range], { to: codeOf(NATURAL[node.dtype]) });
}

function scan(writer: Writer, node: Node<'scan'>): string {
  const { kind, axis, reverse } = node.attrs;
  const operator = kind === 'sum' ? 'CumSum' : kind === 'prod' && writer.opset >= 26 ? 'CumProd' : null;
  if (!operator) return running(writer, node);
  return writer.graph.node(operator, [first(writer, node), writer.graph.scalar(axis, 'i64')], {
    reverse: Number(reverse),
  });
}

const SCATTERS = { set: 'none', add: 'add', mul: 'mul', max: 'max', min: 'min' } as const;

/** ScatterND on the axis moved to the front. */
function scatter(writer: Writer, node: Node<'scatter'>): string {
  const { graph } = writer;
  const { kind, axis, drop } = node.attrs;
  if (drop) writer.fail("an update of rows that leaves some out is an optimizer's: it cannot be written");
  if ((kind === 'max' || kind === 'min') && writer.opset < 18)
    return writer.fail(`opset ${writer.opset} has no scatter by ${kind}`);
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  const rank = base.shape.length;
  const places = index.shape.length;
  const front = [axis, ...base.shape.map((_, d) => d).filter(d => d !== axis)];
  const frontUpdates = [
    ...index.shape.map((_, d) => axis + d),
    ...updates.shape.map((_, d) => d).filter(d => d < axis || d >= axis + places),
  ];
  const moved = (name: string, perm: readonly number[]): string =>
    axis === 0 ? name : graph.node('Transpose', [name], { perm });
  const wide =
    index.dtype === 'i64' ? writer.name(index) : graph.node('Cast', [writer.name(index)], { to: codeOf('int64') });
  const rows = graph.node('Unsqueeze', [wide, graph.int64s([-1])]);
  const attributes: Record<string, string> = kind === 'set' ? {} : { reduction: SCATTERS[kind] };
  const y = graph.node(
    'ScatterND',
    [moved(writer.name(base), front), rows, moved(writer.name(updates), frontUpdates)],
    attributes,
  );
  const back = Array.from({ length: rank }, (_, d) => front.indexOf(d));
  return moved(y, back);
}

function argSort(writer: Writer, node: Node<'argSort'>): string {
  const { axis, descending } = node.attrs;
  const count = writer.graph.size(writer.shape(node)[axis]!);
  return writer.graph.nodeOf('TopK', [first(writer, node), count], 2, {
    axis,
    largest: Number(descending),
    sorted: 1,
  })[1]!;
}

function gather(writer: Writer, node: Node<'gather'>): string {
  const [x, index] = node.inputs as [Node, Node];
  const positions =
    index.dtype === 'i64' || index.dtype === 'i32'
      ? writer.name(index)
      : writer.graph.node('Cast', [writer.name(index)], { to: codeOf('int64') });
  return writer.graph.node('Gather', [writer.name(x), positions], { axis: node.attrs.axis });
}

/** Negative indices count from the end. */
function checkIndex(writer: Writer, node: Node<'checkIndex'>): string {
  const { graph } = writer;
  const x = first(writer, node);
  const sizes = writer.twins(node).map(twin => (twin as Node<'checkIndex'>).attrs.size);
  const size = writer.expression(sizes, 'the size that an index counts in');
  const end = isStatic([size])
    ? graph.scalar(size.b, node.dtype)
    : graph.node('Cast', [graph.size(size)], { to: codeOf(NATURAL[node.dtype]) });
  return graph.node('Where', [graph.node('Less', [x, graph.scalar(0, node.dtype)]), graph.node('Add', [x, end]), x]);
}

function matrix(writer: Writer, node: Node<'matrix'>): string {
  const { routine } = node.attrs;
  if (routine === 'det') {
    const value = writer.graph.node('Det', [first(writer, node)]);
    return writer.graph.node('Reshape', [value, writer.graph.sizes(writer.shape(node))]);
  }
  const lowering =
    MATRIX_LOWERED[routine] ??
    writer.fail(`ONNX has no operator for the matrix routine ${routine}; there are det, ${Object.keys(MATRIX_LOWERED).join(', ')}`); // biome-ignore format: one sentence
  return written(writer, node, lowering);
}

export const PRIMITIVES: PrimitiveRules = {
  argReduce: (writer, node) =>
    writer.graph.node(node.attrs.kind === 'max' ? 'ArgMax' : 'ArgMin', [first(writer, node)], {
      axis: node.attrs.axis,
      keepdims: 0,
    }),
  argSort,
  barrier: pass,
  binary,
  bitcast: refused('ONNX has no operator that reads bits as another type (before opset 26)'),
  cast: (writer, node) => writer.graph.node('Cast', [first(writer, node)], { to: codeOf(NATURAL[node.dtype]) }),
  checkIndex,
  choose,
  compare: (writer, node) => writer.graph.node(COMPARISONS[node.attrs.fn], operands(writer, node)),
  concat: (writer, node) => writer.graph.node('Concat', node.inputs.map(input => writer.name(input)), { axis: node.attrs.axis }), // biome-ignore format: one call
  constant,
  contract,
  custom: pass,
  data: refused('internal: data without a value'),
  detach: pass,
  gather,
  iota,
  matrix,
  loop,
  placeholder: refused('a value of another function leaked into the module'),
  random: randomBits,
  reduce,
  reindex,
  reshape,
  scan,
  scatter,
  unary,
  variable: refused('internal: a variable without a name'),
  where: (writer, node) => writer.graph.node('Where', operands(writer, node)),
};
