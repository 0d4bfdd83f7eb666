/**
 * Which values need no register because the instructions that read them can take them in: addresses of the load or
 * store right behind them, comparisons of the jump right behind them, and vectors of one constant, which are memory
 * operands. Reads loop IR only.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { BEGIN, EFFECT, NEXT, type Sequence } from './sequence.ts';

type Address = Extract<Inst, { op: 'addr' | 'advance' }>;
export type Comparison = Extract<Inst, { op: 'cmp' }>;
type Constant = Extract<Inst, { op: 'const' }>;

const TAKES_ADDRESS: ReadonlySet<string> = new Set(['load', 'store', 'gather', 'follow', 'prefetch']);
const COMMUTES: ReadonlySet<string> = new Set(['add', 'mul', 'and', 'or', 'xor']);
const TAKES_MEMORY: ReadonlySet<string> = new Set(['add', 'sub', 'mul', 'div', 'and', 'or', 'xor', 'pmin', 'pmax']);
const SHIFTS: ReadonlySet<string> = new Set(['shl', 'shrS', 'shrU']);

export class Folding {
  /** By register id: 1 for what its readers take in. */
  readonly taken: Uint8Array;
  private readonly sequence: Sequence;
  private readonly addresses = new Map<number, Address>();
  private readonly comparisons = new Map<number, Comparison>();
  private readonly constants = new Map<number, Constant>();

  /**
   * @param vectors whether vector constants may be memory operands (EVEX broadcasts)
   * @param held those that may not, by register id
   */
  constructor(sequence: Sequence, vectors: boolean, held: ReadonlySet<number>) {
    this.sequence = sequence;
    this.taken = new Uint8Array(sequence.defs.length);
    this.takeAddresses();
    this.takeComparisons();
    if (vectors) this.takeConstants(held);
  }

  /** The address that `p` stands for, if its only reader takes it in. */
  address({ id }: Reg): Address | undefined {
    return this.taken[id] === 1 ? this.addresses.get(id) : undefined;
  }

  comparison({ id }: Reg): Comparison | undefined {
    return this.taken[id] === 1 ? this.comparisons.get(id) : undefined;
  }

  /** The value of every lane, where `reg` is a constant that lives in memory only. */
  constant({ id }: Reg): number | bigint | null {
    return this.taken[id] === 1 ? (this.constants.get(id)?.value ?? null) : null;
  }

  private takeAddresses(): void {
    const { sequence, taken } = this;
    const { kinds, insts } = sequence;
    for (const at of sequence.addresses) {
      const address = insts[at] as Address;
      const behind = sequence.behind(at);
      if (behind === kinds.length || kinds[behind]! < EFFECT) continue;
      const next = insts[behind]!;
      const takes = TAKES_ADDRESS.has(next.op) && 'p' in next && next.p === address.d;
      if (!takes || !sequence.isPassedOn(address.d.id)) continue;
      this.addresses.set(address.d.id, address);
      taken[address.d.id] = 1;
    }
  }

  private takeComparisons(): void {
    const { sequence, taken } = this;
    const { kinds, insts } = sequence;
    for (const at of sequence.comparisons) {
      const comparison = insts[at] as Comparison;
      if (!isGeneral(comparison.a)) continue;
      const behind = sequence.behind(at);
      const next = insts[behind];
      if (!next) continue;
      const jumps =
        (next.op === 'if' && kinds[behind] === BEGIN && comparison.d.type.lanes === 1) ||
        (next.op === 'while' && kinds[behind] === NEXT);
      if (!jumps || next.m !== comparison.d || !sequence.isPassedOn(comparison.d.id)) continue;
      this.comparisons.set(comparison.d.id, comparison);
      taken[comparison.d.id] = 1;
    }
  }

  private takeConstants(held: ReadonlySet<number>): void {
    const { sequence, constants, taken } = this;
    const { insts } = sequence;
    for (const at of sequence.constants) {
      const constant = insts[at] as Constant;
      const { id, type } = constant.d;
      if (type.lanes > 1 && type.scalar !== 'mask' && sequence.defs[id] === 1) constants.set(id, constant);
    }
    if (constants.size === 0) return;
    for (const id of constants.keys()) taken[id] = 1;
    for (const id of this.neededInRegisters()) taken[id] = 0;
    for (const id of held) taken[id] = 0;
  }

  /** Constants with a reader that needs them in a register. */
  private neededInRegisters(): Set<number> {
    const { taken } = this;
    const { insts, reads, from } = this.sequence;
    const needed = new Set<number>();
    let at = 0;
    for (let i = 0; i < reads.length; i++) {
      const reg = reads[i]!;
      if (taken[reg.id] !== 1 || reg.type.lanes === 1) continue;
      while (from[at + 1]! <= i) at++;
      if (reg !== this.memoryOperand(insts[at]!)) needed.add(reg.id);
    }
    return needed;
  }

  /** The operand that an instruction may read from memory. */
  private memoryOperand(inst: Inst): Reg | null {
    const known = (reg: Reg): boolean => this.constants.has(reg.id);
    switch (inst.op) {
      case 'bin':
        if (inst.a === inst.b) return null;
        if (SHIFTS.has(inst.fn)) return inst.b;
        if (TAKES_MEMORY.has(inst.fn) && known(inst.b)) return inst.b;
        return COMMUTES.has(inst.fn) && known(inst.a) ? inst.a : null;
      case 'cmp':
        return inst.a === inst.b ? null : inst.b;
      case 'fma':
        if (inst.d.type.scalar !== 'f32' && inst.d.type.scalar !== 'f64') return null;
        if (inst.a === inst.c || inst.b === inst.c) return null;
        if (known(inst.c)) return inst.c;
        if (inst.a === inst.b) return null;
        return known(inst.b) ? inst.b : known(inst.a) ? inst.a : null;
      case 'select':
        return inst.a === inst.b ? null : inst.a;
      default:
        return null;
    }
  }
}

const isGeneral = (reg: Reg): boolean => reg.type.lanes === 1 && reg.type.scalar !== 'f32' && reg.type.scalar !== 'f64';
