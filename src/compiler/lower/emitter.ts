/**
 * Expressions to instructions: index arithmetic, loads and operations at one place of a loop nest, scalar or in vectors along one variable.
 * Results are remembered per scope, so what an outer loop has emitted is not emitted again inside. Imports level 1 and the
 * loop IR; decides nothing about loops.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import {
  type CheckedIndex,
  checkedIndex,
  type Expr,
  type GuardExpr,
  type LoadExpr,
  type OpExpr,
  type Tracer,
} from '../expr.ts';
import type { Value } from '../flow.ts';
import { type Atom, coefficient, type DataAtom, type Ix, type VarAtom } from '../index-expr.ts';
import { type LoopBuilder, type Reg, registerScalar } from '../loops.ts';
import {
  constantValue,
  fromMemory,
  lowerBinary,
  lowerBitcast,
  lowerCast,
  lowerCompare,
  lowerUnary,
  lowerWhere,
  settle,
  toMemory,
} from '../math/index.ts';
import type { Condition } from '../views.ts';
import { COMBINE, wideOf } from './accumulator.ts';
import type { ProgramContext } from './context.ts';

/** How the loop nest is being walked at the moment. */
export interface Mode {
  /** Lanes of values that depend on the lane variable. */
  readonly lanes: number;
  /** Vectors side by side: copy u stands u * lanes further along the lane variable. */
  readonly copies: number;
  /** Leading lanes that exist, where not all do (one copy, and a target that masks memory): the others compute what nobody sees. */
  readonly active?: number;
  /** The same as a mask that is only known at run time. */
  readonly mask?: Reg;
}

export const SCALAR: Mode = { lanes: 1, copies: 1 };

export class Emitter {
  readonly b: LoopBuilder;
  readonly tracer: Tracer;
  mayFail = false;
  mode: Mode = SCALAR;
  /** Whether dividing by what all lanes share is multiplying by its reciprocal: where rows are long. */
  reciprocals = false;
  /** Expressions an earlier pass has put into memory, at the element given. */
  readonly spilled = new Map<Expr, { readonly buffer: number; readonly ix: Ix }>();
  private readonly context: ProgramContext;
  private readonly bufferOf: (value: Value) => number;
  private readonly lane: VarAtom | null;
  private readonly laneBit: number;
  private readonly laneBytes: number;
  private readonly levelOfVar: ReadonlyMap<VarAtom, number>;
  private readonly varRegs = new Map<VarAtom, Reg>();
  private readonly scopes: Map<string, Reg>[] = [new Map()];

  constructor(
    b: LoopBuilder,
    context: ProgramContext,
    tracer: Tracer,
    bufferOf: (value: Value) => number,
    lane: VarAtom | null,
    laneBytes: number,
    /** Variables, outermost loop first: sums are built so that outer parts can be shared. */
    order: readonly VarAtom[],
  ) {
    this.b = b;
    this.context = context;
    this.tracer = tracer;
    this.bufferOf = bufferOf;
    this.lane = lane;
    this.laneBit = lane ? 2 ** tracer.vars.indexOf(lane) : 0;
    this.laneBytes = laneBytes;
    this.levelOfVar = new Map(order.map((v, i) => [v, i]));
  }

  // ---------------------------------------------------------------------------------------------- scopes and variables

  /** Runs `fill`; what it emits is forgotten afterwards. */
  scoped(fill: () => void): void {
    this.scopes.push(new Map());
    fill();
    this.scopes.pop();
  }

  setVar(variable: VarAtom, reg: Reg): void {
    this.varRegs.set(variable, reg);
  }

  private recall(key: string): Reg | undefined {
    for (let s = this.scopes.length - 1; s >= 0; s--) {
      const found = this.scopes[s]!.get(key);
      if (found) return found;
    }
    return undefined;
  }

  private remember(key: string, reg: Reg): Reg {
    this.scopes[this.scopes.length - 1]!.set(key, reg);
    return reg;
  }

