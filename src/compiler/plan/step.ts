/**
 * A kernel on its way to a place in the program: what it computes, its lowered form, and what it touches.
 */
import type { JoinedParts } from '../concats.ts';
import type { Value } from '../flow.ts';
import type { Kernel, PackKernel } from '../kernels.ts';
import type { LoweredKernel } from '../lower/context.ts';
import type { Place } from '../program.ts';
import type { MemoryWindows } from '../windows.ts';

export interface Step {
  readonly kernel: Kernel | PackKernel;
  /** Values it reads, apart from those it makes; of what has been placed in another value's memory, itself. */
  readonly reads: readonly Value[];
  /** Values in whose memory it reads and writes. */
  readonly touches: readonly Value[];
  readonly mayFail: boolean;
  readonly preparation?: LoweredKernel['preparation'];
  /** Made when it is first asked for, where fusion says all of the above. */
  readonly lowered: LoweredKernel;
}

/** A step of a kernel that has been lowered, as it touches memory. */
export function loweredStep(kernel: Kernel | PackKernel, lowered: LoweredKernel): Step {
  const own = new Set(kernel.stores);
  const { preparation, mayFail } = lowered;
  const reads = lowered.refs.flatMap((ref, i) =>
    ref.kind === 'value' && !own.has(whatIs(ref)) && lowered.loop.buffers[i]!.access !== 'write' ? [whatIs(ref)] : [],
  );
  const touches = lowered.refs.flatMap(ref => (ref.kind === 'value' ? [ref.value] : []));
  return { kernel, reads, touches, mayFail, ...(preparation ? { preparation } : {}), lowered };
}

/** What a buffer is for the order of kernels: windows are what they show a part of. */
const whatIs = ({ value, known }: { readonly value: Value; readonly known: Value }): Value =>
  known.op === 'data' && known.leaf < 0 ? value : known;

/**
 * A step of a kernel of which fusion says what it reads, and that can neither fail nor wants anything prepared: it is
 * lowered when its turn comes.
 */
export class LateStep implements Step {
  readonly kernel: Kernel;
  readonly reads: readonly Value[];
  readonly touches: readonly Value[];
  readonly mayFail = false;
  private readonly lower: () => LoweredKernel;
  private made: LoweredKernel | null = null;

  /** `reads`: values and windows in memory that it may read. */
  constructor(kernel: Kernel, reads: Iterable<Value>, windows: MemoryWindows, lower: () => LoweredKernel) {
    this.kernel = kernel;
    const rootOf = (value: Value): Value => windows.resolve(value).root;
    const own = new Set(kernel.stores);
    const seen = [...reads];
    this.reads = seen.map(known => whatIs({ value: rootOf(known), known })).filter(value => !own.has(value));
    this.touches = [...seen, ...own].map(rootOf);
    this.lower = lower;
  }

  get lowered(): LoweredKernel {
    return (this.made ??= this.checked(this.lower()));
  }

  private checked(lowered: LoweredKernel): LoweredKernel {
    const unknown = lowered.refs.some(ref => ref.kind === 'value' && !this.touches.includes(ref.value));
    if (unknown || lowered.mayFail || lowered.preparation)
      throw new Error(`internal: fusion does not know ${lowered.loop.name}`);
    return lowered;
  }
}

/** The steps that must have run for a value to be there: those of its parts, where nobody computes it as a whole. */
export function makersOf(steps: readonly Step[], joined: JoinedParts): (value: Value) => readonly Step[] {
  const makers = new Map<Value, readonly Step[]>();
  for (const step of steps) for (const value of step.kernel.stores) makers.set(value, [step]);
  const find = (value: Value): readonly Step[] => {
    const known = makers.get(value);
    if (known) return known;
    const found = [...new Set((joined.get(value) ?? []).flatMap(find))];
    makers.set(value, found);
    return found;
  };
  return find;
}

/** Leaves that a step writes, as `place` has them. */
export const leafWritten = (step: Step, place: ReadonlyMap<Value, Place>): number[] => {
  const { kernel } = step;
  if (kernel.kind === 'copy') return kernel.to.kind === 'leaf' ? [kernel.to.index] : [];
  return kernel.stores.flatMap(value => {
    const at = place.get(value);
    return at?.kind === 'leaf' ? [at.index] : [];
  });
};
