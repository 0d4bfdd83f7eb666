/**
 * Which values need no register because the instructions that read them can take them in: addresses of the load or
 * store right behind them, comparisons of the jump right behind them, and vectors of one constant, which are memory
 * operands. Reads loop IR only.
 */
import type { Inst, Reg } from '../../compiler/loops.ts';
import { operandsOf, type Usage } from '../../compiler/usage.ts';

type Address = Extract<Inst, { op: 'addr' | 'advance' }>;
export type Comparison = Extract<Inst, { op: 'cmp' }>;
type Constant = Extract<Inst, { op: 'const' }>;

const TAKES_ADDRESS: ReadonlySet<string> = new Set(['load', 'store', 'gather', 'follow', 'prefetch']);
const COMMUTES: ReadonlySet<string> = new Set(['add', 'mul', 'and', 'or', 'xor']);
const TAKES_MEMORY: ReadonlySet<string> = new Set(['add', 'sub', 'mul', 'div', 'and', 'or', 'xor', 'pmin', 'pmax']);
const SHIFTS: ReadonlySet<string> = new Set(['shl', 'shrS', 'shrU']);

export class Folding {
  private readonly usage: Usage;
  /** By register id: 1 for what its readers take in. */
  readonly taken: Uint8Array;
  private readonly addresses = new Map<number, Address>();
  private readonly comparisons = new Map<number, Comparison>();
  private readonly constants = new Map<number, Constant>();
  /** Constants with a reader that needs them in a register. */
  private readonly kept = new Set<number>();

  /**
   * @param vectors whether vector constants may be memory operands (EVEX broadcasts)
   * @param held those that may not, by register id
   */
  constructor(body: readonly Inst[], usage: Usage, vectors: boolean, held: ReadonlySet<number>) {
    this.usage = usage;
    this.block(body, vectors);
    for (const id of held) this.constants.delete(id);
    for (const id of this.kept) this.constants.delete(id);
    this.taken = new Uint8Array(usage.defs.length);
    for (const folded of [this.addresses, this.comparisons, this.constants])
      for (const id of folded.keys()) this.taken[id] = 1;
  }

  /** The address that `p` stands for, if its only reader takes it in. */
  address(p: Reg): Address | undefined {
    return this.addresses.get(p.id);
  }

  comparison(m: Reg): Comparison | undefined {
    return this.comparisons.get(m.id);
  }

  /** The value of every lane, where `reg` is a constant that lives in memory only. */
  constant(reg: Reg): number | bigint | null {
    return this.constants.get(reg.id)?.value ?? null;
  }

  /** As `operandsOf`, with the registers inside of what the instruction takes in. */
  operandsOf(inst: Inst, into: Reg[]): number {
    // Read where it is taken in.
    if ((inst.op === 'addr' || inst.op === 'advance') && this.taken[inst.d.id] === 1) return 0;
    const count = operandsOf(inst, into);
    if (count === 0) return 0;
    // What takes an address in has it as its first operand.
    const { id } = into[0]!;
    const folded = this.taken[id] === 1 ? this.addresses.get(id) : undefined;
    if (!folded) return count;
    into[0] = into[count - 1]!;
    return operandsOf(folded, into, count - 1);
  }

  private once(reg: Reg): boolean {
    return this.usage.uses[reg.id] === 1 && this.usage.defs[reg.id] === 1;
  }

  private block(insts: readonly Inst[], vectors: boolean): void {
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i]!;
      if (vectors && (this.constants.size > 0 || inst.op === 'const')) this.constantsOf(inst);
      const { body } = inst as { readonly body?: readonly Inst[] };
      if (body) {
        if (inst.op === 'while') {
          const last = inst.test.at(-1);
          if (last?.op === 'cmp' && last.d === inst.m && isGeneral(last.a) && this.once(inst.m))
            this.comparisons.set(inst.m.id, last);
          this.block(inst.test, vectors);
        }
        this.block(body, vectors);
        if (inst.op === 'if') this.block(inst.otherwise, vectors);
      } else if (inst.op === 'addr' || inst.op === 'advance') {
        const next = insts[i + 1];
        const takes = next && TAKES_ADDRESS.has(next.op) && 'p' in next;
        if (takes && next.p === inst.d && this.once(inst.d)) this.addresses.set(inst.d.id, inst);
      } else if (inst.op === 'cmp' && inst.d.type.lanes === 1 && isGeneral(inst.a)) {
        const next = insts[i + 1];
        if (next?.op === 'if' && next.m === inst.d && this.once(inst.d)) this.comparisons.set(inst.d.id, inst);
      }
    }
  }

  private constantsOf(inst: Inst): void {
    if (inst.op === 'const') {
      const { scalar, lanes } = inst.d.type;
      if (lanes > 1 && scalar !== 'mask' && this.usage.defs[inst.d.id] === 1) this.constants.set(inst.d.id, inst);
      return;
    }
    const { operands, constants } = this;
    const count = operandsOf(inst, operands);
    if (count === 0) return;
    const inMemory = this.memoryOperand(inst);
    for (let i = 0; i < count; i++) {
      const reg = operands[i]!;
      if (reg.type.lanes > 1 && reg !== inMemory && constants.has(reg.id)) this.kept.add(reg.id);
    }
  }

  private readonly operands: Reg[] = [];

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