  private memo(key: string, make: () => Reg): Reg {
    return this.recall(key) ?? this.remember(key, make());
  }

  /** Binds an index expression to a register that already holds it. */
  bindIndex(ix: Ix, reg: Reg): void {
    this.remember(`i${ix.id}`, reg);
  }

  /** Binds the result of a reduction or contraction. */
  bind(e: Expr, reg: Reg, copy = 0): void {
    this.remember(this.key(e, copy), reg);
  }

  private key(e: Expr, copy: number): string {
    return this.isVector(e) ? `e${e.id}.${copy}` : `e${e.id}`;
  }

  /** Whether the value differs from lane to lane at the moment. */
  isVector(e: Expr): boolean {
    return this.mode.lanes > 1 && (e.mask & this.laneBit) !== 0;
  }

  private dependsOnLane(ix: Ix): boolean {
    return this.mode.lanes > 1 && (this.tracer.ixMask(ix) & this.laneBit) !== 0;
  }

  /** The mask of the lanes that exist; null where all do. */
  activeMask(): Reg | null {
    const { lanes, active, mask } = this.mode;
    if (mask) return mask;
    if (active === undefined) return null;
    return this.memo('active', () => this.b.firstLanes(this.b.i32(active), lanes));
  }

  private get partial(): boolean {
    return this.mode.active !== undefined || this.mode.mask !== undefined;
  }

  /** Runs `fill` for lanes that may not exist only where they do. */
  private whereActive(lane: number, fill: () => void): void {
    const { mask } = this.mode;
    if (mask) this.b.if(this.b.extract(mask, lane), fill);
    else fill();
  }

  /** A vector load of which only the lanes that exist touch memory. */
  private loadLanes(dtype: DType, p: Reg, offset: number): Reg {
    const m = this.activeMask();
    return m ? this.b.loadMasked(dtype, p, m, offset) : this.b.load(dtype, p, offset, this.mode.lanes);
  }

  private storeLanes(dtype: DType, p: Reg, x: Reg, offset: number): void {
    const m = this.activeMask();
    if (m) this.b.storeMasked(dtype, p, x, m, offset);
    else this.b.store(dtype, p, x, offset);
  }

  /** Whether lanes of `dtype` can be read from addresses of their own in one instruction. */
  private gathers(dtype: DType): dtype is 'f32' | 'i32' {
    return this.context.target.masksMemory === true && this.laneBytes === 4 && (dtype === 'f32' || dtype === 'i32');
  }

  /** Whether an index advances by the same amount from lane to lane (0 included). */
  walksLanes(ix: Ix): boolean {
    return !this.dependsOnLane(ix) || coefficient(ix, this.lane!) !== null;
  }

  // ---------------------------------------------------------------------------------------------- index arithmetic

  private levelOf(atom: Atom): number {
    if (atom.kind === 'var') return this.levelOfVar.get(atom) ?? -1;
    if (atom.kind === 'data') return atom.vars.reduce((level, v) => Math.max(level, this.levelOfVar.get(v) ?? -1), -1);
    return atom.of.terms.reduce((level, { atom: inner }) => Math.max(level, this.levelOf(inner)), -1);
  }

  /** Deepest loop that an index depends on; -1 for constants. */
  levelOfIx(ix: Ix): number {
    return ix.terms.reduce((level, { atom }) => Math.max(level, this.levelOf(atom)), -1);
  }

  /** The part of an index that loops up to `level` determine (with the constant). */
  prefix(ix: Ix, level: number): Ix {
    const kept = ix.terms.filter(({ atom }) => this.levelOf(atom) <= level);
    if (kept.length === ix.terms.length) return ix;
    return this.tracer.table.sum(
      kept.map(({ atom, coef }) => [this.tracer.table.ofAtom(atom), coef] as const),
      ix.constant,
    );
  }

