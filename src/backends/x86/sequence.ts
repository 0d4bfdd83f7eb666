/**
 * The instructions of a kernel one after another, with what each reads and writes: found in one walk over its nested
 * blocks for all passes behind it, as what a first call costs is how often an instruction is looked at (decision 306).
 * Reads loop IR only.
 */
import type { Inst, Reg, Tiles } from '../../compiler/loops.ts';
import { operandsOf, trips, UNKNOWN_TRIPS, writtenBy } from '../../compiler/usage.ts';

/** What a place of a sequence is that writes no register: an instruction that has no block either, */
export const EFFECT = -1;
/** the beginning of one that has, with its first block behind it, */
export const BEGIN = -2;
/** what parts its two blocks (test and body of `while`, body and otherwise of `if`), */
export const NEXT = -3;
/** its end, */
export const END = -4;
/** or nothing any more: a move that fell away. */
export const GONE = -5;

/** What one step of one tile counts: its 16 cycles take as long as some 32 vector instructions. */
const TILE_WORK = 32;
/** Products of parts that one of f32 takes. */
const F32_PRODUCTS = 6;

// Plain arrays that grow by one: places are dense, ids of registers small and nearly so.
export class Sequence {
  /** By place: the id of the register that is written, or what else it is; and the instruction it belongs to. */
  readonly kinds: number[] = [];
  readonly insts: Inst[] = [];
  /** By place and one more: from where on its registers stand among those that are read, in operand order. */
  readonly from: number[] = [0];
  readonly reads: Reg[] = [];
  /** By place, of BEGIN and NEXT: where the block behind it is over. */
  readonly over = new Map<number, number>();
  /** Number of writes and of reads, by register id. */
  readonly defs: number[] = [];
  readonly uses: number[] = [];
  /** The writing instruction, where there is exactly one. */
  readonly definition: (Inst | undefined)[] = [];
  /** Places of constants, moves, comparisons, and of `addr` and `advance`. */
  readonly constants: number[] = [];
  readonly moves: number[] = [];
  readonly comparisons: number[] = [];
  readonly addresses: number[] = [];
  /** Whether it may write the error record. */
  fails = false;
  /** Whether it needs matrix registers. */
  tiles = false;
  /** Whether it stores past the caches. */
  streams = false;
  /** Estimated instructions that one thread would execute, each with all its iterations. */
  readonly work: number;

  constructor(body: readonly Inst[]) {
    this.work = this.walk(body);
  }

  /** The place behind `at`, but for what is gone. */
  behind(at: number): number {
    let next = at + 1;
    while (this.kinds[next] === GONE) next++;
    return next;
  }

  /** Whether a register is written once and read once. */
  isPassedOn(id: number): boolean {
    return this.uses[id] === 1 && this.defs[id] === 1;
  }

  /** Takes a block in; returns its estimated work. */
  private walk(block: readonly Inst[]): number {
    let work = block.length;
    for (let k = 0; k < block.length; k++) {
      const inst = block[k]!;
      const d = writtenBy(inst);
      // Most write a value and do nothing else.
      if (d) {
        const at = this.place(d.id, inst);
        this.define(d.id, inst);
        this.note(at, inst);
      } else work += this.effect(inst);
    }
    return work;
  }

  /** Adds an instruction that reads its operands. */
  private place(kind: number, inst: Inst): number {
    const { kinds, insts, from, reads, uses } = this;
    const at = kinds.length;
    kinds[at] = kind;
    insts[at] = inst;
    const start = from[at]!;
    const end = operandsOf(inst, reads, start);
    from[at + 1] = end;
    for (let i = start; i < end; i++) uses[reads[i]!.id]!++;
    return at;
  }

  /** Adds a place that reads nothing. */
  private mark(kind: number, inst: Inst): number {
    const { kinds, from } = this;
    const at = kinds.length;
    kinds[at] = kind;
    this.insts[at] = inst;
    from[at + 1] = from[at]!;
    return at;
  }

  private define(id: number, inst: Inst | undefined): void {
    const { defs, uses, definition } = this;
    for (let next = defs.length; next <= id; next++) {
      defs[next] = 0;
      uses[next] = 0;
      definition[next] = undefined;
    }
    definition[id] = ++defs[id]! === 1 ? inst : undefined;
  }

  /** Notes the places of what later passes look for. */
  private note(at: number, { op }: Inst): void {
    if (op === 'bin' || op === 'load' || op === 'fma') return;
    if (op === 'const') this.constants.push(at);
    else if (op === 'addr' || op === 'advance') this.addresses.push(at);
    else if (op === 'move') this.moves.push(at);
    else if (op === 'cmp') this.comparisons.push(at);
  }

  /** Takes in what writes no value; returns its estimated work beyond an instruction's. */
  private effect(inst: Inst): number {
    switch (inst.op) {
      case 'while': {
        const test = this.mark(BEGIN, inst);
        const tested = this.walk(inst.test);
        // The condition is read at the end of the test block.
        const body = this.place(NEXT, inst);
        this.over.set(test, body);
        return (tested + this.last(body, inst, inst.body)) * UNKNOWN_TRIPS;
      }
      case 'if': {
        const body = this.place(BEGIN, inst);
        const then = this.walk(inst.body);
        const otherwise = this.mark(NEXT, inst);
        this.over.set(body, otherwise);
        return Math.max(then, this.last(otherwise, inst, inst.otherwise));
      }
      case 'for':
      case 'parallel': {
        const at = this.place(BEGIN, inst);
        this.define(inst.i.id, undefined);
        return this.last(at, inst, inst.body) * trips(inst);
      }
      case 'once':
        return this.last(this.mark(BEGIN, inst), inst, inst.body);
      default: {
        this.place(EFFECT, inst);
        if (inst.op === 'fail') this.fails = true;
        else if (inst.op === 'store' && inst.past) this.streams = true;
        else if (inst.op === 'tiles') {
          this.tiles = true;
          return workOfTiles(inst);
        }
        return 0;
      }
    }
  }

  /** The last block of an instruction, behind the place `at`. */
  private last(at: number, inst: Inst, block: readonly Inst[]): number {
    const work = this.walk(block);
    this.over.set(at, this.mark(END, inst));
    return work;
  }
}

const workOfTiles = ({ steps, runs, rows, columns, kind }: Tiles): number =>
  (typeof steps === 'number' ? steps : UNKNOWN_TRIPS) *
  (runs ? UNKNOWN_TRIPS : 1) *
  rows *
  columns *
  (kind === 'f32' ? F32_PRODUCTS : 1) *
  TILE_WORK;
