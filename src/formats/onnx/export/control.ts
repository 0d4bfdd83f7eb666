/**
 * Loops and choices as ONNX's own: If for a choice, Scan for a loop of a known number of steps, Loop for one that ends
 * by a condition. Constants are read by name from around the body.
 */
import { type Body, roleOf } from '../../../graph/control.ts';
import type { Node, ScanKind } from '../../../graph/node.ts';
import { inline } from '../../../transform/index.ts';
import type { Port } from './graph.ts';
import { liveInputs, liveOperands } from './live.ts';
import { type Computed, isStatic, type Twins, type Writer } from './writer.ts';

type LoopNode = Node<'loop'>;
type ChoiceNode = Node<'choose'>;

/** A body's parameters or outputs across the traces. */
const across = (bodies: readonly Body[], pick: (body: Body) => readonly Node[]): Twins[] =>
  pick(bodies[0]!).map((_, i) => bodies.map(body => pick(body)[i]!));

export function choose(writer: Writer, node: ChoiceNode): string {
  const { choice, output } = node.attrs;
  const results = writer.application(choice, wanted => {
    const twins = writer.twins(node) as readonly ChoiceNode[];
    const live = liveOperands(choice, wanted, input => writer.inputsOf(input));
    const branch = (name: 'onTrue' | 'onFalse') => {
      const bodies = twins.map(twin => twin.attrs.choice[name]);
      const bound = across(bodies, body => body.params).flatMap((params, i) =>
        live.has(i) ? [[params, writer.name(node.inputs[i + 1]!)] as const] : [],
      );
      const outputs = across(bodies, body => wanted.map(k => body.outputs[k]!));
      return { graph: writer.body(name === 'onTrue' ? 'then' : 'else', [], bound, outputs) };
    };
    const attributes = { then_branch: branch('onTrue'), else_branch: branch('onFalse') };
    const names = writer.graph.nodeOf('If', [writer.name(node.inputs[0]!)], wanted.length, attributes);
    return new Map(wanted.map((k, i) => [k, names[i]!]));
  });
  return results.get(output)!;
}

export function loop(writer: Writer, node: LoopNode): string {
  const { loop: of, output } = node.attrs;
  return writer.application(of, wanted => (of.cond ? whileLoop : scan)(writer, node, wanted)).get(output)!;
}

/** What both kinds of loop have in common: the inputs that are needed, by kind, and what is collected of every step. */
function partsOf(writer: Writer, node: LoopNode, wanted: readonly number[]) {
  const { loop: of } = node.attrs;
  const twins = writer.twins(node) as readonly LoopNode[];
  const bodies = twins.map(twin => twin.attrs.loop.body);
  const live = liveInputs(of, wanted, input => writer.inputsOf(input));
  const params = across(bodies, body => body.params);
  const next = across(bodies, body => body.outputs);
  const numbers = (from: number, to: number): number[] => [...params.keys()].slice(from, to).filter(i => live.has(i));
  const carries = numbers(0, of.carries);
  const roles = wanted.map(result => ({ result, ...roleOf(of, result) }));
  return {
    twins,
    carries,
    xs: numbers(of.carries, of.carries + of.xs),
    params,
    bound: numbers(of.carries + of.xs, params.length).map(i => [params[i]!, writer.name(node.inputs[i]!)] as const),
    next: carries.map(k => next[k]!),
    /** Results that are stacked over the steps: ys, and histories, which are the carries before each step. */
    stacked: roles.flatMap(({ kind, index, result }) =>
      kind === 'y' || kind === 'history'
        ? [{ result, kind, twins: kind === 'y' ? next[of.carries + index]! : params[index]! }]
        : [],
    ),
    last: (index: number): number => carries.indexOf(index),
    roles,
  };
}

const names = (writer: Writer, node: Node, inputs: readonly number[]): string[] =>
  inputs.map(i => writer.name(node.inputs[i]!));

/** A loop of a known number of steps. */
function scan(writer: Writer, node: LoopNode, wanted: readonly number[]): Map<number, string> {
  const { graph } = writer;
  const parts = partsOf(writer, node, wanted);
  const { carries, params, stacked } = parts;
  const { reverse } = node.attrs.loop;
  const steps = writer.expression(parts.twins.map(twin => twin.attrs.loop.length!), 'the steps of a loop'); // biome-ignore format: one call
  // Scan counts its steps by what it scans: where nothing is, by zeros.
  const counting = parts.xs.length === 0;
  const counter = counting ? [graph.node('ConstantOfShape', [graph.size(steps)])] : [];
  const scanned = counting ? 1 : parts.xs.length;
  const unused: Port[] = counting ? [{ name: graph.fresh('step'), dtype: 'f32', shape: [] }] : [];
  const body = writer.body('scan', [...[...carries, ...parts.xs].map(i => params[i]!), ...unused], parts.bound, [
    ...parts.next,
    ...stacked.map(({ twins }) => twins),
  ]);
  const directions = (count: number): readonly number[] => new Array<number>(count).fill(Number(reverse));
  const outputs = graph.nodeOf(
    'Scan',
    [...names(writer, node, carries), ...names(writer, node, parts.xs), ...counter],
    carries.length + stacked.length,
    {
      body: { graph: body },
      num_scan_inputs: scanned,
      scan_input_directions: directions(scanned),
      ...(stacked.length > 0 && { scan_output_directions: directions(stacked.length) }),
    },
  );
  return new Map(
    parts.roles.map(({ result, kind, index }) => {
      if (kind === 'carry') return [result, outputs[parts.last(index)]!];
      if (kind === 'count') return [result, graph.scalarSize(steps)];
      return [result, outputs[carries.length + stacked.findIndex(one => one.result === result)]!];
    }),
  );
}

