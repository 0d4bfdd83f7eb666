/**
 * Vector constants of innermost loops, kept in registers where there are any to spare: as operands in memory each costs
 * a load in every trip, and a long formula (a gelu reads 27 of them) then keeps the load ports as busy as its products
 * keep theirs. Rewrites loop IR.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { holdsBlock, isStraight, type Nested, operandsOf, readBy, writtenBy } from '../../compiler/usage.ts';

/** Trips from which on a constant is worth its load before the loop. */
const LEAST_TRIPS = 4;

const SHIFTS: ReadonlySet<string> = new Set(['shl', 'shrS', 'shrU']);

type Loop = Extract<Inst, { op: 'for' }>;
type Constant = Extract<Inst, { op: 'const' }>;

interface Hoisted {
  readonly body: readonly Inst[];
  /** Constants that were moved in front of a loop, by register id: they are to stay in their registers. */
  readonly held: ReadonlySet<number>;
}

const inVector = ({ type }: Reg): boolean => type.lanes > 1 && type.scalar !== 'mask';

/** @param registers vector registers there are */
export function hoistConstants(body: readonly Inst[], registers: number): Hoisted {
  const pass = new Hoisting(body, registers);
  return { body: pass.block(body), held: pass.held };
}

const runsLong = ({ lo, hi, step }: Loop): boolean =>
  typeof lo !== 'number' || typeof hi !== 'number' || hi - lo >= LEAST_TRIPS * step;

class Hoisting {
  readonly held = new Set<number>();
  /** Position of the instruction at hand, counted through all blocks. */
  private at = 0;
  private readonly body: readonly Inst[];
  private readonly registers: number;
  private numbered = false;
  /** Where vector registers other than constants are written first and used last. */
  private readonly first: number[] = [];
  private readonly last: number[] = [];
  /** Where constants are that nothing else is written over, so far. */
  private readonly constants = new Map<number, number>();
  private readonly operands: Reg[] = [];

  constructor(body: readonly Inst[], registers: number) {
    this.body = body;
    this.registers = registers;
  }

  /** Most kernels have no constant to hoist and need no numbers. */
  private numberOnce(): void {
    if (this.numbered) return;
    this.numbered = true;
    const { at } = this;
    this.at = 0;
    this.number(this.body);
    this.at = at;
  }

  private number(block: readonly Inst[]): void {
    const { operands, constants, first, last } = this;
    for (let k = 0; k < block.length; k++) {
      const inst = block[k]!;
      const at = this.at++;
      const { d, body } = inst as { readonly d?: Reg; readonly body?: readonly Inst[] };
      if (body && inst.op === 'while') this.number(inst.test);
      if (d) {
        if (inst.op === 'const') constants.set(d.id, at);
        else if (constants.size > 0) this.noteWritten(d.id);
      }
      let count = operandsOf(inst, operands);
      if (d) operands[count++] = d;
      for (let i = 0; i < count; i++) {
        const { id, type } = operands[i]!;
        if (type.lanes === 1 || type.scalar === 'mask' || constants.has(id)) continue;
        first[id] ??= at;
        last[id] = at;
      }
      if (!body) continue;
      this.number(body);
      if (inst.op === 'if') this.number(inst.otherwise);
    }
  }

  /** A sum that began as a constant takes a register from there on. */
  private noteWritten(id: number): void {
    const began = this.constants.get(id);
    if (began === undefined) return;
    this.constants.delete(id);
    this.first[id] ??= began;
  }

  block(block: readonly Inst[]): readonly Inst[] {
    // Copied from the first instruction on that changes.
    let out: Inst[] | null = null;
    for (let i = 0; i < block.length; i++) {
      const inst = block[i]!;
      this.at++;
      if (!holdsBlock(inst)) {
        out?.push(inst);
        continue;
      }
      const now = this.rewritten(inst);
      if (!out && (now.length !== 1 || now[0] !== inst)) out = block.slice(0, i);
      out?.push(...now);
    }
    return out ?? block;
  }

