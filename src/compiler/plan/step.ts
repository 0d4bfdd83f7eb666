/**
 * A kernel on its way to a place in the program: what it computes, its lowered form, and what it touches.
 */
import type { JoinedParts } from '../concats.ts';
import type { Value } from '../flow.ts';
import type { Kernel, PackKernel } from '../kernels.ts';
import type { BufferRef, LoweredKernel } from '../lower/context.ts';
import type { Place } from '../program.ts';

export interface Step {
  readonly kernel: Kernel | PackKernel;
  readonly lowered: LoweredKernel;
}

/** Values a kernel reads, apart from those it makes; of what has been placed in another value's memory, itself. */
export function readsOf({ kernel, lowered }: Step): Value[] {
  const own = new Set(kernel.stores);
  return lowered.refs.flatMap((ref, i) =>
    ref.kind === 'value' && !own.has(whatIs(ref)) && lowered.loop.buffers[i]!.access !== 'write' ? [whatIs(ref)] : [],
  );
}

/** What a buffer is for the order of kernels: windows are what they show a part of. */
const whatIs = ({ value, known }: BufferRef & { kind: 'value' }): Value =>
  known.op === 'data' && known.leaf < 0 ? value : known;

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
