/**
 * Checks loop IR between the lowering and the emitters: types of every instruction, definition before use, lanes, what may stand at top
 * level only, buffer indices and places. Runs in tests and under TENON_DEBUG; a violation is a bug of Tenon, so messages start with `internal:`.
 */
import { bytesOf, type DType } from '../graph/dtype.ts';
import {
  type BinOp,
  type Inst,
  type KernelBuffer,
  type LoopKernel,
  type Reg,
  type RegType,
  registerScalar,
  type Scalar,
  type UnOp,
} from './loops.ts';
import type { LoopProgram } from './program.ts';

const INTEGERS: readonly Scalar[] = ['i32', 'i64'];
const FLOATS: readonly Scalar[] = ['f32', 'f64'];
const NUMBERS: readonly Scalar[] = [...INTEGERS, ...FLOATS];

const UNARY: { readonly [F in UnOp]: readonly Scalar[] } = {
  neg: NUMBERS,
  abs: NUMBERS,
  sqrt: FLOATS,
  floor: FLOATS,
  ceil: FLOATS,
  trunc: FLOATS,
  nearest: FLOATS,
  not: [...INTEGERS, 'mask'],
  clz: INTEGERS,
  nearInverse: FLOATS,
  toF16: ['f32'],
};

const BITS: readonly Scalar[] = [...INTEGERS, 'mask'];
const BINARY: { readonly [F in BinOp]: readonly Scalar[] } = {
  add: NUMBERS,
  sub: NUMBERS,
  mul: NUMBERS,
  div: NUMBERS,
  rem: INTEGERS,
  divU: INTEGERS,
  remU: INTEGERS,
  min: NUMBERS,
  max: NUMBERS,
  pmin: NUMBERS,
  pmax: NUMBERS,
  and: BITS,
  or: BITS,
  xor: BITS,
  andnot: BITS,
  shl: INTEGERS,
  shrS: INTEGERS,
  shrU: INTEGERS,
  copysign: FLOATS,
  mulHiU: ['i32'],
  scale: FLOATS,
};

/** Integer division exists on scalars only. */
const SCALAR_ON_INTEGERS = new Set<BinOp>(['div', 'rem', 'divU', 'remU']);

const MAX_COUNT = 0x7fffffff;

const show = (type: RegType): string => (type.lanes === 1 ? type.scalar : `${type.scalar}x${type.lanes}`);
const same = (a: RegType, b: RegType): boolean => a.scalar === b.scalar && a.lanes === b.lanes;

/** @throws Error naming the kernel, the instruction and the rule, for the first violation. */
export function verifyKernel(kernel: LoopKernel, failSites = Number.POSITIVE_INFINITY): void {
  new Verifier(kernel, failSites).block(kernel.body, new Set(), true);
}

/** Checks every kernel, and that buffers are where they fit. */
export function verifyProgram(program: LoopProgram): void {
  const seen = new Set<LoopKernel>();
  for (const [k, { kernel, places }] of program.kernels.entries()) {
    const wrong = (why: string): never => {
      throw new Error(`internal: kernel ${kernel.name}: ${why}`);
    };
    if (places.length !== kernel.buffers.length) wrong(`${places.length} places for ${kernel.buffers.length} buffers`);
    for (const [i, place] of places.entries()) {
      const buffer: KernelBuffer = kernel.buffers[i]!;
      if (place.kind === 'arena' || place.kind === 'kept') {
        const end = place.offset + buffer.elements * bytesOf(buffer.dtype);
        const room = place.kind === 'arena' ? program.arenaBytes : program.keptBytes;
        if (place.offset % 64 !== 0 || place.offset < 0 || end > room)
          wrong(`${buffer.name} at ${place.offset} to ${end} of an arena of ${room} bytes`);
        if (place.kind === 'kept' && k >= program.preparations && buffer.access !== 'read')
          wrong(`${buffer.name} is kept, and written by a kernel that is no preparation`);
        continue;
      }
      if ((place.kind === 'count') !== (buffer.access === 'count'))
        wrong(`${buffer.name} is a ${buffer.access}, at a ${place.kind}`);
      if (place.kind === 'count') {
        if (!Number.isInteger(place.value) || place.value < 0 || place.value > MAX_COUNT)
          wrong(`${buffer.name} is ${place.value}`);
        continue;
      }
      const value = (place.kind === 'leaf' ? program.leaves : program.outputs)[place.index];
      if (!value) wrong(`${buffer.name} is in ${place.kind} ${place.index}, which does not exist`);
      else if (bytesOf(value.dtype) * value.elements < bytesOf(buffer.dtype) * buffer.elements)
        wrong(`${buffer.name} needs ${buffer.elements} elements, ${place.kind} ${place.index} has ${value.elements}`);
      if (place.kind === 'leaf' && buffer.access !== 'read' && !program.leaves[place.index]!.written)
        wrong(`${buffer.name} writes leaf ${place.index}, which is not marked as written`);
    }
    if (seen.has(kernel)) continue;
    seen.add(kernel);
    verifyKernel(kernel, program.failSites.length);
  }
}

