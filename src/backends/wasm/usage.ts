/**
 * Where the registers of a kernel are written and read: what the emitter needs to keep values on the operand stack and to reuse
 * locals. Reads loop IR only.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';

export interface Usage {
  /** Number of writes and of reads, by register id. */
  readonly defs: Int32Array;
  readonly uses: Int32Array;
  /** 1 where the only write and the only read stand in the same block. */
  readonly local: Uint8Array;
  /** The writing instruction, where there is exactly one. */
  readonly definition: readonly (Inst | undefined)[];
  /** Buffers that are addressed. */
  readonly buffers: ReadonlySet<number>;
}

/** The register an instruction writes (not the counters of loops), if any. */
export function written(inst: Inst): Reg | null {
  switch (inst.op) {
    case 'store':
    case 'for':
    case 'while':
    case 'if':
    case 'parallel':
    case 'once':
    case 'barrier':
    case 'fail':
      return null;
    default:
      return inst.d;
  }
}

/** Calls `visit` for every register the instruction itself reads, in operand order; nested blocks are not entered. */
export function readBy(inst: Inst, visit: (reg: Reg) => void): void {
  switch (inst.op) {
    case 'const':
    case 'parallel':
    case 'once':
    case 'barrier':
    case 'thread':
    case 'threads':
      return;
    case 'bin':
    case 'cmp':
    case 'shuffle':
      visit(inst.a);
      visit(inst.b);
      return;
    case 'fma':
      visit(inst.a);
      visit(inst.b);
      visit(inst.c);
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
    case 'addr':
      if (inst.index) visit(inst.index);
      return;
    case 'advance':
      visit(inst.p);
      visit(inst.by);
      return;
    case 'load':
      visit(inst.p);
      return;
    case 'store':
      visit(inst.p);
      visit(inst.a);
      return;
    case 'for':
      if (typeof inst.lo !== 'number') visit(inst.lo);
      if (typeof inst.hi !== 'number') visit(inst.hi);
      return;
    case 'while':
    case 'if':
      visit(inst.m);
      return;
    case 'fail':
      visit(inst.value);
      return;
    default:
      visit(inst.a);
  }
}

/** The blocks directly inside an instruction, in the order they run. */
export function blocksOf(inst: Inst): readonly (readonly Inst[])[] {
  switch (inst.op) {
    case 'for':
    case 'parallel':
    case 'once':
      return [inst.body];
    case 'while':
      return [inst.test, inst.body];
    case 'if':
      return [inst.body, inst.otherwise];
    default:
      return NONE;
  }
}

const NONE: readonly (readonly Inst[])[] = [];

function largestId(block: readonly Inst[]): number {
  let largest = -1;
  for (const inst of block) {
    const d = inst.op === 'for' || inst.op === 'parallel' ? inst.i : written(inst);
    if (d && d.id > largest) largest = d.id;
    for (const inner of blocksOf(inst)) largest = Math.max(largest, largestId(inner));
  }
  return largest;
}

export function usageOf(body: readonly Inst[]): Usage {
  const size = largestId(body) + 1;
  const defs = new Int32Array(size);
  const uses = new Int32Array(size);
  const local = new Uint8Array(size);
  const blockOf = new Int32Array(size).fill(-1);
  const definition: (Inst | undefined)[] = new Array(size);
  const buffers = new Set<number>();
  let blocks = 0;

  const walk = (block: readonly Inst[]): void => {
    const here = blocks++;
    const read = (reg: Reg): void => {
      uses[reg.id]!++;
      local[reg.id] = blockOf[reg.id] === here ? 1 : 0;
    };
    for (const inst of block) {
      if (inst.op === 'while') {
        // The condition is read at the end of the test block.
        const testBlock = blocks;
        walk(inst.test);
        uses[inst.m.id]!++;
        local[inst.m.id] = blockOf[inst.m.id] === testBlock ? 1 : 0;
        walk(inst.body);
        continue;
      }
      readBy(inst, read);
      if (inst.op === 'for' || inst.op === 'parallel') defs[inst.i.id]!++;
      if (inst.op === 'addr') buffers.add(inst.buf);
      const d = written(inst);
      if (d) {
        defs[d.id]!++;
        definition[d.id] = defs[d.id] === 1 ? inst : undefined;
        blockOf[d.id] = here;
      }
      for (const inner of blocksOf(inst)) walk(inner);
    }
  };
  walk(body);
  return { defs, uses, local, definition, buffers };
}
