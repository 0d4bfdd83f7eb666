/**
 * Bytes of WebAssembly modules: LEB128 numbers, sections, function bodies (WebAssembly Core Specification 2.0, chapter
 * 5, with the threads proposal's shared memories). Imports nothing; knows no loop IR and no instruction but those of a
 * frame.
 */

/** A growing byte string. */
export class Bytes {
  private data: Uint8Array;
  length = 0;

  constructor(capacity = 256) {
    this.data = new Uint8Array(capacity);
  }

  private reserve(extra: number): void {
    if (this.length + extra <= this.data.length) return;
    const grown = new Uint8Array(Math.max(this.data.length * 2, this.length + extra));
    grown.set(this.data);
    this.data = grown;
  }

  byte(value: number): void {
    if (this.length === this.data.length) this.reserve(1);
    this.data[this.length++] = value;
  }

  /** Unsigned LEB128 of a 32-bit number. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** Signed LEB128 of a 32-bit number. */
  s32(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }

  /** Signed LEB128 of a 64-bit number. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest < -64n || rest > 63n) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.byte(Number(rest & 0x7fn));
  }

  f32(value: number): void {
    scratch.setFloat32(0, value, true);
    this.fromScratch(4);
  }

  f64(value: number): void {
    scratch.setFloat64(0, value, true);
    this.fromScratch(8);
  }

  private fromScratch(count: number): void {
    for (let i = 0; i < count; i++) this.byte(scratch.getUint8(i));
  }

  raw(bytes: ArrayLike<number>): void {
    this.reserve(bytes.length);
    this.data.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Length in bytes (LEB128), then the bytes. */
  sized(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  text(value: string): void {
    this.sized(new TextEncoder().encode(value));
  }

  at(position: number): number {
    return this.data[position]!;
  }

  set(position: number, value: number): void {
    this.data[position] = value;
  }

  /** The bytes so far, without a copy. */
  view(): Uint8Array<ArrayBufferLike> {
    return this.data.subarray(0, this.length);
  }
}

const scratch = new DataView(new ArrayBuffer(8));

const VALUE_TYPE = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPE;

export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionBody {
  /** Index into the module's types. */
  readonly type: number;
  /** Locals after the parameters, in index order. */
  readonly locals: readonly ValueType[];
  /** Instructions without the closing `end`. */
  readonly code: Uint8Array;
}

interface ModuleParts {
  readonly types: readonly FunctionType[];
  /** The one import, `env.memory`, its limits in pages of 64 KiB; `maximum` is required when shared. */
  readonly memory: { readonly minimum: number; readonly maximum?: number; readonly shared: boolean };
  readonly functions: readonly FunctionBody[];
  /** Name and function index. */
  readonly exports: readonly (readonly [name: string, func: number])[];
}

function section(out: Bytes, id: number, fill: (section: Bytes) => void): void {
  const content = new Bytes();
  fill(content);
  out.byte(id);
  out.sized(content.view());
}

/** Locals as runs of equal types, code, `end`. */
export function encodeBody(body: FunctionBody): Uint8Array {
  const runs: [number, ValueType][] = [];
  for (const type of body.locals) {
    const last = runs[runs.length - 1];
    if (last && last[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  const out = new Bytes(body.code.length + runs.length * 3 + 8);
  out.u32(runs.length);
  for (const [count, type] of runs) {
    out.u32(count);
    out.byte(VALUE_TYPE[type]);
  }
  out.raw(body.code);
  out.byte(0x0b);
  return out.view();
}

/** The bytes of a whole module. */
export function encodeModule(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const out = new Bytes(1 << 12);
  out.raw([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
  section(out, 1, s => {
    s.u32(parts.types.length);
    for (const type of parts.types) {
      s.byte(0x60);
      for (const list of [type.params, type.results]) {
        s.u32(list.length);
        for (const t of list) s.byte(VALUE_TYPE[t]);
      }
    }
  });
  section(out, 2, s => {
    const { minimum, maximum, shared } = parts.memory;
    s.u32(1);
    s.text('env');
    s.text('memory');
    s.byte(0x02);
    s.byte((maximum === undefined ? 0 : 1) | (shared ? 2 : 0));
    s.u32(minimum);
    if (maximum !== undefined) s.u32(maximum);
  });
  section(out, 3, s => {
    s.u32(parts.functions.length);
    for (const f of parts.functions) s.u32(f.type);
  });
  section(out, 7, s => {
    s.u32(parts.exports.length);
    for (const [name, func] of parts.exports) {
      s.text(name);
      s.byte(0x00);
      s.u32(func);
    }
  });
  section(out, 10, s => {
    s.u32(parts.functions.length);
    for (const f of parts.functions) s.sized(encodeBody(f));
  });
  return Uint8Array.from(out.view());
}