class Verifier {
  private readonly kernel: LoopKernel;
  private readonly failSites: number;
  private readonly types = new Map<number, RegType>();
  /** Counters and ends of the loops around the current instruction: nobody may write them. */
  private readonly fixed: Reg[] = [];

  constructor(kernel: LoopKernel, failSites: number) {
    this.kernel = kernel;
    this.failSites = failSites;
  }

  private wrong(inst: Inst, why: string): never {
    throw new Error(`internal: kernel ${this.kernel.name}: ${inst.op}${'fn' in inst ? ` ${inst.fn}` : ''}: ${why}`);
  }

  /** Checks a block; `defined` gains the registers that are written on every way through it. */
  block(block: readonly Inst[], defined: Set<number>, top: boolean): void {
    for (const inst of block) this.instruction(inst, defined, top);
  }

  private read(inst: Inst, reg: Reg, defined: ReadonlySet<number>): RegType {
    if (!defined.has(reg.id)) this.wrong(inst, `r${reg.id} is read before it is written`);
    const known = this.types.get(reg.id)!;
    if (!same(known, reg.type)) this.wrong(inst, `r${reg.id} is ${show(known)}, read as ${show(reg.type)}`);
    return reg.type;
  }

  private write(inst: Inst, reg: Reg, defined: Set<number>): void {
    const { scalar, lanes } = reg.type;
    const known = this.types.get(reg.id);
    if (known && !same(known, reg.type)) this.wrong(inst, `r${reg.id} is ${show(known)}, written as ${show(reg.type)}`);
    if (!Number.isInteger(lanes) || lanes < 1 || (lanes & (lanes - 1)) !== 0) this.wrong(inst, `${lanes} lanes`);
    if (scalar === 'ptr' && lanes !== 1) this.wrong(inst, 'pointers have one lane');
    if (this.fixed.some(f => f.id === reg.id)) this.wrong(inst, `r${reg.id} belongs to a loop around it`);
    this.types.set(reg.id, reg.type);
    defined.add(reg.id);
  }

  private is(inst: Inst, reg: Reg, type: RegType): void {
    if (!same(reg.type, type)) this.wrong(inst, `r${reg.id} is ${show(reg.type)}, expected ${show(type)}`);
  }

  private isOneOf(inst: Inst, reg: Reg, scalars: readonly Scalar[]): void {
    if (!scalars.includes(reg.type.scalar))
      this.wrong(inst, `r${reg.id} is ${show(reg.type)}, expected one of ${scalars.join(', ')}`);
  }

  private scalar(inst: Inst, reg: Reg, scalar: Scalar): void {
    this.is(inst, reg, { scalar, lanes: 1 });
  }

  /** A mask for memory of vectors with 4-byte lanes. */
  private masked(inst: Inst, m: Reg, value: Reg, mem: DType): void {
    this.is(inst, m, { scalar: 'mask', lanes: value.type.lanes });
    if (value.type.lanes === 1 || bytesOf(registerScalar(mem)) !== 4) this.wrong(inst, `masked ${mem}`);
  }

  private buffer(inst: Inst, index: number): void {
    if (!this.kernel.buffers[index])
      this.wrong(inst, `buffer ${index} does not exist, the kernel has ${this.kernel.buffers.length}`);
  }

