/**
 * One loop-IR kernel as one WebAssembly function of (args, thread, threads), where `args` addresses a table with the
 * byte address of each kernel buffer. This file writes stores and control flow; emit-values.ts the values they use.
 */
import type { Inst, LoopKernel, Reg } from '../../compiler/loops.ts';
import { pushStore } from './emit-memory.ts';
import { ARGS, THREAD, THREADS, ValueEmitter } from './emit-values.ts';
import { Bytes, type ValueType } from './encoder.ts';
import { FunctionWriter } from './function-writer.ts';
import { OP } from './opcodes.ts';

/** What kernels may call, and which instructions they may use. */
interface EmitOptions {
  /** Function index of `barrier(thread, threads)`. */
  readonly barrier: number;
  /** Function index of `fail(site, value: i64)`. */
  readonly fail: number;
  readonly relaxedMadd: boolean;
}

export interface EmittedFunction {
  readonly locals: readonly ValueType[];
  readonly code: Uint8Array;
  /** Whether it may write the error record. */
  readonly fails: boolean;
  /** Estimated instructions, see usage.ts. */
  readonly work: number;
}

/** Code of the kernel being emitted: fresh buffers for each one cost a third of the time to emit hundreds of them. */
const scratch = new Bytes(1 << 16);

export function emitKernel(kernel: LoopKernel, options: EmitOptions): EmittedFunction {
  scratch.length = 0;
  return new KernelEmitter(kernel, options).run();
}

class KernelEmitter extends ValueEmitter {
  private readonly options: EmitOptions;

  constructor(kernel: LoopKernel, options: EmitOptions) {
    super(kernel, new FunctionWriter(3, scratch), options.relaxedMadd);
    this.options = options;
  }

  run(): EmittedFunction {
    const w = this.writer;
    for (const buffer of this.usage.buffers) {
      const base = w.allocate('i32');
      w.get(ARGS);
      w.memory(OP.i32Load, 2, buffer * 4);
      w.set(base);
      this.bases.set(buffer, base);
    }
    this.block(this.kernel.body);
    const { fails, work } = this.usage;
    return { locals: w.locals, code: w.code.view().slice(), fails, work };
  }

  private block(insts: readonly Inst[]): void {
    for (const inst of insts) this.instruction(inst);
  }

  private loop(fill: () => void): void {
    this.loops.push([]);
    this.writer.open(OP.loop);
    fill();
    this.writer.end();
    for (const local of this.loops.pop()!) this.writer.release(local);
  }

  private instruction(inst: Inst): void {
    const w = this.writer;
    switch (inst.op) {
      case 'store': {
        this.settleAll(pending => pending.readsMemory, inst);
        const offset = this.address(inst.p, inst.offset);
        this.use(inst.a);
        pushStore(w, inst.mem, inst.a.type, offset);
        return;
      }
      case 'tiles':
      case 'tileSums':
      case 'prefetch':
        throw new Error(`internal: WebAssembly has no ${inst.op}`);
      case 'barrier':
        this.settleAll(always);
        w.get(THREAD);
        w.get(THREADS);
        w.call(this.options.barrier);
        return;
      case 'fail':
        w.i32(inst.site);
        this.use(inst.value);
        if (inst.value.type.scalar !== 'i64') w.op(OP.i64ExtendI32S);
        w.call(this.options.fail);
        return;
      case 'for':
        this.settleAll(always, inst);
        this.forLoop(inst);
        return;
      case 'while':
        this.settleAll(always);
        this.loop(() => {
          this.block(inst.test);
          this.settleAll(always, inst);
          this.use(inst.m);
          w.open(OP.if);
          this.block(inst.body);
          w.branch(OP.br, 1);
          w.end();
        });
        return;
      case 'if':
        this.settleAll(always, inst);
        this.use(inst.m);
        w.open(OP.if);
        this.block(inst.body);
        if (inst.otherwise.length > 0) {
          w.op(OP.else);
          this.block(inst.otherwise);
        }
        w.end();
        return;
      case 'parallel':
        this.settleAll(always);
        this.parallel(inst);
        return;
      case 'once':
        this.settleAll(always);
        w.get(THREAD);
        w.op(OP.i32Eqz);
        w.open(OP.if);
        this.block(inst.body);
        w.end();
        return;
      default:
        this.value(inst);
    }
  }

