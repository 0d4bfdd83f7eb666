/**
 * Where results go: straight to where they belong, variables in place, or by a copy at the end.
 */
import { sizeOf } from '../../graph/shape.ts';
import type { JoinedParts } from '../concats.ts';
import { type Flow, isElementwise, storage, type Value } from '../flow.ts';
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

/** Whether `step` may write `stored` into variable `leaf`. */
function readsOnlyInPlace(flow: Flow, step: Step, stored: Value, leaf: number): boolean {
  const memory = flow.sameMemory[leaf];
  return step.reads.every(
    read =>
      read.leaf < 0 ||
      flow.sameMemory[read.leaf] !== memory ||
      readsOwnElements(step, stored, read) ||
      writesOver(step, stored, read),
  );
}

/** Whether a lowered step reads `read` no later than it writes `stored` at the same place. */
const writesOver = ({ lowered }: Step, stored: Value, read: Value): boolean =>
  lowered.inPlace.some(pair => pair.stored === stored && pair.read === read);

/**
 * Whether a kernel reads `read` only where it is computing the very element of `stored`: as an update does, which need
 * not be lowered to know that. Where it sums, values of full size may wait in the memory of `stored`.
 */
function readsOwnElements({ kernel, reads }: Step, stored: Value, read: Value): boolean {
  if (kernel.kind !== 'space') return false;
  const { members } = kernel;
  if (kernel.reductions.length > 0 && stored.size === sizeOf(kernel.shape)) return false;
  const own = members.get(stored)!;
  const others = new Set(reads);
  others.delete(read);
  const isKnown = (value: Value): boolean => members.has(value) || others.has(storage(value));
  // What is no member is computed on the way: elementwise at the element of its reader, others wherever they like.
  const isMet = remembered((value: Value): boolean => {
    if (storage(value) === read) return true;
    return !isKnown(value) && value.inputs.some(isMet);
  });
  const readsOwn = remembered((value: Value): boolean => {
    const isOwn = (input: Value): boolean => input === read || isKnown(input) || readsOwn(input);
    return (isElementwise(value) && value.inputs.every(isOwn)) || !value.inputs.some(isMet);
  });
  return [...members].every(([value, coords]) => {
    const isOwn = coords.length === own.length && coords.every((ix, d) => ix === own[d]);
    return isOwn ? readsOwn(value) : !value.inputs.some(isMet);
  });
}

function remembered(find: (value: Value) => boolean): (value: Value) => boolean {
  const known = new Map<Value, boolean>();
  return value => {
    const found = known.get(value) ?? find(value);
    known.set(value, found);
    return found;
  };
}

/** @throws Error where a step turns out not to write its variables as `chooseDestinations` counted on */
export function checkWritten(flow: Flow, step: Step, place: ReadonlyMap<Value, Place>): void {
  for (const stored of step.kernel.stores) {
    const at = place.get(stored);
    if (at?.kind !== 'leaf') continue;
    const memory = flow.sameMemory[at.index];
    for (const { known } of step.lowered.refs.filter(ref => ref.kind === 'value'))
      if (known.leaf >= 0 && flow.sameMemory[known.leaf] === memory && !writesOver(step, stored, known))
        throw new Error(`internal: ${step.lowered.loop.name} reads more of leaf ${known.leaf} than what it writes`);
  }
}
