/**
 * Values of a kernel on their way into WebAssembly. A value that is used once, in the block that makes it, stays on the
 * operand stack: it is kept as a pending instruction until its use is written, so code comes out as expressions, which
 * the baseline compiler turns into better code and which is about half as long. Other values get a local, taken from a
 * pool by type and given back after the last access.
 */
import type { Inst, LoopKernel, Reg, Scalar } from '../../compiler/loops.ts';
import { readBy, type Usage, usageOf } from '../../compiler/usage.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { pushBinary, pushCompare, pushFma, pushSelect, pushUnary } from './emit-arithmetic.ts';
import { pushBitcast, pushConvert, pushExtract, pushInsert, pushReduce, pushShuffle, pushSplat } from './emit-lanes.ts';
import { pushLoad } from './emit-memory.ts';
import type { FunctionWriter } from './function-writer.ts';
import { valueType } from './instruction-tables.ts';
import { OP, SIMD } from './opcodes.ts';
import { type Operands, pushConstant } from './operands.ts';

/** Parameters of a kernel's function. */
export const ARGS = 0;
export const THREAD = 1;
export const THREADS = 2;

/** Operand trees deeper than this go through a local: the emitter recurses over them. */
const MAX_DEPTH = 100;

type ValueInst = Exclude<
  Inst,
  {
    readonly op:
      | 'store'
      | 'prefetch'
      | 'for'
      | 'while'
      | 'if'
      | 'parallel'
      | 'once'
      | 'barrier'
      | 'fail'
      | 'tiles'
      | 'tileSums';
  }
>;

/** An instruction whose code is written where its value is used. */
interface Pending {
  readonly inst: ValueInst;
  readonly readsMemory: boolean;
  /** Registers with several writes that it reads, itself or through pending operands. */
  readonly mutable: readonly number[];
  readonly depth: number;
}

const NO_REGISTERS: readonly number[] = [];

export class ValueEmitter implements Operands {
  readonly writer: FunctionWriter;
  readonly relaxedMadd: boolean;
  protected readonly kernel: LoopKernel;
  protected readonly usage: Usage;
  /** Local of each register, -1 while it has none. */
  protected readonly locals: number[];
  /** Loop depth at which the local was taken. */
  protected readonly depths: number[];
  /** Accesses still to come. */
  protected readonly remaining: number[];
  private readonly pending: (Pending | undefined)[];
  /** Pending instructions that are not operands of another one. */
  private readonly roots = new Set<Pending>();
  /** Locals to give back at the end of each open loop. */
  protected readonly loops: number[][] = [];
  /** Local with the byte address of each buffer that is used. */
  protected readonly bases = new Map<number, number>();

  constructor(kernel: LoopKernel, writer: FunctionWriter, relaxedMadd: boolean) {
    this.kernel = kernel;
    this.writer = writer;
    this.relaxedMadd = relaxedMadd;
    this.usage = usageOf(kernel.body);
    const size = this.usage.defs.length;
    this.locals = new Array<number>(size).fill(-1);
    this.depths = new Array<number>(size).fill(0);
    this.remaining = this.usage.defs.map((defs, i) => defs + this.usage.uses[i]!);
    this.pending = new Array(size);
  }

  // ---- operands

  definition(reg: Reg): Inst | undefined {
    return this.usage.definition[reg.id];
  }

  /** The value of a scalar constant, which is written at every use and has no local. */
  protected constant(reg: Reg): number | bigint | null {
    if (reg.type.lanes > 1) return null;
    const definition = this.usage.definition[reg.id];
    return definition?.op === 'const' ? definition.value : null;
  }

  use(reg: Reg): void {
    const pending = this.pending[reg.id];
    if (pending) {
      this.forget(reg, pending);
      this.push(pending.inst);
      return;
    }
    this.peek(reg);
    this.consume(reg);
  }

  hold(reg: Reg): void {
    const pending = this.pending[reg.id];
    if (!pending) return;
    this.forget(reg, pending);
    this.push(pending.inst);
    this.assign(reg);
  }

  peek(reg: Reg): void {
    const constant = this.constant(reg);
    if (constant !== null) pushConstant(this.writer, reg.type, constant);
    else {
      const definition = this.usage.definition[reg.id];
      if (definition?.op === 'thread') this.writer.get(THREAD);
      else if (definition?.op === 'threads') this.writer.get(THREADS);
      else this.writer.get(this.localOf(reg));
    }
  }