  private instruction(inst: Inst, defined: Set<number>, top: boolean): void {
    const read = (...regs: readonly Reg[]): void => {
      for (const reg of regs) this.read(inst, reg, defined);
    };
    switch (inst.op) {
      case 'const': {
        const wide = inst.d.type.scalar === 'i64';
        if (typeof inst.value === 'bigint' && !wide) this.wrong(inst, `bigint for ${show(inst.d.type)}`);
        if (wide && typeof inst.value === 'number' && !Number.isSafeInteger(inst.value))
          this.wrong(inst, `${inst.value} is no safe integer`);
        if (inst.d.type.scalar === 'i32' && inst.value !== (Number(inst.value) | 0))
          this.wrong(inst, `${inst.value} is no 32-bit integer`);
        if (inst.d.type.scalar === 'mask' && inst.value !== 0 && inst.value !== 1) this.wrong(inst, `${inst.value}`);
        if (inst.d.type.scalar === 'ptr') this.wrong(inst, 'pointers come from addr');
        break;
      }
      case 'move':
        read(inst.a);
        this.is(inst, inst.d, inst.a.type);
        break;
      case 'un':
        read(inst.a);
        this.is(inst, inst.d, inst.a.type);
        this.isOneOf(inst, inst.a, UNARY[inst.fn]);
        if (inst.fn === 'clz' && inst.a.type.lanes !== 1) this.wrong(inst, 'scalars only');
        break;
      case 'bin':
        read(inst.a, inst.b);
        this.is(inst, inst.d, inst.a.type);
        this.is(inst, inst.b, inst.a.type);
        this.isOneOf(inst, inst.a, BINARY[inst.fn]);
        if (SCALAR_ON_INTEGERS.has(inst.fn) && inst.a.type.lanes !== 1 && INTEGERS.includes(inst.a.type.scalar))
          this.wrong(inst, 'integer division on scalars only');
        break;
      case 'cmp':
        read(inst.a, inst.b);
        this.is(inst, inst.b, inst.a.type);
        this.is(inst, inst.d, { scalar: 'mask', lanes: inst.a.type.lanes });
        if (inst.fn === 'ltU') this.isOneOf(inst, inst.a, INTEGERS);
        if (inst.a.type.scalar === 'mask' && inst.fn !== 'eq' && inst.fn !== 'ne')
          this.wrong(inst, 'masks have no order');
        break;
      case 'fma':
        read(inst.a, inst.b, inst.c);
        for (const reg of [inst.b, inst.c, inst.d]) this.is(inst, reg, inst.a.type);
        this.isOneOf(inst, inst.a, NUMBERS);
        break;
      case 'dot': {
        read(inst.a, inst.b, inst.c);
        const { lanes } = inst.d.type;
        for (const reg of [inst.a, inst.b]) this.is(inst, reg, { scalar: 'i32', lanes });
        for (const reg of [inst.c, inst.d]) this.is(inst, reg, { scalar: inst.of === 'bf16' ? 'f32' : 'i32', lanes });
        break;
      }
      case 'tiles':
        read(inst.a, inst.b, inst.c);
        if (inst.ahead) read(inst.ahead.from);
        if (inst.runs) read(inst.runs.at, inst.runs.count);
        for (const reg of [inst.a, inst.b, inst.c, inst.ahead?.from, inst.runs?.at])
          if (reg) this.scalar(inst, reg, 'ptr');
        if (inst.runs) this.scalar(inst, inst.runs.count, 'i32');
        if (inst.runs && inst.ahead) this.wrong(inst, 'runs with lines ahead');
        if (typeof inst.steps === 'number') {
          if (!Number.isInteger(inst.steps) || inst.steps < 1) this.wrong(inst, `${inst.steps} steps`);
        } else {
          read(inst.steps);
          this.scalar(inst, inst.steps, 'i32');
        }
        return;
      case 'select':
        read(inst.m, inst.a, inst.b);
        this.is(inst, inst.m, { scalar: 'mask', lanes: inst.a.type.lanes });
        this.is(inst, inst.b, inst.a.type);
        this.is(inst, inst.d, inst.a.type);
        break;
      case 'cvt':
        read(inst.a);
        this.isOneOf(inst, inst.a, [...NUMBERS, 'mask']);
        this.isOneOf(inst, inst.d, NUMBERS);
        if (inst.a.type.lanes !== inst.d.type.lanes)
          this.wrong(inst, `from ${show(inst.a.type)} to ${show(inst.d.type)}`);
        break;
      case 'bitcast': {
        read(inst.a);
        const pair = `${inst.a.type.scalar} ${inst.d.type.scalar}`;
        if (!['f32 i32', 'i32 f32', 'f64 i64', 'i64 f64'].includes(pair) || inst.a.type.lanes !== inst.d.type.lanes)
          this.wrong(inst, `from ${show(inst.a.type)} to ${show(inst.d.type)}`);
        break;
      }
      case 'splat':
        read(inst.a);
        this.scalar(inst, inst.a, inst.d.type.scalar);
        break;
      case 'extract':
        read(inst.a);
        this.scalar(inst, inst.d, inst.a.type.scalar);
        this.lane(inst, inst.lane, inst.a.type.lanes);
        break;
      case 'insert':
        read(inst.a, inst.s);
        this.is(inst, inst.d, inst.a.type);
        this.scalar(inst, inst.s, inst.a.type.scalar);
        this.lane(inst, inst.lane, inst.a.type.lanes);
        break;
      case 'shuffle':
        read(inst.a, inst.b);
        this.is(inst, inst.b, inst.a.type);
        this.is(inst, inst.d, inst.a.type);
        if (inst.lanes.length !== inst.a.type.lanes) this.wrong(inst, `${inst.lanes.length} lane numbers`);
        for (const lane of inst.lanes) this.lane(inst, lane, 2 * inst.a.type.lanes);
        break;
      case 'reduce': {
        read(inst.a);
        this.scalar(inst, inst.d, inst.a.type.scalar);
        const bitwise = inst.fn === 'and' || inst.fn === 'or';
        this.isOneOf(inst, inst.a, bitwise ? BITS : NUMBERS);
        break;
      }
      case 'anyTrue':
        read(inst.a);
        this.isOneOf(inst, inst.a, ['mask']);
        this.scalar(inst, inst.d, 'mask');
        break;
      case 'addr':
        if (inst.index) {
          read(inst.index);
          this.scalar(inst, inst.index, 'i32');
        }
        this.buffer(inst, inst.buf);
        this.scalar(inst, inst.d, 'ptr');
        break;
      case 'count':
        this.buffer(inst, inst.buf);
        if (this.kernel.buffers[inst.buf]!.access !== 'count') this.wrong(inst, `buffer ${inst.buf} is memory`);
        this.scalar(inst, inst.d, 'i32');
        break;
      case 'apart':
        for (const buf of [inst.buf, ...inst.others]) this.buffer(inst, buf);
        this.scalar(inst, inst.d, 'mask');
        break;
      case 'advance':
        read(inst.p, inst.by);
        this.scalar(inst, inst.p, 'ptr');
        this.scalar(inst, inst.by, 'i32');
        this.scalar(inst, inst.d, 'ptr');
        break;
      case 'load':
        read(inst.p, ...(inst.m ? [inst.m] : []));
        this.scalar(inst, inst.p, 'ptr');
        this.isOneOf(inst, inst.d, [registerScalar(inst.mem)]);
        if (inst.m) this.masked(inst, inst.m, inst.d, inst.mem);
        break;
      case 'follow':
        read(inst.p);
        this.scalar(inst, inst.p, 'ptr');
        this.scalar(inst, inst.d, 'ptr');
        break;
      case 'prefetch':
        read(inst.p);
        this.scalar(inst, inst.p, 'ptr');
        return;
      case 'gather':
        read(inst.p, inst.index, ...(inst.m ? [inst.m] : []));
        this.scalar(inst, inst.p, 'ptr');
        this.is(inst, inst.index, { scalar: 'i32', lanes: inst.d.type.lanes });
        this.isOneOf(inst, inst.d, ['f32', 'i32']);
        if (inst.m) this.masked(inst, inst.m, inst.d, 'f32');
        break;
      case 'iota':
        this.isOneOf(inst, inst.d, ['i32']);
        break;
      case 'store':
        read(inst.p, inst.a, ...(inst.m ? [inst.m] : []));
        this.scalar(inst, inst.p, 'ptr');
        this.isOneOf(inst, inst.a, inst.mem === 'bool' ? ['i32', 'mask'] : [registerScalar(inst.mem)]);
        if (inst.m) this.masked(inst, inst.m, inst.a, inst.mem);
        if (inst.past && (inst.m || inst.a.type.lanes === 1 || inst.mem !== inst.a.type.scalar))
          this.wrong(inst, 'only whole vectors of their own type go past the caches');
        return;
      case 'for':
        this.forLoop(inst, defined);
        return;
      case 'while': {
        const inTest = new Set(defined);
        this.block(inst.test, inTest, false);
        this.read(inst, inst.m, inTest);
        this.scalar(inst, inst.m, 'mask');
        // The test has run whatever happens after it.
        this.block(inst.body, new Set(inTest), false);
        for (const id of inTest) defined.add(id);
        return;
      }
      case 'if': {
        read(inst.m);
        this.scalar(inst, inst.m, 'mask');
        const inBody = new Set(defined);
        const inOther = new Set(defined);
        this.block(inst.body, inBody, false);
        this.block(inst.otherwise, inOther, false);
        for (const id of inBody) if (inOther.has(id)) defined.add(id);
        return;
      }
      case 'parallel':
        this.topLevel(inst, top);
        if (typeof inst.extent !== 'number') {
          read(inst.extent);
          this.scalar(inst, inst.extent, 'i32');
        } else if (!Number.isInteger(inst.extent) || inst.extent < 0 || inst.extent > MAX_COUNT)
          this.wrong(inst, `${inst.extent} iterations`);
        this.inLoop(inst, inst.i, null, inst.body, defined);
        return;
      case 'once':
        this.topLevel(inst, top);
        this.block(inst.body, new Set(defined), false);
        return;
      case 'barrier':
        this.topLevel(inst, top);
        return;
      case 'fail':
        read(inst.value);
        this.isOneOf(inst, inst.value, INTEGERS);
        this.is(inst, inst.value, { scalar: inst.value.type.scalar, lanes: 1 });
        if (!Number.isInteger(inst.site) || inst.site < 0 || inst.site >= this.failSites)
          this.wrong(inst, `site ${inst.site} does not exist`);
        return;
      case 'thread':
      case 'threads':
        this.scalar(inst, inst.d, 'i32');
        break;
      default:
        inst satisfies never;
        return;
    }
    this.write(inst, inst.d, defined);
  }

