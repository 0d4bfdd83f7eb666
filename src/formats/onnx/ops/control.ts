/**
 * Control flow, sequences and optionals. Where a condition is known while the graph is built (always, outside of
 * compile), only the branch taken is run, and loops are unrolled; inside compile they become the library's own control
 * flow.
 */
import { isTracing } from '../../../runtime/index.ts';
import { cat, cond, full, scan, stack, Tensor, whileLoop } from '../../../tensor/index.ts';
import { ENDLESS } from '../../controlFlow.ts';
import type { Call, OperatorTable, Result, Rule, Subgraph } from '../call.ts';
import { isNumeric, type NumericType, TYPES, typeOfCode } from '../elementTypes.ts';
import { NONE, sequence, strings, typed, type Value } from '../values.ts';
import { splitSizes } from './shape.ts';

const bool = (value: boolean): Value => typed(full([], Number(value), { dtype: 'bool' }), 'bool');
const index = (i: number): Value => typed(Tensor.from(BigInt(i)), 'int64');

/** The truth of a scalar, or null where it only becomes known when a compiled program runs. */
function truth(call: Call, value: Value): boolean | null {
  if (value.kind !== 'tensor') return call.fail('a condition must be a tensor');
  const data = call.dataIfKnown(value.tensor);
  return data === null ? null : Boolean(data[0]);
}

const choose: Rule = call => {
  const known = truth(call, call.value(0));
  if (known !== null) return call.context.subgraph(known ? 'then_branch' : 'else_branch').run([]);
  const types: NumericType[] = [];
  const branch = (name: string) => (): Tensor[] =>
    call.context
      .subgraph(name)
      .run([])
      .map((value, i) => {
        if (value.kind !== 'tensor') return call.fail('the condition depends on the data, and a branch gives no tensor: run the model outside of compile'); // biome-ignore format: one sentence
        types[i] = value.type;
        return value.tensor;
      });
  return cond(call.x(0), branch('then_branch'), branch('else_branch')).map((tensor, i) => typed(tensor, types[i]!));
};

/** Carried values are computed this often, so that the graph of a long loop stays short. */
const COMPUTED_EVERY = 256;

const loop: Rule = call => {
  const body = call.context.subgraph('body');
  const most = call.has(0) ? call.dataIfKnown(call.x(0)) : [ENDLESS];
  const trips = most === null ? 0 : Number(most[0]);
  const given = call.inputs[1] ?? null;
  let condition: Value = given ?? bool(true);
  let carried = call.inputs.slice(2).map((value, i) => value ?? call.fail(`input ${i + 2} is missing`));
  const count = carried.length;
  const scanned: Value[][] = body.outputs.slice(1 + count).map(() => []);
  if (most === null) return loopOnData(call, body, 0, condition, carried, scanned);
  for (let i = 0; i < trips; i++) {
    const goes = truth(call, condition);
    if (goes === null) return loopOnData(call, body, i, condition, carried, scanned);
    if (!goes) break;
    const outputs = body.run([index(i), condition, ...carried]);
    condition = outputs[0]!;
    carried = outputs.slice(1, 1 + count);
    for (const [k, list] of scanned.entries()) list.push(outputs[1 + count + k]!);
    if (i % COMPUTED_EVERY === COMPUTED_EVERY - 1)
      for (const value of carried) if (value.kind === 'tensor') call.dataIfKnown(value.tensor);
    if (i === ENDLESS - 1) call.fail(`it did not end after ${ENDLESS} steps`);
  }
  return [...carried, ...scanned.map((values, k) => stacked(call, values, 0, body.outputs[1 + count + k]!.type))];
};

