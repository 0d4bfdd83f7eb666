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
  /** The same for values of the host, where no assignment is pending and no profile is being taken. */
  runAtOnce(args: readonly HostArray[]): HostArray[];
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
  const bindings: Binding[] = [];
  /** Which leaves are given, and which arguments they are. */
  const given: number[] = [];
  const argumentOf: number[] = [];
  const keys: { readonly leaf: number; readonly generator: Generator }[] = [];
  for (const [i, leaf] of prepared.leaves.entries()) {
    const source = sourceOf(leaf, args, context);
    if (typeof source === 'number') {
      given.push(i);
      argumentOf.push(source);
    } else if (source instanceof Generator) keys.push({ leaf: i, generator: source });
    bindings.push(typeof source === 'number' || source instanceof Generator ? NOTHING : source);
  }
  const bindKeys = (to: Binding[]): void => {
    for (const { leaf, generator } of keys) to[leaf] = generator.key();
  };
  const { executable } = prepared;
  const advance = (): void => {
    for (const [generator, use] of context.keys) generator.advance(use.used);
  };
  const source = ++traces;
  const runAtOnce = (values: readonly Binding[], from = source): HostArray[] => {
    for (let i = 0; i < given.length; i++) bindings[given[i]!] = values[argumentOf[i]!]!;
    if (keys.length > 0) bindKeys(bindings);
    const results = executable.run(bindings, from);
    // Arguments are not kept beyond the run that they were given to.
    for (let i = 0; i < given.length; i++) bindings[given[i]!] = NOTHING;
    if (keys.length > 0) advance();
    return results;
  };
  return {
    outputs: outputs.map(({ shape, dtype }) => ({ shape, dtype })),
    written,
    run(values) {
      // What was assigned since the last program ran is what this one reads.
      if (pendingCells().length > 0) flush();
      const hasVariables = values.some(value => 'version' in value);
      return span('run', () => runAtOnce(values, hasVariables ? 0 : source));
    },
    runAtOnce,
    async runAsync(values) {
      if (pendingCells().length > 0) flush();
      const own = [...bindings];
      for (const [i, leaf] of given.entries()) own[leaf] = values[argumentOf[i]!]!;
      bindKeys(own);
      advance();
      return executable.runAsync(own, source);
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
