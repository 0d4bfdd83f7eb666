/**
 * Order and memory. Kernels run in the order the program was written in, as far as their inputs are there; updates as soon as nothing
 * needs the old value and nothing can fail any more. Intermediates share one arena by first and last use, results take the memory of
 * inputs that die with them, variables are written in place, and threads meet only where kernels touch the same memory.
 */
import { bytesOf } from '../graph/dtype.ts';
import { type Flow, storage, type Value } from './flow.ts';
import type { CopyKernel, Kernel } from './kernels.ts';
import type { BufferRef, LoweredKernel } from './lower/context.ts';
import type { Place, PlacedKernel } from './program.ts';

export interface Step {
  readonly kernel: Kernel;
  readonly lowered: LoweredKernel;
}

interface ArenaBlock {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  /** Positions of the first and last kernel that use it. */
  readonly from: number;
  readonly to: number;
}

export interface Plan {
  /** The first `preparations` fill the memory that is kept. */
  readonly kernels: readonly PlacedKernel[];
  readonly preparations: number;
  readonly arenaBytes: number;
  readonly keptBytes: number;
  /** For inspection: what lives where and when. */
  readonly blocks: readonly ArenaBlock[];
  /** Bytes of all intermediates if none shared memory. */
  readonly unsharedBytes: number;
}

/** Which results are written straight to where they belong, and which need a copy. */
interface Destinations {
  readonly place: ReadonlyMap<Value, Place>;
  readonly copies: readonly CopyKernel[];
}

const ALIGN = 64;
const align = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/** Values a kernel reads, apart from those it makes. */
function readsOf({ kernel, lowered }: Step): Value[] {
  const own = new Set(kernel.stores);
  return lowered.refs.flatMap((ref, i) =>
    ref.kind === 'value' && !own.has(ref.value) && lowered.loop.buffers[i]!.access !== 'write' ? [ref.value] : [],
  );
}

/**
 * Decides where results go. A variable is written by the kernel that computes its new value if nobody else reads that kernel's results, it cannot fail, and
 * it reads the old value (if at all) only at the element it writes; then every other reader of the old value can run before, unless that is itself written after this one.
 */
export function chooseDestinations(flow: Flow, steps: readonly Step[]): Destinations {
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
  const readElsewhere = new Set<Step>();
  for (const step of steps)
    for (const value of readsOf(step)) {
      const maker = home.get(value);
      if (maker && maker !== step) readElsewhere.add(maker);
    }
  const writers = new Map<number, Step>();
  for (const { leaf, value } of flow.updates) {
    const root = storage(value);
    const step = home.get(root);
    const memory = flow.sameMemory[leaf]!;
    const direct =
      step !== undefined &&
      !place.has(root) &&
      !flow.lasts(root) &&
      !readElsewhere.has(step) &&
      !step.lowered.mayFail &&
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
  readsOf(step).flatMap(read => (read.leaf < 0 ? [] : [flow.sameMemory[read.leaf]!]));

/**
 * Whether a reader of `memory` has to run after `step`: it writes in place (`writers`) what `step` reads, or what another writer does that must run after `step`. Two variables whose
 * new values are computed from each other cannot both be written in place by kernels of their own.
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
  return readsOf(step).every(
    read =>
      read.leaf < 0 ||
      flow.sameMemory[read.leaf] !== memory ||
      step.lowered.inPlace.some(pair => pair.stored === stored && pair.read === read),
  );
}

// ------------------------------------------------------------------------------------------------ order

/** A binary heap of step numbers, least key first. */
class Queue {
  private readonly heap: number[] = [];
  private readonly key: readonly number[];

  constructor(key: readonly number[]) {
    this.key = key;
  }

  get size(): number {
    return this.heap.length;
  }

  private before(a: number, b: number): boolean {
    const d = this.key[a]! - this.key[b]!;
    return d < 0 || (d === 0 && a < b);
  }

  push(item: number): void {
    const { heap } = this;
    let i = heap.push(item) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!this.before(heap[i]!, heap[up]!)) break;
      [heap[i], heap[up]] = [heap[up]!, heap[i]!];
      i = up;
    }
  }

  pop(): number {
    const { heap } = this;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      let i = 0;
      for (;;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2])
          if (child < heap.length && this.before(heap[child]!, heap[least]!)) least = child;
        if (least === i) break;
        [heap[i], heap[least]] = [heap[least]!, heap[i]!];
        i = least;
      }
    }
    return top;
  }
}

