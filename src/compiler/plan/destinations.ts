/**
 * Where results go: straight to where they belong, variables in place, or by a copy at the end.
 */
import type { JoinedParts } from '../concats.ts';
import { type Flow, storage, type Value } from '../flow.ts';
import type { CopyKernel } from '../kernels.ts';
import type { Place } from '../program.ts';
import { makersOf, type Step } from './step.ts';

/** Which results are written straight to where they belong, and which need a copy. */
interface Destinations {
  readonly place: ReadonlyMap<Value, Place>;
  readonly copies: readonly CopyKernel[];
}

/**
 * Decides where results go. A variable is written by the kernel that computes its new value if nobody else reads that
 * kernel's results, it cannot fail, and it reads the old value (if at all) only at the element it writes; then every
 * other reader of the old value can run before, unless that is itself written after this one.
 */
export function chooseDestinations(
  flow: Flow,
  steps: readonly Step[],
  joined: JoinedParts,
  inPlace: ReadonlySet<Value>,
): Destinations {
  const place = new Map<Value, Place>();
  const copies: CopyKernel[] = [];
  const copy = (from: Value, to: CopyKernel['to']): void => {
    copies.push({ kind: 'copy', stage: 0, members: new Map(), stores: [], lasting: false, from, to });
  };
  flow.outputs.forEach((value, index) => {
    const root = storage(value);
    if (root.leaf < 0 && !place.has(root) && !flow.lasts(root)) place.set(root, { kind: 'output', index });
    else copy(root, { kind: 'output', index });
  });

  const home = new Map<Value, Step>();
  for (const step of steps) for (const value of step.kernel.stores) home.set(value, step);
  const makers = makersOf(steps, joined);
  const readElsewhere = new Set<Step>();
  for (const step of steps)
    for (const value of step.reads) for (const maker of makers(value)) if (maker !== step) readElsewhere.add(maker);
  const writers = new Map<number, Step>();
  // Rows that are written where they lie have no other place to go to: all others give way.
  const rows = flow.updates.filter(({ value }) => inPlace.has(value));
  for (const { leaf, value } of [...rows, ...flow.updates.filter(({ value }) => !inPlace.has(value))]) {
    const root = storage(value);
    const step = home.get(root);
    const memory = flow.sameMemory[leaf]!;
    const direct =
      step !== undefined &&
      !place.has(root) &&
      !flow.lasts(root) &&
      !readElsewhere.has(step) &&
      !step.mayFail &&
      readsOnlyInPlace(flow, step, root, leaf) &&
      !waitsForReaders(flow, step, memory, writers);
    if (direct) {
      place.set(root, { kind: 'leaf', index: leaf });
      writers.set(memory, step);
    } else copy(root, { kind: 'leaf', index: leaf });
  }
  return { place, copies };
}

/** Variables that `step` reads, by their memory. */
const memoriesRead = (flow: Flow, step: Step): number[] =>
  step.reads.flatMap(read => (read.leaf < 0 ? [] : [flow.sameMemory[read.leaf]!]));

/**
 * Whether a reader of `memory` has to run after `step`: it writes in place (`writers`) what `step` reads, or what
 * another writer does that must run after `step`. Two variables whose new values are computed from each other cannot
 * both be written in place by kernels of their own.
 */
function waitsForReaders(flow: Flow, step: Step, memory: number, writers: ReadonlyMap<number, Step>): boolean {
  const later = new Set([step]);
  for (const before of later)
    for (const read of memoriesRead(flow, before)) {
      const writer = writers.get(read);
      if (writer && writer !== before) later.add(writer);
    }
  later.delete(step);
  return [...later].some(other => memoriesRead(flow, other).includes(memory));
}

function readsOnlyInPlace(flow: Flow, step: Step, stored: Value, leaf: number): boolean {
  const memory = flow.sameMemory[leaf];
  return step.reads.every(
    read =>
      read.leaf < 0 ||
      flow.sameMemory[read.leaf] !== memory ||
      step.lowered.inPlace.some(pair => pair.stored === stored && pair.read === read),
  );
}
