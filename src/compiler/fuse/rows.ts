/**
 * Updates of rows: a kernel over values of which all go to rows of variables (dropping scatters that are written where
 * the variable lies) puts them there itself, row by row as it has read them, so a row comes from memory once. Decides
 * by who reads what; imports the flow and kernels.
 */
import { type Flow, isElementwise, storage, type Value } from '../flow.ts';
import { insideIndex } from '../fold-values.ts';
import type { Kernel, SpaceKernel } from '../kernels.ts';

/**
 * Dropping scatters into a variable that become its new value and are read by nobody else: they touch the rows they
 * update, and no others.
 */
export function updatedInPlace({ updates, outputs, sameMemory }: Flow): ReadonlySet<Value> {
  const taken = new Set(outputs.map(storage));
  const found = new Set<Value>();
  for (const { leaf, value } of updates) {
    const root = storage(value);
    const fresh = !taken.has(root);
    taken.add(root);
    if (!fresh || !root.is('scatter') || !root.attrs.drop || root !== value || root.users.length > 0) continue;
    const memory = sameMemory[leaf];
    const reads = (input: Value): boolean => input.leaf >= 0 && sameMemory[input.leaf] === memory;
    const [base, index, updated] = root.inputs.map(storage) as [Value, Value, Value];
    if (reads(base) && !reads(index) && !reads(updated)) found.add(root);
  }
  return found;
}

/**
 * Row updates that a kernel computes the values of, by those values; null where it computes anything else that is
 * stored.
 */
function updatesOf(
  kernel: SpaceKernel,
  flow: Flow,
  inPlace: ReadonlySet<Value>,
  home: ReadonlyMap<Value, Kernel>,
): ReadonlyMap<Value, Value<'scatter'>> | null {
  const pinned = new Set([...flow.outputs, ...flow.updates.map(update => update.value)].map(storage));
  /** Whether nobody outside of the kernel reads a value. */
  const stays = (value: Value): boolean =>
    value.users.every(user => kernel.members.has(user) || inPlace.has(user) || (!home.has(user) && stays(user)));
  const found = new Map<Value, Value<'scatter'>>();
  for (const value of kernel.stores) {
    const [scatter, ...others] = value.users.filter(user => inPlace.has(user));
    if (!scatter?.is('scatter') || others.length > 0 || pinned.has(value) || !stays(value)) return null;
    const { kind, axis } = scatter.attrs;
    const [, index, updates] = scatter.inputs as readonly [Value, Value, Value];
    if (kind !== 'set' || axis !== 0 || updates !== value || index.dtype !== 'i32' || index.shape.length !== 1)
      return null;
    found.set(value, scatter);
  }
  return found;
}

/**
 * Whether a kernel that computes `updates` may write them as it goes: what it reads of the variables it changes are the
 * rows it writes then (indices of a dropping scatter that are inside are distinct), it reads no other variable that is
 * changed in place, and nothing in it can fail.
 */
function readsItsRows(
  kernel: SpaceKernel,
  updates: ReadonlyMap<Value, Value<'scatter'>>,
  flow: Flow,
  inPlace: ReadonlySet<Value>,
  stored: ReadonlySet<Value>,
): boolean {
  const memoryOf = (value: Value): number => (value.leaf < 0 ? -1 : flow.sameMemory[value.leaf]!);
  const changed = new Set([...inPlace].map(scatter => memoryOf(storage(scatter.inputs[0]!))));
  const own = new Map([...updates.values()].map(scatter => [memoryOf(storage(scatter.inputs[0]!)), scatter]));
  const read = new Set<Value>();
  const seen = { aligned: new Set<Value>(), elsewhere: new Set<Value>() };
  /** `aligned`: whether the value is read at the coordinates of the updates. */
  const walk = (value: Value, aligned: boolean): boolean => {
    if (value.leaf >= 0) return !changed.has(memoryOf(value));
    const known = aligned ? seen.aligned : seen.elsewhere;
    if (known.has(value) || (stored.has(value) && !kernel.members.has(value))) return true;
    known.add(value);
    if (value.op === 'checkIndex') return false;
    if (value.is('gather')) {
      const [source, index] = value.inputs as readonly [Value, Value];
      const scatter = own.get(memoryOf(storage(source)));
      if (!scatter || !aligned || value.attrs.axis !== 0 || index !== insideIndex(scatter)) return false;
      read.add(scatter);
      return true;
    }
    return value.inputs.every(input => walk(input, aligned && isElementwise(value)));
  };
  for (const value of kernel.members.keys()) if (!walk(value, true)) return false;
  return [...updates.values()].every(scatter => read.has(scatter));
}

/** Gives kernels the row updates they compute the values of; `stored` loses those values, which go nowhere else. */
export function joinRowUpdates(
  flow: Flow,
  kernels: readonly Kernel[],
  stored: Set<Value>,
  inPlace: ReadonlySet<Value>,
  home: ReadonlyMap<Value, Kernel>,
): readonly Kernel[] {
  if (inPlace.size === 0) return kernels;
  const joined = new Set<Value>();
  for (const kernel of kernels) {
    if (kernel.kind !== 'space' || kernel.kept !== null || kernel.lasting) continue;
    const updates = updatesOf(kernel, flow, inPlace, home);
    if (!updates || !readsItsRows(kernel, updates, flow, inPlace, stored)) continue;
    for (const [value, scatter] of updates) {
      kernel.members.set(scatter, kernel.members.get(value)!);
      stored.delete(value);
      joined.add(scatter);
    }
    kernel.stores = [...updates.values()];
  }
  return kernels.filter(kernel => kernel.kind !== 'routine' || !joined.has(kernel.value));
}
