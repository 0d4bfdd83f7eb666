/**
 * The reindex primitive as ONNX's operators: Pad and Slice for one dim each, Gather with stored positions for windows
 * and dilations, then Transpose and Expand. And which reindexes are mere broadcasts, which ONNX's operators do by
 * themselves.
 */

import { uniformValue } from '../../../graph/build.ts';
import type { AxisMap, Node } from '../../../graph/node.ts';
import { sizeOf } from '../../../graph/shape.ts';
import { shapeText } from '../../../tensor/convert.ts';
import type { Expression } from './sizes.ts';
import type { Writer } from './writer.ts';

type Reindex = Node<'reindex'>;

const mapsOf = (node: Node): readonly AxisMap[] => (node as Reindex).attrs.axes;
/** `node` is a broadcast of its input with dims in order, aligned at the end: what operators do without being told. */
function isBroadcast(node: Node): boolean {
  if (!node.is('reindex')) return false;
  const [x] = node.inputs as [Node];
  const lead = node.shape.length - x.shape.length;
  return (
    lead >= 0 &&
    node.attrs.axes.every(({ terms, offset, div }, a) => {
      if (offset !== 0 || div !== 1) return false;
      if (terms.length === 0) return x.shape[a] === 1;
      // Along a longer dim than its own an axis reads the fill value, also where its size is 1.
      return (
        terms.length === 1 && terms[0]![0] === lead + a && terms[0]![1] === 1 && x.shape[a] === node.shape[lead + a]
      );
    })
  );
}

const broadcast = (shapes: readonly (readonly number[])[]): string => {
  const rank = Math.max(...shapes.map(shape => shape.length));
  return Array.from({ length: rank }, (_, d) =>
    Math.max(...shapes.map(shape => shape[d - rank + shape.length] ?? 1)),
  ).join();
};

/** Operands of an elementwise operator, without the broadcasts that it does itself. */
export function operands(writer: Writer, node: Node): string[] {
  const bare = node.inputs.map(input => (writer.twins(input).every(isBroadcast) ? input.inputs[0]! : input));
  const whole = writer.twins(node).every(
    (twin, t) => broadcast(bare.map(input => writer.twins(input)[t]!.shape)) === twin.shape.join(), // biome-ignore format: one call
  );
  return (whole ? bare : node.inputs).map(input => writer.name(input));
}

/** A literal the operand consists of, whatever the sizes of dynamic axes, or null. */
export function literal(writer: Writer, node: Node): number | null {
  const [first, ...others] = writer.twins(node).map(uniformValue);
  return first === null || others.some(value => value !== first) ? null : Number(first);
}

interface Step {
  /** Output dims that the axis has become, in order. */
  readonly dims: readonly number[];
}

/** Largest and smallest position an axis with one term is read at. */
function reach(map: AxisMap, shape: readonly number[]): { low: number; high: number } {
  const [dim, coef] = map.terms[0]!;
  const ends = [map.offset, map.offset + coef * (shape[dim]! - 1)];
  return { low: Math.min(...ends), high: Math.max(...ends) };
}

const isView = (maps: readonly AxisMap[]): boolean => maps.every(({ terms, div }) => terms.length <= 1 && div === 1);

const END = 2 ** 31 - 1;