const leafWritten = (step: Step, place: ReadonlyMap<Value, Place>): number[] => {
  const { kernel } = step;
  if (kernel.kind === 'copy') return kernel.to.kind === 'leaf' ? [kernel.to.index] : [];
  return kernel.stores.flatMap(value => {
    const at = place.get(value);
    return at?.kind === 'leaf' ? [at.index] : [];
  });
};

/** Orders the steps: inputs first, then as the program was written; commits as early as they may. */
export function order(flow: Flow, steps: readonly Step[], place: ReadonlyMap<Value, Place>): Step[] {
  const home = new Map<Value, number>();
  steps.forEach((step, i) => {
    for (const value of step.kernel.stores) home.set(value, i);
  });
  const waits = steps.map(() => 0);
  const next: number[][] = steps.map(() => []);
  const edge = (from: number, to: number): void => {
    if (from === to) return;
    next[from]!.push(to);
    waits[to]!++;
  };
  const readers = new Map<number, number[]>();
  steps.forEach((step, i) => {
    for (const value of readsOf(step)) {
      const maker = home.get(value);
      if (maker !== undefined) edge(maker, i);
      if (value.leaf < 0) continue;
      const memory = flow.sameMemory[value.leaf]!;
      const list = readers.get(memory);
      if (list) list.push(i);
      else readers.set(memory, [i]);
    }
  });
  const key = steps.map(({ kernel }) => {
    let born = kernel.kind === 'copy' ? kernel.from.born : 0;
    for (const value of kernel.members.keys()) born = Math.max(born, value.born);
    return born;
  });
  const commits = steps.map(step => leafWritten(step, place));
  const failing = steps.flatMap((step, i) => (step.lowered.mayFail ? [i] : []));
  // All failing steps pass through one gate, so that commits wait for one thing only.
  let failuresLeft = failing.length;
  const gated: number[] = [];
  commits.forEach((leaves, i) => {
    if (leaves.length === 0) return;
    key[i] = -1;
    for (const leaf of leaves) for (const reader of readers.get(flow.sameMemory[leaf]!) ?? []) edge(reader, i);
    if (failuresLeft > 0) {
      gated.push(i);
      waits[i]!++;
    }
  });
  const ready = new Queue(key);
  waits.forEach((n, i) => {
    if (n === 0) ready.push(i);
  });
  const result: Step[] = [];
  const release = (i: number): void => {
    if (--waits[i]! === 0) ready.push(i);
  };
  while (ready.size > 0) {
    const i = ready.pop();
    const step = steps[i]!;
    result.push(step);
    for (const after of next[i]!) release(after);
    if (step.lowered.mayFail && --failuresLeft === 0) for (const commit of gated) release(commit);
  }
  if (result.length !== steps.length) throw new Error('internal: kernels wait for each other');
  return result;
}

// ------------------------------------------------------------------------------------------------ memory

/** First-fit by best size over one growing arena. */
class Arena {
  bytes = 0;
  /** Free ranges by offset. */
  private free: { offset: number; bytes: number }[] = [];

  take(bytes: number): number {
    let best = -1;
    for (let i = 0; i < this.free.length; i++) {
      const range = this.free[i]!;
      if (range.bytes >= bytes && (best < 0 || range.bytes < this.free[best]!.bytes)) best = i;
    }
    if (best >= 0) {
      const range = this.free[best]!;
      const { offset } = range;
      if (range.bytes === bytes) this.free.splice(best, 1);
      else {
        range.offset += bytes;
        range.bytes -= bytes;
      }
      return offset;
    }
    // A free end of the arena is grown instead of left behind.
    const last = this.free[this.free.length - 1];
    if (last && last.offset + last.bytes === this.bytes) {
      this.free.pop();
      this.bytes = last.offset + bytes;
      return last.offset;
    }
    const offset = this.bytes;
    this.bytes += bytes;
    return offset;
  }