  /** Scalar i32 value of an index (of lane 0 of copy 0). */
  index(ix: Ix): Reg {
    return this.memo(`i${ix.id}`, () => {
      if (ix.terms.length === 0) return this.b.i32(ix.constant);
      const level = this.levelOfIx(ix);
      const before = this.prefix(ix, level - 1);
      let sum: Reg | null = null;
      if (before.terms.length > 0) sum = this.index(before);
      for (const { atom, coef } of ix.terms) {
        if (before.terms.length > 0 && this.levelOf(atom) < level) continue;
        sum = this.plus(sum, this.atom(atom), coef);
      }
      if (before.terms.length === 0 && ix.constant !== 0) sum = this.b.add(sum!, this.b.i32(ix.constant));
      return sum!;
    });
  }

  private plus(sum: Reg | null, x: Reg, coef: number): Reg {
    const { b } = this;
    if (coef === -1 && sum) return b.sub(sum, x);
    const term = coef === 1 ? x : isPowerOfTwo(coef) ? b.bin('shl', x, b.i32(Math.log2(coef))) : b.mul(x, b.i32(coef));
    return sum ? b.add(sum, term) : term;
  }

  private atom(atom: Atom): Reg {
    const { b } = this;
    if (atom.kind === 'var') {
      const reg = this.varRegs.get(atom);
      if (!reg) throw new Error('internal: an index uses a loop variable outside of its loop');
      return reg;
    }
    return this.memo(`a${atom.id}`, () => {
      if (atom.kind === 'data') return this.checked((atom as DataAtom<CheckedIndex>).of);
      const of = this.index(atom.of);
      if (isPowerOfTwo(atom.by)) {
        return atom.kind === 'div'
          ? b.bin('shrU', of, b.i32(Math.log2(atom.by)))
          : b.bin('and', of, b.i32(atom.by - 1));
      }
      return b.bin(atom.kind === 'div' ? 'divU' : 'remU', of, b.i32(atom.by));
    });
  }

  /** A loaded index as i32, inside its range whatever was loaded. */
  private checked(checked: CheckedIndex): Reg {
    if (this.isVector(checked.index)) throw new Error('internal: a loaded index differs between lanes');
    return this.check(checked, this.value(checked.index));
  }

  private check({ size, what, index }: CheckedIndex, x: Reg): Reg {
    const { b } = this;
    const narrow = (): Reg =>
      index.dtype === 'bool' ? b.cvt('i32', x) : x.type.scalar === 'i64' ? b.cvt('i32', x) : x;
    if (what === null) return narrow();
    const wide = x.type.scalar === 'i64';
    const low = b.cmp('ge', x, wide ? b.const('i64', 0n) : b.i32(0));
    const high = b.cmp('lt', x, wide ? b.const('i64', BigInt(size)) : b.i32(size));
    const inside = b.bin('and', low, high);
    this.mayFail = true;
    const site = this.context.site(what, size);
    b.if(b.un('not', inside), () => b.fail(site, b.cvt('i64', x)));
    return b.select(inside, narrow(), b.i32(0));
  }

  // ---------------------------------------------------------------------------------------------- memory

  /** Pointer to element `ix` (of lane 0 of copy 0) of a buffer. */
  pointer(buffer: number, dtype: DType, ix: Ix): Reg {
    return this.memo(`p${buffer}:${ix.id}`, () => {
      const { b } = this;
      if (ix.terms.length === 0) return b.addr(buffer, ix.constant === 0 ? null : b.i32(ix.constant));
      const level = this.levelOfIx(ix);
      const before = this.prefix(ix, level - 1);
      if (before.terms.length === 0 && this.recall(`p${buffer}:${before.id}`) === undefined)
        return b.addr(buffer, this.index(ix));
      const base = this.pointer(buffer, dtype, before);
      const top = ix.terms.filter(({ atom }) => this.levelOf(atom) === level);
      const bytes = bytesOf(dtype);
      if (top.length === 1 && top[0]!.coef > 0) return b.advance(base, this.atom(top[0]!.atom), top[0]!.coef * bytes);
      let sum: Reg | null = null;
      for (const { atom, coef } of top) sum = this.plus(sum, this.atom(atom), coef);
      return b.advance(base, sum!, bytes);
    });
  }