/** Pads and slices every axis to what is read of it. */
function viewed(writer: Writer, node: Reindex): { name: string; steps: Step[] } {
  const twins = writer.twins(node) as readonly Reindex[];
  const { graph } = writer;
  let name = writer.name(node.inputs[0]!);
  const rank = node.inputs[0]!.shape.length;
  const across = (fn: (twin: Reindex) => number, what: string): Expression => writer.expression(twins.map(fn), what);
  const sizeOf = (twin: Reindex, a: number): number => twin.inputs[0]!.shape[a]!;
  const rangeOf = (twin: Reindex, a: number): { low: number; high: number } => {
    const map = twin.attrs.axes[a]!;
    return map.terms.length === 0 ? { low: map.offset, high: map.offset } : reach(map, twin.shape);
  };
  const before = Array.from({ length: rank }, (_, a) => across(twin => Math.max(0, -rangeOf(twin, a).low), 'padding'));
  const after = Array.from({ length: rank }, (_, a) =>
    across(twin => Math.max(0, rangeOf(twin, a).high - sizeOf(twin, a) + 1), 'padding'),
  );
  if (![...before, ...after].every(({ symbols, b }) => symbols.length === 0 && b === 0)) {
    const fill = graph.scalar(node.attrs.fill, node.dtype);
    const amounts = [...before, ...after];
    name = graph.node('Pad', [name, graph.sizes(amounts), node.attrs.fill === 0 ? '' : fill]);
  }
  const cuts: { axis: number; start: Expression; end: Expression; step: number }[] = [];
  node.attrs.axes.forEach((map, a) => {
    const step = map.terms[0]?.[1] ?? 1;
    const pads = (twin: Reindex): number => Math.max(0, -rangeOf(twin, a).low);
    const padded = (twin: Reindex): number =>
      sizeOf(twin, a) + pads(twin) + Math.max(0, rangeOf(twin, a).high - sizeOf(twin, a) + 1);
    const whole =
      step === 1 &&
      twins.every(
        twin => rangeOf(twin, a).low + pads(twin) === 0 && rangeOf(twin, a).high + pads(twin) + 1 === padded(twin),
      );
    if (whole) return;
    const first = (twin: Reindex): number => twin.attrs.axes[a]!.offset + pads(twin);
    const start = across(first, 'the start of a slice');
    if (step > 0) {
      const toEnd = twins.every(twin => rangeOf(twin, a).high + pads(twin) + step >= padded(twin));
      const end = toEnd
        ? across(() => END, 'end')
        : across(twin => rangeOf(twin, a).high + pads(twin) + 1, 'the end of a slice');
      cuts.push({ axis: a, start, end, step });
    } else {
      const toStart = twins.every(twin => rangeOf(twin, a).low + pads(twin) + step < 0);
      const end = toStart
        ? across(() => -END, 'end')
        : across(twin => rangeOf(twin, a).low + pads(twin) - 1, 'the end of a slice');
      cuts.push({ axis: a, start, end, step });
    }
  });
  if (cuts.length > 0)
    name = graph.node('Slice', [
      name,
      graph.sizes(cuts.map(cut => cut.start)),
      graph.sizes(cuts.map(cut => cut.end)),
      graph.int64s(cuts.map(cut => cut.axis)),
      cuts.every(cut => cut.step === 1) ? '' : graph.int64s(cuts.map(cut => cut.step)),
    ]);
  return { name, steps: node.attrs.axes.map(({ terms }) => ({ dims: terms.map(([dim]) => dim) })) };
}

/** Gathers along every axis by stored positions; what lies outside reads the fill value. */
function gathered(writer: Writer, node: Reindex): { name: string; steps: Step[] } {
  const { graph } = writer;
  const twins = writer.twins(node);
  const x = node.inputs[0]!;
  let name = writer.name(x);
  const steps: Step[] = [];
  let at = 0;
  node.attrs.axes.forEach((map, a) => {
    const dims = map.terms.map(([dim]) => dim);
    const sizes = dims.map(dim => node.shape[dim]!);
    const identity = map.terms.length === 1 && map.terms[0]![1] === 1 && map.offset === 0 && map.div === 1;
    if (identity && twins.every(twin => twin.shape[dims[0]!] === twin.inputs[0]!.shape[a])) {
      steps.push({ dims });
      at += 1;
      return;
    }
    if (
      twins.some(
        twin => twin.inputs[0]!.shape[a] !== x.shape[a] || dims.some(dim => twin.shape[dim] !== node.shape[dim]),
      )
    )
      writer.fail(
        'windows over a dynamic axis cannot be written: leave that axis fixed, or use the functions that have an operator',
      );
    const count = sizeOf(sizes);
    const positions = Array.from({ length: count }, (_, i) => {
      let rest = i;
      let position = map.offset;
      for (let k = dims.length - 1; k >= 0; k--) {
        position += map.terms[k]![1] * (rest % sizes[k]!);
        rest = Math.floor(rest / sizes[k]!);
      }
      return position / map.div;
    });
    const inside = positions.map(p => Number.isInteger(p) && p >= 0 && p < x.shape[a]!);
    const safe = positions.map((p, i) => (inside[i] ? p : 0));
    name = graph.node('Gather', [name, graph.constant(safe, sizes, 'i64')], { axis: at });
    if (inside.includes(false)) {
      // The mask lines up with the new dims; those after it are broadcast.
      const behind = node.attrs.axes.length - a - 1;
      const mask = graph.constant(inside.map(Number), [...sizes, ...new Array<number>(behind).fill(1)], 'bool');
      name = graph.node('Where', [mask, name, graph.scalar(node.attrs.fill, node.dtype)]);
    }
    steps.push({ dims });
    at += dims.length;
  });
  return { name, steps };
}