  private topLevel(inst: Inst, top: boolean): void {
    if (!top) this.wrong(inst, 'stands inside another block');
  }

  private lane(inst: Inst, lane: number, lanes: number): void {
    if (!Number.isInteger(lane) || lane < 0 || lane >= lanes) this.wrong(inst, `lane ${lane} of ${lanes}`);
  }

  private forLoop(inst: Extract<Inst, { op: 'for' }>, defined: Set<number>): void {
    for (const end of [inst.lo, inst.hi]) {
      if (typeof end === 'number') {
        if (!Number.isInteger(end)) this.wrong(inst, `bound ${end}`);
        continue;
      }
      this.read(inst, end, defined);
      this.scalar(inst, end, 'i32');
    }
    if (!Number.isInteger(inst.step) || inst.step <= 0) this.wrong(inst, `step ${inst.step}`);
    this.inLoop(inst, inst.i, typeof inst.hi === 'number' ? null : inst.hi, inst.body, defined);
  }

  private inLoop(inst: Inst, i: Reg, end: Reg | null, body: readonly Inst[], defined: ReadonlySet<number>): void {
    this.scalar(inst, i, 'i32');
    const inside = new Set(defined);
    this.write(inst, i, inside);
    const held = end ? [i, end] : [i];
    this.fixed.push(...held);
    this.block(body, inside, false);
    this.fixed.length -= held.length;
  }
}