  private forLoop(inst: Extract<Inst, { op: 'for' }>): void {
    const w = this.writer;
    const { i, lo, hi, step } = inst;
    const fixed = (end: Reg | number): number | null => {
      if (typeof end === 'number') return end;
      const constant = this.constant(end);
      return constant === null ? null : Number(constant);
    };
    const from = fixed(lo);
    const to = fixed(hi);
    const never = from !== null && to !== null && from >= to;
    const counter = this.counter(i);
    if (typeof hi !== 'number') this.hold(hi);
    if (typeof lo === 'number') w.i32(lo);
    else this.use(lo);
    w.set(counter);
    const pushEnd = (): void => {
      if (typeof hi === 'number') w.i32(hi);
      else this.peek(hi);
    };
    const guarded = from === null || to === null || never;
    if (guarded) {
      w.get(counter);
      pushEnd();
      w.op(OP.i32LtS);
      w.open(OP.if);
    }
    const once = from !== null && to !== null && !never && from + step >= to;
    if (once) this.block(inst.body);
    else
      this.loop(() => {
        this.block(inst.body);
        w.get(counter);
        w.i32(step);
        w.op(OP.i32Add);
        w.tee(counter);
        pushEnd();
        w.op(OP.i32LtS);
        w.branch(OP.brIf, 0);
      });
    if (guarded) w.end();
    if (typeof hi !== 'number') this.done(hi);
    this.endCounter(i);
  }

  /** Takes a local for a loop counter, for as long as the loop lasts. */
  private counter(i: Reg): number {
    const local = this.writer.allocate('i32');
    this.locals[i.id] = local;
    this.depths[i.id] = this.loops.length;
    this.remaining[i.id]! += 1 << 24;
    return local;
  }

  private endCounter(i: Reg): void {
    this.writer.release(this.locals[i.id]!);
    this.locals[i.id] = -1;
  }

  /** Iterations floor(extent * thread / threads) up to floor(extent * (thread + 1) / threads). */
  private parallel(inst: Extract<Inst, { op: 'parallel' }>): void {
    const w = this.writer;
    const counter = this.counter(inst.i);
    const end = w.allocate('i32');
    const { extent } = inst;
    if (typeof extent !== 'number') this.hold(extent);
    // With up to 1023 threads the products of smaller extents fit 32 bits.
    const wide = typeof extent !== 'number' || extent >= 1 << 21;
    const bound = (next: boolean): void => {
      w.get(THREAD);
      if (next) {
        w.i32(1);
        w.op(OP.i32Add);
      }
      if (wide) {
        w.op(OP.i64ExtendI32U);
        if (typeof extent === 'number') w.i64(BigInt(extent));
        else {
          this.peek(extent);
          w.op(OP.i64ExtendI32U);
        }
        w.op(OP.i64Mul);
        w.get(THREADS);
        w.op(OP.i64ExtendI32U);
        w.op(OP.i64DivU);
        w.op(OP.i32WrapI64);
      } else {
        w.i32(extent);
        w.op(OP.i32Mul);
        w.get(THREADS);
        w.op(OP.i32DivU);
      }
    };
    bound(false);
    w.set(counter);
    bound(true);
    w.set(end);
    if (typeof extent !== 'number') this.done(extent);
    w.get(counter);
    w.get(end);
    w.op(OP.i32LtS);
    w.open(OP.if);
    this.loop(() => {
      this.block(inst.body);
      w.get(counter);
      w.i32(1);
      w.op(OP.i32Add);
      w.tee(counter);
      w.get(end);
      w.op(OP.i32LtS);
      w.branch(OP.brIf, 0);
    });
    w.end();
    w.release(end);
    this.endCounter(inst.i);
  }
}

const always = (): boolean => true;
