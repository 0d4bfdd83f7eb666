/**
 * Writes loop IR: one method an instruction, nested blocks as functions. Knows the language alone; what kernels are
 * made of it is the lowering's.
 */
import type { DType } from '../graph/dtype.ts';
import { type BinOp, type CmpOp, type Inst, type Reg, registerScalar, type Scalar, type UnOp } from './loops.ts';
import type { Target } from './target.ts';

/** A scalar constant and the block it stands in. */
interface Literal {
  readonly reg: Reg;
  readonly block: readonly Inst[];
  readonly depth: number;
}

/** A block at top level whose instructions are still to be written, and the constants that stood before it. */
interface Region {
  readonly block: Inst[];
  readonly literals: ReadonlyMap<number, Literal>;
  readonly fill: () => void;
}

const isAddress = ({ op }: Inst): boolean => op === 'addr' || op === 'advance';

/**
 * Accumulates instructions into nested blocks. Every method that makes a value returns its register: a fresh one, or
 * `d` where that is given, which is how sums, counters and pointers change in place.
 *
 * What `parallel` and `once` hold is written when `instructions` are asked for, or by `complete`: until then a kernel
 * costs no more than what stands between them, and what it needs (buffers, above all) must be asked for there.
 */
export class LoopBuilder {
  /** Whether formulas may use `scale` and `nearInverse`. */
  readonly scales: boolean;
  /** Whether dividing f32 takes less than `nearInverse` and what it needs to become exact. */
  readonly dividesQuickly: boolean;
  /** Whether `toF16` is there. */
  readonly roundsF16: boolean;
  /** Whether `toBf16`, `toNormalBf16` and `toBf16Words` are there. */
  readonly roundsBf16: boolean;
  /** Whether an address may lie outside of its buffer, before an offset leads into it. */
  readonly wideAddresses: boolean;
  private next = 0;
  /** The blocks that are open, and the innermost of them. */
  private blocks: Inst[][] = [[]];
  private current: Inst[] = this.blocks[0]!;
  /** By value: the i32 constant that was made last. Every third instruction would be one if each use made its own. */
  private literals = new Map<number, Literal>();
  private regions: Region[] = [];
  /** f32 registers whose values are those of bf16. */
  private readonly rounded = new WeakSet<Reg>();
  /** f32 registers that may become bf16 in one instruction. */
  private readonly flushed = new WeakSet<Reg>();

  constructor({
    scales,
    dividesQuickly,
    roundsF16,
    roundsBf16,
    pointerBytes,
  }: Partial<Pick<Target, 'scales' | 'dividesQuickly' | 'roundsF16' | 'roundsBf16' | 'pointerBytes'>> = {}) {
    this.scales = scales === true;
    this.dividesQuickly = dividesQuickly === true;
    this.roundsF16 = roundsF16 === true;
    this.roundsBf16 = roundsBf16 === true;
    this.wideAddresses = pointerBytes === 8;
  }

  get instructions(): readonly Inst[] {
    this.complete();
    return this.blocks[0]!;
  }

  /** Writes the regions that are still to be written, in order. */
  complete(): void {
    const { regions, literals } = this;
    this.regions = [];
    for (const region of regions) {
      this.literals = new Map(region.literals);
      this.fill(region.block, region.fill);
    }
    this.literals = literals;
  }

  emit(inst: Inst): void {
    this.current.push(inst);
  }

  /** Runs `fill` with instructions going to a block. */
  private fill(block: Inst[], fill: () => void): void {
    const around = this.current;
    this.blocks.push(block);
    this.current = block;
    fill();
    this.blocks.pop();
    this.current = around;
  }

  /** The same with a new block, which is returned. */
  private block(fill: () => void): Inst[] {
    const block: Inst[] = [];
    this.fill(block, fill);
    return block;
  }

  /** A block at top level that is filled later. */
  private region(fill: () => void): Inst[] {
    const block: Inst[] = [];
    this.regions.push({ block, literals: new Map(this.literals), fill });
    return block;
  }

  /** The same for a body that stands by itself: it shares no constants with what is around. */
  separate(fill: () => void): Inst[] {
    const { blocks, current, regions } = this;
    const body: Inst[] = [];
    this.blocks = [body];
    this.current = body;
    this.regions = [];
    fill();
    this.complete();
    this.blocks = blocks;
    this.current = current;
    this.regions = regions;
    return body;
  }

  /**
   * What `fills` do, none of which reads what another one stores: first all up to where each begins to store, so that
   * their vectors can take turns.
   */
  storingLast(fills: readonly (() => void)[]): void {
    const lines = fills.length === 1 ? [] : fills.map(fill => this.separate(fill));
    if (lines.length === 0) fills[0]!();
    const starts = lines.map(line => {
      const store = line.findIndex(inst => inst.op === 'store');
      let at = store < 0 ? line.length : store;
      while (at > 0 && isAddress(line[at - 1]!)) at--;
      return at;
    });
    for (const [i, line] of lines.entries()) for (const inst of line.slice(0, starts[i])) this.emit(inst);
    for (const [i, line] of lines.entries()) for (const inst of line.slice(starts[i])) this.emit(inst);
  }

