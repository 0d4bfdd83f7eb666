/**
 * A kernel on its way to a place in the program: what it computes, its lowered form, and what it touches.
 */
import type { Value } from '../flow.ts';
import type { Kernel, PackKernel } from '../kernels.ts';
import type { LoweredKernel } from '../lower/context.ts';
import type { Place } from '../program.ts';

export interface Step {
  readonly kernel: Kernel | PackKernel;
  readonly lowered: LoweredKernel;
}

/** Values a kernel reads, apart from those it makes. */
export function readsOf({ kernel, lowered }: Step): Value[] {
  const own = new Set(kernel.stores);
  return lowered.refs.flatMap((ref, i) =>
    ref.kind === 'value' && !own.has(ref.value) && lowered.loop.buffers[i]!.access !== 'write' ? [ref.value] : [],
  );
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