  private loadElements(of: Value, index: Reg, lanes: number): Reg {
    return fromMemory(this.b, of.dtype, this.b.load(of.dtype, this.b.addr(this.bufferOf(of), index), 0, lanes));
  }

  private clamp(index: Reg, last: number): Reg {
    const { b } = this;
    return b.bin('min', b.bin('max', index, b.i32(0)), b.i32(last));
  }

  private load(e: LoadExpr, copy: number): Reg {
    const { b } = this;
    const { of, ix, conditions } = e;
    const buffer = this.bufferOf(of);
    const bytes = bytesOf(of.dtype);
    const { lanes } = this.mode;
    if (!this.isVector(e)) {
      if (conditions.length > 0) return this.loadElements(of, this.clamp(this.index(ix), of.size - 1), 1);
      return fromMemory(b, of.dtype, b.load(of.dtype, this.pointer(buffer, of.dtype, ix), 0, 1));
    }
    const coef = coefficient(ix, this.lane!);
    const laneGuards = conditions.some(c => this.dependsOnLane(c.ix));
    if (coef === 1 && conditions.length === 0 && (of.size >= lanes || this.partial))
      return fromMemory(
        b,
        of.dtype,
        this.loadLanes(of.dtype, this.pointer(buffer, of.dtype, ix), copy * lanes * bytes),
      );
    if (coef === 1 && !laneGuards && of.size >= lanes && !this.partial) {
      const start = this.offset(this.index(ix), copy * lanes);
      return this.loadElements(of, this.clamp(start, of.size - lanes), lanes);
    }
    if (coef === 2 && conditions.length === 0 && !this.partial) {
      const pair = this.everySecond(of, buffer, ix, copy);
      if (pair) return fromMemory(b, of.dtype, pair);
    }
    if (this.gathers(of.dtype) && (coef !== null || conditions.length > 0 || this.partial)) {
      const mask = this.activeMask();
      if (coef !== null && conditions.length === 0) {
        const p = this.pointer(buffer, of.dtype, ix);
        const from = copy === 0 ? p : b.advance(p, b.i32(copy * lanes * coef), bytes);
        return b.gather(of.dtype, from, this.steps(coef), mask);
      }
      const at = this.indexVector(ix, copy);
      const low = b.bin('max', at, b.const('i32', 0, lanes));
      return b.gather(of.dtype, b.addr(buffer), b.bin('min', low, b.const('i32', of.size - 1, lanes)), mask);
    }
    const last = (this.mode.active ?? lanes) - 1;
    const single = (any: number): Reg => {
      // Lanes that do not exist repeat one that does.
      const lane = Math.min(any, last);
      // Addresses are remembered, so they are computed where every lane sees them.
      const [p, offset] = place(lane);
      if (this.mode.mask) {
        const x = b.copy(b.const(registerScalar(of.dtype), of.dtype === 'i64' ? 0n : 0));
        this.whereActive(lane, () => b.move(x, b.load(of.dtype, p, offset, 1)));
        return x;
      }
      return b.load(of.dtype, p, offset, 1);
    };
    const place = (lane: number): readonly [p: Reg, offset: number] => {
      if (coef !== null && coef >= 0 && conditions.length === 0)
        return [this.pointer(buffer, of.dtype, ix), (copy * lanes + lane) * coef * bytes];
      const at = this.laneIndex(ix, copy, lane);
      return [b.addr(buffer, conditions.length > 0 ? this.clamp(at, of.size - 1) : at), 0];
    };
    return fromMemory(b, of.dtype, this.gatherLanes(single));
  }

