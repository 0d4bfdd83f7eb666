/**
 * Loop IR interpreted in JavaScript, for vectors of any length: shows that the contraction's schedules are right for
 * targets that no backend speaks yet (AVX2, AVX-512), within bounds of every buffer. Only the instructions that
 * schedules use; f32 and i32.
 */
import type { Inst, KernelBuffer, Reg } from '../../../src/compiler/loops.ts';
import { bytesOf, type HostArray } from '../../../src/graph/dtype.ts';

type Lanes = number[];

/** A pointer is buffer * 2^40 + byte. */
const SPACE = 2 ** 40;

export function interpret(
  body: readonly Inst[],
  buffers: readonly KernelBuffer[],
  arrays: readonly HostArray[],
  thread: number,
  threads: number,
): void {
  const regs: Lanes[] = [];
  const get = (r: Reg): Lanes => {
    const x = regs[r.id];
    if (!x) throw new Error(`register ${r.id} is read before it is written`);
    return x;
  };
  const scalar = (r: Reg | number): number => (typeof r === 'number' ? r : get(r)[0]!);
  const round = (r: Reg, x: number): number => {
    if (r.type.scalar === 'f32') return Math.fround(x);
    return r.type.scalar === 'i32' ? x | 0 : x;
  };
  const set = (d: Reg, lanes: Lanes): void => {
    if (lanes.length !== d.type.lanes) throw new Error(`${lanes.length} lanes into ${d.type.lanes}`);
    regs[d.id] = lanes.map(x => round(d, x));
  };
  const place = (pointer: number, offset: number, lanes: number): { array: HostArray; first: number } => {
    // An address may lie before its buffer, and the offset lead into it.
    const buffer = Math.floor((pointer + offset) / SPACE);
    const { dtype, elements, name } = buffers[buffer]!;
    const first = (pointer - buffer * SPACE + offset) / bytesOf(dtype);
    if (!Number.isInteger(first) || first < 0 || first + lanes > elements)
      throw new Error(`${name}: ${lanes} elements at ${first} of ${elements}`);
    return { array: arrays[buffer]!, first };
  };
  const binary = (inst: Extract<Inst, { op: 'bin' }>, x: number, y: number): number => {
    const float = inst.d.type.scalar === 'f32';
    switch (inst.fn) {
      case 'add':
        return x + y;
      case 'sub':
        return x - y;
      case 'mul':
        return float ? x * y : Math.imul(x, y);
      case 'min':
        return Math.min(x, y);
      case 'max':
        return Math.max(x, y);
      case 'divU':
        return Math.floor((x >>> 0) / (y >>> 0));
      case 'remU':
        return (x >>> 0) % (y >>> 0);
      case 'div':
        return Math.trunc(x / y);
      case 'rem':
        return x % y;
      case 'and':
        return x & y;
      case 'or':
        return x | y;
      case 'andnot':
        return x & ~y;
      default:
        throw new Error(`${inst.fn} is not interpreted`);
    }
  };
  const compare = (fn: string, x: number, y: number): boolean => {
    switch (fn) {
      case 'eq':
        return x === y;
      case 'ne':
        return x !== y;
      case 'lt':
        return x < y;
      case 'le':
        return x <= y;
      case 'gt':
        return x > y;
      case 'ge':
        return x >= y;
      default:
        return x >>> 0 < y >>> 0;
    }
  };
  const run = (insts: readonly Inst[]): void => {
    for (const inst of insts) step(inst);
  };
  const step = (inst: Inst) => {
    switch (inst.op) {
      case 'const':
        return set(inst.d, Array<number>(inst.d.type.lanes).fill(Number(inst.value)));
      case 'move':
        return set(inst.d, get(inst.a));
      case 'bin': {
        const y = get(inst.b);
        return set(
          inst.d,
          get(inst.a).map((x, i) => binary(inst, x, y[i]!)),
        );
      }
      case 'un':
        if (inst.fn !== 'neg') throw new Error(`${inst.fn} is not interpreted`);
        return set(
          inst.d,
          get(inst.a).map(x => -x),
        );
      case 'cmp': {
        const y = get(inst.b);
        return set(
          inst.d,
          get(inst.a).map((x, i) => Number(compare(inst.fn, x, y[i]!))),
        );
      }
      case 'select': {
        const [y, z] = [get(inst.a), get(inst.b)];
        return set(
          inst.d,
          get(inst.m).map((m, i) => (m ? y[i]! : z[i]!)),
        );
      }
      case 'fma': {
        const [y, z] = [get(inst.b), get(inst.c)];
        return set(
          inst.d,
          get(inst.a).map((x, i) => x * y[i]! + z[i]!),
        );
      }
      case 'cvt':
        return set(inst.d, get(inst.a));
      case 'splat':
        return set(inst.d, Array<number>(inst.d.type.lanes).fill(get(inst.a)[0]!));
      case 'extract':
        return set(inst.d, [get(inst.a)[inst.lane]!]);
      case 'insert':
        return set(inst.d, get(inst.a).with(inst.lane, get(inst.s)[0]!));
      case 'shuffle': {
        const both = [...get(inst.a), ...get(inst.b)];
        return set(
          inst.d,
          inst.lanes.map(l => both[l]!),
        );
      }
      case 'reduce': {
        let lanes = get(inst.a);
        while (lanes.length > 1) {
          const half = lanes.length / 2;
          lanes = lanes.slice(0, half).map((x, i) => Math.fround(x + lanes[i + half]!));
        }
        return set(inst.d, lanes);
      }
      case 'addr': {
        const { dtype } = buffers[inst.buf]!;
        return set(inst.d, [inst.buf * SPACE + (inst.index ? get(inst.index)[0]! * bytesOf(dtype) : 0)]);
      }
      case 'advance':
        return set(inst.d, [get(inst.p)[0]! + get(inst.by)[0]! * inst.scale]);
      case 'iota':
        return set(
          inst.d,
          Array.from({ length: inst.d.type.lanes }, (_, i) => i * inst.step),
        );
      case 'gather': {
        const m = inst.m && get(inst.m);
        return set(
          inst.d,
          get(inst.index).map((x, i) => {
            if (m && !m[i]) return 0;
            const { array, first } = place(get(inst.p)[0]! + 4 * x, 0, 1);
            return Number(array[first]);
          }),
        );
      }
      case 'load': {
        if (inst.m)
          return set(
            inst.d,
            get(inst.m).map((m, i) => {
              if (!m) return 0;
              const { array, first } = place(get(inst.p)[0]! + inst.offset + 4 * i, 0, 1);
              return Number(array[first]);
            }),
          );
        const { array, first } = place(get(inst.p)[0]!, inst.offset, inst.d.type.lanes);
        return set(
          inst.d,
          Array.from({ length: inst.d.type.lanes }, (_, i) => Number(array[first + i])),
        );
      }
      case 'store': {
        if (inst.m) {
          const values = get(inst.a);
          for (const [i, m] of get(inst.m).entries()) {
            if (!m) continue;
            const { array, first } = place(get(inst.p)[0]! + inst.offset + 4 * i, 0, 1);
            array[first] = values[i]!;
          }
          return;
        }
        const { array, first } = place(get(inst.p)[0]!, inst.offset, inst.a.type.lanes);
        for (const [i, x] of get(inst.a).entries()) array[first + i] = x;
        return;
      }
      case 'prefetch':
        return;
      case 'for':
        for (let i = scalar(inst.lo); i < scalar(inst.hi); i += inst.step) {
          set(inst.i, [i]);
          run(inst.body);
        }
        return;
      case 'while':
        for (run(inst.test); get(inst.m)[0]; run(inst.test)) run(inst.body);
        return;
      case 'if':
        return run(get(inst.m)[0] ? inst.body : inst.otherwise);
      case 'parallel': {
        const extent = scalar(inst.extent);
        const last = Math.floor((extent * (thread + 1)) / threads);
        for (let i = Math.floor((extent * thread) / threads); i < last; i++) {
          set(inst.i, [i]);
          run(inst.body);
        }
        return;
      }
      case 'thread':
        return set(inst.d, [thread]);
      case 'threads':
        return set(inst.d, [threads]);
      default:
        throw new Error(`${inst.op} is not interpreted`);
    }
  };
  run(body);
}
