/**
 * The program cache: from graph roots and pending updates to an executable of the current backend, compiled once per
 * structure.
 */

import { span } from '../compiler/profile.ts';
import type { Backend, Binding, Executable, GraphProgram, MachineRefusal } from '../compiler/program.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import { clock } from '../launch/clock.ts';
import { backend, moveOn } from './backends.ts';
import { hasControlFlow, type OrderedProgram, splitProgram } from './split.ts';
import { isBound, sharedLeaves, structureOf } from './structure.ts';
import { noteCompiled } from './variants.ts';

/** Programs kept per process; the least recently used one is dropped first. A training script uses a handful. */
const CAPACITY = 1024;
const cache = new Map<string, Entry>();
let uses = 0;

/** Marked when used, and not moved in the map: see cells.ts on tables. */
interface Entry {
  /** Undefined once it is collected. */
  readonly executable: () => Executable | undefined;
  used: number;
  /**
   * Whether somebody keeps it for later; otherwise it is freed when dropped, as in a loop that never returns to the
   * event loop nothing is collected.
   */
  held: boolean;
}

function dropLeastUsed(): void {
  let least: string | null = null;
  for (const [id, { used }] of cache) if (least === null || used < cache.get(least)!.used) least = id;
  if (least === null) return;
  const { held, executable } = cache.get(least)!;
  cache.delete(least);
  if (!held) executable()?.free();
}

// Functions made apart from `prepare`, whose graph they would keep.
const holder = (entry: Entry) => (): void => {
  entry.held = true;
};
const always =
  (executable: Executable): Entry['executable'] =>
  () =>
    executable;

/** A program that keeps memory made from a model's weights lives as long as the function that it was compiled for. */
function whileUsed(executable: Executable): Entry['executable'] {
  const reference = new WeakRef(executable);
  return () => reference.deref();
}

/** A leaf that a program writes, and its new value. */
export interface Update {
  readonly leaf: Node;
  readonly node: Node;
}

/** A program ready to run: an executable and what each of its leaves is. */
export interface Prepared {
  readonly executable: Executable;
  readonly leaves: readonly Node[];
  /** Keeps the executable usable beyond the next call of `prepare`. */
  hold(): void;
}

/**
 * Compiles, or finds compiled, the program that computes `outputs` and performs `updates`. `isLeaf` says which nodes
 * are given when it runs: what has a value, by default. Leaves that `lasts` says keep their value from run to run let
 * the program keep what it computes from them.
 */
export function prepare(
  outputs: readonly Node[],
  updates: readonly Update[],
  isLeaf: (node: Node) => boolean = isBound,
  lasts: ((leaf: Node) => boolean) | null = null,
): Prepared {
  const roots = [...outputs, ...updates.map(u => u.node)];
  const written = updates.map(u => u.leaf);
  const { key, leaves, order, words } = structureOf(roots, written, isLeaf);
  const device = backend();
  const lasting = lasts && leaves.map(lasts);
  const kept = lasting ? lasting.map(Number).join('') : '';
  const id = `${device.name}:${device.threads}:${outputs.length}:${kept}:${key}`;
  let entry = cache.get(id);
  let executable = entry?.executable();
  if (!entry || !executable) {
    // Which leaves are one variable, what the key says beside, and all that it is a hash of: the same in any process of
    // one build.
    const identity = words && [
      Int32Array.of(words.length, outputs.length, ...(lasting ?? []).map(Number), ...sharedLeaves(leaves)),
      words,
    ];
    const begin = clock();
    const made = span('compile', () => compileProgram(device, leaves, order, outputs, updates, lasting, identity));
    noteCompiled(order, leaves, clock() - begin);
    if (cache.size >= CAPACITY) dropLeastUsed();
    entry = { executable: (lasting?.includes(true) ? whileUsed : always)(made), used: 0, held: false };
    cache.set(id, entry);
    executable = made;
  }
  entry.used = ++uses;
  return { executable, leaves, hold: holder(entry) };
}

/** Parts of a program live as long as it does. */
const prepareHeld: typeof prepare = (...args) => {
  const prepared = prepare(...args);
  prepared.hold();
  return prepared;
};

function compileProgram(
  device: Backend,
  leaves: readonly Node[],
  order: readonly Node[],
  outputs: readonly Node[],
  updates: readonly Update[],
  lasting: readonly boolean[] | null,
  identity: GraphProgram['identity'] | null,
): Executable {
  // A variable read through two leaf nodes (before and after its gradient flag changed) is still one binding.
  const at = new Map(leaves.map((leaf, i) => [leaf, i]));
  const program: OrderedProgram = {
    leaves,
    order,
    outputs,
    updates: updates.map(u => ({ leaf: at.get(u.leaf)!, node: u.node })),
    ...(lasting ? { lasting } : {}),
    ...(identity ? { identity } : {}),
  };
  const elsewhere = (refusal: MachineRefusal): Executable => moveOn(device, refusal.message).compile(program);
  return hasControlFlow(program) ? splitProgram(program, prepareHeld) : device.compile({ ...program, elsewhere });
}

/** What a leaf is bound to outside of a trace. */
export function bindingOf(leaf: Node): Binding {
  // A variable's leaf may hold a value too (somebody read it), but the program must write and read the variable itself.
  if (leaf.is('variable')) {
    const { variable, version } = leaf.attrs;
    if (variable.version !== version) throw staleError(variable);
    return variable;
  }
  if (leaf.value) return leaf.value;
  if (leaf.is('placeholder'))
    throw new Error(
      `${leaf.attrs.name}: a value that depends on it was read (item, data, toArray, print), but it has none while the function is traced`,
    );
  throw new Error(`internal: ${leaf.op} ${JSON.stringify(leaf.attrs)} has no value`);
}

const staleError = (variable: Variable): Error =>
  new Error(
    `this value depends on ${variable.name ? `"${variable.name}"` : 'a parameter'} as it was before an update: ` +
      'read it (item, data, eval) before optimizer.step(), or return it from the compiled step',
  );

/** Runs a prepared program with the bindings its leaves have now. */
export function runPrepared(prepared: Prepared): HostArray[] {
  return span('run', () => prepared.executable.run(prepared.leaves.map(bindingOf)));
}

export function runPreparedAsync(prepared: Prepared): Promise<HostArray[]> {
  return prepared.executable.runAsync(prepared.leaves.map(bindingOf));
}
