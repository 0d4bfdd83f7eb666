/**
 * Live intervals of a kernel's registers over the structured IR, in positions that count instructions. What is alive at
 * the head of a loop and used in it stays alive to the loop's end. Reads loop IR only.
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

type Writing = Extract<Inst, { readonly d: Reg }>;

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

/** What says which registers an instruction reads, as `operandsOf` of usage.ts does. */
interface Operands {
  operandsOf(inst: Inst, into: Reg[]): number;
}

/** Intervals in the order of register ids; `skip` says by id which registers need no place. */
export function liveIntervals(kernel: LoopKernel, skip: Uint8Array, folding: Operands): Interval[] {
  const walker = new Walker(skip, folding);
  walker.walk(kernel.body);
  const intervals: Interval[] = [];
  for (const interval of walker.intervals) if (interval) intervals.push(interval);
  return intervals;
}

class Walker {
  readonly intervals: (Interval | undefined)[] = [];
  private readonly skip: Uint8Array;
  private readonly folding: Operands;
  private readonly operands: Reg[] = [];
  /** By register: the loop it was first touched in. */
  private readonly born: (Loop | null)[] = [];
  /** By register: the loop that it was last seen to live through. */
  private readonly heldBy: (Loop | undefined)[] = [];
  private readonly constants = new Set<number>();
  private position = 0;
  private loop: Loop | null = null;

  constructor(skip: Uint8Array, folding: Operands) {
    this.skip = skip;
    this.folding = folding;
  }

  private touch(reg: Reg, at: number): Interval | null {
    if (this.skip[reg.id]) return null;
    const { loop, born } = this;
    const weight = loop ? loop.weight : 1;
    let interval = this.intervals[reg.id];
    if (!interval) {
      interval = { reg, first: at, last: at, weight, hint: null };
      this.intervals[reg.id] = interval;
      born[reg.id] = loop;
      return interval;
    }
    // Positions never go back.
    interval.last = at;
    interval.weight += weight;
    // Born in a loop that is over: it lived through that loop, and through those around it that are.
    for (let l = born[reg.id] ?? null; l !== null && l.end >= 0; l = l.parent) {
      if (l.start < interval.first) interval.first = l.start;
      born[reg.id] = l.parent;
    }
    // Born before loops that are open: it lives through the outermost of them.
    let outer: Loop | null = null;
    for (let l = loop; l !== null && l.start > interval.first; l = l.parent) outer = l;
    if (outer && this.heldBy[reg.id] !== outer) {
      this.heldBy[reg.id] = outer;
      outer.through.push(interval);
    }
    return interval;
  }

  private enter(): Loop {
    const depth = (this.loop?.depth ?? 0) + 1;
    const weight = 8 ** Math.min(depth, MAX_WEIGHT_DEPTH);
    const entered: Loop = { parent: this.loop, depth, weight, start: this.position, end: -1, through: [] };
    this.loop = entered;
    return entered;
  }

  private leave(left: Loop): void {
    this.position += 2;
    left.end = this.position;
    for (const interval of left.through) interval.last = this.position;
    this.loop = left.parent;
  }

  walk(block: readonly Inst[]): void {
    const { skip, operands } = this;
    for (let k = 0; k < block.length; k++) {
      const inst = block[k]!;
      this.position += 2;
      if (inst.op === 'while') {
        const entered = this.enter();
        this.walk(inst.test);
        this.position += 2;
        this.touch(inst.m, this.position);
        this.walk(inst.body);
        this.leave(entered);
        continue;
      }
      const count = this.folding.operandsOf(inst, operands);
      for (let i = 0; i < count; i++) {
        const reg = operands[i]!;
        if (skip[reg.id] === 0) this.touch(reg, this.position);
      }
      // Most write a value and do nothing else.
      if ((inst as { readonly d?: Reg }).d) {
        this.write(inst as Writing);
        continue;
      }
      switch (inst.op) {
        case 'for':
          this.counted(inst.i, typeof inst.hi === 'number' ? null : inst.hi, inst.body);
          break;
        case 'parallel':
          this.counted(inst.i, null, inst.body);
          break;
        case 'once':
          this.walk(inst.body);
          break;
        case 'if':
          this.walk(inst.body);
          this.walk(inst.otherwise);
          break;
      }
    }
  }

  /** A loop with counter `i` that ends at `end`, where that is a register. */
  private counted(i: Reg, end: Reg | null, body: readonly Inst[]): void {
    // The counter is written while the bounds are still to be read.
    this.touch(i, this.position);
    this.position += 2;
    const entered = this.enter();
    this.touch(i, this.position + 1);
    if (end) this.touch(end, this.position + 1);
    this.walk(body);
    this.leave(entered);
  }

  private write(inst: Writing): void {
    if (inst.op === 'const') this.constants.add(inst.d.id);
    const interval = this.touch(inst.d, this.position + 1);
    if (!interval || interval.hint) return;
    // What is added is written over, unless it is a constant that stays.
    if (inst.op === 'fma' || inst.op === 'dot') interval.hint = this.constants.has(inst.c.id) ? inst.a : inst.c;
    else if (inst.op === 'bin' || inst.op === 'move' || inst.op === 'un') interval.hint = inst.a;
  }
}
