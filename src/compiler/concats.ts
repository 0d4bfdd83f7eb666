/**
 * Concatenations that copy nothing: where parts follow one another whole (the steps of a recurrence put side by side),
 * what computes a part writes it to its place in the result. Imports kernels and the flow.
 */
import { bytesOf } from '../graph/dtype.ts';
import { type Flow, storage, type Value } from './flow.ts';
import type { Kernel, RoutineKernel } from './kernels.ts';
import { ALIGN, type MemoryWindows } from './windows.ts';

/** By concatenation that no kernel computes: its parts in memory. */
export type JoinedParts = ReadonlyMap<Value, readonly Value[]>;

/**
 * Gives the parts of concatenations their place in the result's memory, where each of them is made by a kernel of this
 * run and may live there: it is no result or new value of a variable itself, is in no other concatenation, and begins
 * where buffers may.
 */
export function joinParts(
  flow: Flow,
  kernels: readonly Kernel[],
  pinned: ReadonlySet<Value>,
  windows: MemoryWindows,
): JoinedParts {
  const stored = new Set(kernels.filter(kernel => !kernel.lasting).flatMap(kernel => kernel.stores));
  const joined = new Map<Value, readonly Value[]>();
  const placed = new Set<Value>();
  const isFree = (value: Value): boolean => stored.has(value) && !pinned.has(value) && !flow.lasts(value);
  for (const kernel of kernels) {
    if (kernel.kind !== 'routine' || !kernel.value.is('concat')) continue;
    const { value } = kernel;
    const before = value.shape.slice(0, value.attrs.axis);
    if (before.some(n => n !== 1) || !isFree(value)) continue;
    const parts = value.inputs.map(storage);
    let offset = 0;
    const starts = parts.map(part => {
      const start = offset;
      offset += part.size;
      return start;
    });
    const bytes = bytesOf(value.dtype);
    const fits = parts.every((part, i) => isFree(part) && !placed.has(part) && (starts[i]! * bytes) % ALIGN === 0);
    if (!fits || new Set(parts).size < parts.length) continue;
    parts.forEach((part, i) => {
      placed.add(part);
      windows.place(part, value, starts[i]!);
    });
    joined.set(value, parts);
  }
  return joined;
}

/** Whether a kernel has nothing left to do. */
export const isJoined = (kernel: Kernel, joined: JoinedParts): boolean =>
  kernel.kind === 'routine' && joined.has((kernel as RoutineKernel).value);