  /** Elements ix, ix + 2, ... by two whole loads and a shuffle, if what lies between and beside them is inside the buffer. */
  private everySecond(of: Value, buffer: number, ix: Ix, copy: number): Reg | null {
    const { b, tracer } = this;
    const { lanes } = this.mode;
    // Odd neighbours of an even element come from the same two loads.
    const odd = ix.lo >= 1 && (ix.constant % 2 !== 0 || ix.hi + 1 >= of.size);
    if (!odd && ix.hi + 1 >= of.size) return null;
    const from = odd ? tracer.table.add(ix, tracer.table.constant(-1)) : ix;
    const whole = (half: number): Reg =>
      this.memo(`w${buffer}:${from.id}.${2 * copy + half}`, () => {
        const p = this.pointer(buffer, of.dtype, from);
        return b.load(of.dtype, p, (2 * copy + half) * lanes * bytesOf(of.dtype), lanes);
      });
    const picked = Array.from({ length: lanes }, (_, lane) => 2 * lane + (odd ? 1 : 0));
    return b.shuffle(whole(0), whole(1), picked);
  }

  /** A vector of `lanes` scalars. */
  private gatherLanes(single: (lane: number) => Reg): Reg {
    const { b } = this;
    const { lanes } = this.mode;
    let vector = b.splat(single(0), lanes);
    for (let lane = 1; lane < lanes; lane++) vector = b.insert(vector, lane, single(lane));
    return vector;
  }

  private offset(x: Reg, by: number): Reg {
    return by === 0 ? x : this.b.add(x, this.b.i32(by));
  }

  /** Scalar index seen by one lane of one copy. */
  private laneIndex(ix: Ix, copy: number, lane: number): Reg {
    const step = copy * this.mode.lanes + lane;
    const coef = coefficient(ix, this.lane!);
    if (coef !== null) return this.offset(this.index(ix), step * coef);
    return this.memo(`l${ix.id}.${step}`, () => {
      let sum: Reg | null = null;
      for (const { atom, coef: by } of ix.terms) sum = this.plus(sum, this.laneAtom(atom, copy, lane), by);
      return this.offset(sum!, ix.constant);
    });
  }

  private laneAtom(atom: Atom, copy: number, lane: number): Reg {
    const { b } = this;
    const step = copy * this.mode.lanes + lane;
    if (atom === this.lane) return this.offset(this.atom(atom), step);
    if (atom.kind === 'var') return this.atom(atom);
    return this.memo(`m${atom.id}.${step}`, () => {
      if (atom.kind === 'data') {
        const checked = (atom as DataAtom<CheckedIndex>).of;
        if (!this.isVector(checked.index)) return this.atom(atom);
        const vector = this.existing(this.value(checked.index, copy));
        const lanes = vector.type.scalar === 'mask' ? b.cvt('i32', vector) : vector;
        return this.check(checked, b.extract(lanes, lane));
      }
      const of = this.laneIndex(atom.of, copy, lane);
      return b.bin(atom.kind === 'div' ? 'divU' : 'remU', of, b.i32(atom.by));
    });
  }

  /** Integers with 0, which is inside of any range, in the lanes that do not exist. */
  private existing(x: Reg): Reg {
    const m = this.activeMask();
    if (!m) return x;
    return x.type.scalar === 'mask'
      ? this.b.bin('and', x, m)
      : this.b.select(m, x, this.b.const(x.type.scalar, 0, x.type.lanes));
  }

  /** An index as a vector of integers as wide as the kernel's lanes. */
  private indexVector(ix: Ix, copy: number): Reg {
    const { b } = this;
    const scalar = this.laneBytes === 8 ? 'i64' : 'i32';
    const { lanes } = this.mode;
    if (!this.dependsOnLane(ix)) return b.splat(b.cvt(scalar, this.index(ix)), lanes);
    return this.memo(`v${ix.id}.${copy}`, () => {
      const coef = coefficient(ix, this.lane!);
      if (coef === null) return this.gatherLanes(lane => b.cvt(scalar, this.laneIndex(ix, copy, lane)));
      const first = b.splat(b.cvt(scalar, this.offset(this.index(ix), copy * lanes * coef)), lanes);
      return b.add(first, this.steps(coef));
    });
  }

