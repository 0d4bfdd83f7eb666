/**
 * Loop IR interpreted in JavaScript, every type and any number of lanes, with bounds checked: shows that routines and
 * formulas are right for vectors that no backend here speaks (8 and 16 lanes). Slow and obvious.
 */
import type { Inst, LoopKernel, Reg, Scalar } from '../../src/compiler/loops.ts';
import { bytesOf, type DType, type HostArray } from '../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';

type Value = number | bigint | boolean;
interface Pointer {
  readonly buffer: number;
  readonly byte: number;
}

const bits = new DataView(new ArrayBuffer(8));

/** The value a register of this type holds after an operation gave `x`. */
function settle(scalar: Scalar, x: Value): Value {
  switch (scalar) {
    case 'f32':
      return Math.fround(x as number);
    case 'i32':
      return (x as number) | 0;
    case 'i64':
      return BigInt.asIntN(64, x as bigint);
    default:
      return x;
  }
}

const saturate = (x: number, least: bigint, most: bigint): bigint => {
  if (Number.isNaN(x)) return 0n;
  if (x >= Number(most)) return most;
  return x <= Number(least) ? least : BigInt(Math.trunc(x));
};

function convert(from: Scalar, to: Scalar, x: Value): Value {
  const isFloat = from === 'f32' || from === 'f64';
  if (from === 'mask') return to === 'i64' ? BigInt(Number(x)) : Number(x);
  if (to === 'i32')
    return isFloat
      ? Number(saturate(x as number, -(2n ** 31n), 2n ** 31n - 1n))
      : Number(BigInt.asIntN(32, BigInt(x as bigint)));
  if (to === 'i64') return isFloat ? saturate(x as number, -(2n ** 63n), 2n ** 63n - 1n) : BigInt(x as number);
  return Number(x);
}

function bitcast(from: Scalar, to: Scalar, x: Value): Value {
  if (from === 'f32') bits.setFloat32(0, x as number);
  if (from === 'i32') bits.setInt32(0, x as number);
  if (from === 'f64') bits.setFloat64(0, x as number);
  if (from === 'i64') bits.setBigInt64(0, x as bigint);
  if (to === 'f32') return bits.getFloat32(0);
  if (to === 'i32') return bits.getInt32(0);
  return to === 'f64' ? bits.getFloat64(0) : bits.getBigInt64(0);
}

const nearest = (x: number): number => {
  if (!Number.isFinite(x) || Number.isInteger(x)) return x;
  const low = Math.floor(x);
  const up = x - low > 0.5 || (x - low === 0.5 && low % 2 !== 0);
  return up ? low + 1 : low;
};

function unary(fn: string, scalar: Scalar, x: Value): Value {
  if (fn === 'not') return scalar === 'mask' ? !x : ~(x as number);
  if (scalar === 'i64') return fn === 'neg' || (x as bigint) < 0n ? -(x as bigint) : x;
  const v = x as number;
  switch (fn) {
    case 'neg':
      return -v;
    case 'nearest':
      return nearest(v);
    case 'clz':
      return Math.clz32(v);
    default:
      return Math[fn as 'abs' | 'sqrt' | 'floor' | 'ceil' | 'trunc'](v);
  }
}

const unsigned = (x: bigint | number): bigint => (typeof x === 'bigint' ? BigInt.asUintN(64, x) : BigInt(x >>> 0));

