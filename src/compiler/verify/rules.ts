/**
 * What must hold of each instruction of loop IR by itself: types, lanes, buffers and numbers. A total table, one rule
 * per instruction. What depends on the instructions around it (definition before use, what may stand where) is the
 * verifier's, in index.ts.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import {
  type BinOp,
  type Inst,
  type LoopKernel,
  type Reg,
  type RegType,
  registerScalar,
  type Scalar,
  type UnOp,
} from '../loops.ts';

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
  toBf16: ['f32'],
  toNormalBf16: ['f32'],
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
  toBf16Words: ['f32'],
};

/** Integer division exists on scalars only. */
const SCALAR_ON_INTEGERS = new Set<BinOp>(['div', 'rem', 'divU', 'remU']);

/** The largest number of elements or iterations: they are counted in an i32. */
export const MAX_COUNT = 0x7fffffff;

export const show = (type: RegType): string => (type.lanes === 1 ? type.scalar : `${type.scalar}x${type.lanes}`);
export const same = (a: RegType, b: RegType): boolean => a.scalar === b.scalar && a.lanes === b.lanes;

/** Questions about one instruction; each throws an error that names kernel and instruction where the answer is no. */
export class Checks {
  private readonly kernel: LoopKernel;
  private readonly inst: Inst;

  constructor(kernel: LoopKernel, inst: Inst) {
    this.kernel = kernel;
    this.inst = inst;
  }

  wrong(why: string): never {
    const { kernel, inst } = this;
    throw new Error(`internal: kernel ${kernel.name}: ${inst.op}${'fn' in inst ? ` ${inst.fn}` : ''}: ${why}`);
  }

  is(reg: Reg, type: RegType): void {
    if (!same(reg.type, type)) this.wrong(`r${reg.id} is ${show(reg.type)}, expected ${show(type)}`);
  }

  isOneOf(reg: Reg, scalars: readonly Scalar[]): void {
    if (!scalars.includes(reg.type.scalar))
      this.wrong(`r${reg.id} is ${show(reg.type)}, expected one of ${scalars.join(', ')}`);
  }

  scalar(reg: Reg, scalar: Scalar): void {
    this.is(reg, { scalar, lanes: 1 });
  }

  /** Two registers that convert lane by lane. */
  sameLanes(a: Reg, d: Reg): void {
    if (a.type.lanes !== d.type.lanes) this.wrong(`from ${show(a.type)} to ${show(d.type)}`);
  }

  lane(lane: number, lanes: number): void {
    if (!Number.isInteger(lane) || lane < 0 || lane >= lanes) this.wrong(`lane ${lane} of ${lanes}`);
  }

  /** A mask for memory of vectors with 4-byte lanes. */
  masked(m: Reg, value: Reg, mem: DType): void {
    this.is(m, { scalar: 'mask', lanes: value.type.lanes });
    if (value.type.lanes === 1 || bytesOf(registerScalar(mem)) !== 4) this.wrong(`masked ${mem}`);
  }

  buffer(index: number): void {
    if (!this.kernel.buffers[index])
      this.wrong(`buffer ${index} does not exist, the kernel has ${this.kernel.buffers.length}`);
  }

  isNumber(index: number): void {
    this.buffer(index);
    if (this.kernel.buffers[index]!.access !== 'count') this.wrong(`buffer ${index} is memory`);
  }
}

type Of<O extends Inst['op']> = Extract<Inst, { op: O }>;
type Rule<O extends Inst['op']> = (inst: Of<O>, check: Checks) => void;

function literal({ d, value }: Of<'const'>, check: Checks): void {
  const { scalar } = d.type;
  if (scalar === 'ptr') check.wrong('pointers come from addr');
  if (typeof value === 'bigint') {
    if (scalar !== 'i64') check.wrong(`bigint for ${show(d.type)}`);
    return;
  }
  if (scalar === 'i64' && !Number.isSafeInteger(value)) check.wrong(`${value} is no safe integer`);
  if (scalar === 'i32' && value !== (value | 0)) check.wrong(`${value} is no 32-bit integer`);
  if (scalar === 'mask' && value !== 0 && value !== 1) check.wrong(`${value}`);
}

function tiles({ a, b, steps, ahead, runs, pitch, room }: Of<'tiles'>, check: Checks): void {
  for (const reg of [a, b, ahead?.from, runs?.at, room]) if (reg) check.scalar(reg, 'ptr');
  if (runs) check.scalar(runs.count, 'i32');
  if (pitch !== undefined && ahead) check.wrong('rows in place with lines ahead');
  if (typeof steps !== 'number') check.scalar(steps, 'i32');
  else if (!Number.isInteger(steps) || steps < 1) check.wrong(`${steps} steps`);
}

function tileSums(inst: Of<'tileSums'>, check: Checks): void {
  if (inst.does !== 'clear') check.scalar(inst.c, 'ptr');
}

function store({ p, a, mem, m, past }: Of<'store'>, check: Checks): void {
  check.scalar(p, 'ptr');
  check.isOneOf(a, mem === 'bool' ? ['i32', 'mask'] : [registerScalar(mem)]);
  if (m) check.masked(m, a, mem);
  if (past && (m || a.type.lanes === 1 || mem !== a.type.scalar))
    check.wrong('only whole vectors of their own type go past the caches');
}

/** Loops: the counter and the bounds. */
function bounds({ i, lo, hi, step }: Of<'for'>, check: Checks): void {
  check.scalar(i, 'i32');
  for (const end of [lo, hi]) {
    if (typeof end !== 'number') check.scalar(end, 'i32');
    else if (!Number.isInteger(end)) check.wrong(`bound ${end}`);
  }
  if (!Number.isInteger(step) || step <= 0) check.wrong(`step ${step}`);
}