  reg(scalar: Scalar, lanes = 1): Reg {
    return { id: this.next++, type: { scalar, lanes } };
  }

  private like(a: Reg): Reg {
    return { id: this.next++, type: a.type };
  }

  const(scalar: Scalar, value: number | bigint, lanes = 1): Reg {
    const d = this.reg(scalar, lanes);
    this.emit({ op: 'const', d, value });
    return d;
  }

  /** A constant, not to be written: the one that an open block has already, if there is one. */
  i32(value: number): Reg {
    const known = this.literals.get(value);
    if (known && this.blocks[known.depth] === known.block) return known.reg;
    const reg = this.const('i32', value);
    this.literals.set(value, { reg, block: this.current, depth: this.blocks.length - 1 });
    return reg;
  }

  /** A fresh register holding a copy of `a`, to be changed by `move`. */
  copy(a: Reg): Reg {
    const d = this.like(a);
    this.emit({ op: 'move', d, a });
    return d;
  }

  move(d: Reg, a: Reg): void {
    this.emit({ op: 'move', d, a });
  }

  un(fn: UnOp, a: Reg): Reg {
    const d = this.like(a);
    this.emit({ op: 'un', fn, d, a });
    return d;
  }

  bin(fn: BinOp, a: Reg, b: Reg, d = this.like(a)): Reg {
    this.emit({ op: 'bin', fn, d, a, b });
    return d;
  }

  add(a: Reg, b: Reg, d?: Reg): Reg {
    return this.bin('add', a, b, d);
  }

  sub(a: Reg, b: Reg, d?: Reg): Reg {
    return this.bin('sub', a, b, d);
  }

  mul(a: Reg, b: Reg, d?: Reg): Reg {
    return this.bin('mul', a, b, d);
  }

  fma(a: Reg, b: Reg, c: Reg, d = this.like(a)): Reg {
    this.emit({ op: 'fma', d, a, b, c });
    return d;
  }

  /** c plus the products of the packed halves of a and b. */
  dot(of: 'bf16' | 'i16', a: Reg, b: Reg, c: Reg, d = this.like(c)): Reg {
    this.emit({ op: 'dot', of, d, a, b, c });
    return d;
  }

  cmp(fn: CmpOp, a: Reg, b: Reg): Reg {
    const d = this.reg('mask', a.type.lanes);
    this.emit({ op: 'cmp', fn, d, a, b });
    return d;
  }

  select(m: Reg, a: Reg, b: Reg): Reg {
    const d = this.like(a);
    this.emit({ op: 'select', d, m, a, b });
    return d;
  }

  cvt(scalar: Scalar, a: Reg): Reg {
    if (a.type.scalar === scalar) return a;
    const d = this.reg(scalar, a.type.lanes);
    this.emit({ op: 'cvt', d, a });
    return d;
  }

  bitcast(scalar: Scalar, a: Reg): Reg {
    const d = this.reg(scalar, a.type.lanes);
    this.emit({ op: 'bitcast', d, a });
    return d;
  }

  splat(a: Reg, lanes: number): Reg {
    if (lanes === 1) return a;
    const d = this.reg(a.type.scalar, lanes);
    this.emit({ op: 'splat', d, a });
    return d;
  }

  extract(a: Reg, lane: number): Reg {
    const d = this.reg(a.type.scalar);
    this.emit({ op: 'extract', d, a, lane });
    return d;
  }

  insert(a: Reg, lane: number, s: Reg): Reg {
    const d = this.like(a);
    this.emit({ op: 'insert', d, a, lane, s });
    return d;
  }

  shuffle(a: Reg, b: Reg, lanes: readonly number[]): Reg {
    const d = this.like(a);
    this.emit({ op: 'shuffle', d, a, b, lanes });
    return d;
  }

  reduce(fn: 'add' | 'mul' | 'min' | 'max' | 'and' | 'or', a: Reg): Reg {
    if (a.type.lanes === 1) return a;
    const d = this.reg(a.type.scalar);
    this.emit({ op: 'reduce', fn, d, a });
    return d;
  }

  anyTrue(a: Reg): Reg {
    if (a.type.lanes === 1) return a;
    const d = this.reg('mask');
    this.emit({ op: 'anyTrue', d, a });
    return d;
  }

  addr(buf: number, index: Reg | null = null): Reg {
    const d = this.reg('ptr');
    this.emit({ op: 'addr', d, buf, index });
    return d;
  }

  count(buf: number): Reg {
    const d = this.reg('i32');
    this.emit({ op: 'count', d, buf });
    return d;
  }

  apart(buf: number, others: readonly number[]): Reg {
    const d = this.reg('mask');
    this.emit({ op: 'apart', d, buf, others });
    return d;
  }