/** The rest of a loop whose end depends on values of a compiled program, from step `first` on. */
function loopOnData(
  call: Call,
  body: Subgraph,
  first: number,
  condition: Value,
  carried: readonly Value[],
  scanned: readonly (readonly Value[])[],
): Value[] {
  if (scanned.length > 0)
    call.fail(
      'how many steps it has depends on the data, and it collects a value of each: run the model outside of compile',
    );
  const types = carried.map(value =>
    value.kind === 'tensor' ? value.type : call.fail('a carried value is no tensor'),
  );
  const tensors = carried.map(value => (value as Extract<Value, { kind: 'tensor' }>).tensor);
  const last = call.has(0) ? call.x(0).reshape([]).to('i64') : Tensor.from(BigInt(ENDLESS));
  const goes = condition.kind === 'tensor' ? condition.tensor.reshape([]) : call.fail('a condition must be a tensor');
  const [, , ...results] = whileLoop<[Tensor, Tensor, ...Tensor[]]>(
    ([i, going]) => going!.logicalAnd(i!.lt(last)),
    ([i, going, ...values]): [Tensor, Tensor, ...Tensor[]] => {
      const given = values.map((value, k) => typed(value, types[k]!));
      const outputs = body.run([typed(i!, 'int64'), typed(going!, 'bool'), ...given]);
      const next = outputs.map(value =>
        value.kind === 'tensor' ? value.tensor : call.fail('a carried value is no tensor'),
      );
      return [i!.add(1), next[0]!.reshape([]), ...next.slice(1)];
    },
    [Tensor.from(BigInt(first)), goes, ...tensors],
  );
  return results.map((tensor, k) => typed(tensor, types[k]!));
}

/** Outputs of all steps along a new axis; of no steps, an empty tensor of the declared type. */
function stacked(call: Call, values: readonly Value[], axis: number, type: Parameters<typeof declared>[1]): Value {
  const [first] = values;
  if (!first) return declared(call, type);
  if (first.kind === 'strings')
    return strings(
      values.flatMap(value => (value.kind === 'strings' ? value.strings : [])),
      [values.length, ...first.shape],
    );
  if (first.kind !== 'tensor') return call.fail('a scan output is no tensor');
  return typed(stack(values.map(value => (value as typeof first).tensor), axis), first.type); // biome-ignore format: one line
}

function declared(
  call: Call,
  type: {
    readonly tensorType: { elemType: number; shape: { dim: { dimValue: number | null }[] } | null } | null;
  } | null,
): Value {
  const tensor = type?.tensorType;
  const element = tensor ? typeOfCode(tensor.elemType) : null;
  if (!element || !isNumeric(element)) return call.fail('a loop without steps has a scan output of unknown type');
  const sizes = tensor!.shape?.dim.map(({ dimValue }) => dimValue ?? 0) ?? [];
  return typed(full([0, ...sizes], 0, { dtype: TYPES[element].dtype }), element);
}

const scanRule: Rule = call => {
  const old = call.opset < 9;
  const body = call.context.subgraph('body');
  const scans = call.int('num_scan_inputs');
  // Opset 8 has sequence_lens first and a batch dim in front.
  const inputs = (old ? call.inputs.slice(1) : call.inputs).map((_, i) => call.value(old ? i + 1 : i));
  const states = inputs.length - scans;
  if (!old) return scanOnce(call, body, inputs.slice(0, states), inputs.slice(states));
  const tensors = inputs.map(value => (value.kind === 'tensor' ? value : call.fail('expected tensors')));
  const batch = tensors[0]!.tensor.shape[0]!;
  const lengths = call.has(0) ? call.numbers(0) : null;
  const perBatch = Array.from({ length: batch }, (_, b) => {
    const picked = tensors.map(({ tensor, type }, i) => {
      const one = tensor.select(0, b);
      return typed(i >= states && lengths ? one.narrow(0, 0, lengths[b]!) : one, type);
    });
    return scanOnce(call, body, picked.slice(0, states), picked.slice(states));
  });
  return perBatch[0]!.map((_, i) => {
    const parts = perBatch.map(outputs => outputs[i] as Extract<Value, { kind: 'tensor' }>);
    // Shorter sequences end in zeros.
    const most = Math.max(...parts.map(({ tensor }) => tensor.shape[0] ?? 0));
    const even = parts.map(({ tensor }) =>
      i < states || tensor.shape[0] === most
        ? tensor
        : tensor.constantPad([...new Array<number>(2 * (tensor.ndim - 1)).fill(0), 0, most - tensor.shape[0]!]),
    );
    return typed(stack(even, 0), parts[0]!.type);
  });
};

