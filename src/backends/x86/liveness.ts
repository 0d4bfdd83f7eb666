/**
 * Live intervals of a kernel's registers over its sequence, in positions that count instructions. What is alive at
 * the head of a loop and used in it stays alive to the loop's end. Reads loop IR only.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { operandsOf } from '../../compiler/usage.ts';
import type { Folding } from './folding.ts';
import { BEGIN, END, GONE, NEXT, type Sequence } from './sequence.ts';

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

/** An interval in the making. */
interface Life extends Interval {
  /** The loop it was first touched in, as long as that is not over. */
  born: Loop | null;
  /** The loop that it was last seen to live through. */
  heldBy: Loop | null;
}

type Writing = Extract<Inst, { readonly d: Reg }>;

interface Loop {
  readonly parent: Loop | null;
  readonly depth: number;
  /** What an access in it counts. */
  readonly weight: number;
  readonly start: number;
  end: number;
  readonly through: Life[];
}

const MAX_WEIGHT_DEPTH = 6;

/** Intervals in the order of register ids; `skip` says by id which registers need no place. */
export function liveIntervals(sequence: Sequence, skip: Uint8Array, folding: Folding): Interval[] {
  const walker = new Walker(sequence, skip, folding);
  walker.walk();
  const intervals: Interval[] = [];
  for (let id = 0; id < walker.intervals.length; id++) {
    const interval = walker.intervals[id];
    if (interval) intervals.push(interval);
  }
  return intervals;
}

class Walker {
  readonly intervals: (Life | undefined)[] = [];
  private readonly sequence: Sequence;
  private readonly skip: Uint8Array;
  private readonly folding: Folding;
  private readonly operands: Reg[] = [];
  /** By register: 1 for what a constant has been written to. */
  private readonly constants: Uint8Array;
  private position = 0;
  private loop: Loop | null = null;

  constructor(sequence: Sequence, skip: Uint8Array, folding: Folding) {
    this.sequence = sequence;
    this.skip = skip;
    this.folding = folding;
    this.constants = new Uint8Array(skip.length);
  }

  private touch(reg: Reg, at: number): Interval {
    const { loop } = this;
    const weight = loop ? loop.weight : 1;
    const interval = this.intervals[reg.id];
    if (!interval) {
      const born = { reg, first: at, last: at, weight, hint: null, born: loop, heldBy: null };
      this.intervals[reg.id] = born;
      return born;
    }
    // Positions never go back.
    interval.last = at;
    interval.weight += weight;
    // Most are read in the loop that they are made in.
    if (interval.born === loop) return interval;
    // Born in a loop that is over: it lived through that loop, and through those around it that are.
    for (let l = interval.born; l !== null && l.end >= 0; l = l.parent) {
      if (l.start < interval.first) interval.first = l.start;
      interval.born = l.parent;
    }
    // Born before loops that are open: it lives through the outermost of them.
    let outer: Loop | null = null;
    for (let l = loop; l !== null && l.start > interval.first; l = l.parent) outer = l;
    if (outer && interval.heldBy !== outer) {
      interval.heldBy = outer;
      outer.through.push(interval);
    }
    return interval;
  }

  private enter(): void {
    const depth = (this.loop?.depth ?? 0) + 1;
    const weight = 8 ** Math.min(depth, MAX_WEIGHT_DEPTH);
    const entered: Loop = { parent: this.loop, depth, weight, start: this.position, end: -1, through: [] };
    this.loop = entered;
  }

  private leave(left: Loop): void {
    this.position += 2;
    left.end = this.position;
    for (const interval of left.through) interval.last = this.position;
    this.loop = left.parent;
  }

  walk(): void {
    const { skip } = this;
    const { kinds, insts } = this.sequence;
    for (let at = 0; at < kinds.length; at++) {
      const kind = kinds[at]!;
      if (kind === GONE) continue;
      if (kind === NEXT || kind === END) {
        this.endBlock(at, insts[at]!);
        continue;
      }
      this.position += 2;
      if (kind >= 0) {
        const inst = insts[at] as Writing;
        // Addresses that are taken in are read where they are.
        if (skip[kind] !== 1 || !this.folding.address(inst.d)) this.read(at);
        this.write(inst);
      } else {
        this.read(at);
        if (kind === BEGIN) this.begin(insts[at]!);
      }
    }
  }

  private read(at: number): void {
    const { skip } = this;
    const { reads, from } = this.sequence;
    const end = from[at + 1]!;
    for (let i = from[at]!; i < end; i++) {
      const reg = reads[i]!;
      if (skip[reg.id] === 1) this.readInside(reg);
      else this.touch(reg, this.position);
    }
  }

  /** The registers inside of an address that is taken in. */
  private readInside(reg: Reg): void {
    const address = this.folding.address(reg);
    if (!address) return;
    const { operands, skip } = this;
    const count = operandsOf(address, operands);
    for (let i = 0; i < count; i++) if (skip[operands[i]!.id] !== 1) this.touch(operands[i]!, this.position);
  }

  private begin(inst: Inst): void {
    if (inst.op === 'while') this.enter();
    else if (inst.op === 'for') this.count(inst.i, typeof inst.hi === 'number' ? null : inst.hi);
    else if (inst.op === 'parallel') this.count(inst.i, null);
  }

  private endBlock(at: number, { op }: Inst): void {
    if (op === 'while' && this.sequence.kinds[at] === NEXT) {
      this.position += 2;
      this.read(at);
    } else if (op === 'for' || op === 'parallel' || op === 'while') this.leave(this.loop!);
  }

  /** Enters a loop with counter `i` that ends at `end`, where that is a register. */
  private count(i: Reg, end: Reg | null): void {
    // The counter is written while the bounds are still to be read.
    this.touch(i, this.position);
    this.position += 2;
    this.enter();
    this.touch(i, this.position + 1);
    if (end && this.skip[end.id] !== 1) this.touch(end, this.position + 1);
  }

  private write(inst: Writing): void {
    const { d } = inst;
    if (inst.op === 'const') this.constants[d.id] = 1;
    if (this.skip[d.id] === 1) return;
    const interval = this.touch(d, this.position + 1);
    if (interval.hint) return;
    // What is added is written over, unless it is a constant that stays.
    if (inst.op === 'bin') interval.hint = inst.a;
    else if (inst.op === 'fma' || inst.op === 'dot') interval.hint = this.constants[inst.c.id] === 1 ? inst.a : inst.c;
    else if (inst.op === 'move' || inst.op === 'un') interval.hint = inst.a;
  }
}
