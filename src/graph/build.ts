/**
 * Building nodes: one function per primitive, with its shape rule, its dtype rule and the simplifications that are always worth
 * having (identities, composed views, folded constants). Callers above (Tensor, transforms) broadcast and promote first: here
 * shapes and dtypes must already agree, and a disagreement is an internal error.
 */
import { type DType, type HostArray, isFloat, isInt } from './dtype.ts';
import { foldBinary, foldCast, foldCompare, foldUnary, roundTo } from './fold.ts';
import { MATRIX_ROUTINES, type MatrixRoutine } from './matrix.ts';
import {
  type Attrs,
  type AxisMap,
  type Binary,
  type Checkpoint,
  type Compare,
  type CustomRule,
  Node,
  type Primitive,
  type ReduceKind,
  type ScanKind,
  type ScatterKind,
  type Unary,
} from './node.ts';
import { alwaysInside, axis, composeAxes, identityAxis, invert, isIdentity, neverInside } from './reindex.ts';
import type { Variable } from './storage.ts';

const fail = (message: string): never => {
  throw new Error(`internal: ${message}`);
};

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** Whether new nodes inherit the need of a gradient from their inputs. */
let recording = true;

export const recordsGradients = (): boolean => recording;

/** Runs `fn` (synchronously) with gradients recorded, also inside of `withoutGradient`. */
export function withGradient<T>(fn: () => T): T {
  const before = recording;
  recording = true;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** Runs `fn` (synchronously) with every node it builds cut off from gradients. */
export function withoutGradient<T>(fn: () => T): T {
  const before = recording;
  recording = false;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** A node as given; the functions below simplify first. */
export function node<P extends Primitive>(
  op: P,
  inputs: readonly Node[],
  attrs: Attrs[P],
  shape: readonly number[],
  dtype: DType,
): Node<P> {
  // Gradients flow through floats only, and stop at `detach`.
  const requiresGrad = recording && op !== 'detach' && isFloat(dtype) && inputs.some(input => input.requiresGrad);
  return new Node(op, inputs, attrs, shape, dtype, requiresGrad);
}

// ------------------------------------------------------------------------------------------------ leaves

export function constant(value: number | bigint, dtype: DType): Node {
  return node('constant', [], { value: roundTo(value, dtype) }, [], dtype);
}

export function data(value: HostArray, shape: readonly number[], dtype: DType): Node {
  const leaf = new Node('data', [], {}, shape, dtype, false);
  if (value.length !== leaf.size) fail(`data of ${value.length} elements for shape [${shape}]`);
  leaf.value = value;
  return leaf;
}

export function variable(of: Variable, requiresGrad = false): Node<'variable'> {
  const attrs = { variable: of, version: of.version };
  return new Node('variable', [], attrs, of.shape, of.dtype, requiresGrad && isFloat(of.dtype));
}

export function placeholder(name: string, shape: readonly number[], dtype: DType, requiresGrad = false): Node {
  return new Node('placeholder', [], { name }, shape, dtype, requiresGrad && isFloat(dtype));
}

/** 0, 1, ..., n - 1 as a [n] of `dtype`. */
export const iota = (n: number, dtype: DType): Node => node('iota', [], {}, [n], dtype);

/** Whether `x` is an operation of this kind that was not computed yet: of a computed one the inputs may be gone. */
const pending = <P extends Primitive>(x: Node, op: P): x is Node<P> => !x.value && x.is(op);

/** The literal every element of `x` equals, if `x` is a constant or a broadcast one. */
export function uniformValue(x: Node): number | bigint | null {
  if (x.is('constant')) return x.attrs.value;
  if (pending(x, 'reindex') && x.attrs.axes.length === 0) return uniformValue(x.inputs[0]!);
  return null;
}

/** A constant broadcast to `shape`. */
export const full = (value: number | bigint, shape: readonly number[], dtype: DType): Node =>
  broadcastTo(constant(value, dtype), shape);

// ------------------------------------------------------------------------------------------------ elementwise

export function unary(fn: Unary, x: Node): Node {
  const value = uniformValue(x);
  if (value !== null) {
    const folded = foldUnary(fn, value, x.dtype);
    if (folded !== null) return full(folded, x.shape, x.dtype);
  }
  if (fn === 'neg' && pending(x, 'unary') && x.attrs.fn === 'neg') return x.inputs[0]!;
  return node('unary', [x], { fn }, x.shape, x.dtype);
}

function checkPair(what: string, a: Node, b: Node): void {
  if (!sameShape(a.shape, b.shape) || a.dtype !== b.dtype)
    fail(`${what}: ${a.dtype} [${a.shape}] meets ${b.dtype} [${b.shape}]`);
}

export function binary(fn: Binary, a: Node, b: Node): Node {
  checkPair(fn, a, b);
  const va = uniformValue(a);
  const vb = uniformValue(b);
  if (va !== null && vb !== null) {
    const folded = foldBinary(fn, va, vb, a.dtype);
    if (folded !== null) return full(folded, a.shape, a.dtype);
  }
  if ((fn === 'mul' || fn === 'div') && vb !== null && Number(vb) === 1) return a;
  if (fn === 'mul' && va !== null && Number(va) === 1) return b;
  if (fn === 'sub' && Object.is(vb, 0)) return a;
  return node('binary', [a, b], { fn }, a.shape, a.dtype);
}

export function compare(fn: Compare, a: Node, b: Node): Node {
  checkPair(fn, a, b);
  const va = uniformValue(a);
  const vb = uniformValue(b);
  if (va !== null && vb !== null) return full(foldCompare(fn, va, vb) ? 1 : 0, a.shape, 'bool');
  return node('compare', [a, b], { fn }, a.shape, 'bool');
}

export function where(condition: Node, a: Node, b: Node): Node {
  checkPair('where', a, b);
  if (condition.dtype !== 'bool' || !sameShape(condition.shape, a.shape))
    fail(`where: condition is ${condition.dtype} [${condition.shape}], values [${a.shape}]`);
  const value = uniformValue(condition);
  if (value !== null) return Number(value) ? a : b;
  return node('where', [condition, a, b], {}, a.shape, a.dtype);
}

/** How many whole numbers from 0 a dtype tells apart: longer iotas wrap or round. */
const COUNTS_TO: { readonly [D in DType]: number } = {
  bool: 2, u8: 2 ** 8, i8: 2 ** 7, i32: 2 ** 31, i64: 2 ** 53, f16: 2 ** 11, bf16: 2 ** 8, f32: 2 ** 24, f64: 2 ** 53,
}; // biome-ignore format: a table

export function cast(x: Node, dtype: DType): Node {
  if (x.dtype === dtype) return x;
  const value = uniformValue(x);
  const folded = value === null ? null : foldCast(value, dtype);
  if (folded !== null) return full(folded, x.shape, dtype);
  if (x.is('iota') && x.size <= COUNTS_TO[x.dtype]) return iota(x.size, dtype);
  return node('cast', [x], {}, x.shape, dtype);
}

const BITCASTS: Partial<Record<DType, DType>> = { f32: 'i32', i32: 'f32', f64: 'i64', i64: 'f64' };

export function bitcast(x: Node, dtype: DType): Node {
  if (BITCASTS[x.dtype] !== dtype) fail(`bitcast from ${x.dtype} to ${dtype}`);
  return node('bitcast', [x], {}, x.shape, dtype);
}

export function checkIndex(x: Node, size: number, what: string): Node {
  if (!isInt(x.dtype)) fail(`checkIndex on ${x.dtype}`);
  return node('checkIndex', [x], { size, what }, x.shape, x.dtype);
}

export const detach = (x: Node): Node => (x.requiresGrad ? node('detach', [x], {}, x.shape, x.dtype) : x);

/** An identity of `x` that requires a gradient whatever `x` does. */
export const marked = (x: Node): Node => new Node('barrier', [x], { group: 0 }, x.shape, x.dtype, isFloat(x.dtype));

/** An identity of `result`, whose derivative by `args` is what `rule` says. */
export const custom = (result: Node, args: readonly Node[], rule: CustomRule, output: number): Node => {
  const requiresGrad = recording && isFloat(result.dtype) && args.some(arg => arg.requiresGrad);
  return new Node('custom', [result, ...args], { rule, output }, result.shape, result.dtype, requiresGrad);
};

/** An identity of `x`; see Attrs.barrier. */
export function barrier(
  x: Node,
  group: number,
  { after = [], checkpoint }: { readonly after?: readonly Node[]; readonly checkpoint?: Checkpoint } = {},
): Node {
  const attrs = checkpoint ? { group, checkpoint } : { group };
  return new Node('barrier', [x, ...after], attrs, x.shape, x.dtype, x.requiresGrad);
}

// ------------------------------------------------------------------------------------------------ reindex

export function reshape(x: Node, shape: readonly number[]): Node {
  if (sameShape(x.shape, shape)) return x;
  const size = shape.reduce((a, n) => a * n, 1);
  if (size !== x.size) fail(`reshape of [${x.shape}] to [${shape}]`);
  const value = uniformValue(x);
  if (value !== null) return full(value, shape, x.dtype);
  if (pending(x, 'reshape')) return reshape(x.inputs[0]!, shape);
  return node('reshape', [x], {}, shape, x.dtype);
}

export function reindex(x: Node, shape: readonly number[], axes: readonly AxisMap[], fill = 0): Node {
  if (axes.length !== x.shape.length) fail(`reindex of [${x.shape}] with ${axes.length} axis maps`);
  if (isIdentity(axes, x.shape, shape)) return x;
  if (pending(x, 'reindex')) {
    const composed = composeAxes(x.attrs.axes, axes, x.shape, shape);
    if (composed) {
      // Step 3 of a value that was padded into place at step 5 shows padding only.
      const { shape: inner } = x.inputs[0]!;
      if (composed.some((map, a) => neverInside(map, inner[a]!, shape))) return full(x.attrs.fill, shape, x.dtype);
      return reindex(x.inputs[0]!, shape, composed, x.attrs.fill);
    }
  }
  if (pending(x, 'reshape')) {
    const direct = pastUnitAxes(x.inputs[0]!.shape, x.shape, axes, shape);
    if (direct) return reindex(x.inputs[0]!, shape, direct, fill);
  }
  return node('reindex', [x], { axes, fill }, shape, x.dtype);
}

/**
 * The maps of a reindex that reads through a reshape which only adds or drops axes of size 1, over the reshape's input; null for other
 * reshapes. Keeps a contraction in sight of the sums over it (the group axis of a convolution stands between them otherwise).
 */
function pastUnitAxes(
  inner: readonly number[],
  outer: readonly number[],
  axes: readonly AxisMap[],
  shape: readonly number[],
): AxisMap[] | null {
  const maps: AxisMap[] = [];
  let at = 0;
  for (const n of inner) {
    if (n === 1) {
      maps.push(axis([]));
      continue;
    }
    while (outer[at] === 1) {
      if (!alwaysInside(axes[at]!, 1, shape)) return null;
      at++;
    }
    if (outer[at] !== n) return null;
    maps.push(axes[at++]!);
  }
  for (; at < outer.length; at++) if (outer[at] !== 1 || !alwaysInside(axes[at]!, 1, shape)) return null;
  return maps;
}

/** Output dim i is input dim order[i]. */
export function permute(x: Node, order: readonly number[]): Node {
  const axes: AxisMap[] = Array.from({ length: order.length });
  order.forEach((from, to) => {
    axes[from] = identityAxis(to);
  });
  return reindex(
    x,
    order.map(d => x.shape[d]!),
    axes,
  );
}

/** Expands to `shape`: trailing dims align, and size-1 dims stretch. */
export function broadcastTo(x: Node, shape: readonly number[]): Node {
  const lead = shape.length - x.shape.length;
  const axes = x.shape.map((n, a) => {
    if (n === shape[a + lead]) return identityAxis(a + lead);
    if (n !== 1) fail(`broadcast of [${x.shape}] to [${shape}]`);
    return axis([]);
  });
  return reindex(x, shape, axes);
}

/** Element i of dim d is element start[d] + i * step[d]; steps may be negative. */
export function slice(
  x: Node,
  start: readonly number[],
  length: readonly number[],
  step: readonly number[] = start.map(() => 1),
): Node {
  return reindex(
    x,
    length,
    x.shape.map((_, d) => axis([[d, step[d]!]], start[d]!)),
  );
}

/** Adds lo and hi elements of `fill` around each dim; negative amounts crop. */
export function pad(x: Node, lo: readonly number[], hi: readonly number[], fill = 0): Node {
  return reindex(
    x,
    x.shape.map((n, d) => n + lo[d]! + hi[d]!),
    x.shape.map((_, d) => axis([[d, 1]], -lo[d]!)),
    fill,
  );
}

/** (x, index) -> x[pre, ...index, post], reading along `axis`. */
export function gather(x: Node, index: Node, axisOf: number, what = 'gather'): Node {
  if (!isInt(index.dtype)) fail(`gather by ${index.dtype}`);
  const shape = [...x.shape.slice(0, axisOf), ...index.shape, ...x.shape.slice(axisOf + 1)];
  return node('gather', [x, index], { axis: axisOf, what }, shape, x.dtype);
}

/** Parts (of equal shapes outside `axisOf`) one after another. */
export function concat(parts: readonly Node[], axisOf: number): Node {
  const [first] = parts as [Node];
  for (const part of parts)
    if (part.dtype !== first.dtype || !sameShape(dropAxis(part.shape, axisOf), dropAxis(first.shape, axisOf)))
      fail(`concat: ${first.dtype} [${first.shape}] meets ${part.dtype} [${part.shape}]`);
  const filled = parts.filter(part => part.size > 0);
  const shape = first.shape.map((n, d) => (d === axisOf ? parts.reduce((sum, part) => sum + part.shape[d]!, 0) : n));
  if (filled.length === 0) return full(0, shape, first.dtype);
  if (filled.length === 1) return filled[0]!;
  return node('concat', filled, { axis: axisOf }, shape, first.dtype);
}

const dropAxis = (shape: readonly number[], axisOf: number): number[] => shape.filter((_, d) => d !== axisOf);

// ------------------------------------------------------------------------------------------------ reindex-reduce

export function reduce(kind: ReduceKind, x: Node, axes: readonly number[]): Node {
  if (axes.length === 0) return x;
  const sorted = [...axes].sort((a, b) => a - b);
  const shape = x.shape.filter((_, d) => !sorted.includes(d));
  if (sorted.every(d => x.shape[d] === 1)) return reshape(x, shape);
  if (kind === 'sum') {
    const pushed = sumIntoContract(x, sorted);
    if (pushed) return pushed;
  }
  if (pending(x, 'reduce') && x.attrs.kind === kind) {
    const kept = x.inputs[0]!.shape.map((_, d) => d).filter(d => !x.attrs.axes.includes(d));
    return reduce(kind, x.inputs[0]!, [...x.attrs.axes, ...sorted.map(d => kept[d]!)]);
  }
  return node('reduce', [x], { kind, axes: sorted }, shape, x.dtype);
}

export function argReduce(kind: 'max' | 'min', x: Node, axisOf: number): Node {
  return node(
    'argReduce',
    [x],
    { kind, axis: axisOf },
    x.shape.filter((_, d) => d !== axisOf),
    'i64',
  );
}

export function scan(kind: ScanKind, x: Node, axisOf: number, reverse = false): Node {
  return node('scan', [x], { kind, axis: axisOf, reverse }, x.shape, x.dtype);
}

export function scatter(
  kind: ScatterKind,
  base: Node,
  index: Node,
  updates: Node,
  axisOf: number,
  what = 'scatter',
  drop = false,
): Node {
  const expected = [...base.shape.slice(0, axisOf), ...index.shape, ...base.shape.slice(axisOf + 1)];
  if (!isInt(index.dtype) || base.dtype !== updates.dtype || !sameShape(expected, updates.shape))
    fail(`scatter of ${updates.dtype} [${updates.shape}] by ${index.dtype} [${index.shape}] into [${base.shape}]`);
  return node('scatter', [base, index, updates], { kind, axis: axisOf, what, drop }, base.shape, base.dtype);
}

/** Contraction over labelled axes; see Attrs.contract. The result has the inputs' dtype. */
export function contract(
  a: Node,
  b: Node,
  labelsA: readonly number[],
  labelsB: readonly number[],
  out: readonly number[],
): Node {
  if (a.dtype !== b.dtype) fail(`contract of ${a.dtype} with ${b.dtype}`);
  const sizes = new Map<number, number>();
  const see = (labels: readonly number[], shape: readonly number[]): void => {
    if (labels.length !== shape.length) fail(`contract: labels [${labels}] for shape [${shape}]`);
    labels.forEach((label, d) => {
      const known = sizes.get(label);
      if (known !== undefined && known !== shape[d]) fail(`contract: label ${label} is ${known} and ${shape[d]}`);
      sizes.set(label, shape[d]!);
    });
  };
  see(labelsA, a.shape);
  see(labelsB, b.shape);
  for (const label of sizes.keys()) {
    const places = [labelsA, labelsB, out].filter(labels => labels.includes(label)).length;
    if (places < 2) fail(`contract: label ${label} stands in one operand only`);
  }
  return node(
    'contract',
    [a, b],
    { a: labelsA, b: labelsB, out },
    out.map(l => sizes.get(l)!),
    a.dtype,
  );
}

/**
 * sum(reindex(contract(a, b))) = contract(reindex(a), reindex(b)): the map is pushed into whichever operands carry the axis, and the
 * summed axes become contracted ones. This turns "multiply, then fold the windows back" into one contraction, so the input
 * gradient of a convolution never materialises its columns.
 */
function sumIntoContract(x: Node, sumAxes: readonly number[]): Node | null {
  if (!pending(x, 'reindex') || x.attrs.fill !== 0) return null;
  const product = x.inputs[0]!;
  if (!pending(product, 'contract')) return null;
  const { a: labelsA, b: labelsB, out } = product.attrs;
  // New labels: output dims of the reindex get fresh ones, contracted labels of the product stay.
  const base = 1 + Math.max(...labelsA, ...labelsB, ...out);
  const fresh = x.shape.map((_, d) => base + d);

  const push = (operand: Node, labels: readonly number[]): { node: Node; labels: number[] } => {
    const kept = labels.filter(label => !out.includes(label));
    const dims: number[] = [];
    for (const label of labels) {
      const at = out.indexOf(label);
      if (at >= 0) for (const [dim] of x.attrs.axes[at]!.terms) if (!dims.includes(dim)) dims.push(dim);
    }
    dims.sort((p, q) => p - q);
    const newLabels = [...dims.map(d => fresh[d]!), ...kept];
    const shape = [...dims.map(d => x.shape[d]!), ...kept.map(l => operand.shape[labels.indexOf(l)]!)];
    const axes = labels.map(label => {
      const at = out.indexOf(label);
      if (at < 0) return identityAxis(newLabels.indexOf(label));
      const map = x.attrs.axes[at]!;
      return axis(
        map.terms.map(([dim, coef]) => [dims.indexOf(dim), coef] as const),
        map.offset,
        map.div,
      );
    });
    return { node: reindex(operand, shape, axes), labels: newLabels };
  };
  const left = push(product.inputs[0]!, labelsA);
  const right = push(product.inputs[1]!, labelsB);
  const result = fresh.filter((_, d) => !sumAxes.includes(d));
  const places = (label: number): number =>
    [left.labels, right.labels, result].filter(labels => labels.includes(label)).length;
  // Summing what neither operand carries would have to multiply; it stays a reduction.
  const needed = [...left.labels, ...right.labels, ...fresh];
  if (needed.some(label => places(label) < 2)) return null;
  return contract(left.node, right.node, left.labels, right.labels, result);
}

/** The transpose of `reindex` (fill 0): sends `cotangent`, of the reindex's shape, back to the input's shape. */
export function reindexTranspose(cotangent: Node, axes: readonly AxisMap[], inShape: readonly number[]): Node {
  if (cotangent.size === 0) return full(0, inShape, cotangent.dtype);
  // An axis read at one fixed position that does not exist: nothing was read at all.
  const missed = axes.some(({ terms, offset, div }, a) => {
    const position = offset / div;
    return terms.length === 0 && (!Number.isInteger(position) || position < 0 || position >= inShape[a]!);
  });
  if (missed) return full(0, inShape, cotangent.dtype);
  const back = invert(axes, inShape, cotangent.shape);
  const narrowed = reduce('sum', cotangent, back.broadcastDims);
  const placed = reduce('sum', reindex(narrowed, back.shape, back.axes), back.sumAxes);
  const lo = axes.map((map, a) => (placed.shape[a] === inShape[a] ? 0 : map.offset / map.div));
  return pad(
    placed,
    lo,
    inShape.map((n, a) => n - placed.shape[a]! - lo[a]!),
  );
}

// ------------------------------------------------------------------------------------------------ routines

export function argSort(x: Node, axisOf: number, descending = false): Node {
  return node('argSort', [x], { axis: axisOf, descending }, x.shape, 'i64');
}

export function matrix(routine: MatrixRoutine, ...inputs: readonly Node[]): Node {
  const { shape, dtype } = inputs[0]!;
  const batch = shape.slice(0, -2);
  for (const input of inputs)
    if (input.dtype !== dtype || !sameShape(input.shape.slice(0, -2), batch) || input.shape.length < 2)
      fail(`${routine} of ${dtype} [${shape}] and ${input.dtype} [${input.shape}]`);
  if (dtype !== 'f32' && dtype !== 'f64') fail(`${routine} of ${dtype}`);
  const sizes = inputs.map(input => input.shape.slice(-2) as [number, number]);
  return node('matrix', inputs, { routine }, [...batch, ...MATRIX_ROUTINES[routine](sizes)], dtype);
}

/** i32 bits of Philox 4x32-10; `key` is i64[2] = seed, counter. */
export function random(key: Node, shape: readonly number[]): Node {
  if (key.dtype !== 'i64' || key.size !== 2) fail(`random: key is ${key.dtype} [${key.shape}]`);
  return node('random', [key], {}, shape, 'i32');
}