  give(offset: number, bytes: number): void {
    let lo = 0;
    let hi = this.free.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.free[mid]!.offset < offset) lo = mid + 1;
      else hi = mid;
    }
    this.free.splice(lo, 0, { offset, bytes });
    const after = this.free[lo + 1];
    if (after && offset + bytes === after.offset) {
      this.free[lo]!.bytes += after.bytes;
      this.free.splice(lo + 1, 1);
    }
    const before = this.free[lo - 1];
    if (before && before.offset + before.bytes === offset) {
      before.bytes += this.free[lo]!.bytes;
      this.free.splice(lo, 1);
    }
  }
}

interface Range {
  readonly space: string;
  readonly lo: number;
  readonly hi: number;
}

/** What a step wants done before programs run, as a step of its own. */
const preparationOf = (step: Step): Step[] =>
  step.lowered.preparation
    ? [
        {
          kernel: { ...step.kernel, stores: [] },
          lowered: { ...step.lowered, ...step.lowered.preparation, mayFail: false, single: false, inPlace: [] },
        },
      ]
    : [];

/**
 * Places every buffer of the ordered steps and says where threads must meet. What the `lasting` steps compute, and what others prepare from it,
 * is kept from run to run.
 */
export function plan(
  flow: Flow,
  lasting: readonly Step[],
  running: readonly Step[],
  fixed: ReadonlyMap<Value, Place>,
): Plan {
  const asks = [...lasting, ...running].flatMap(step =>
    preparationOf(step).map(preparation => ({ step, preparation })),
  );
  const steps = [...lasting, ...asks.map(ask => ask.preparation), ...running];
  const preparations = lasting.length + asks.length;
  /** Where the slots of a step that asked for kept memory are; its preparation has the same. */
  const slots = new Map<Step, Map<number, number>>();
  for (const { step, preparation } of asks) {
    const own = new Map<number, number>();
    slots.set(step, own);
    slots.set(preparation, own);
  }
  let keptBytes = 0;
  const keep = (bytes: number): number => {
    const offset = keptBytes;
    keptBytes += Math.max(ALIGN, align(bytes));
    return offset;
  };
  const keptValues = new Map<Value, number>();
  const lastUse = new Map<Value, number>();
  steps.forEach((step, at) => {
    for (const ref of step.lowered.refs) if (ref.kind === 'value') lastUse.set(ref.value, at);
  });
  const arena = new Arena();
  const offsets = new Map<Value, number>();
  const live: { offset: number; bytes: number; owner: Value }[][] = steps.map(() => []);
  const blocks: ArenaBlock[] = [];
  let unsharedBytes = 0;
  let meeting = new Meetings();

  const kernels = steps.map((step, at): PlacedKernel => {
    if (at === preparations) meeting = new Meetings();
    const { lowered } = step;
    const own = new Set(step.kernel.stores);
    const taken = new Set<Value>();
    const scratch: { offset: number; bytes: number }[] = [];
    const allocate = (value: Value): number => {
      const bytes = Math.max(ALIGN, align(value.size * bytesOf(value.dtype)));
      unsharedBytes += bytes;
      const last = lastUse.get(value)!;
      let offset: number | undefined;
      for (const { stored, read } of lowered.inPlace) {
        if (stored !== value || taken.has(read) || lastUse.get(read) !== at || own.has(read)) continue;
        offset = offsets.get(read);
        if (offset === undefined) continue;
        taken.add(read);
        break;
      }
      offset ??= arena.take(bytes);
      blocks.push({ name: `v${value.id}`, offset, bytes, from: at, to: last });
      offsets.set(value, offset);
      live[last]!.push({ offset, bytes, owner: value });
      return offset;
    };
    const places = lowered.refs.map((ref): Place => {
      if (ref.kind === 'result') return { kind: ref.to, index: ref.index };
      if (ref.kind === 'count') return ref;
      if (ref.kind === 'scratch') {
        const bytes = Math.max(ALIGN, align(ref.bytes));
        const offset = arena.take(bytes);
        unsharedBytes += bytes;
        scratch.push({ offset, bytes });
        blocks.push({ name: 'scratch', offset, bytes, from: at, to: at });
        return { kind: 'arena', offset };
      }
      if (ref.kind === 'kept') {
        const own = slots.get(step)!;
        const offset = own.get(ref.slot) ?? keep(ref.bytes);
        own.set(ref.slot, offset);
        return { kind: 'kept', offset };
      }
      const { value, offset: elements } = ref;
      if (value.leaf >= 0) return { kind: 'leaf', index: value.leaf };
      const known = fixed.get(value);
      if (known) return known;
      if (flow.lasts(value)) {
        const offset = keptValues.get(value) ?? keep(value.size * bytesOf(value.dtype));
        keptValues.set(value, offset);
        return { kind: 'kept', offset: offset + elements * bytesOf(value.dtype) };
      }
      const offset = offsets.get(value) ?? allocate(value);
      return { kind: 'arena', offset: offset + elements * bytesOf(value.dtype) };
    });
    for (const { offset, bytes } of scratch) arena.give(offset, bytes);
    for (const { offset, bytes, owner } of live[at]!) if (!taken.has(owner)) arena.give(offset, bytes);

    const commits = leafWritten(step, fixed).length > 0;
    const barrierBefore = meeting.enter(flow, step, places, commits);
    return { kernel: lowered.loop, places, barrierBefore, commits };
  });
  return { kernels, preparations, arenaBytes: arena.bytes, keptBytes, blocks, unsharedBytes };
}

