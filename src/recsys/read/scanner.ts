/**
 * Finds separators and line breaks 16 bytes at a time: one small WebAssembly function, because a loop over single bytes
 * was the larger half of reading a line (docs/decisions/080-reader.md). It says where they are; what they mean is the
 * parsers' business.
 */
import { encodeModule, type FunctionType } from '../../backends/wasm/encoder.ts';
import { FunctionWriter } from '../../backends/wasm/function-writer.ts';
import { OP, SIMD } from '../../backends/wasm/opcodes.ts';

/** Bytes of text that are looked at in one call, and so the most positions there can be. */
export const WINDOW = 1 << 15;

const PAGE = 1 << 16;
/** The last load of a window goes so far past its end, and may find so many positions there. */
const SLACK = 16;
/** A window's positions stand in front of the text. */
const TEXT = 4 * (WINDOW + SLACK);

/** i32.ctz and the SIMD instructions that only this function uses (Core 2.0, appendix). */
const CTZ = 0x68;
const I8X16 = { splat: 0x0f, eq: 0x23, bitmask: 0x64 } as const;

const SCAN: FunctionType = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] };

/** (from, to, a, b) -> how many positions of byte a or b in [from, to) were written, from address 0 on. */
function scanCode(): FunctionWriter {
  const w = new FunctionWriter(SCAN.params.length);
  const [from, to, a, b] = [0, 1, 2, 3];
  const [out, mask] = [w.allocate('i32'), w.allocate('i32')];
  const [as, bs, text] = [w.allocate('v128'), w.allocate('v128'), w.allocate('v128')];
  for (const [byte, lanes] of [
    [a, as],
    [b, bs],
  ]) {
    w.get(byte);
    w.simd(I8X16.splat);
    w.set(lanes);
  }
  w.i32(0);
  w.set(out);
  w.open(OP.block);
  w.open(OP.loop);
  w.get(from);
  w.get(to);
  w.op(OP.i32GeU);
  w.branch(OP.brIf, 1);
  w.get(from);
  w.simdMemory(SIMD.load, 0, 0);
  w.set(text);
  w.get(text);
  w.get(as);
  w.simd(I8X16.eq);
  w.get(text);
  w.get(bs);
  w.simd(I8X16.eq);
  w.simd(SIMD.or);
  w.simd(I8X16.bitmask);
  w.set(mask);
  w.open(OP.block);
  w.open(OP.loop);
  w.get(mask);
  w.op(OP.i32Eqz);
  w.branch(OP.brIf, 1);
  // Beyond the end they are overwritten or not counted: the caller stops at `to`.
  w.get(out);
  w.get(from);
  w.get(mask);
  w.op(CTZ);
  w.op(OP.i32Add);
  w.memory(OP.i32Store, 2, 0);
  w.get(out);
  w.i32(4);
  w.op(OP.i32Add);
  w.set(out);
  w.get(mask);
  w.get(mask);
  w.i32(1);
  w.op(OP.i32Sub);
  w.op(OP.i32And);
  w.set(mask);
  w.branch(OP.br, 0);
  w.end();
  w.end();
  w.get(from);
  w.i32(16);
  w.op(OP.i32Add);
  w.set(from);
  w.branch(OP.br, 0);
  w.end();
  w.end();
  w.get(out);
  w.i32(2);
  w.op(OP.i32ShrU);
  return w;
}

let compiled: WebAssembly.Module | null = null;

function scanModule(): WebAssembly.Module {
  if (compiled) return compiled;
  const w = scanCode();
  const parts = {
    types: [SCAN],
    memory: { minimum: 1, shared: false },
    functions: [{ type: 0, locals: w.locals, code: w.code.view() }],
    exports: [['scan', 0]] as const,
  };
  compiled = new WebAssembly.Module(encodeModule(parts));
  return compiled;
}

/** A text buffer in a WebAssembly memory of its own, and the positions found in it. */
export class Scanner {
  private readonly memory = new WebAssembly.Memory({ initial: Math.ceil(TEXT / PAGE) + 1 });
  private readonly call: (from: number, to: number, a: number, b: number) => number;
  /** The text. Another array after `reserve`. */
  text: Uint8Array = new Uint8Array(0);
  /** What the last `scan` found, offsets into the text. */
  positions: Int32Array = new Int32Array(0);

  constructor() {
    const { exports } = new WebAssembly.Instance(scanModule(), { env: { memory: this.memory } });
    this.call = exports['scan'] as typeof this.call;
    this.reserve(0);
  }

  /** Room for so many bytes of text; those that are there stay. */
  reserve(bytes: number): Uint8Array {
    const missing = TEXT + bytes + SLACK - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    this.text = new Uint8Array(this.memory.buffer, TEXT, this.memory.buffer.byteLength - TEXT - SLACK);
    this.positions = new Int32Array(this.memory.buffer, 0, WINDOW + SLACK);
    return this.text;
  }

  /** Finds bytes `a` and `b` in [from, to), at most WINDOW bytes. @returns how many positions there are, ascending */
  scan(from: number, to: number, a: number, b: number): number {
    let count = this.call(TEXT + from, TEXT + to, a, b);
    while (count > 0 && this.positions[count - 1] >= TEXT + to) count--;
    return count;
  }

  /** What is subtracted from a position to get an offset into the text. */
  static readonly origin: number = TEXT;
}

const idle: Scanner[] = [];

/** A scanner for the time of one file; null where there is no WebAssembly. */
export const takeScanner = (): Scanner | null =>
  typeof WebAssembly === 'undefined' ? null : (idle.pop() ?? new Scanner());

/** Gives it to the next file. */
export const giveScanner = (scanner: Scanner): void => void idle.push(scanner);
