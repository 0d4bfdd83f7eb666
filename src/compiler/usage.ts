/**
 * Where the registers of a kernel are written and read: what the emitter needs to keep values on the operand stack and to reuse
 * locals; and how much work it is. Reads loop IR only.
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
  /** Whether it needs matrix registers. */
  readonly tiles: boolean;
  /** Whether it stores past the caches. */
  readonly streams: boolean;
  /** Estimated instructions that one thread would execute, each with all its iterations. */
  readonly work: number;
  /** What was written to `a`, and moved by `move` to `d` from there, is written to `d` by `inst` now: nothing writes or reads `a` any more. */
  replace(a: Reg, d: Reg, move: Inst, inst: Inst): void;
}

/** Calls `visit` for every register the instruction itself reads, in operand order; nested blocks are not entered. */
export function readBy(inst: Inst, visit: (reg: Reg) => void): void {
  // The most frequent ones first.
  switch (inst.op) {
    case 'const':
      return;
    case 'bin':
    case 'cmp':
    case 'shuffle':
      visit(inst.a);
      visit(inst.b);
      return;
    case 'move':
    case 'splat':
    case 'un':
      visit(inst.a);
      return;
    case 'fma':
    case 'dot':
      visit(inst.a);
      visit(inst.b);
      visit(inst.c);
      return;
    case 'load':
      visit(inst.p);
      if (inst.m) visit(inst.m);
      return;
    case 'store':
      visit(inst.p);
      visit(inst.a);
      if (inst.m) visit(inst.m);
      return;
    case 'addr':
      if (inst.index) visit(inst.index);
      return;
    case 'advance':
      visit(inst.p);
      visit(inst.by);
      return;
    case 'tiles':
      readByTiles(inst, visit);
      return;
    case 'select':
      visit(inst.m);
      visit(inst.a);
      visit(inst.b);
      return;
    case 'insert':
      visit(inst.a);
      visit(inst.s);
      return;
    case 'follow':
    case 'prefetch':
      visit(inst.p);
      return;
    case 'gather':
      visit(inst.p);
      visit(inst.index);
      if (inst.m) visit(inst.m);
      return;
    case 'for':
    case 'parallel':
    case 'while':
    case 'if':
    case 'fail':
      readByControl(inst, visit);
      return;
    case 'count':
    case 'apart':
    case 'once':
    case 'barrier':
    case 'thread':
    case 'threads':
    case 'iota':
      return;
    default:
      visit(inst.a);
  }
}

function readByTiles({ a, b, c, steps, ahead, runs }: Tiles, visit: (reg: Reg) => void): void {
  visit(a);
  visit(b);
  visit(c);
  if (typeof steps !== 'number') visit(steps);
  if (ahead) visit(ahead.from);
  if (runs) {
    visit(runs.at);
    visit(runs.count);
  }
}

function readByControl(
  inst: Extract<Inst, { op: 'for' | 'parallel' | 'while' | 'if' | 'fail' }>,
  visit: (reg: Reg) => void,
): void {
  switch (inst.op) {
    case 'for':
      if (typeof inst.lo !== 'number') visit(inst.lo);
      if (typeof inst.hi !== 'number') visit(inst.hi);
      return;
    case 'parallel':
      if (typeof inst.extent !== 'number') visit(inst.extent);
      return;
    case 'fail':
      visit(inst.value);
      return;
    default:
      visit(inst.m);
  }
}

/** Iterations assumed of a loop whose bounds are not known. */
const UNKNOWN_TRIPS = 4;

/** What one step of one tile counts: its 16 cycles take as long as some 32 vector instructions. */
const TILE_WORK = 32;
/** Products of parts that one of f32 takes. */
const F32_PRODUCTS = 6;

function trips(inst: Inst): number {
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
  tiles = false;
  streams = false;
  work = 0;
  private readonly blockOf: number[] = [];
  private blocks = 0;
  private here = 0;

  private readonly read = (reg: Reg): void => {
    const { id } = reg;
    this.uses[id]!++;
    this.local[id] = this.blockOf[id] === this.here;
  };

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

  replace(a: Reg, d: Reg, move: Inst, inst: Inst): void {
    this.defs[a.id] = 0;
    this.uses[a.id] = 0;
    this.definition[a.id] = undefined;
    if (this.definition[d.id] === move) this.definition[d.id] = inst;
  }

  /** Takes a block in; returns its estimated work. */
  walk(block: readonly Inst[]): number {
    const here = this.blocks++;
    this.here = here;
    let work = block.length;
    for (const inst of block) {
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
          readBy(inst, this.read);
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
          if (inst.op === 'store' && inst.past) this.streams = true;
          readBy(inst, this.read);
          break;
        case 'tiles':
          this.tiles = true;
          readBy(inst, this.read);
          work +=
            (typeof inst.steps === 'number' ? inst.steps : UNKNOWN_TRIPS) *
            (inst.runs ? UNKNOWN_TRIPS : 1) *
            inst.rows *
            inst.columns *
            (inst.kind === 'f32' ? F32_PRODUCTS : 1) *
            TILE_WORK;
          break;
        case 'barrier':
          break;
        default:
          readBy(inst, this.read);
          if (inst.op === 'addr' || inst.op === 'count' || inst.op === 'apart') this.buffers.add(inst.buf);
          this.define(inst.d, inst);
      }
      this.here = here;
    }
    return work;
  }
}
