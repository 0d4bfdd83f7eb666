/**
 * Registers for values: linear scan over live intervals, one pass per register class. What does not fit lives on the
 * stack for its whole life; the value with the least weighted accesses for its length goes. Knows intervals and
 * register numbers, no instructions.
 */
import type { RegType } from '../../compiler/loops.ts';
import type { Interval } from './liveness.ts';

export type RegisterClass = 'general' | 'vector' | 'mask';

export const classOf = (type: RegType): RegisterClass =>
  type.lanes > 1
    ? type.scalar === 'mask'
      ? 'mask'
      : 'vector'
    : type.scalar === 'f32' || type.scalar === 'f64'
      ? 'vector'
      : 'general';

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
  const sorted: Interval[] = [];
  for (const key of keys.sort()) sorted.push(intervals[key % count]!);
  return sorted;
}

export function allocate(
  intervals: readonly Interval[],
  pools: { readonly [c in RegisterClass]: readonly number[] },
  kindOf: (type: RegType) => RegisterClass = classOf,
): Allocation {
  const places: (Place | undefined)[] = [];
  let stackBytes = 0;
  const spill = (interval: Interval, bytes: number): void => {
    stackBytes = Math.ceil(stackBytes / bytes) * bytes;
    places[interval.reg.id] = ~stackBytes;
    stackBytes += bytes;
  };
  const byClass: { readonly [c in RegisterClass]: Interval[] } = { general: [], vector: [], mask: [] };
  /** By register id: its class; and accesses per position, as what lives shortly gains least from the stack. */
  const kinds: RegisterClass[] = [];
  const density: number[] = [];
  for (const interval of intervals) {
    const { reg, weight, first, last } = interval;
    const kind = kindOf(reg.type);
    kinds[reg.id] = kind;
    density[reg.id] = weight / (last - first + 1);
    byClass[kind].push(interval);
  }
  let spillsVectors = false;
  for (const kind of ['general', 'vector', 'mask'] as const) {
    const free = [...pools[kind]].reverse();
    const active: Interval[] = [];
    for (const interval of byBeginning(byClass[kind])) {
      let still = 0;
      for (const other of active)
        if (other.last < interval.first) free.push(places[other.reg.id]!);
        else active[still++] = other;
      active.length = still;
      let register: number | undefined;
      const { hint } = interval;
      const hinted = hint && places[hint.id];
      if (hint && hinted != null && hinted >= 0 && kinds[hint.id] === kind) {
        const at = free.indexOf(hinted);
        if (at >= 0) register = free.splice(at, 1)[0];
      }
      register ??= free.pop();
      if (register === undefined) {
        if (kind === 'vector') spillsVectors = true;
        let least = -1;
        let lowest = density[interval.reg.id]!;
        for (let i = 0; i < active.length; i++) {
          const mine = density[active[i]!.reg.id]!;
          if (mine < lowest) {
            lowest = mine;
            least = i;
          }
        }
        if (least < 0) {
          spill(interval, SLOT_BYTES[kind]);
          continue;
        }
        const evicted = active.splice(least, 1)[0]!;
        register = places[evicted.reg.id]!;
        spill(evicted, SLOT_BYTES[kind]);
      }
      places[interval.reg.id] = register;
      active.push(interval);
    }
  }
  return { places, stackBytes, spillsVectors };
}