function extent({ i, extent }: Of<'parallel'>, check: Checks): void {
  check.scalar(i, 'i32');
  if (typeof extent !== 'number') check.scalar(extent, 'i32');
  else if (!Number.isInteger(extent) || extent < 0 || extent > MAX_COUNT) check.wrong(`${extent} iterations`);
}

export const RULES: { readonly [O in Inst['op']]: Rule<O> } = {
  const: literal,
  move: ({ d, a }, check) => check.is(d, a.type),
  un: ({ fn, d, a }, check) => {
    check.is(d, a.type);
    check.isOneOf(a, UNARY[fn]);
    if (fn === 'clz' && a.type.lanes !== 1) check.wrong('scalars only');
  },
  bin: ({ fn, d, a, b }, check) => {
    for (const reg of [d, b]) check.is(reg, a.type);
    check.isOneOf(a, BINARY[fn]);
    if (SCALAR_ON_INTEGERS.has(fn) && a.type.lanes !== 1 && INTEGERS.includes(a.type.scalar))
      check.wrong('integer division on scalars only');
  },
  cmp: ({ fn, d, a, b }, check) => {
    check.is(b, a.type);
    check.is(d, { scalar: 'mask', lanes: a.type.lanes });
    if (fn === 'ltU') check.isOneOf(a, INTEGERS);
    if (a.type.scalar === 'mask' && fn !== 'eq' && fn !== 'ne') check.wrong('masks have no order');
  },
  fma: ({ d, a, b, c }, check) => {
    for (const reg of [b, c, d]) check.is(reg, a.type);
    check.isOneOf(a, NUMBERS);
  },
  dot: ({ of, d, a, b, c }, check) => {
    const { lanes } = d.type;
    for (const reg of [a, b]) check.is(reg, { scalar: 'i32', lanes });
    for (const reg of [c, d]) check.is(reg, { scalar: of === 'bf16' ? 'f32' : 'i32', lanes });
  },
  tiles,
  tileSums,
  select: ({ d, m, a, b }, check) => {
    check.is(m, { scalar: 'mask', lanes: a.type.lanes });
    for (const reg of [b, d]) check.is(reg, a.type);
  },
  cvt: ({ d, a }, check) => {
    check.isOneOf(a, [...NUMBERS, 'mask']);
    check.isOneOf(d, NUMBERS);
    check.sameLanes(a, d);
  },
  bitcast: ({ d, a }, check) => {
    if (!['f32 i32', 'i32 f32', 'f64 i64', 'i64 f64'].includes(`${a.type.scalar} ${d.type.scalar}`))
      check.wrong(`from ${show(a.type)} to ${show(d.type)}`);
    check.sameLanes(a, d);
  },
  splat: ({ d, a }, check) => check.scalar(a, d.type.scalar),
  extract: ({ d, a, lane }, check) => {
    check.scalar(d, a.type.scalar);
    check.lane(lane, a.type.lanes);
  },
  insert: ({ d, a, lane, s }, check) => {
    check.is(d, a.type);
    check.scalar(s, a.type.scalar);
    check.lane(lane, a.type.lanes);
  },
  shuffle: ({ d, a, b, lanes }, check) => {
    for (const reg of [b, d]) check.is(reg, a.type);
    if (lanes.length !== a.type.lanes) check.wrong(`${lanes.length} lane numbers`);
    for (const lane of lanes) check.lane(lane, 2 * a.type.lanes);
  },
  reduce: ({ fn, d, a }, check) => {
    check.scalar(d, a.type.scalar);
    check.isOneOf(a, fn === 'and' || fn === 'or' ? BITS : NUMBERS);
  },
  anyTrue: ({ d, a }, check) => {
    check.isOneOf(a, ['mask']);
    check.scalar(d, 'mask');
  },
  addr: ({ d, buf, index }, check) => {
    if (index) check.scalar(index, 'i32');
    check.buffer(buf);
    check.scalar(d, 'ptr');
  },
  count: ({ d, buf }, check) => {
    check.isNumber(buf);
    check.scalar(d, 'i32');
  },
  apart: ({ d, buf, others }, check) => {
    for (const one of [buf, ...others]) check.buffer(one);
    check.scalar(d, 'mask');
  },
  advance: ({ d, p, by }, check) => {
    for (const reg of [p, d]) check.scalar(reg, 'ptr');
    check.scalar(by, 'i32');
  },
  iota: ({ d }, check) => check.isOneOf(d, ['i32']),
  follow: ({ d, p }, check) => {
    for (const reg of [p, d]) check.scalar(reg, 'ptr');
  },
  prefetch: ({ p }, check) => check.scalar(p, 'ptr'),
  load: ({ d, p, mem, m }, check) => {
    check.scalar(p, 'ptr');
    check.isOneOf(d, [registerScalar(mem)]);
    if (m) check.masked(m, d, mem);
  },
  store,
  gather: ({ d, p, index, m }, check) => {
    check.scalar(p, 'ptr');
    check.is(index, { scalar: 'i32', lanes: d.type.lanes });
    check.isOneOf(d, ['f32', 'i32']);
    if (m) check.masked(m, d, 'f32');
  },
  for: bounds,
  while: ({ m }, check) => check.scalar(m, 'mask'),
  if: ({ m }, check) => check.scalar(m, 'mask'),
  parallel: extent,
  once: () => {},
  barrier: () => {},
  fail: ({ value }, check) => {
    check.isOneOf(value, INTEGERS);
    check.scalar(value, value.type.scalar);
  },
  thread: ({ d }, check) => check.scalar(d, 'i32'),
  threads: ({ d }, check) => check.scalar(d, 'i32'),
};