/** Everything by its position in the flattened input: diagonals, where a dim stands in two axes. */
function flatGathered(writer: Writer, node: Reindex): string {
  const { graph } = writer;
  if (writer.twins(node).some(twin => twin.shape.join() !== node.shape.join()))
    writer.fail('a diagonal over a dynamic axis cannot be written: leave that axis fixed');
  const x = node.inputs[0]!;
  const coordinates = new Array<number>(node.shape.length);
  const inside: number[] = [];
  const positions = Array.from({ length: node.size }, (_, i) => {
    let rest = i;
    for (let d = node.shape.length - 1; d >= 0; d--) {
      coordinates[d] = rest % node.shape[d]!;
      rest = Math.floor(rest / node.shape[d]!);
    }
    let flat = 0;
    let valid = true;
    node.attrs.axes.forEach((map, a) => {
      const at = map.terms.reduce((sum, [dim, coef]) => sum + coef * coordinates[dim]!, map.offset) / map.div;
      valid &&= Number.isInteger(at) && at >= 0 && at < x.shape[a]!;
      flat = flat * x.shape[a]! + at;
    });
    inside.push(Number(valid));
    return valid ? flat : 0;
  });
  const flat = graph.node('Reshape', [writer.name(x), graph.int64s([-1])]);
  const read = graph.node('Gather', [flat, graph.constant(positions, node.shape, 'i64')], { axis: 0 });
  if (!inside.includes(0)) return read;
  return graph.node('Where', [
    graph.constant(inside, node.shape, 'bool'),
    read,
    graph.scalar(node.attrs.fill, node.dtype),
  ]);
}

export function reindex(writer: Writer, node: Reindex): string {
  const { graph } = writer;
  const shape = writer.shape(node);
  if (writer.twins(node).every(isBroadcast))
    return graph.node('Expand', [writer.name(node.inputs[0]!), graph.sizes(shape)]);
  const twins = writer.twins(node) as readonly Reindex[];
  const form = (maps: readonly AxisMap[]): string =>
    maps.map(({ terms, div }) => `${terms.join(';')}/${div}`).join(' ');
  if (twins.some(twin => form(twin.attrs.axes) !== form(node.attrs.axes)))
    writer.fail('a view has other strides for other sizes of the dynamic axes');
  const used = mapsOf(node).flatMap(({ terms }) => terms.map(([dim]) => dim));
  if (new Set(used).size !== used.length) return flatGathered(writer, node);
  const empty = node.size === 0 || node.inputs[0]!.size === 0;
  if (empty) writer.fail(`a view of an empty value ${shapeText(node.shape)} cannot be written`);
  const missed = mapsOf(node).some(
    ({ terms, offset, div }, a) =>
      terms.length === 0 && !(offset % div === 0 && offset >= 0 && offset / div < node.inputs[0]!.shape[a]!),
  );
  if (missed) return graph.node('Expand', [graph.scalar(node.attrs.fill, node.dtype), graph.sizes(shape)]);
  let { name, steps } = isView(mapsOf(node)) ? viewed(writer, node) : gathered(writer, node);
  const gone = steps.flatMap(({ dims }, a) => (dims.length === 0 && isView(mapsOf(node)) ? [a] : []));
  if (gone.length > 0) name = graph.node('Squeeze', [name, graph.int64s(gone)]);
  const order = steps.flatMap(({ dims }) => dims);
  const sorted = [...order].sort((a, b) => a - b);
  if (order.some((dim, i) => dim !== sorted[i]))
    name = graph.node('Transpose', [name], { perm: sorted.map(dim => order.indexOf(dim)) });
  const missing = node.shape.map((_, d) => d).filter(d => !order.includes(d));
  if (missing.length > 0) {
    name = graph.node('Unsqueeze', [name, graph.int64s(missing)]);
    if (!missing.every(d => shape[d]!.symbols.length === 0 && node.shape[d] === 1))
      name = graph.node('Expand', [name, graph.sizes(shape)]);
  }
  return name;
}
