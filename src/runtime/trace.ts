/**
 * Tracing: running a function once over placeholders, and keeping the program it describes, with the cells it updates
 * and the random keys it draws as hidden inputs. The engine under `compile(fn)`.
 */

import { span } from '../compiler/profile.ts';
import type { Binding } from '../compiler/program.ts';
import { placeholder } from '../graph/build.ts';
import { changes } from '../graph/changes.ts';
import type { DType, HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import { runCold } from '../launch/engine.ts';
import { pendingCells, takeKept } from './cells.ts';
import { flush } from './evaluate.ts';
import { Generator } from './generator.ts';
import { type Prepared, prepare } from './programs.ts';

interface KeyUse {
  readonly placeholder: Node;
  used: bigint;
}

class ActiveTrace {
  readonly keys = new Map<Generator, KeyUse>();

  /** A placeholder for the generator's key at call time, and how many blocks this trace drew before. */
  randomKey(generator: Generator, blocks: bigint): { placeholder: Node; used: bigint } {
    let use = this.keys.get(generator);
    if (!use) {
      use = { placeholder: placeholder('random key', [2], 'i64'), used: 0n };
      this.keys.set(generator, use);
    }
    const { used } = use;
    use.used += blocks;
    return { placeholder: use.placeholder, used };
  }
}

let active: ActiveTrace | null = null;

/** Counts traces, each a source of bindings of its own. */
let traces = 0;

/** The trace being recorded, if any. */
export const activeTrace = (): ActiveTrace | null => active;
export const isTracing = (): boolean => active !== null;

export interface ArgumentType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A traced function: call it with one value per argument, or with a variable that it does not write. */
export interface Trace {
  /** Shapes and dtypes of the results. */
  readonly outputs: readonly ArgumentType[];
  /** Variables that every run writes. */
  readonly written: ReadonlySet<Variable>;
  run(args: readonly Binding[]): HostArray[];
  /** What `runAtOnce` is given; and where in it each argument has its place, -1 if it is not read. */
  readonly given: Binding[];
  readonly places: readonly number[];
  /**
   * Runs with the values of the host that have been put into `given`, and takes them out of it; where no assignment is
   * pending and no profile is being taken.
   */
  runAtOnce(): HostArray[];
  runAsync(args: readonly HostArray[]): Promise<HostArray[]>;
}

/** Records `body` over placeholders of the given types. Cells assigned by `body` are updated by every run. */
export const trace = (types: readonly ArgumentType[], body: (args: readonly Node[]) => readonly Node[]): Trace =>
  runCold(() => recorded(types, body));

function recorded(types: readonly ArgumentType[], body: (args: readonly Node[]) => readonly Node[]): Trace {
  if (active) throw new Error('internal: a trace was started inside another');
  flush();
  const context = new ActiveTrace();
  const args = types.map((type, i) => placeholder(`argument ${i}`, type.shape, type.dtype));
  active = context;
  changes.modes++;
  let prepared: Prepared;
  let outputs: readonly Node[];
  const written = new Set<Variable>();
  try {
    outputs = span('trace', () => body(args));
    const cells = pendingCells();
    const updates = cells.map(cell => ({ leaf: cell.leafNode, node: cell.node }));
    for (const { leaf } of updates) if (leaf.is('variable')) written.add(leaf.attrs.variable);
    // What the function closes over stays as it is, but for what it assigns.
    const lasts = (leaf: Node): boolean =>
      leaf.is('variable') ? !written.has(leaf.attrs.variable) : leaf.value !== null;
    prepared = span('prepare', () => prepare(outputs, updates, undefined, lasts));
    prepared.hold();
  } finally {
    active = null;
    takeKept();
    for (const cell of pendingCells()) cell.settle();
  }
  const given: Binding[] = [];
  const places = args.map(() => -1);
  const keys: { readonly leaf: number; readonly generator: Generator }[] = [];
  for (const [i, leaf] of prepared.leaves.entries()) {
    const source = sourceOf(leaf, args, context);
    if (typeof source === 'number') places[source] = i;
    else if (source instanceof Generator) keys.push({ leaf: i, generator: source });
    given.push(typeof source === 'number' || source instanceof Generator ? NOTHING : source);
  }
  const giving = (values: readonly Binding[]): Binding[] => {
    const bindings = given.slice();
    for (const [k, value] of values.entries()) if (places[k]! >= 0) bindings[places[k]!] = value;
    return bindings;
  };
  const bindKeys = (to: Binding[]): void => {
    for (const { leaf, generator } of keys) to[leaf] = generator.key();
  };
  const { executable } = prepared;
  const advance = (): void => {
    for (const [generator, use] of context.keys) generator.advance(use.used);
  };
  const source = ++traces;
  const runWith = (bindings: Binding[], from: number): HostArray[] => {
    if (keys.length === 0) return executable.run(bindings, from);
    bindKeys(bindings);
    const results = executable.run(bindings, from);
    advance();
    return results;
  };
  // A list of its own for each run would be a third of what a tiny step allocates without its result (decision 307).
  const runAtOnce = (): HostArray[] => {
    const results = runWith(given, source);
    for (let k = 0; k < places.length; k++) if (places[k]! >= 0) given[places[k]!] = NOTHING;
    return results;
  };
  return {
    outputs: outputs.map(({ shape, dtype }) => ({ shape, dtype })),
    written,
    given,
    places,
    run(values) {
      // What was assigned since the last program ran is what this one reads.
      if (pendingCells().length > 0) flush();
      const hasVariables = values.some(value => 'version' in value);
      return span('run', () => runWith(giving(values), hasVariables ? 0 : source));
    },
    runAtOnce,
    async runAsync(values) {
      if (pendingCells().length > 0) flush();
      const bindings = giving(values);
      bindKeys(bindings);
      advance();
      return executable.runAsync(bindings, source);
    },
  };
}

const NOTHING = new Float32Array(0);

/**
 * Where a leaf of the traced program finds its value at call time: the place of an argument, a generator's key, or
 * always the same.
 */
function sourceOf(leaf: Node, args: readonly Node[], context: ActiveTrace): number | Generator | Binding {
  const argument = args.indexOf(leaf);
  if (argument >= 0) return argument;
  for (const [generator, use] of context.keys) if (use.placeholder === leaf) return generator;
  if (leaf.is('variable')) return leaf.attrs.variable;
  if (leaf.value) return leaf.value;
  throw new Error('compile: a value of another compiled function leaked into this one; pass it as an argument');
}