  /** The vector 0, coef, 2 * coef, ...; made once per kernel where `prepareSteps` was called. */
  private steps(coef: number): Reg {
    const { b } = this;
    const scalar = this.laneBytes === 8 ? 'i64' : 'i32';
    if (this.context.target.masksMemory && scalar === 'i32')
      return this.memo(`steps${coef}.${this.mode.lanes}`, () => b.iota(this.mode.lanes, coef));
    return this.memo(`steps${coef}.${this.mode.lanes}`, () =>
      this.gatherLanes(lane => b.const(scalar, scalar === 'i64' ? BigInt(lane * coef) : lane * coef)),
    );
  }

  store(of: Value, buffer: number, ix: Ix, e: Expr): void {
    const vector = this.dependsOnLane(ix);
    this.storeAt(of.dtype, buffer, ix, copy => (vector ? this.vector(e, copy) : this.value(e)));
  }

  /** Stores values (of copy u where they differ between lanes) at element `ix` of a buffer. */
  storeAt(dtype: DType, buffer: number, ix: Ix, value: (copy: number) => Reg): void {
    const { b } = this;
    const bytes = bytesOf(dtype);
    const { lanes, copies } = this.mode;
    if (!this.dependsOnLane(ix)) {
      b.store(dtype, this.pointer(buffer, dtype, ix), toMemory(b, dtype, value(0)));
      return;
    }
    const coef = coefficient(ix, this.lane!);
    for (let copy = 0; copy < copies; copy++) {
      const x = toMemory(b, dtype, value(copy));
      if (coef === 1) {
        this.storeLanes(dtype, this.pointer(buffer, dtype, ix), x, copy * lanes * bytes);
        continue;
      }
      for (let lane = 0; lane < (this.mode.active ?? lanes); lane++) {
        if (coef !== null && coef >= 0) {
          const p = this.pointer(buffer, dtype, ix);
          this.whereActive(lane, () => b.store(dtype, p, b.extract(x, lane), (copy * lanes + lane) * coef * bytes));
          continue;
        }
        const at = this.laneIndex(ix, copy, lane);
        this.whereActive(lane, () => b.store(dtype, b.addr(buffer, at), b.extract(x, lane)));
      }
    }
  }

  // ---------------------------------------------------------------------------------------------- values

  /** The expression as a vector, splat where it does not differ between lanes. */
  vector(e: Expr, copy: number): Reg {
    const { lanes } = this.mode;
    if (lanes === 1 || this.isVector(e)) return this.value(e, copy);
    return this.memo(`s${e.id}`, () => {
      if (e.kind === 'const') return constantValue(this.b, e.dtype, e.value, lanes);
      return this.b.splat(this.value(e), lanes);
    });
  }

  /** The expression's value; for copy u of the vectors where it differs between lanes. */
  value(e: Expr, copy = 0): Reg {
    return this.memo(this.key(e, copy), () => this.make(e, copy));
  }

  /** Loads element `ix` of a buffer, a vector where that differs between lanes. */
  loadAt(dtype: DType, buffer: number, ix: Ix, copy: number): Reg {
    const { b } = this;
    const { lanes } = this.mode;
    const bytes = bytesOf(dtype);
    const vector = this.dependsOnLane(ix);
    const coef = vector ? coefficient(ix, this.lane!) : 0;
    if (coef === null) throw new Error('internal: lanes of a result are not in step');
    const at = (step: number, n: number): Reg => b.load(dtype, this.pointer(buffer, dtype, ix), step * coef * bytes, n);
    if (!vector) return fromMemory(b, dtype, at(0, 1));
    if (coef === 1)
      return fromMemory(b, dtype, this.loadLanes(dtype, this.pointer(buffer, dtype, ix), copy * lanes * bytes));
    const last = (this.mode.active ?? lanes) - 1;
    return fromMemory(
      b,
      dtype,
      this.gatherLanes(lane => at(copy * lanes + Math.min(lane, last), 1)),
    );
  }