/** A loop that ends by its condition. */
function whileLoop(writer: Writer, node: LoopNode, wanted: readonly number[]): Map<number, string> {
  const { graph } = writer;
  const parts = partsOf(writer, node, wanted);
  const { twins, carries, params, stacked } = parts;
  const { length } = node.attrs.loop;
  const conditionOf = (trace: number, values: readonly Node[], constants: readonly Node[]): Node => {
    const { loop: of } = twins[trace]!.attrs;
    return inline(of.cond!, [...values.slice(0, of.carries), ...constants])[0]!;
  };
  const constantsOf = <T>(trace: number, list: readonly T[]): readonly T[] => {
    const { carries: count, xs } = twins[trace]!.attrs.loop;
    return list.slice(count + xs);
  };
  const [first] = writer.values(t => [conditionOf(t, twins[t]!.inputs, constantsOf(t, twins[t]!.inputs))]);
  const goesOn = writer.across(t => {
    const { body } = twins[t]!.attrs.loop;
    return [conditionOf(t, body.outputs, constantsOf(t, body.params))];
  });
  const counts = parts.roles.some(({ kind }) => kind === 'count') || stacked.length > 0;
  const iteration: Port = { name: graph.fresh('iteration'), dtype: 'i64', shape: [] };
  const before: Port = { name: graph.fresh('goes_on'), dtype: 'bool', shape: [] };
  // The number of steps taken is carried last.
  const count: Port = { name: graph.fresh('steps'), dtype: 'i64', shape: [] };
  const counted: Computed = { like: count, compute: inner => inner.node('Add', [count.name, inner.scalar(1, 'i64')]) };
  const body = writer.body(
    'loop',
    [iteration, before, ...carries.map(k => params[k]!), ...(counts ? [count] : [])],
    parts.bound,
    [...goesOn, ...parts.next, ...(counts ? [counted] : []), ...stacked.map(one => one.twins)],
  );
  const steps = length === null ? null : writer.expression(twins.map(twin => twin.attrs.loop.length!), 'the most steps of a loop'); // biome-ignore format: one call
  const most = steps === null ? '' : graph.scalarSize(steps);
  const outputs = graph.nodeOf(
    'Loop',
    [most, first!, ...names(writer, node, carries), ...(counts ? [graph.scalar(0, 'i64')] : [])],
    carries.length + Number(counts) + stacked.length,
    { body: { graph: body } },
  );
  const taken = outputs[carries.length]!;
  /** Zeros for steps that were not taken. */
  const filled = (name: string, rank: number): string => {
    const rest = graph.node('Sub', [graph.size(steps!), graph.node('Reshape', [taken, graph.int64s([1])])]);
    const pads = graph.node(
      'Concat',
      [graph.int64s(new Array<number>(rank).fill(0)), rest, ...(rank > 1 ? [graph.int64s(new Array<number>(rank - 1).fill(0))] : [])],
      { axis: 0 },
    ); // biome-ignore format: one call
    return graph.node('Pad', [name, pads]);
  };
  return new Map(
    parts.roles.map(({ result, kind, index }) => {
      if (kind === 'carry') return [result, outputs[parts.last(index)]!];
      if (kind === 'count') return [result, taken];
      const at = stacked.findIndex(one => one.result === result);
      return [result, filled(outputs[carries.length + 1 + at]!, stacked[at]!.twins[0]!.shape.length + 1)];
    }),
  );
}

const OPERATORS: Readonly<Record<ScanKind, string>> = { sum: 'Add', prod: 'Mul', max: 'Max', min: 'Min' };

/**
 * Running products, largest and smallest values where no operator has them: a Scan over slices that starts from the
 * first.
 */
export function running(writer: Writer, node: Node<'scan'>): string {
  const { graph } = writer;
  const { kind, axis, reverse } = node.attrs;
  const sizes = writer.shape(node).filter((_, d) => d !== axis);
  const like = { dtype: node.dtype, shape: sizes.map(size => (isStatic([size]) ? size.b : null)) };
  const [before, slice] = [graph.fresh('before'), graph.fresh('slice')];
  const output: Computed = {
    like: { ...like, name: '' },
    compute: inner => inner.node(OPERATORS[kind], [before, slice]),
  };
  const body = writer.body('running', [{ ...like, name: before }, { ...like, name: slice }], [], [output, output]); // biome-ignore format: one call
  const x = writer.name(node.inputs[0]!);
  const extreme = kind === 'max' || kind === 'min';
  const first = extreme
    ? graph.node('Gather', [x, graph.scalar(reverse ? -1 : 0, 'i64')], { axis })
    : graph.node('Expand', [graph.scalar(kind === 'prod' ? 1 : 0, node.dtype), graph.sizes(sizes)]);
  const directions = [Number(reverse)];
  return graph.nodeOf('Scan', [first, x], 2, {
    body: { graph: body },
    num_scan_inputs: 1,
    scan_input_axes: [axis],
    scan_output_axes: [axis],
    scan_input_directions: directions,
    scan_output_directions: directions,
  })[1]!;
}
