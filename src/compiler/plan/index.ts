/**
 * Order and memory: kernels get their order and their buffers a place. Intermediates share one arena by first and last
 * use, results take the memory of inputs that die with them, variables are written in place. May import the flow,
 * kernels and their lowered form; knows no machine.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { Flow, Value } from '../flow.ts';
import type { Place, PlacedKernel } from '../program.ts';
import { Arena } from './arena.ts';
import { checkWritten } from './destinations.ts';
import { Meetings } from './meetings.ts';
import { leafWritten, loweredStep, type Step } from './step.ts';

export { chooseDestinations } from './destinations.ts';
export { order } from './order.ts';
export { LateStep, loweredStep, type Step } from './step.ts';

interface ArenaBlock {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  /** Positions of the first and last kernel that use it. */
  readonly from: number;
  readonly to: number;
}

/** What the plan of a program tells people. */
export interface Plan {
  readonly arenaBytes: number;
  /** What lives where and when. */
  readonly blocks: readonly ArenaBlock[];
  /** Bytes of all intermediates if none shared memory. */
  readonly unsharedBytes: number;
}

const ALIGN = 64;
const align = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/** What a step wants done before programs run, as a step of its own. */
const preparationOf = (step: Step): Step[] => {
  const { kernel, preparation } = step;
  if (!preparation) return [];
  const { preparation: _, ...lowered } = step.lowered;
  const inAdvance = { ...lowered, ...preparation, mayFail: false, single: false, inPlace: [] };
  return [loweredStep({ ...kernel, stores: [] }, inAdvance)];
};

/**
 * Places every buffer of the ordered steps and says where threads must meet, step by step. What the `lasting` steps
 * compute, and what others prepare from it, is kept from run to run.
 */
export class Planner implements Plan {
  readonly steps: readonly Step[];
  /** The first so many fill the memory that is kept. */
  readonly preparations: number;
  /** What has been placed. */
  readonly kernels: PlacedKernel[] = [];
  private readonly flow: Flow;
  private readonly fixed: ReadonlyMap<Value, Place>;
  private readonly memory: Memory;
  private meetings = new Meetings();

  constructor(flow: Flow, lasting: readonly Step[], running: readonly Step[], fixed: ReadonlyMap<Value, Place>) {
    const asks = [...lasting, ...running].flatMap(step =>
      preparationOf(step).map(preparation => ({ step, preparation })),
    );
    this.flow = flow;
    this.fixed = fixed;
    this.steps = [...lasting, ...asks.map(ask => ask.preparation), ...running];
    this.preparations = lasting.length + asks.length;
    this.memory = new Memory(flow, this.steps, asks, fixed);
  }

  /** Lowers and places the next step. */
  next(): void {
    const { flow, fixed, kernels, steps, memory } = this;
    const at = kernels.length;
    const step = steps[at]!;
    if (at === this.preparations) this.meetings = new Meetings();
    const places = memory.place(step, at);
    const commits = leafWritten(step, fixed).length > 0;
    if (commits) checkWritten(flow, step, fixed);
    const barrierBefore = this.meetings.enter(flow, step, places, commits);
    kernels.push({ kernel: step.lowered.loop, places, barrierBefore, commits });
  }

  /** Of the steps that have been placed. */
  get arenaBytes(): number {
    return this.memory.arena.bytes;
  }

  /** The same of all steps, if they have no scratch memory and write over nothing that they read. */
  get likelyBytes(): number {
    return this.memory.likelyBytes;
  }

  get keptBytes(): number {
    return this.memory.keptBytes;
  }

  get blocks(): readonly ArenaBlock[] {
    return this.memory.blocks;
  }

  get unsharedBytes(): number {
    return this.memory.unsharedBytes;
  }
}

interface Extent {
  readonly offset: number;
  readonly bytes: number;
}

/** Where values and scratch of the steps lie, step by step in their order. */
class Memory {
  readonly arena = new Arena();
  readonly blocks: ArenaBlock[] = [];
  keptBytes = 0;
  unsharedBytes = 0;
  readonly likelyBytes: number;
  private readonly flow: Flow;
  private readonly fixed: ReadonlyMap<Value, Place>;
  /** Where the slots of a step that asked for kept memory are; its preparation has the same. */
  private readonly slots = new Map<Step, Map<number, number>>();
  private readonly keptValues = new Map<Value, number>();
  private readonly lastUse = new Map<Value, number>();
  private readonly offsets = new Map<Value, number>();
  /** By step: what ends with it. */
  private readonly ending: (Extent & { readonly owner: Value })[][];

