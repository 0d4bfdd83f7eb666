/**
 * Live intervals of a kernel's registers over the structured IR, in positions that count instructions. What is alive at the head of a loop
 * and used in it stays alive to the loop's end. Reads loop IR only.
 */
import type { Inst, LoopKernel, Reg } from '../../compiler/loops.ts';

/** `first` and `last` position; reads happen at even positions, writes at the odd one after. */
export interface Interval {
  readonly reg: Reg;
  first: number;
  last: number;
  /** Accesses, each counted 8 times per loop around it. */
  weight: number;
  /** Register whose place would spare a copy. */
  hint: Reg | null;
}

interface Loop {
  readonly parent: Loop | null;
  readonly depth: number;
  /** What an access in it counts. */
  readonly weight: number;
  readonly start: number;
  end: number;
  readonly through: Interval[];
}

const MAX_WEIGHT_DEPTH = 6;

/** Intervals by register id; `skip` says by id which registers need no place, `reads` what an instruction reads. */
export function liveIntervals(
  kernel: LoopKernel,
  skip: Uint8Array,
  reads: (inst: Inst, visit: (reg: Reg) => void) => void,
): Interval[] {
  const intervals: (Interval | undefined)[] = [];
  const born: (Loop | null)[] = [];
  let position = 0;
  let loop: Loop | null = null;

  const touch = (reg: Reg, at: number): Interval | null => {
    if (skip[reg.id]) return null;
    const weight = loop ? loop.weight : 1;
    let interval = intervals[reg.id];
    if (!interval) {
      interval = { reg, first: at, last: at, weight, hint: null };
      intervals[reg.id] = interval;
      born[reg.id] = loop;
      return interval;
    }
    interval.last = Math.max(interval.last, at);
    interval.weight += weight;
    // Born in a loop that is over: it lived through that loop.
    for (let l = born[reg.id] ?? null; l !== null; l = l.parent)
      if (l.end >= 0) {
        interval.first = Math.min(interval.first, l.start);
        born[reg.id] = l.parent;
      }
    // Born before loops that are open: it lives through the outermost of them.
    let outer: Loop | null = null;
    for (let l = loop; l !== null && l.start > interval.first; l = l.parent) outer = l;
    if (outer) outer.through.push(interval);
    return interval;
  };
  const read = (reg: Reg): void => {
    touch(reg, position);
  };
  const enter = (): Loop => {
    const depth = (loop?.depth ?? 0) + 1;
    const weight = 8 ** Math.min(depth, MAX_WEIGHT_DEPTH);
    const entered: Loop = { parent: loop, depth, weight, start: position, end: -1, through: [] };
    loop = entered;
    return entered;
  };
  const leave = (left: Loop): void => {
    position += 2;
    left.end = position;
    for (const interval of left.through) interval.last = Math.max(interval.last, position);
    loop = left.parent;
  };
  const constants = new Set<number>();
  const walk = (block: readonly Inst[]): void => {
    for (const inst of block) {
      position += 2;
      if (inst.op === 'while') {
        const entered = enter();
        walk(inst.test);
        position += 2;
        touch(inst.m, position);
        walk(inst.body);
        leave(entered);
        continue;
      }
      reads(inst, read);
      switch (inst.op) {
        case 'for': {
          // The counter is written while the bounds are still to be read.
          touch(inst.i, position);
          position += 2;
          const entered = enter();
          touch(inst.i, position + 1);
          if (typeof inst.hi !== 'number') touch(inst.hi, position + 1);
          walk(inst.body);
          leave(entered);
          break;
        }
        case 'parallel': {
          touch(inst.i, position);
          position += 2;
          const entered = enter();
          touch(inst.i, position + 1);
          walk(inst.body);
          leave(entered);
          break;
        }
        case 'once':
          walk(inst.body);
          break;
        case 'if':
          walk(inst.body);
          walk(inst.otherwise);
          break;
        case 'store':
        case 'prefetch':
        case 'tiles':
        case 'barrier':
        case 'fail':
          break;
        default: {
          if (inst.op === 'const') constants.add(inst.d.id);
          const interval = touch(inst.d, position + 1);
          if (interval && !interval.hint) {
            // What is added is written over, unless it is a constant that stays.
            if (inst.op === 'fma' || inst.op === 'dot') interval.hint = constants.has(inst.c.id) ? inst.a : inst.c;
            else if (inst.op === 'bin' || inst.op === 'move' || inst.op === 'un') interval.hint = inst.a;
          }
        }
      }
    }
  };
  walk(kernel.body);
  return intervals.filter(interval => interval !== undefined);
}
