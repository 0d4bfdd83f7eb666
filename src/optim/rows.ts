/**
 * Row-sparse gradients: the gradient of a lookup touches few rows of a large table. Such a gradient is a scatter into
 * zeros; read as (rows, values) with duplicates added up, an optimizer updates those rows in place and never touches
 * the others. All of it is graph of static shape, so it stays inside a compiled step.
 */
import * as build from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { type Parameter, Tensor } from '../tensor/index.ts';

/** Lookups are worth this many times their rows: below, a dense update is as cheap. */
const SPARSE_BELOW = 1 / 4;

/**
 * Distinct rows of a gradient and their values; both have one entry per lookup, and those past the distinct ones are no
 * rows.
 */
export class RowGradient {
  /** i32 [m], ascending; entries past the distinct rows are the table's size, which is no row. */
  readonly rows: Node;
  /** `[m, ...rest]`: the gradient's rows, duplicates added up in order of lookup. */
  readonly values: Tensor;
  /** Like `rows`, and the last one where there is no row: for reading. */
  private readonly readable: Node;

  constructor(index: Node, updates: Node, size: number) {
    const [m] = index.shape as [number];
    const i32 = (value: number): Node => build.full(value, [m], 'i32');
    const order = build.argSort(index, 0, false);
    const sorted = build.gather(index, order, 0, 'rows');
    const before = build.gather(
      sorted,
      build.binary('max', build.binary('sub', build.iota(m, 'i32'), i32(1)), i32(0)),
      0,
      'rows',
    );
    const starts = build.cast(build.unary('not', build.compare('eq', sorted, before)), 'i32');
    // The first run has number 0, as its first element has no other before it.
    const run = build.scan('sum', starts, 0, false);
    this.rows = build.scatter('set', i32(size), run, sorted, 0);
    const empty = build.full(0, updates.shape, updates.dtype);
    const runOf = build.scatter('set', i32(0), order, run, 0);
    this.values = new Tensor(build.scatter('add', empty, runOf, updates, 0));
    this.readable = build.binary('min', build.binary('max', this.rows, i32(0)), i32(size - 1));
  }

  /** The rows of a tensor of the table's shape, [m, ...rest]. */
  of(table: Parameter): Tensor {
    return new Tensor(build.gather(build.detach(table.cell.node), this.readable, 0, 'rows'));
  }

  /** Gives a tensor of the table's shape new values of these rows, and keeps all others. */
  assign(table: Parameter, values: Tensor): void {
    const { node } = values.detach().to(table.dtype);
    table.cell.assign(build.scatter('set', build.detach(table.cell.node), this.rows, node, 0, 'rows', true));
  }
}

/** Lookups of one table: rows of `updates` are to be added at `index`, both flat along the first dim. */
interface Lookups {
  readonly index: Node;
  readonly updates: Node;
}

/** The lookups a gradient is the sum of; null where there is anything else in it. */
function lookupsOf(node: Node): Lookups[] | null {
  if (node.value) return null;
  if (node.is('detach')) return lookupsOf(node.inputs[0]!);
  if (node.is('binary') && node.attrs.fn === 'add') {
    const left = lookupsOf(node.inputs[0]!);
    const right = left && lookupsOf(node.inputs[1]!);
    return left && right ? [...left, ...right] : null;
  }
  if (node.is('unary') && node.attrs.fn === 'neg')
    return lookupsOf(node.inputs[0]!)?.map(l => ({ ...l, updates: build.unary('neg', l.updates) })) ?? null;
  if (!node.is('scatter') || node.attrs.kind !== 'add' || node.attrs.axis !== 0) return null;
  const [base, index, updates] = node.inputs as [Node, Node, Node];
  if (build.uniformValue(base) !== 0) return null;
  const flat = build.cast(build.reshape(index, [index.size]), 'i32');
  return [{ index: flat, updates: build.reshape(updates, [index.size, ...node.shape.slice(1)]) }];
}

/**
 * A gradient as rows, null where it is not the gradient of lookups, or, unless `always`, of so many that there is
 * nothing to win.
 */
export function rowGradient(gradient: Tensor, always: boolean): RowGradient | null {
  const [size = 0] = gradient.shape;
  if (gradient.ndim < 1 || size >= 2 ** 31) return null;
  const lookups = lookupsOf(gradient.node);
  if (!lookups) return null;
  const count = lookups.reduce((sum, { index }) => sum + index.size, 0);
  if (count === 0 || (!always && count > SPARSE_BELOW * size)) return null;
  const join = (nodes: Node[]): Node => (nodes.length === 1 ? nodes[0]! : build.concat(nodes, 0));
  return new RowGradient(join(lookups.map(l => l.index)), join(lookups.map(l => l.updates)), size);
}