  advance(p: Reg, by: Reg, scale: number, d = this.like(p)): Reg {
    this.emit({ op: 'advance', d, p, by, scale });
    return d;
  }

  follow(p: Reg, offset = 0): Reg {
    const d = this.reg('ptr');
    this.emit({ op: 'follow', d, p, offset });
    return d;
  }

  load(mem: DType, p: Reg, offset = 0, lanes = 1, d = this.reg(registerScalar(mem), lanes)): Reg {
    this.emit({ op: 'load', d, p, offset, mem });
    return mem === 'bf16' ? this.asBf16(d) : d;
  }

  /** Says that values of bf16 stand in `x`, so that storing them rounds nothing. */
  asBf16(x: Reg): Reg {
    this.rounded.add(x);
    return x;
  }

  /** Says that nobody minds if numbers below 2^-126 become 0 when `x` is stored as bf16. */
  asFlushed(x: Reg): Reg {
    this.flushed.add(x);
    return x;
  }

  private rounding(mem: DType, a: Reg): { readonly exact?: true; readonly flush?: true } {
    if (mem !== 'bf16') return {};
    if (this.flushed.has(a)) return { flush: true };
    return this.rounded.has(a) ? { exact: true } : {};
  }

  store(mem: DType, p: Reg, a: Reg, offset = 0): void {
    this.emit({ op: 'store', p, offset, a, mem, ...this.rounding(mem, a) });
  }

  /** The bfloat16 values nearest to `x`, by instructions of their own; null where there are none. */
  nearestBf16(x: Reg): Reg | null {
    if (!this.roundsBf16 || x.type.lanes === 1) return null;
    return this.flushed.has(x) ? this.asFlushed(this.un('toNormalBf16', x)) : this.un('toBf16', x);
  }

  /**
   * Words (i32) of the bfloat16 values nearest to `low` and `high`, f32, where numbers below 2^-126 become 0. Only where
   * `nearestBf16` is there.
   */
  bf16Words(low: Reg, high: Reg): Reg {
    return this.bitcast('i32', this.bin('toBf16Words', low, high));
  }

  /** Stores a whole vector past the caches. */
  storePast(mem: DType, p: Reg, a: Reg, offset: number): void {
    this.emit({ op: 'store', p, offset, a, mem, past: true });
  }

  loadMasked(mem: DType, p: Reg, m: Reg, offset = 0): Reg {
    const d = this.reg(registerScalar(mem), m.type.lanes);
    this.emit({ op: 'load', d, p, offset, mem, m });
    return d;
  }

  storeMasked(mem: DType, p: Reg, a: Reg, m: Reg, offset = 0): void {
    this.emit({ op: 'store', p, offset, a, mem, m, ...this.rounding(mem, a) });
  }

  prefetch(p: Reg, offset: number, write: boolean): void {
    this.emit({ op: 'prefetch', p, offset, write });
  }

  gather(mem: 'f32' | 'i32', p: Reg, index: Reg, m: Reg | null = null): Reg {
    const d = this.reg(mem, index.type.lanes);
    this.emit({ op: 'gather', d, p, index, m });
    return d;
  }

  iota(lanes: number, step = 1): Reg {
    const d = this.reg('i32', lanes);
    this.emit({ op: 'iota', d, step });
    return d;
  }

  /** The mask of the first `count` lanes (scalar i32; all of them beyond). */
  firstLanes(count: Reg, lanes: number): Reg {
    return this.cmp('lt', this.iota(lanes), this.splat(count, lanes));
  }

  /** `by`: the step, with about how many iterations there are where the bounds do not say. */
  for(lo: Reg | number, hi: Reg | number, by: number | { step: number; trips: number }, fill: (i: Reg) => void): void {
    const i = this.reg('i32');
    const body = this.block(() => fill(i));
    this.emit({ op: 'for', i, lo, hi, ...(typeof by === 'number' ? { step: by } : by), body });
  }

  while(test: () => Reg, fill: () => void): void {
    let m: Reg | undefined;
    const testBlock = this.block(() => {
      m = test();
    });
    this.emit({ op: 'while', test: testBlock, m: m!, body: this.block(fill) });
  }

  if(m: Reg, body: () => void, otherwise: () => void = () => {}): void {
    this.emit({ op: 'if', m, body: this.block(body), otherwise: this.block(otherwise) });
  }

  parallel(extent: Reg | number, fill: (i: Reg) => void): void {
    const i = this.reg('i32');
    this.emit({ op: 'parallel', i, extent, body: this.region(() => fill(i)) });
  }

  once(fill: () => void): void {
    this.emit({ op: 'once', body: this.region(fill) });
  }

  barrier(): void {
    this.emit({ op: 'barrier' });
  }

  fail(site: number, value: Reg): void {
    this.emit({ op: 'fail', site, value });
  }

  thread(): Reg {
    const d = this.reg('i32');
    this.emit({ op: 'thread', d });
    return d;
  }

  threads(): Reg {
    const d = this.reg('i32');
    this.emit({ op: 'threads', d });
    return d;
  }
}