  done(reg: Reg): void {
    this.consume(reg);
  }

  drop(reg: Reg): void {
    const pending = this.pending[reg.id];
    if (pending) {
      this.forget(reg, pending);
      readBy(pending.inst, operand => this.drop(operand));
    } else this.consume(reg);
  }

  private localOf(reg: Reg): number {
    const local = this.locals[reg.id]!;
    if (local < 0)
      throw new Error(`internal: register r${reg.id} of kernel ${this.kernel.name} is read before written`);
    return local;
  }

  private forget(reg: Reg, pending: Pending): void {
    this.pending[reg.id] = undefined;
    this.roots.delete(pending);
  }

  /**
   * Counts one access; after the last one the local is free, at the end of the outermost loop entered since it was
   * taken.
   */
  private consume(reg: Reg): void {
    if (--this.remaining[reg.id]! > 0) return;
    const local = this.locals[reg.id]!;
    if (local < 0) return;
    this.locals[reg.id] = -1;
    const loop = this.loops[this.depths[reg.id]!];
    if (loop) loop.push(local);
    else this.writer.release(local);
  }

  /** Pops the stack into the register. */
  private assign(reg: Reg): void {
    let local = this.locals[reg.id]!;
    if (local < 0) {
      local = this.writer.allocate(valueType(reg.type));
      this.locals[reg.id] = local;
      this.depths[reg.id] = this.loops.length;
    }
    this.writer.set(local);
    this.consume(reg);
  }

  // ---- pending instructions

  private defer(inst: ValueInst): void {
    let readsMemory = inst.op === 'load';
    let depth = 0;
    let mutable: number[] | null = null;
    readBy(inst, operand => {
      const inner = this.pending[operand.id];
      if (inner) {
        this.roots.delete(inner);
        readsMemory ||= inner.readsMemory;
        depth = Math.max(depth, inner.depth);
        if (inner.mutable.length > 0) (mutable ??= []).push(...inner.mutable);
      } else if (this.usage.defs[operand.id]! > 1) (mutable ??= []).push(operand.id);
    });
    const pending: Pending = { inst, readsMemory, mutable: mutable ?? NO_REGISTERS, depth: depth + 1 };
    this.pending[inst.d.id] = pending;
    this.roots.add(pending);
    if (pending.depth >= MAX_DEPTH) this.settle(pending);
  }

  /** Writes a pending instruction now, into a local. */
  private settle(pending: Pending): void {
    this.hold(pending.inst.d);
  }

  /**
   * Settles every pending instruction of which `which` is true, but for the trees of `except`, which are about to be
   * used.
   */
  protected settleAll(which: (pending: Pending) => boolean, except?: Inst): void {
    if (this.roots.size === 0) return;
    const spared: (Pending | undefined)[] = [];
    if (except) readBy(except, reg => spared.push(this.pending[reg.id]));
    for (const root of [...this.roots]) if (!spared.includes(root) && which(root)) this.settle(root);
  }

  // ---- instructions

  protected value(inst: ValueInst): void {
    const { d } = inst;
    const { defs, uses, local } = this.usage;
    if (defs[d.id] === 1) {
      if (inst.op === 'thread' || inst.op === 'threads' || this.constant(d) !== null) return;
      if (uses[d.id] === 0) {
        readBy(inst, operand => this.drop(operand));
        return;
      }
      if (uses[d.id] === 1 && local[d.id]) {
        this.defer(inst);
        return;
      }
    } else if (this.roots.size > 0) {
      // What still has to read the old value reads it now.
      this.settleAll(pending => pending.mutable.includes(d.id), inst);
    }
    this.push(inst);
    this.assign(d);
  }