/** Finds out before which kernels threads must meet: where one touches what another has touched since they last did, and one of them writes. */
class Meetings {
  private reads: (Range & { single: boolean })[] = [];
  private writes: (Range & { single: boolean })[] = [];

  enter(flow: Flow, step: Step, places: readonly Place[], commits: boolean): boolean {
    const { lowered } = step;
    const reads: Range[] = [];
    const writes: Range[] = [];
    lowered.refs.forEach((ref, i) => {
      const { access } = lowered.loop.buffers[i]!;
      if (access === 'count') return;
      const range = rangeOf(flow, places[i]!, ref);
      if (access !== 'write') reads.push(range);
      if (access !== 'read') writes.push(range);
    });
    // Whether an earlier kernel failed is something that kernels write and commits read.
    const failure: Range = { space: 'failure', lo: 0, hi: 1 };
    if (commits) reads.push(failure);
    const { single } = lowered;
    const clash = (mine: readonly Range[], theirs: readonly (Range & { single: boolean })[]): boolean =>
      mine.some(a => theirs.some(b => !(single && b.single) && a.space === b.space && a.lo < b.hi && b.lo < a.hi));
    const meet = clash(reads, this.writes) || clash(writes, this.writes) || clash(writes, this.reads);
    if (meet) {
      this.reads = [];
      this.writes = [];
    }
    for (const range of reads) this.reads.push({ ...range, single });
    for (const range of writes) this.writes.push({ ...range, single });
    if (lowered.mayFail) this.writes.push({ ...failure, single });
    return meet;
  }
}

function rangeOf(flow: Flow, place: Place, ref: BufferRef): Range {
  if (place.kind === 'leaf') return { space: `leaf${flow.sameMemory[place.index]}`, lo: 0, hi: 1 };
  if (place.kind === 'output') return { space: `output${place.index}`, lo: 0, hi: 1 };
  if (place.kind === 'count' || ref.kind === 'count') throw new Error('internal: a count is no memory');
  const bytes =
    ref.kind === 'value' ? ref.known.size * bytesOf(ref.known.dtype) : ref.kind === 'result' ? 0 : ref.bytes;
  return { space: place.kind, lo: place.offset, hi: place.offset + Math.max(1, bytes) };
}