function binary(fn: string, scalar: Scalar, a: Value, c: Value): Value {
  if (scalar === 'mask') {
    const [x, y] = [a as boolean, c as boolean];
    return { and: x && y, or: x || y, xor: x !== y, andnot: x && !y }[fn] as boolean;
  }
  if (scalar === 'i64' || (scalar === 'i32' && fn !== 'copysign')) {
    const width = scalar === 'i64' ? 64n : 32n;
    const [x, y] = [BigInt(a as bigint), BigInt(c as bigint)];
    const count = BigInt.asUintN(64, y) % width;
    const result: { readonly [fn: string]: () => bigint } = {
      add: () => x + y,
      sub: () => x - y,
      mul: () => x * y,
      div: () => x / y,
      rem: () => x % y,
      min: () => (x < y ? x : y) as bigint,
      max: () => (x > y ? x : y) as bigint,
      and: () => x & y,
      or: () => x | y,
      xor: () => x ^ y,
      andnot: () => x & ~y,
      shl: () => x << count,
      shrS: () => x >> count,
      shrU: () => BigInt.asUintN(Number(width), x) >> count,
      mulHiU: () => (BigInt.asUintN(32, x) * BigInt.asUintN(32, y)) >> 32n,
    };
    const wide = BigInt.asIntN(Number(width), result[fn]!());
    return scalar === 'i64' ? wide : Number(wide);
  }
  const [x, y] = [a as number, c as number];
  const result: { readonly [fn: string]: () => number } = {
    add: () => x + y,
    sub: () => x - y,
    mul: () => x * y,
    div: () => x / y,
    min: () => Math.min(x, y),
    max: () => Math.max(x, y),
    pmin: () => [x, y][Number(y < x)]!,
    pmax: () => [x, y][Number(x < y)]!,
    copysign: () => (y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x)),
  };
  return result[fn]!();
}

const COMPARE: { readonly [fn: string]: (x: Value, y: Value) => boolean } = {
  eq: (x, y) => x === y,
  ne: (x, y) => x !== y,
  lt: (x, y) => x < y,
  le: (x, y) => x <= y,
  gt: (x, y) => x > y,
  ge: (x, y) => x >= y,
  ltU: (x, y) => unsigned(x as number) < unsigned(y as number),
};

function fromMemory(mem: DType, x: number | bigint): Value {
  return mem === 'f16' ? f16Value(Number(x)) : mem === 'bf16' ? bf16Value(Number(x)) : x;
}

function toMemory(mem: DType, x: Value): Value {
  if (mem === 'f16') return f16Bits(x as number);
  if (mem === 'bf16') return bf16Bits(x as number);
  return mem === 'bool' ? Number(x !== 0) : x;
}

