/**
 * compile(fn): the whole of a function (forward, backward, optimizer update) as one program.
 */
import { isProfiling } from '../compiler/profile.ts';
import type { Binding } from '../compiler/program.ts';
import { data, recordsGradients } from '../graph/build.ts';
import { changes } from '../graph/changes.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import {
  type ArgumentType,
  evaluate,
  evaluateAsync,
  isTracing,
  noticeOnce,
  pendingCells,
  type Trace,
  trace,
} from '../runtime/index.ts';
import { autocastDType } from './autocast.ts';
import { type HeldFields, holdingFields } from './fields.ts';
import { deliver, endRecording, gradientsLeft, type LeftGradient } from './gradients.ts';
import { modeEpoch } from './mode.ts';
import { describe } from './operands.ts';
import { isInsideTransform } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { type Form, flatten, matchesItems, type Take, unflatten } from './tree.ts';

/** One recorded program, and the arguments it serves. */
interface Recording {
  readonly arguments: readonly Form[];
  readonly takeNode: Take<Node[]>;
  readonly takeValue: Take<Binding[]>;
  readonly result: Form;
  readonly program: Trace;
  /** Gradients that every call leaves in parameters: results after those of the function. */
  readonly gradients: readonly LeftGradient[];
  /** Whether one tensor is all that comes of a call, as of most steps. */
  readonly isLoss: boolean;
  /** The training/evaluation epoch it was recorded in, what autocast was, and whether gradients were recorded. */
  readonly epoch: number;
  readonly autocast: 'bf16' | 'f16' | null;
  readonly hasGradients: boolean;
  /** What it found in the fields of modules and optimizers, those apart that count as modes. */
  readonly fields: HeldFields;
  readonly counted: HeldFields;
}

/**
 * Recordings kept per function, the least recently used is dropped first: a number that changes every call must not
 * fill the memory.
 */
const RECORDINGS = 64;

/** From so many changes of one field on, it is said that each costs a recording. */
const CHANGES = 16;

/** A compiled function: call it as the original, or `async` to leave the event loop free while it runs. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  (...args: A): R;
  /** Runs in a thread of its own: the event loop goes on meanwhile. */
  async(...args: A): Promise<R>;
}

const isOf = (node: Node, { shape, dtype }: ArgumentType): boolean =>
  node.dtype === dtype && (node.shape === shape || node.hasShape(shape));

/** Takes tensors of these types, and their nodes. */
const takingNodes =
  (types: readonly ArgumentType[]): Take<Node[]> =>
  (at, { node }, nodes) => {
    nodes[at] = node;
    return isOf(node, types[at]!);
  };

/** Takes those that have a value on the host, which it puts where the next run is given it. */
const takingValues =
  (types: readonly ArgumentType[], { places }: Trace): Take<Binding[]> =>
  (at, { node }, given) => {
    const { value } = node;
    if (value === null || node.op === 'variable' || !isOf(node, types[at]!)) return false;
    const place = places[at]!;
    if (place >= 0) given[place] = value;
    return true;
  };

const tensorOf = (value: HostArray, { shape, dtype }: ArgumentType): Tensor => new Tensor(data(value, shape, dtype));

function valuesOf(nodes: readonly Node[]): HostArray[] {
  const values: HostArray[] = [];
  for (let i = 0; i < nodes.length; i++) values.push(nodes[i]!.value!);
  return values;
}

/**
 * What a run reads `node` from, if that is a variable as it stands: it may lie in the backend's memory, in large pages
 * and from a line on. Null where the run (or what is pending before it) writes the variable.
 */
function residence(node: Node, { written }: Trace): Variable | null {
  if (!node.is('variable')) return null;
  const { variable, version } = node.attrs;
  return variable.version === version && !written.has(variable) && pendingCells().length === 0 ? variable : null;
}

function bindingsOf(nodes: readonly Node[], program: Trace): Binding[] {
  const bindings: Binding[] = [];
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    const binding = node.op === 'data' ? node.value : (residence(node, program) ?? node.value);
    if (!binding) return bindingsOfComputed(nodes, program);
    bindings.push(binding);
  }
  return bindings;
}

/** The same where some values are still to be computed: in one program. */
function bindingsOfComputed(nodes: readonly Node[], program: Trace): Binding[] {
  const resident = nodes.map(node => residence(node, program));
  evaluate(nodes.filter((_, i) => !resident[i]));
  return nodes.map((node, i) => resident[i] ?? node.value!);
}

function record<A extends readonly unknown[], R>(fn: (...args: A) => R, args: A): Recording {
  const { form, tensors } = flatten(args, 'compile: arguments');
  if (form.kind !== 'list') throw new Error('internal: arguments are no list');
  const types = tensors.map(({ shape, dtype }) => ({ shape: [...shape], dtype }));
  const epoch = modeEpoch();
  const autocast = autocastDType();
  const hasGradients = recordsGradients();
  let result: Form | undefined;
  let gradients: readonly LeftGradient[] = [];
  let isRecorded = false;
  try {
    const traced = (nodes: readonly Node[]): Node[] => {
      const inputs = unflatten(
        form,
        nodes.map(node => new Tensor(node)),
      ) as unknown as A;
      const flat = flatten(fn(...inputs), 'compile: result');
      result = flat.form;
      const { left, tensors } = gradientsLeft();
      gradients = left;
      return [...flat.tensors, ...tensors].map(t => t.node);
    };
    const { result: program, fields, counted } = holdingFields(() => trace(types, traced));
    isRecorded = true;
    return {
      arguments: form.items,
      takeNode: takingNodes(types),
      takeValue: takingValues(types, program),
      result: result!,
      program,
      gradients,
      isLoss: result!.kind === 'tensor' && gradients.length === 0,
      epoch,
      autocast,
      hasGradients,
      fields,
      counted,
    };
  } finally {
    endRecording(isRecorded && gradients.length === 0);
  }
}

