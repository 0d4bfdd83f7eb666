/**
 * Where the registers of a kernel are written and read: what the emitter needs to keep values on the operand stack and
 * to reuse locals; and how much work it is. Reads loop IR only.
 */
import type { Inst, Reg, Tiles } from './loops.ts';

export interface Usage {
  /** Number of writes and of reads, by register id. */
  readonly defs: readonly number[];
  readonly uses: readonly number[];
  /** Whether the last write and the last read stand in the same block. */
  readonly local: readonly boolean[];
  /** The writing instruction, where there is exactly one. */
  readonly definition: readonly (Inst | undefined)[];
  /** Buffers that are addressed. */
  readonly buffers: ReadonlySet<number>;
  /** Whether it may write the error record. */
  readonly fails: boolean;
  /** Estimated instructions that one thread would execute, each with all its iterations. */
  readonly work: number;
}

/** What has a block of its own. */
export type Nested = Extract<Inst, { readonly body: readonly Inst[] }>;

// A read where most have nothing, as `in` asks the engine's runtime.
export const holdsBlock = (inst: Inst): inst is Nested =>
  (inst as { readonly body?: readonly Inst[] }).body !== undefined;

/** The register that an instruction writes, but for counters of loops. */
export const writtenBy = (inst: Inst): Reg | undefined => (inst as { readonly d?: Reg }).d;

/** Whether nothing in a block has a block of its own. */
export function isStraight(body: readonly Inst[]): boolean {
  for (let i = 0; i < body.length; i++) if (holdsBlock(body[i]!)) return false;
  return true;
}

/**
 * Puts the registers that the instruction itself reads into `into`, from index `at` on, in operand order; returns the
 * index behind the last one. Nested blocks are not entered. Every pass asks this of every instruction, in code that
 * runs for the first time: so it calls nothing (decision 230).
 */
export function operandsOf(inst: Inst, into: Reg[], at = 0): number {
  // The most frequent ones first.
  switch (inst.op) {
    case 'bin':
      into[at++] = inst.a;
      into[at++] = inst.b;
      return at;
    case 'const':
      return at;
    case 'load':
      into[at++] = inst.p;
      if (inst.m) into[at++] = inst.m;
      return at;
    case 'store':
      into[at++] = inst.p;
      into[at++] = inst.a;
      if (inst.m) into[at++] = inst.m;
      return at;
    case 'fma':
    case 'dot':
      into[at++] = inst.a;
      into[at++] = inst.b;
      into[at++] = inst.c;
      return at;
    case 'addr':
      if (inst.index) into[at++] = inst.index;
      return at;
    case 'advance':
      into[at++] = inst.p;
      into[at++] = inst.by;
      return at;
    case 'move':
    case 'splat':
    case 'un':
      into[at++] = inst.a;
      return at;
    case 'cmp':
    case 'shuffle':
      into[at++] = inst.a;
      into[at++] = inst.b;
      return at;
    case 'tiles':
      return operandsOfTiles(inst, into, at);
    case 'tileSums':
      if (inst.does !== 'clear') into[at++] = inst.c;
      return at;
    case 'select':
      into[at++] = inst.m;
      into[at++] = inst.a;
      into[at++] = inst.b;
      return at;
    case 'insert':
      into[at++] = inst.a;
      into[at++] = inst.s;
      return at;
    case 'follow':
    case 'prefetch':
      into[at++] = inst.p;
      return at;
    case 'gather':
      into[at++] = inst.p;
      into[at++] = inst.index;
      if (inst.m) into[at++] = inst.m;
      return at;
    case 'for':
    case 'parallel':
    case 'while':
    case 'if':
    case 'fail':
      return operandsOfControl(inst, into, at);
    case 'count':
    case 'apart':
    case 'once':
    case 'barrier':
    case 'thread':
    case 'threads':
    case 'iota':
      return at;
    default:
      into[at++] = inst.a;
      return at;
  }
}

function operandsOfTiles({ a, b, steps, ahead, runs, room }: Tiles, into: Reg[], at: number): number {
  into[at++] = a;
  into[at++] = b;
  if (typeof steps !== 'number') into[at++] = steps;
  if (ahead) into[at++] = ahead.from;
  if (room) into[at++] = room;
  if (runs) {
    into[at++] = runs.at;
    into[at++] = runs.count;
  }
  return at;
}