  private make(e: Expr, copy: number): Reg {
    const spilled = this.spilled.get(e);
    if (spilled) return this.loadAt(e.dtype, spilled.buffer, spilled.ix, copy);
    switch (e.kind) {
      case 'const':
        return constantValue(this.b, e.dtype, e.value);
      case 'load':
        return this.load(e, copy);
      case 'index':
        return this.indexValue(e.ix, e.dtype, this.isVector(e), copy);
      case 'guard':
        return this.guard(e, copy);
      case 'op':
        return this.operation(e, copy);
      case 'combined': {
        const vector = this.isVector(e);
        const { kind } = e.value.attrs;
        const wide = wideOf(kind, e.dtype);
        const args = e.args.map(arg => (vector ? this.vector(arg, copy) : this.value(arg)));
        const sum = args.reduce((x, y) => lowerBinary(this.b, COMBINE[kind], wide, x, y));
        return wide === e.dtype ? sum : settle(this.b, e.dtype, sum);
      }
      default:
        throw new Error(`internal: ${e.kind} of ${e.value.op} is used before it is there`);
    }
  }

  private indexValue(ix: Ix, dtype: DType, vector: boolean, copy: number): Reg {
    const { b } = this;
    if (!vector) return lowerCast(b, 'i32', dtype, this.index(ix));
    return lowerCast(b, this.laneBytes === 8 ? 'i64' : 'i32', dtype, this.indexVector(ix, copy));
  }

  private conditionMask({ ix, size }: Condition, vector: boolean, copy: number): Reg {
    const { b } = this;
    if (!vector) {
      // One unsigned comparison does for both ends.
      return b.cmp('ltU', this.index(ix), b.i32(size));
    }
    const x = this.indexVector(ix, copy);
    const { lanes } = this.mode;
    const wide = x.type.scalar === 'i64';
    const limit = b.const(x.type.scalar, wide ? BigInt(size) : size, lanes);
    const below = b.cmp('lt', x, limit);
    if (ix.lo >= 0) return below;
    const above = b.cmp('ge', x, b.const(x.type.scalar, wide ? 0n : 0, lanes));
    return ix.hi < size ? above : b.bin('and', below, above);
  }

  private guard(e: GuardExpr, copy: number): Reg {
    const { b } = this;
    const vector = this.isVector(e);
    let holds: Reg | null = null;
    for (const condition of e.conditions) {
      const m = this.memo(`c${condition.ix.id}<${condition.size}.${vector ? copy : 's'}`, () => {
        const mine = vector && this.dependsOnLane(condition.ix);
        const made = this.conditionMask(condition, mine, copy);
        return vector && !mine ? b.splat(made, this.mode.lanes) : made;
      });
      holds = holds ? b.bin('and', holds, m) : m;
    }
    const [arg] = e.args;
    const lanes = vector ? this.mode.lanes : 1;
    const x = vector ? this.vector(arg!, copy) : this.value(arg!);
    return lowerWhere(b, e.dtype, holds!, x, constantValue(b, e.dtype, e.fill, lanes));
  }

  private operation(e: OpExpr, copy: number): Reg {
    const { b } = this;
    const { value } = e;
    const vector = this.isVector(e);
    if (value.is('gather')) return this.sameElement(value, e.args, copy);
    const args = e.args.map(arg => (vector ? this.vector(arg, copy) : this.value(arg)));
    const [x, y, z] = args as [Reg, Reg, Reg];
    const from = e.args[0]!.dtype;
    if (value.is('binary') && vector && this.isShared(e)) return this.quotient(e, x);
    if (value.is('unary')) return lowerUnary(b, value.attrs.fn, from, x);
    if (value.is('binary')) return lowerBinary(b, value.attrs.fn, from, x, y);
    if (value.is('compare')) return lowerCompare(b, value.attrs.fn, from, x, y);
    if (value.is('where')) return lowerWhere(b, e.dtype, x, y, z);
    if (value.is('cast')) return lowerCast(b, from, e.dtype, x);
    if (value.is('bitcast')) return lowerBitcast(b, from, e.dtype, x);
    if (value.is('checkIndex')) return this.wrapIndex(value, x, vector);
    throw new Error(`internal: ${value.op} is not elementwise`);
  }

