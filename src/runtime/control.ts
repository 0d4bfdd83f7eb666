/**
 * Running loops and choices: their bodies are programs, and this is the control flow between the runs. A loop's carries
 * are variables that its body updates in place, so that they and the constants stay in the backend's memory from step
 * to step. Knows nodes and programs, no backend in particular.
 */
import type { Binding, Executable } from '../compiler/program.ts';
import { type Body, type Choice, type Loop, type Role, roleOf } from '../graph/control.ts';
import { type DType, type HostArray, hostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { Variable } from '../graph/storage.ts';
import { inline } from '../transform/index.ts';
import type { Prepared, Update } from './programs.ts';
import type { Work } from './work.ts';

export type Prepare = (
  outputs: readonly Node[],
  updates: readonly Update[],
  isLeaf?: (node: Node) => boolean,
) => Prepared;

/** Runs one application of a loop or a choice on the values of its inputs; gives the wanted results in order. */
export type ControlRunner = (inputs: readonly Binding[]) => Work<HostArray[]>;

/** The value on the host; of a variable, what it holds now. */
export const hostOf = (binding: Binding): HostArray => (binding instanceof Variable ? binding.read() : binding);

/**
 * A program whose leaves are parameters of a body: `places` says which. Keeps no node, as plans live as long as the
 * program cache.
 */
interface Part {
  readonly executable: Executable;
  readonly places: readonly number[];
}

function partOf(prepared: Prepared, params: readonly Node[]): Part {
  return { executable: prepared.executable, places: prepared.leaves.map(leaf => params.indexOf(leaf)) };
}

interface Type {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly size: number;
}

const typeOf = ({ shape, dtype, size }: Node): Type => ({ shape, dtype, size });

// ------------------------------------------------------------------------------------------------ choices

export function choiceRunner(choice: Choice, wanted: readonly number[], prepare: Prepare): ControlRunner {
  const partFor = ({ params, outputs }: Body): Part =>
    partOf(
      prepare(
        wanted.map(k => outputs[k]!),
        [],
      ),
      params,
    );
  return runningChoice(partFor(choice.onTrue), partFor(choice.onFalse));
}

const runningChoice = (onTrue: Part, onFalse: Part): ControlRunner =>
  function* ([condition, ...operands]) {
    const { executable, places } = hostOf(condition!)[0] ? onTrue : onFalse;
    return yield { executable, bindings: places.map(i => operands[i]!) };
  };

// ------------------------------------------------------------------------------------------------ loops

interface LoopPlan {
  readonly carries: number;
  readonly xs: number;
  readonly length: number | null;
  readonly reverse: boolean;
  /** Of the body's parameters. */
  readonly types: readonly Type[];
  /**
   * One step: gives the wanted ys and, for a loop with a condition, whether there is another step; writes the carries.
   */
  readonly step: Part;
  /** Whether there is a first step; its places count carries, then constants. */
  readonly condition: Part | null;
  /** Types of a slice of each wanted y, and the carries whose history is wanted. */
  readonly ys: readonly Type[];
  readonly histories: readonly number[];
  /** What the results are, by kind and index in `ys` or `histories`. */
  readonly results: readonly { readonly kind: Role['kind']; readonly index: number }[];
}

export function loopRunner(loop: Loop, wanted: readonly number[], prepare: Prepare): ControlRunner {
  const plan = planLoop(loop, wanted, prepare);
  return inputs => runLoop(plan, inputs);
}

function planLoop(loop: Loop, wanted: readonly number[], prepare: Prepare): LoopPlan {
  const { carries, xs, length, reverse, cond } = loop;
  const { params, outputs } = loop.body;
  const roles = wanted.map(output => roleOf(loop, output));
  const indices = (kind: Role['kind']): number[] => [
    ...new Set(roles.filter(role => role.kind === kind).map(role => role.index)),
  ];
  const ys = indices('y');
  const histories = indices('history');
  const next = outputs.slice(0, carries);
  // The condition over what the carries become.
  const goesOn = cond ? inline(cond, [...next, ...params.slice(carries + xs)]) : [];
  const step = prepare(
    [...ys.map(k => outputs[carries + k]!), ...goesOn],
    next.map((node, k) => ({ leaf: params[k]!, node })),
  );
  return {
    carries,
    xs,
    length,
    reverse,
    types: params.map(typeOf),
    step: partOf(step, params),
    condition: cond && partOf(prepare(cond.outputs, []), cond.params),
    ys: ys.map(k => typeOf(outputs[carries + k]!)),
    histories,
    results: roles.map(({ kind, index }) => {
      if (kind === 'y') return { kind, index: ys.indexOf(index) };
      return { kind, index: kind === 'history' ? histories.indexOf(index) : index };
    }),
  };
}

/** A variable of its own for a value that every step binds. */
const resident = (binding: Binding, { shape, dtype }: Type): Variable =>
  binding instanceof Variable ? binding : new Variable(shape, dtype, binding);

const put = (stack: HostArray, slice: HostArray, at: number): void => {
  (stack as Float64Array).set(slice as Float64Array, at * slice.length);
};

function* runLoop(plan: LoopPlan, inputs: readonly Binding[]): Work<HostArray[]> {
  const { carries, xs, length, reverse, types, step, condition, ys, histories, results } = plan;
  // The initial value may be the memory of another variable: carries have their own.
  const state = types.slice(0, carries).map(({ shape, dtype }, k) => new Variable(shape, dtype, hostOf(inputs[k]!)));
  const arrays = inputs.slice(carries, carries + xs).map(hostOf);
  const constants = types.slice(carries + xs).map((type, i) => resident(inputs[carries + xs + i]!, type));
  const stacks = ys.map(({ dtype, size }) => hostArray(dtype, (length ?? 0) * size));
  const pasts = histories.map(k => hostArray(types[k]!.dtype, (length ?? 0) * types[k]!.size));
  const sliceOf = (i: number, at: number): HostArray => {
    const { size } = types[i]!;
    return arrays[i - carries]!.subarray(at * size, (at + 1) * size);
  };
  const bind = (at: number): Binding[] =>
    step.places.map(i => {
      if (i < carries) return state[i]!;
      return i < carries + xs ? sliceOf(i, at) : constants[i - carries - xs]!;
    });
  try {
    let goesOn = true;
    if (condition) {
      const { executable, places } = condition;
      const bindings = places.map(i => (i < carries ? state[i]! : constants[i - carries]!));
      goesOn = (yield { executable, bindings })[0]![0] !== 0;
    }
    let count = 0;
    for (; goesOn && (length === null || count < length); count++) {
      const at = reverse ? length! - 1 - count : count;
      for (const [h, k] of histories.entries()) put(pasts[h]!, state[k]!.read(), at);
      const made = yield { executable: step.executable, bindings: bind(at) };
      for (const [k, stack] of stacks.entries()) put(stack, made[k]!, at);
      if (condition) goesOn = made[ys.length]![0] !== 0;
    }
    return results.map(({ kind, index }) => {
      if (kind === 'carry') return state[index]!.read();
      if (kind === 'y') return stacks[index]!;
      return kind === 'history' ? pasts[index]! : BigInt64Array.of(BigInt(count));
    });
  } finally {
    const lent = new Set<Binding>(inputs);
    for (const variable of [...state, ...constants]) if (!lent.has(variable)) variable.device?.buffer.free();
  }
}