  constructor(
    flow: Flow,
    steps: readonly Step[],
    asks: readonly { readonly step: Step; readonly preparation: Step }[],
    fixed: ReadonlyMap<Value, Place>,
  ) {
    this.flow = flow;
    this.fixed = fixed;
    for (const { step, preparation } of asks) {
      const own = new Map<number, number>();
      this.slots.set(step, own);
      this.slots.set(preparation, own);
    }
    for (const [at, step] of steps.entries()) for (const value of step.touches) this.lastUse.set(value, at);
    this.ending = steps.map(() => []);
    this.likelyBytes = this.simulate(steps);
  }

  private simulate(steps: readonly Step[]): number {
    const arena = new Arena();
    const ending: Extent[][] = steps.map(() => []);
    const placed = new Set<Value>();
    for (const [at, step] of steps.entries()) {
      for (const value of step.touches) {
        if (value.leaf >= 0 || placed.has(value) || this.fixed.has(value) || this.flow.lasts(value)) continue;
        placed.add(value);
        const bytes = Math.max(ALIGN, align(value.size * bytesOf(value.dtype)));
        ending[this.lastUse.get(value)!]!.push({ offset: arena.take(bytes), bytes });
      }
      for (const { offset, bytes } of ending[at]!) arena.give(offset, bytes);
    }
    return arena.bytes;
  }

  /** A place for each buffer of the step, the next one in order; what ends with it is free for those after it. */
  place(step: Step, at: number): Place[] {
    const taken = new Set<Value>();
    const scratch: Extent[] = [];
    const places = step.lowered.refs.map((ref): Place => {
      switch (ref.kind) {
        case 'result':
          return { kind: ref.to, index: ref.index };
        case 'count':
          return ref;
        case 'scratch': {
          const block = this.take('scratch', ref.bytes, at, at);
          scratch.push(block);
          return { kind: 'arena', offset: block.offset };
        }
        case 'kept': {
          const own = this.slots.get(step)!;
          const offset = own.get(ref.slot) ?? this.keep(ref.bytes);
          own.set(ref.slot, offset);
          return { kind: 'kept', offset };
        }
        default:
          return this.placeOf(ref.value, ref.offset, step, at, taken);
      }
    });
    for (const { offset, bytes } of scratch) this.arena.give(offset, bytes);
    for (const { offset, bytes, owner } of this.ending[at]!) if (!taken.has(owner)) this.arena.give(offset, bytes);
    return places;
  }

  /** Of element `element` of a value. `taken` gains the value whose memory it takes over. */
  private placeOf(value: Value, element: number, step: Step, at: number, taken: Set<Value>): Place {
    if (value.leaf >= 0) return { kind: 'leaf', index: value.leaf };
    const known = this.fixed.get(value);
    if (known) return known;
    const bytes = value.size * bytesOf(value.dtype);
    const within = element * bytesOf(value.dtype);
    if (this.flow.lasts(value)) {
      const offset = this.keptValues.get(value) ?? this.keep(bytes);
      this.keptValues.set(value, offset);
      return { kind: 'kept', offset: offset + within };
    }
    let offset = this.offsets.get(value);
    if (offset === undefined) {
      const last = this.lastUse.get(value)!;
      const block = this.take(`v${value.id}`, bytes, at, last, this.inherited(value, step, at, taken));
      offset = block.offset;
      this.offsets.set(value, offset);
      this.ending[last]!.push({ offset, bytes: block.bytes, owner: value });
    }
    return { kind: 'arena', offset: offset + within };
  }

  /** Where a value lies that ends with the step and may be written over by `value`. */
  private inherited(value: Value, step: Step, at: number, taken: Set<Value>): number | undefined {
    for (const { stored, read } of step.lowered.inPlace) {
      if (stored !== value || taken.has(read) || this.lastUse.get(read) !== at || step.kernel.stores.includes(read))
        continue;
      const offset = this.offsets.get(read);
      if (offset === undefined) continue;
      taken.add(read);
      return offset;
    }
    return undefined;
  }

  /** Memory of the arena for steps from `from` to `to`: fresh, or at `offset`. */
  private take(name: string, size: number, from: number, to: number, offset?: number): Extent {
    const bytes = Math.max(ALIGN, align(size));
    this.unsharedBytes += bytes;
    const block = { name, offset: offset ?? this.arena.take(bytes), bytes, from, to };
    this.blocks.push(block);
    return { offset: block.offset, bytes };
  }

  private keep(bytes: number): number {
    const offset = this.keptBytes;
    this.keptBytes += Math.max(ALIGN, align(bytes));
    return offset;
  }
}