  /** Whether `e` divides a vector by what all of its lanes share. */
  private isShared(e: Expr): boolean {
    if (e.kind !== 'op' || !e.value.is('binary') || e.value.attrs.fn !== 'div' || e.dtype !== 'f32') return false;
    const divisor = e.args[1]!;
    return this.reciprocals && divisor.kind !== 'const' && !this.isVector(divisor);
  }

  /** Makes the reciprocals that dividing by shared values takes, here instead of inside the lane loop. */
  prepareQuotient(e: Expr): void {
    if (this.isVector(e) && this.isShared(e)) this.reciprocal((e as OpExpr).args[1]!);
  }

  /**
   * x / y as (x * s) * (1 / (y * s)), where s brings y into the middle of the range: a division of 16 lanes takes 16 cycles, two products one. At
   * most one unit more than the quotient's own half (for normal results), and what is infinite, zero or NaN stays as it is.
   */
  private quotient(e: OpExpr, x: Reg): Reg {
    const { scale, inverse } = this.reciprocal(e.args[1]!);
    return this.b.mul(this.b.mul(x, scale), inverse);
  }

  private reciprocal(divisor: Expr): { scale: Reg; inverse: Reg } {
    const { b } = this;
    const { lanes } = this.mode;
    const scale = this.memo(`scale${divisor.id}.${lanes}`, () => {
      const y = b.un('abs', this.value(divisor));
      const [one, small, large] = [1, 2 ** -64, 2 ** 64].map(x => b.const('f32', x)) as [Reg, Reg, Reg];
      const down = b.select(b.cmp('gt', y, large), small, one);
      return b.splat(b.select(b.cmp('lt', y, small), large, down), lanes);
    });
    const inverse = this.memo(`inverse${divisor.id}.${lanes}`, () => {
      const y = this.vector(divisor, 0);
      return b.bin('div', b.const('f32', 1, lanes), b.mul(y, scale));
    });
    return { scale, inverse };
  }

  /** An element that does not depend on the index, which is checked all the same. */
  private sameElement(value: Value<'gather'>, [element, index]: OpExpr['args'], copy: number): Reg {
    const { axis, what } = value.attrs;
    const checked = checkedIndex(index!, value.inputs[0]!.shape[axis]!, what);
    const x = this.value(index!, copy);
    if (this.isVector(index!)) {
      const existing = this.existing(x);
      const lanes = existing.type.scalar === 'mask' ? this.b.cvt('i32', existing) : existing;
      for (let lane = 0; lane < this.mode.lanes; lane++) this.check(checked, this.b.extract(lanes, lane));
      return this.vector(element!, copy);
    }
    this.check(checked, x);
    return this.value(element!, copy);
  }

  private wrapIndex(value: Value<'checkIndex'>, x: Reg, vector: boolean): Reg {
    if (vector) {
      const known = this.existing(x);
      return this.gatherLanes(lane => this.wrapIndex(value, this.b.extract(known, lane), false));
    }
    const { b } = this;
    const { size, what } = value.attrs;
    const scalar = x.type.scalar === 'i64' ? 'i64' : 'i32';
    const literal = (n: number): Reg => b.const(scalar, scalar === 'i64' ? BigInt(n) : n);
    const inside = b.bin('and', b.cmp('ge', x, literal(-size)), b.cmp('lt', x, literal(size)));
    this.mayFail = true;
    const site = this.context.site(what, size);
    b.if(b.un('not', inside), () => b.fail(site, b.cvt('i64', x)));
    const wrapped = b.select(b.cmp('lt', x, literal(0)), b.add(x, literal(size)), x);
    return b.select(inside, wrapped, literal(0));
  }
}

const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;