  private rewritten(inst: Nested): readonly Inst[] {
    if (inst.op === 'for' && isStraight(inst.body)) {
      const start = this.at;
      this.at += inst.body.length;
      return this.loop(inst, start);
    }
    const test = inst.op === 'while' ? this.block(inst.test) : null;
    const body = this.block(inst.body);
    const otherwise = inst.op === 'if' ? this.block(inst.otherwise) : null;
    if (inst.op === 'while')
      return test === inst.test && body === inst.body ? [inst] : [{ ...inst, test: test!, body }];
    if (inst.op === 'if')
      return body === inst.body && otherwise === inst.otherwise ? [inst] : [{ ...inst, body, otherwise: otherwise! }];
    return body === inst.body ? [inst] : [{ ...inst, body }];
  }

  private loop(loop: Loop, start: number): Inst[] {
    const { body } = loop;
    if (!runsLong(loop) || !hasVectorConstant(body)) return [loop];
    const wanted = new Map<string, { readonly inst: Constant; readonly ids: number[] }>();
    const inRegisters = readInRegisters(body);
    const changed = changedIn(body);
    for (const inst of body) {
      if (inst.op !== 'const' || !inVector(inst.d) || !inRegisters.has(inst.d.id) || changed.has(inst.d.id)) continue;
      const { scalar, lanes } = inst.d.type;
      const key = `${scalar} ${lanes} ${Object.is(inst.value, -0) ? '-0' : inst.value}`;
      const known = wanted.get(key);
      if (known) known.ids.push(inst.d.id);
      else wanted.set(key, { inst, ids: [inst.d.id] });
    }
    const room = wanted.size > 0 ? this.registers - this.pressure(start, body.length) : 0;
    if (room <= 0) return [loop];
    const chosen = [...wanted.values()].sort((a, b) => b.ids.length - a.ids.length).slice(0, room);
    const instead = new Map(chosen.flatMap(({ inst, ids }) => ids.map(id => [id, inst.d] as const)));
    for (const { inst } of chosen) this.held.add(inst.d.id);
    const rest = body.filter(inst => !(inst.op === 'const' && instead.has(inst.d.id)));
    return [...chosen.map(({ inst }) => inst), { ...loop, body: rest.map(inst => renamed(inst, instead)) }];
  }

  /**
   * Most vector registers in use at once in `length` instructions from `start` on, with two for what is in the making.
   */
  private pressure(start: number, length: number): number {
    this.numberOnce();
    const changes = new Int32Array(length + 2);
    let most = 0;
    for (let id = 0; id < this.first.length; id++) {
      const first = this.first[id];
      const last = this.last[id]!;
      if (first === undefined || last < start || first >= start + length) continue;
      changes[Math.max(0, first - start)]!++;
      // What comes from outside is there in every trip.
      changes[first < start ? length + 1 : Math.min(length, last - start) + 1]!--;
    }
    let live = 0;
    for (const change of changes) {
      live += change;
      most = Math.max(most, live);
    }
    return most + 2;
  }
}

function hasVectorConstant(body: readonly Inst[]): boolean {
  for (let i = 0; i < body.length; i++) {
    const inst = body[i]!;
    if (inst.op === 'const' && inVector(inst.d)) return true;
  }
  return false;
}

/**
 * Registers that begin as a constant and are something else later: sums. What a loop's body makes nobody outside
 * writes.
 */
function changedIn(body: readonly Inst[]): Set<number> {
  const changed = new Set<number>();
  for (let i = 0; i < body.length; i++) {
    const inst = body[i]!;
    const d = writtenBy(inst);
    if (d && inst.op !== 'const') changed.add(d.id);
  }
  return changed;
}

/** Registers that are read other than as counts of shifts, which become part of the instruction. */
function readInRegisters(body: readonly Inst[]): Set<number> {
  const read = new Set<number>();
  const operands: Reg[] = [];
  for (const inst of body) {
    const shift = inst.op === 'bin' && SHIFTS.has(inst.fn) ? inst.b : null;
    const count = operandsOf(inst, operands);
    for (let i = 0; i < count; i++) if (operands[i] !== shift) read.add(operands[i]!.id);
  }
  return read;
}

/** The instruction with other registers for some that it reads. */
function renamed(inst: Inst, instead: ReadonlyMap<number, Reg>): Inst {
  let reads = false;
  readBy(inst, reg => {
    if (instead.has(reg.id)) reads = true;
  });
  if (!reads) return inst;
  const fields = Object.entries(inst).map(([key, value]) => {
    const isRead = key !== 'd' && typeof value === 'object' && value !== null && 'id' in value;
    return [key, (isRead && instead.get((value as Reg).id)) || value];
  });
  return Object.fromEntries(fields) as Inst;
}
