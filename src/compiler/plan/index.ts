/**
 * Order and memory: kernels get their order and their buffers a place. Intermediates share one arena by first and last use, results take the memory of
 * inputs that die with them, variables are written in place. May import the flow, kernels and their lowered form; knows no machine.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { Flow, Value } from '../flow.ts';
import type { Place, PlacedKernel } from '../program.ts';
import { Arena } from './arena.ts';
import { Meetings } from './meetings.ts';
import { leafWritten, type Step } from './step.ts';

export { chooseDestinations } from './destinations.ts';
export { order } from './order.ts';
export type { Step } from './step.ts';

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

const ALIGN = 64;
const align = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

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