/**
 * Compiles `fn` into one program per form of its arguments (tree structure, shapes, dtypes, and static values such as
 * numbers).
 *
 * `fn` runs once over symbolic tensors. Parameters, optimizer state and module buffers it assigns are updated in place
 * by every call; random numbers are drawn anew by every call; a schedule may change `optimizer.lr` between calls.
 * Gradients that `backward` leaves where no optimizer's step uses them are added to `.grad` by every call, so that
 * several calls may come before one step outside. It is recorded again when it finds a module in another state: after
 * `model.train()`, `model.eval()` and freezing, and when a field of a module or a hyperparameter of an optimizer that
 * it ran holds something else (`net.fc = new Linear(...)`, `dropout.p = 0.1`). Variables that it closes over are fixed
 * when it is recorded, as are the values of tensors and plain numbers in them. Inside another compiled function and
 * under transforms (grad, vmap, ...) it is part of what is around it.
 *
 * @param fn takes and returns trees of tensors (arrays and plain objects); must not read values (item, data) inside
 * @returns a function of the same type; results are computed when it returns
 * @throws Error when `fn` reads a value while it is recorded, or an index is out of range when it runs (no parameter
 * has changed then)
 */
export function compile<A extends readonly unknown[], R>(fn: (...args: A) => R): CompiledFunction<A, R> {
  if (typeof fn !== 'function')
    throw new TypeError(
      `compile: expected a function of tensors, got ${describe(fn)} (for a module: compile(x => model.call(x)))`,
    );
  /** Most recently used last. */
  let recordings: Recording[] = [];
  /** The one of the last run, and `changes.modes` then: all but its fields is as it was while that stays. */
  let last: Recording | null = null;
  let seen = 0;
  /** Counts recordings that a field has made out of date. */
  const outOfDate = new Map<string, number>();
  const noteChanged = (field: string): void => {
    const times = (outOfDate.get(field) ?? 0) + 1;
    outOfDate.set(field, times);
    if (times === CHANGES)
      noticeOnce(
        `compile: a function has been recorded anew ${CHANGES} times because ${field} changes between its calls: pass what changes as a tensor, or keep it in a Parameter`,
      );
  };

  /** The recording that serves `args`; the nodes of their tensors come into `nodes`. */
  const find = (args: A, nodes: Node[]): Recording => {
    for (let i = recordings.length - 1; i >= 0; i--) {
      const known = recordings[i]!;
      if (!matchesItems(known.arguments, args, known.takeNode, nodes)) {
        nodes.length = 0;
        continue;
      }
      if (known.autocast !== autocastDType() || known.hasGradients !== recordsGradients()) continue;
      const changed = known.fields.changed() ?? known.counted.changed();
      if (known.epoch === modeEpoch() && !changed) {
        if (i < recordings.length - 1) recordings = [...recordings.filter(r => r !== known), known];
        return known;
      }
      if (changed) noteChanged(changed);
      recordings = recordings.filter(r => r !== known);
      break;
    }
    const fresh = record(fn, args);
    recordings.push(fresh);
    if (recordings.length > RECORDINGS) recordings.shift();
    matchesItems(fresh.arguments, args, fresh.takeNode, nodes);
    return fresh;
  };

  const wrap = ({ program, result, gradients }: Recording, values: readonly HostArray[]): R => {
    const { outputs } = program;
    const results = values.map((value, i) => tensorOf(value, outputs[i]!));
    if (gradients.length > 0) deliver(gradients, results);
    return unflatten(result, results) as R;
  };

  const runRecording = (args: A): R => {
    const nodes: Node[] = [];
    const recording = find(args, nodes);
    const { modes } = changes;
    const values = recording.program.run(bindingsOf(nodes, recording.program));
    // Nothing is pending after a run.
    if (!isProfiling()) {
      last = recording;
      seen = modes;
    }
    return wrap(recording, values);
  };
  // Most calls are like the last one: nothing is asked again that cannot have changed (decision 285).
  const call = (...args: A): R => {
    if (last && seen === changes.modes && last.fields.changed() === null) {
      const { program } = last;
      if (matchesItems(last.arguments, args, last.takeValue, program.given)) {
        const values = program.runAtOnce();
        return last.isLoss ? (tensorOf(values[0]!, program.outputs[0]!) as R) : wrap(last, values);
      }
    }
    // Inside another compiled function, or where a transform needs the graph, the function becomes part of that.
    return isTracing() || isInsideTransform() ? fn(...args) : runRecording(args);
  };
  const later = async (...args: A): Promise<R> => {
    if (isTracing() || isInsideTransform())
      throw new Error(
        'compile: async was called inside a compiled function or a transform; call the function itself there',
      );
    const nodes: Node[] = [];
    const recording = find(args, nodes);
    await evaluateAsync(nodes);
    return wrap(recording, await recording.program.runAsync(valuesOf(nodes)));
  };
  return Object.assign(call, { async: later });
}