function scanOnce(call: Call, body: Subgraph, initial: readonly Value[], scanned: readonly Value[]): Value[] {
  const sources = scanned.map(value => (value.kind === 'tensor' ? value : call.fail('expected tensors to scan')));
  const list = (name: string): readonly number[] => call.ints(name) ?? [];
  const axes = sources.map(({ tensor }, i) => call.axis(list('scan_input_axes')[i] ?? 0, tensor.ndim));
  const backwards = sources.map((_, i) => (list('scan_input_directions')[i] ?? list('directions')[i] ?? 0) === 1);
  const steps = sources[0]!.tensor.shape[axes[0]!]!;
  const turned = (k: number): boolean => (list('scan_output_directions')[k] ?? 0) === 1;
  const axisOf = (k: number, rank: number): number => call.axis(list('scan_output_axes')[k] ?? 0, rank);
  // Inside compile the body is compiled once; outside of it, shapes and conditions may depend on the data.
  if (isTracing() && steps > 1 && initial.every(({ kind }) => kind === 'tensor')) {
    const xs = sources.map(({ tensor }, i) => {
      const first = tensor.movedim(axes[i]!, 0);
      return backwards[i] ? first.flip(0) : first;
    });
    return rolled(call, body, initial, sources, xs).map((value, i) => {
      const k = i - initial.length;
      if (k < 0 || value.kind !== 'tensor') return value;
      const ordered = turned(k) ? value.tensor.flip(0) : value.tensor;
      return typed(ordered.movedim(0, axisOf(k, ordered.ndim)), value.type);
    });
  }
  let states = [...initial];
  const collected: Value[][] = body.outputs.slice(states.length).map(() => []);
  for (let s = 0; s < steps; s++) {
    const slices = sources.map(({ tensor, type }, i) =>
      typed(tensor.select(axes[i]!, backwards[i] ? steps - 1 - s : s), type),
    );
    const outputs = body.run([...states, ...slices]);
    states = outputs.slice(0, initial.length);
    for (const [k, list] of collected.entries()) list.push(outputs[initial.length + k]!);
  }
  const results = collected.map((values, k) => {
    const ordered = turned(k) ? [...values].reverse() : values;
    const first = ordered[0];
    return stacked(
      call,
      ordered,
      axisOf(k, first?.kind === 'tensor' ? first.tensor.ndim + 1 : 1),
      body.outputs[initial.length + k]!.type,
    );
  });
  return [...states, ...results];
}

type TensorValue = Extract<Value, { kind: 'tensor' }>;

/**
 * The states and what is collected of each step (along the first dim), with the body as one of ours; slices of `xs` are
 * of the types of `sources`.
 */
function rolled(
  call: Call,
  body: Subgraph,
  initial: readonly Value[],
  sources: readonly TensorValue[],
  xs: readonly Tensor[],
): Value[] {
  const tensors = (values: readonly Value[]): TensorValue[] =>
    values.map(value => (value.kind === 'tensor' ? value : call.fail('a state or an output of a step is no tensor')));
  const first = tensors(initial);
  let types: NumericType[] = [];
  const [carry, ys] = scan(
    (states: readonly Tensor[], slices: readonly Tensor[]) => {
      const outputs = tensors(
        body.run([
          ...states.map((state, i) => typed(state, first[i]!.type)),
          ...slices.map((slice, i) => typed(slice, sources[i]!.type)),
        ]),
      );
      types = outputs.map(({ type }) => type);
      const all = outputs.map(({ tensor }) => tensor);
      return [all.slice(0, first.length), all.slice(first.length)] as const;
    },
    first.map(({ tensor }) => tensor) as readonly Tensor[],
    xs,
  );
  return [...carry, ...ys].map((tensor, i) => typed(tensor, types[i]!));
}

// ------------------------------------------------------------------------------------------------ sequences

function position(call: Call, i: number, length: number, last: number): number {
  const at = call.number(i);
  if (at < -length || at > last) call.fail(`position ${at} is outside a sequence of ${length}`);
  return at < 0 ? at + length : at;
}

const sequenceOf = (call: Call): Extract<Value, { kind: 'sequence' }> => {
  const value = call.value(0);
  return value.kind === 'sequence' ? value : call.fail('input 0: expected a sequence');
};

