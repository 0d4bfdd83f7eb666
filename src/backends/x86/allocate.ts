/**
 * Registers for values: linear scan over live intervals, one pass per register class. What does not fit lives on the stack for its whole life;
 * the value with the least weighted accesses for its length goes. Knows intervals and register numbers, no instructions.
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

/** A register number, or a byte offset in the stack frame. */
export type Place = { readonly register: number } | { readonly slot: number };

export interface Allocation {
  /** By register id; undefined for registers without a place. */
  readonly places: readonly (Place | undefined)[];
  /** Bytes of stack for values. */
  readonly stackBytes: number;
  /** General registers in use, which the function must preserve where the convention says so. */
  readonly general: ReadonlySet<number>;
}

const SLOT_BYTES: { readonly [c in RegisterClass]: number } = { general: 8, vector: 64, mask: 8 };

/** Accesses per position: what lives shortly gains least from the stack. */
const density = ({ weight, first, last }: Interval): number => weight / (last - first + 1);

export function allocate(
  intervals: readonly Interval[],
  pools: { readonly [c in RegisterClass]: readonly number[] },
  kindOf: (type: RegType) => RegisterClass = classOf,
): Allocation {
  const places: (Place | undefined)[] = [];
  const general = new Set<number>();
  let stackBytes = 0;
  const spill = (interval: Interval): void => {
    const bytes = SLOT_BYTES[kindOf(interval.reg.type)];
    stackBytes = Math.ceil(stackBytes / bytes) * bytes;
    places[interval.reg.id] = { slot: stackBytes };
    stackBytes += bytes;
  };
  const sorted = [...intervals].sort((p, q) => p.first - q.first);
  for (const kind of ['general', 'vector', 'mask'] as const) {
    const free = [...pools[kind]].reverse();
    let active: { readonly interval: Interval; readonly register: number }[] = [];
    for (const interval of sorted) {
      if (kindOf(interval.reg.type) !== kind) continue;
      const still: typeof active = [];
      for (const entry of active) {
        if (entry.interval.last < interval.first) free.push(entry.register);
        else still.push(entry);
      }
      active = still;
      let register: number | undefined;
      const hinted = interval.hint && places[interval.hint.id];
      if (hinted && 'register' in hinted && kindOf(interval.hint!.type) === kind) {
        const at = free.indexOf(hinted.register);
        if (at >= 0) register = free.splice(at, 1)[0];
      }
      register ??= free.pop();
      if (register === undefined) {
        let least = -1;
        for (let i = 0; i < active.length; i++)
          if (density(active[i]!.interval) < density(least < 0 ? interval : active[least]!.interval)) least = i;
        if (least < 0) {
          spill(interval);
          continue;
        }
        const evicted = active.splice(least, 1)[0]!;
        spill(evicted.interval);
        register = evicted.register;
      }
      places[interval.reg.id] = { register };
      active.push({ interval, register });
      if (kind === 'general') general.add(register);
    }
  }
  return { places, stackBytes, general };
}