function operandsOfControl(
  inst: Extract<Inst, { op: 'for' | 'parallel' | 'while' | 'if' | 'fail' }>,
  into: Reg[],
  at: number,
): number {
  switch (inst.op) {
    case 'for':
      if (typeof inst.lo !== 'number') into[at++] = inst.lo;
      if (typeof inst.hi !== 'number') into[at++] = inst.hi;
      return at;
    case 'parallel':
      if (typeof inst.extent !== 'number') into[at++] = inst.extent;
      return at;
    case 'fail':
      into[at++] = inst.value;
      return at;
    default:
      into[at++] = inst.m;
      return at;
  }
}

/** Calls `visit` for every register the instruction itself reads, in operand order. */
export function readBy(inst: Inst, visit: (reg: Reg) => void): void {
  const operands: Reg[] = [];
  const count = operandsOf(inst, operands);
  for (let i = 0; i < count; i++) visit(operands[i]!);
}

/** Iterations assumed of a loop whose bounds are not known. */
export const UNKNOWN_TRIPS = 4;

/** Estimated iterations of what a block may be repeated by. */
export function trips(inst: Inst): number {
  if (inst.op === 'parallel') return typeof inst.extent === 'number' ? inst.extent : UNKNOWN_TRIPS;
  if (inst.op === 'while') return UNKNOWN_TRIPS;
  if (inst.op !== 'for') return 1;
  if (typeof inst.lo !== 'number' || typeof inst.hi !== 'number') return inst.trips ?? UNKNOWN_TRIPS;
  return Math.max(0, Math.ceil((inst.hi - inst.lo) / inst.step));
}

export function usageOf(body: readonly Inst[]): Usage {
  const usage = new Walker();
  usage.work = usage.walk(body);
  return usage;
}

class Walker implements Usage {
  // Plain arrays that grow as registers turn up: ids are small and nearly dense.
  readonly defs: number[] = [];
  readonly uses: number[] = [];
  readonly local: boolean[] = [];
  readonly definition: (Inst | undefined)[] = [];
  readonly buffers = new Set<number>();
  fails = false;
  work = 0;
  private readonly blockOf: number[] = [];
  private blocks = 0;
  private here = 0;

  private readonly operands: Reg[] = [];

  private read({ id }: Reg): void {
    this.uses[id]!++;
    this.local[id] = this.blockOf[id] === this.here;
  }

  private readOperands(inst: Inst): void {
    const { operands, uses, local, blockOf, here } = this;
    const count = operandsOf(inst, operands);
    for (let i = 0; i < count; i++) {
      const { id } = operands[i]!;
      uses[id]!++;
      local[id] = blockOf[id] === here;
    }
  }

  private define(reg: Reg, inst: Inst | undefined): void {
    const { id } = reg;
    while (this.defs.length <= id) {
      this.defs.push(0);
      this.uses.push(0);
      this.local.push(false);
      this.definition.push(undefined);
      this.blockOf.push(-1);
    }
    this.defs[id]!++;
    this.definition[id] = this.defs[id] === 1 ? inst : undefined;
    this.blockOf[id] = this.here;
  }

  /** Takes a block in; returns its estimated work. */
  walk(block: readonly Inst[]): number {
    const here = this.blocks++;
    this.here = here;
    let work = block.length;
    for (let k = 0; k < block.length; k++) {
      const inst = block[k]!;
      // Most write a value and do nothing else.
      if ((inst as { readonly d?: Reg }).d) {
        this.readOperands(inst);
        if (inst.op === 'addr' || inst.op === 'count' || inst.op === 'apart') this.buffers.add(inst.buf);
        this.define((inst as Extract<Inst, { readonly d: Reg }>).d, inst);
        continue;
      }
      switch (inst.op) {
        case 'while': {
          // The condition is read at the end of the test block.
          let inner = this.walk(inst.test);
          this.read(inst.m);
          inner += this.walk(inst.body);
          work += inner * UNKNOWN_TRIPS;
          break;
        }
        case 'if':
          this.read(inst.m);
          work += Math.max(this.walk(inst.body), this.walk(inst.otherwise));
          break;
        case 'for':
        case 'parallel':
          this.readOperands(inst);
          this.define(inst.i, undefined);
          work += this.walk(inst.body) * trips(inst);
          break;
        case 'once':
          work += this.walk(inst.body);
          break;
        case 'fail':
          this.fails = true;
          this.read(inst.value);
          break;
        case 'store':
        case 'prefetch':
          this.readOperands(inst);
          break;
      }
      this.here = here;
    }
    return work;
  }
}
