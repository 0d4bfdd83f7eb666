/**
 * One WebAssembly function being written: instructions, and locals that are handed out and taken back by type. Knows
 * the encoding of operands, not the loop IR.
 */
import { Bytes, type ValueType } from './encoder.ts';
import { OP, type SAT, SIMD } from './opcodes.ts';

export class FunctionWriter {
  readonly code: Bytes;
  /** Locals after the parameters. */
  readonly locals: ValueType[] = [];
  private readonly params: number;
  private readonly free: { readonly [T in ValueType]: number[] } = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  private lastSetEnd = -1;
  private lastSetStart = 0;
  private lastSetLocal = -1;

  /** @param code what to write into; a caller that writes many functions empties and reuses one. */
  constructor(params: number, code = new Bytes(1024)) {
    this.params = params;
    this.code = code;
  }

  /** A local of this type that nothing else uses until `release`. Its value is undefined. */
  allocate(type: ValueType): number {
    const reused = this.free[type].pop();
    if (reused !== undefined) return reused;
    this.locals.push(type);
    return this.params + this.locals.length - 1;
  }

  release(local: number): void {
    this.free[this.locals[local - this.params]!].push(local);
  }

  op(opcode: number): void {
    this.code.byte(opcode);
  }

  get(local: number): void {
    // `set x; get x` is `tee x`.
    if (this.lastSetEnd === this.code.length && this.lastSetLocal === local) {
      this.code.set(this.lastSetStart, OP.localTee);
      this.lastSetEnd = -1;
      return;
    }
    this.code.byte(OP.localGet);
    this.code.u32(local);
  }

  set(local: number): void {
    this.lastSetStart = this.code.length;
    this.code.byte(OP.localSet);
    this.code.u32(local);
    this.lastSetEnd = this.code.length;
    this.lastSetLocal = local;
  }

  tee(local: number): void {
    this.code.byte(OP.localTee);
    this.code.u32(local);
  }

  i32(value: number): void {
    this.code.byte(OP.i32Const);
    this.code.s32(value);
  }

  i64(value: bigint): void {
    this.code.byte(OP.i64Const);
    this.code.s64(value);
  }

  f32(value: number): void {
    this.code.byte(OP.f32Const);
    this.code.f32(value);
  }

  f64(value: number): void {
    this.code.byte(OP.f64Const);
    this.code.f64(value);
  }

  simd(opcode: number): void {
    this.code.byte(0xfd);
    this.code.u32(opcode);
  }

  /** A vector instruction with a lane immediate. */
  lane(opcode: number, lane: number): void {
    this.simd(opcode);
    this.code.byte(lane);
  }

  /** A constant vector from its 16 bytes. */
  v128(bytes: ArrayLike<number>): void {
    this.simd(SIMD.const);
    this.code.raw(bytes);
  }

  /** Four lanes of 32 bits or, given as bigint, two lanes of 64 bits. */
  splatBits(bits: number | bigint): void {
    if (typeof bits === 'number') words.fill(bits);
    else longs.fill(bits);
    this.v128(vector);
  }

  /** Byte shuffle of elements of `width` bytes; lanes count through both operands. */
  shuffle(lanes: readonly number[], width: 4 | 8): void {
    this.simd(SIMD.shuffle);
    for (const lane of lanes) for (let i = 0; i < width; i++) this.code.byte(lane * width + i);
  }

  /** A scalar load or store; `align` is the binary logarithm of the natural alignment. */
  memory(opcode: number, align: number, offset: number): void {
    this.code.byte(opcode);
    this.code.u32(align);
    this.code.u32(offset);
  }

  simdMemory(opcode: number, align: number, offset: number): void {
    this.simd(opcode);
    this.code.u32(align);
    this.code.u32(offset);
  }

  /** An atomic access to 32 bits. */
  atomic(opcode: number, offset: number): void {
    this.code.byte(0xfe);
    this.code.u32(opcode);
    this.code.u32(2);
    this.code.u32(offset);
  }

  saturate(opcode: (typeof SAT)[keyof typeof SAT]): void {
    this.code.byte(0xfc);
    this.code.u32(opcode);
  }

  /** `block`, `loop` or `if` without a result. */
  open(opcode: number): void {
    this.code.byte(opcode);
    this.code.byte(0x40);
  }

  end(): void {
    this.code.byte(OP.end);
  }

  branch(opcode: number, depth: number): void {
    this.code.byte(opcode);
    this.code.u32(depth);
  }

  call(func: number): void {
    this.code.byte(OP.call);
    this.code.u32(func);
  }
}

/** One vector constant; WebAssembly and every host it runs on here are little-endian. */
const vector = new Uint8Array(16);
const words = new Int32Array(vector.buffer);
const longs = new BigInt64Array(vector.buffer);
