/**
 * Registers for values: linear scan over live intervals, one pass per register class. What does not fit lives on the
 * stack for its whole life; the value with the least weighted accesses for its length goes. Knows intervals and
 * register numbers, no instructions.
 */
import type { RegType } from '../../compiler/loops.ts';
import type { Interval } from './liveness.ts';

export type RegisterClass = 'general' | 'vector' | 'mask';

/** The class of registers for a type, where masks of vectors are of class `masks`. */
export function classOf({ scalar, lanes }: RegType, masks: RegisterClass = 'mask'): RegisterClass {
  if (lanes > 1) return scalar === 'mask' ? masks : 'vector';
  return scalar === 'f32' || scalar === 'f64' ? 'vector' : 'general';
}

/** A register number, from 0 on; or, below 0, `~offset` of a slot in the stack frame, in bytes. */
export type Place = number;

export interface Allocation {
  /** By register id; undefined for registers without a place. */
  readonly places: readonly (Place | undefined)[];
  /** Bytes of stack for values. */
  readonly stackBytes: number;
  /** Whether a vector lives on the stack. */
  readonly spillsVectors: boolean;
}

const SLOT_BYTES: { readonly [c in RegisterClass]: number } = { general: 8, vector: 64, mask: 8 };

/** Intervals by their first position, and where that is the same, as they came. */
function byBeginning(intervals: readonly Interval[]): Interval[] {
  // Sorted as numbers, which needs no calls of a function that compares.
  const count = intervals.length;
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = intervals[i]!.first * count + i;
  keys.sort();
  const sorted: Interval[] = [];
  for (let i = 0; i < count; i++) sorted.push(intervals[keys[i]! % count]!);
  return sorted;
}

/** Accesses per position: what lives shortly gains least from the stack. */
const density = ({ weight, first, last }: Interval): number => weight / (last - first + 1);

/** The first that is free, or the hinted one where that is; undefined where none is. */
function takeFree(free: number[], hinted: number | undefined): number | undefined {
  if (hinted === undefined) return free.pop();
  const at = free.indexOf(hinted);
  if (at < 0) return free.pop();
  for (let i = at + 1; i < free.length; i++) free[i - 1] = free[i]!;
  free.pop();
  return hinted;
}

/** @param masks the class that masks of vectors are of */
export function allocate(
  intervals: readonly Interval[],
  pools: { readonly [c in RegisterClass]: readonly number[] },
  masks: RegisterClass = 'mask',
): Allocation {
  const places: (Place | undefined)[] = [];
  let stackBytes = 0;
  const spill = (interval: Interval, bytes: number): void => {
    stackBytes = Math.ceil(stackBytes / bytes) * bytes;
    places[interval.reg.id] = ~stackBytes;
    stackBytes += bytes;
  };
  const byClass: { readonly [c in RegisterClass]: Interval[] } = { general: [], vector: [], mask: [] };
  const sorted = byBeginning(intervals);
  for (let i = 0; i < sorted.length; i++) byClass[classOf(sorted[i]!.reg.type, masks)].push(sorted[i]!);
  let spillsVectors = false;
  // Loops by index, and none over what lives on: this is most of what a first call does with intervals (decision 297).
  for (const kind of ['general', 'vector', 'mask'] as const) {
    const free = [...pools[kind]].reverse();
    // The first `alive` of both; shortening arrays asks the engine's runtime.
    const active: Interval[] = [];
    const ends: number[] = [];
    let alive = 0;
    /** Nothing that is active ends before. */
    let ending = Number.POSITIVE_INFINITY;
    const those = byClass[kind];
    for (let k = 0; k < those.length; k++) {
      const interval = those[k]!;
      const { first, hint } = interval;
      if (ending < first) {
        let still = 0;
        ending = Number.POSITIVE_INFINITY;
        for (let i = 0; i < alive; i++) {
          const end = ends[i]!;
          if (end < first) free.push(places[active[i]!.reg.id]!);
          else {
            if (still !== i) {
              active[still] = active[i]!;
              ends[still] = end;
            }
            still++;
            if (end < ending) ending = end;
          }
        }
        alive = still;
      }
      const hinted = hint ? places[hint.id] : undefined;
      const isOfKind = hinted !== undefined && hinted >= 0 && classOf(hint!.type, masks) === kind;
      let register = takeFree(free, isOfKind ? hinted : undefined);
      if (register === undefined) {
        if (kind === 'vector') spillsVectors = true;
        let least = -1;
        let lowest = density(interval);
        for (let i = 0; i < alive; i++) {
          const mine = density(active[i]!);
          if (mine < lowest) {
            lowest = mine;
            least = i;
          }
        }
        if (least < 0) {
          spill(interval, SLOT_BYTES[kind]);
          continue;
        }
        const evicted = active[least]!;
        alive--;
        for (let i = least; i < alive; i++) {
          active[i] = active[i + 1]!;
          ends[i] = ends[i + 1]!;
        }
        register = places[evicted.reg.id]!;
        spill(evicted, SLOT_BYTES[kind]);
      }
      places[interval.reg.id] = register;
      active[alive] = interval;
      ends[alive++] = interval.last;
      if (interval.last < ending) ending = interval.last;
    }
  }
  return { places, stackBytes, spillsVectors };
}