const sequenceAt: Rule = call => {
  const { values } = sequenceOf(call);
  return values[position(call, 1, values.length, values.length - 1)] ?? call.fail('the sequence is empty');
};

const sequenceInsert: Rule = call => {
  const { values, type } = sequenceOf(call);
  const at = call.has(2) ? position(call, 2, values.length, values.length) : values.length;
  return sequence([...values.slice(0, at), call.value(1), ...values.slice(at)], type);
};

const sequenceErase: Rule = call => {
  const { values, type } = sequenceOf(call);
  const at = call.has(1) ? position(call, 1, values.length, values.length - 1) : values.length - 1;
  return sequence(
    values.filter((_, i) => i !== at),
    type,
  );
};

const sequenceMap: Rule = (call): Result => {
  const body = call.context.subgraph('body');
  const { values } = sequenceOf(call);
  const rows = values.map((value, i) =>
    body.run([
      value,
      ...call.inputs.slice(1).map((input, k) => {
        if (input?.kind !== 'sequence') return input ?? call.fail(`input ${k + 1} is missing`);
        return (
          input.values[i] ?? call.fail(`input ${k + 1} has ${input.values.length} elements, expected ${values.length}`)
        );
      }),
    ]),
  );
  return body.outputs.map((_, k) => sequence(rows.map(row => row[k]!)));
};

const splitToSequence: Rule = call => {
  const text = call.isString(0);
  if (text) call.fail('sequences of parts of strings are not supported');
  const x = call.x(0);
  const axis = call.axisAttribute(0, x.ndim);
  const size = x.shape[axis]!;
  const type = call.type(0);
  if (!call.has(1)) {
    const keep = call.flag('keepdims', true);
    return sequence(
      Array.from({ length: size }, (_, i) => typed(keep ? x.narrow(axis, i, 1) : x.select(axis, i), type)),
      type,
    );
  }
  const given = call.numbers(1);
  const scalar = call.x(1).ndim === 0;
  const sizes = scalar
    ? Array.from({ length: Math.ceil(size / given[0]!) }, (_, i) => Math.min(given[0]!, size - i * given[0]!))
    : splitSizes(call, size, given, given.length);
  return sequence(
    x.splitWithSizes(sizes, axis).map(part => typed(part, type)),
    type,
  );
};

const concatFromSequence: Rule = call => {
  const { values } = sequenceOf(call);
  const parts = values.map(value =>
    value.kind === 'tensor' ? value : call.fail('expected a sequence of tensors of numbers'),
  );
  if (parts.length === 0) call.fail('the sequence is empty');
  const tensors = parts.map(({ tensor }) => tensor);
  const fresh = call.flag('new_axis');
  const rank = tensors[0]!.ndim + (fresh ? 1 : 0);
  const axis = call.axisAttribute(0, rank);
  return typed(fresh ? stack(tensors, axis) : cat(tensors, axis), parts[0]!.type);
};

const sequenceEmpty: Rule = call => {
  const type = typeOfCode(call.int('dtype', 1)) ?? call.fail('dtype is unknown');
  return sequence([], type);
};

/** What it is given, or nothing of the type it names. */
const optional: Rule = call => (call.has(0) ? call.value(0) : NONE);

const optionalGetElement: Rule = call => {
  const value = call.value(0);
  return value.kind === 'none' ? call.fail('the optional is empty') : value;
};

export const control: OperatorTable = {
  ConcatFromSequence: concatFromSequence,
  If: choose,
  Loop: loop,
  Optional: optional,
  OptionalGetElement: optionalGetElement,
  OptionalHasElement: call => bool(call.has(0) && call.value(0).kind !== 'none'),
  Scan: scanRule,
  SequenceAt: sequenceAt,
  SequenceConstruct: call => sequence(call.inputs.map((_, i) => call.value(i))),
  SequenceEmpty: sequenceEmpty,
  SequenceErase: sequenceErase,
  SequenceInsert: sequenceInsert,
  SequenceLength: call => index(sequenceOf(call).values.length),
  SequenceMap: sequenceMap,
  SplitToSequence: splitToSequence,
};