  /** Pushes the value of an instruction. */
  private push(inst: ValueInst): void {
    const w = this.writer;
    switch (inst.op) {
      case 'const':
        pushConstant(w, inst.d.type, inst.value);
        return;
      case 'move':
        this.use(inst.a);
        return;
      case 'un':
        pushUnary(this, inst.fn, inst.a);
        return;
      case 'bin':
        pushBinary(this, inst.fn, inst.a, inst.b);
        return;
      case 'cmp':
        pushCompare(this, inst.fn, inst.a, inst.b);
        return;
      case 'dot':
        throw new Error(`internal: WebAssembly has no ${inst.op}`);
      case 'fma':
        pushFma(this, inst.a, inst.b, inst.c);
        return;
      case 'select':
        pushSelect(this, inst.m, inst.a, inst.b);
        return;
      case 'cvt':
        pushConvert(this, inst.d.type, inst.a);
        return;
      case 'bitcast':
        pushBitcast(this, inst.d.type, inst.a);
        return;
      case 'splat':
        if (!this.pushLoadSplat(inst.a, inst.d.type.scalar)) pushSplat(this, inst.d.type, inst.a);
        return;
      case 'extract':
        pushExtract(this, inst.a, inst.lane);
        return;
      case 'insert':
        pushInsert(this, inst.a, inst.lane, inst.s);
        return;
      case 'shuffle':
        pushShuffle(this, inst.a, inst.b, inst.lanes);
        return;
      case 'reduce':
        pushReduce(this, inst.fn, inst.a);
        return;
      case 'anyTrue':
        this.use(inst.a);
        if (inst.a.type.lanes > 1) w.simd(SIMD.anyTrue);
        return;
      case 'addr':
      case 'advance': {
        const offset = this.pointer(inst, 0);
        if (offset !== 0) {
          w.i32(offset);
          w.op(OP.i32Add);
        }
        return;
      }
      case 'count':
        w.get(this.bases.get(inst.buf)!);
        return;
      case 'load': {
        const offset = this.address(inst.p, inst.offset);
        pushLoad(w, inst.mem, inst.d.type.lanes, offset);
        return;
      }
      case 'apart':
      case 'gather':
      case 'iota':
      case 'follow':
        throw new Error(`internal: wasm has no ${inst.op}`);
      case 'thread':
        w.get(THREAD);
        return;
      case 'threads':
        w.get(THREADS);
        return;
    }
  }

  /** A loaded element that is only spread out is one instruction, if `a` is such. */
  private pushLoadSplat(a: Reg, scalar: Scalar): boolean {
    const source = this.pending[a.id];
    if (source?.inst.op !== 'load' || source.inst.mem !== scalar) return false;
    this.forget(a, source);
    const offset = this.address(source.inst.p, source.inst.offset);
    const wide = scalar === 'f64' || scalar === 'i64';
    this.writer.simdMemory(wide ? SIMD.load64Splat : SIMD.load32Splat, wide ? 3 : 2, offset);
    return true;
  }

  /**
   * Pushes a pointer for a memory access; the result is the immediate offset to use with it, which cannot be negative.
   */
  protected address(p: Reg, offset: number): number {
    const pending = this.pending[p.id];
    let rest = offset;
    if (pending && (pending.inst.op === 'addr' || pending.inst.op === 'advance')) {
      this.forget(p, pending);
      rest = this.pointer(pending.inst, offset);
    } else this.use(p);
    if (rest >= 0) return rest;
    this.writer.i32(rest);
    this.writer.op(OP.i32Add);
    return 0;
  }

  /** Pushes `addr` or `advance` but for a constant part, which is added to `offset` and returned. */
  private pointer(inst: Extract<Inst, { op: 'addr' | 'advance' }>, offset: number): number {
    const w = this.writer;
    const step = inst.op === 'addr' ? bytesOf(this.kernel.buffers[inst.buf]!.dtype) : inst.scale;
    const by = inst.op === 'addr' ? inst.index : inst.by;
    let rest = offset;
    if (inst.op === 'addr') w.get(this.bases.get(inst.buf)!);
    else this.use(inst.p);
    const constant = by && this.constant(by);
    if (by === null) return rest;
    if (constant !== null) {
      this.drop(by);
      rest += Number(constant) * step;
      return rest;
    }
    this.use(by);
    if (step > 0 && (step & (step - 1)) === 0) {
      if (step > 1) {
        w.i32(31 - Math.clz32(step));
        w.op(OP.i32Shl);
      }
    } else {
      w.i32(step);
      w.op(OP.i32Mul);
    }
    w.op(OP.i32Add);
    return rest;
  }
}
