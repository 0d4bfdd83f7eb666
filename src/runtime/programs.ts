/**
 * The program cache: from graph roots and pending updates to an executable of the current backend, compiled once per structure.
 */

import { span } from '../compiler/profile.ts';
import type { Binding, Executable } from '../compiler/program.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import type { Variable } from '../graph/storage.ts';
import { backend } from './backends.ts';
import { structureOf } from './structure.ts';

/** Programs kept per process; the least recently used one is dropped first. A training script uses a handful. */
const CAPACITY = 1024;
const cache = new Map<string, Executable>();

export interface Update {
  /** The variable's leaf. */
  readonly leaf: Node<'variable'>;
  readonly node: Node;
}

/** A program ready to run: an executable and what each of its leaves is. */
export interface Prepared {
  readonly executable: Executable;
  readonly leaves: readonly Node[];
}

/** Compiles, or finds compiled, the program that computes `outputs` and performs `updates`. */
export function prepare(outputs: readonly Node[], updates: readonly Update[]): Prepared {
  const roots = [...outputs, ...updates.map(u => u.node)];
  const { key, leaves } = structureOf(
    roots,
    updates.map(u => u.leaf),
  );
  const device = backend();
  const id = `${device.name}:${device.threads}:${outputs.length}:${key}`;
  let executable = cache.get(id);
  if (executable) cache.delete(id);
  else {
    // A variable read through two leaf nodes (before and after its gradient flag changed) is still one binding.
    const at = new Map(leaves.map((leaf, i) => [leaf, i]));
    executable = span('compile', () =>
      device.compile({ leaves, outputs, updates: updates.map(u => ({ leaf: at.get(u.leaf)!, node: u.node })) }),
    );
    if (cache.size >= CAPACITY) cache.delete(cache.keys().next().value!);
  }
  cache.set(id, executable);
  return { executable, leaves };
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
      'read it (item, data, evaluate) before optimizer.step(), or return it from the compiled step',
  );

/** Runs a prepared program with the bindings its leaves have now. */
export function runPrepared(prepared: Prepared): HostArray[] {
  return span('run', () => prepared.executable.run(prepared.leaves.map(bindingOf)));
}

export function runPreparedAsync(prepared: Prepared): Promise<HostArray[]> {
  return prepared.executable.runAsync(prepared.leaves.map(bindingOf));
}