/** Runs the kernel as thread `thread` of `threads`; returns the first failure. */
export function interpret(kernel: LoopKernel, arrays: readonly HostArray[], thread = 0, threads = 1) {
  const values: Value[][] = [];
  const pointers: Pointer[] = [];
  let failed: { site: number; value: bigint } | null = null;
  const get = (r: Reg): Value[] => values[r.id] ?? [];
  const scalar = (r: Reg | number): number => (typeof r === 'number' ? r : (get(r)[0] as number));
  const set = (d: Reg, lanes: readonly Value[]): undefined => {
    if (lanes.length !== d.type.lanes) throw new Error(`${lanes.length} values for ${d.type.lanes} lanes`);
    values[d.id] = lanes.map(x => settle(d.type.scalar, x));
  };
  const place = (p: Reg, offset: number, mem: DType, lanes: number): { array: HostArray; first: number } => {
    const { buffer, byte } = pointers[p.id]!;
    const { name, elements } = kernel.buffers[buffer]!;
    const first = (byte + offset) / bytesOf(mem);
    if (!Number.isInteger(first) || first < 0 || first + lanes > elements)
      throw new Error(`${name}: ${lanes} elements at ${first} of ${elements}`);
    return { array: arrays[buffer]!, first };
  };
  const loop = (i: Reg, lo: number, hi: number, step: number, body: readonly Inst[]): undefined => {
    for (let at = lo; at < hi; at += step) {
      set(i, [at]);
      run(body);
    }
  };
  function run(insts: readonly Inst[]): undefined {
    for (const inst of insts) one(inst);
  }
  function one(inst: Inst): undefined {
    switch (inst.op) {
      case 'const': {
        const { scalar: type, lanes } = inst.d.type;
        const value = type === 'mask' ? inst.value !== 0 : type === 'i64' ? BigInt(inst.value) : Number(inst.value);
        return set(inst.d, Array<Value>(lanes).fill(value));
      }
      case 'move':
        return set(inst.d, get(inst.a));
      case 'un':
        return set(
          inst.d,
          get(inst.a).map(x => unary(inst.fn, inst.a.type.scalar, x)),
        );
      case 'bin':
        return set(
          inst.d,
          get(inst.a).map((x, l) => binary(inst.fn, inst.a.type.scalar, x, get(inst.b)[l]!)),
        );
      case 'cmp':
        return set(
          inst.d,
          get(inst.a).map((x, l) => COMPARE[inst.fn]!(x, get(inst.b)[l]!)),
        );
      case 'fma':
        return set(inst.d, get(inst.a).map((x, l) => {
          const product = settle(inst.d.type.scalar, (x as number) * (get(inst.b)[l] as number)) as number;
          return product + (get(inst.c)[l] as number);
        })); // biome-ignore format: one thought
      case 'select':
        return set(
          inst.d,
          get(inst.m).map((m, l) => (m ? get(inst.a) : get(inst.b))[l]!),
        );
      case 'cvt':
        return set(
          inst.d,
          get(inst.a).map(x => convert(inst.a.type.scalar, inst.d.type.scalar, x)),
        );
      case 'bitcast':
        return set(
          inst.d,
          get(inst.a).map(x => bitcast(inst.a.type.scalar, inst.d.type.scalar, x)),
        );
      case 'splat':
        return set(inst.d, Array<Value>(inst.d.type.lanes).fill(get(inst.a)[0]!));
      case 'extract':
        return set(inst.d, [get(inst.a)[inst.lane]!]);
      case 'insert':
        return set(
          inst.d,
          get(inst.a).map((x, l) => (l === inst.lane ? get(inst.s)[0]! : x)),
        );
      case 'shuffle': {
        const both = [...get(inst.a), ...get(inst.b)];
        return set(
          inst.d,
          inst.lanes.map(l => both[l]!),
        );
      }
      case 'anyTrue':
        return set(inst.d, [get(inst.a).some(x => x === true)]);
      case 'addr': {
        const index = inst.index ? scalar(inst.index) : 0;
        pointers[inst.d.id] = { buffer: inst.buf, byte: index * bytesOf(kernel.buffers[inst.buf]!.dtype) };
        return;
      }
      case 'load': {
        const { array, first } = place(inst.p, inst.offset, inst.mem, inst.d.type.lanes);
        const lanes = Array.from({ length: inst.d.type.lanes }, (_, l) => fromMemory(inst.mem, array[first + l]!));
        return set(inst.d, lanes);
      }
      case 'store': {
        const { array, first } = place(inst.p, inst.offset, inst.mem, inst.a.type.lanes);
        get(inst.a).forEach((x, l) => {
          array[first + l] = toMemory(inst.mem, x) as never;
        });
        return;
      }
      case 'for':
        return loop(inst.i, scalar(inst.lo), scalar(inst.hi), inst.step, inst.body);
      case 'while':
        for (;;) {
          run(inst.test);
          if (!get(inst.m)[0]) return;
          run(inst.body);
        }
      case 'if':
        return run(get(inst.m)[0] ? inst.body : inst.otherwise);
      case 'parallel': {
        const extent = scalar(inst.extent);
        const share = (t: number): number => Math.floor((extent * t) / threads);
        return loop(inst.i, share(thread), share(thread + 1), 1, inst.body);
      }
      case 'once':
        return thread === 0 ? run(inst.body) : undefined;
      case 'barrier':
        if (threads > 1) throw new Error('a kernel with barriers is interpreted for one thread');
        return;
      case 'fail':
        failed ??= { site: inst.site, value: get(inst.value)[0] as bigint };
        return;
      case 'thread':
        return set(inst.d, [thread]);
      case 'threads':
        return set(inst.d, [threads]);
      default:
        throw new Error(`the interpreter of routines has no ${inst.op}`);
    }
  }
  run(kernel.body);
  return { failed: failed as { site: number; value: bigint } | null };
}
