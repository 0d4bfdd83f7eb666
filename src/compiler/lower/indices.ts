/**
 * Index expressions to integer instructions, scalar or one per lane: sums are built so that what outer loops determine
 * is shared, and indices that were loaded are brought inside their range. Imports level 1 and the loop IR.
 */
import { type CheckedIndex, checkedIndex, type Expr } from '../expr.ts';
import type { Value } from '../flow.ts';
import { type Atom, coefficient, type DataAtom, type Ix, type VarAtom } from '../index-expr.ts';
import type { Reg } from '../loops.ts';
import type { Condition } from '../views.ts';
import type { Walk } from './walk.ts';

export class Indices {
  /** Whether an index that was loaded may be outside. */
  mayFail = false;
  private readonly walk: Walk;
  /** Value of an expression, for indices that are loaded. */
  private readonly value: (e: Expr, copy?: number) => Reg;
  private readonly levels: ReadonlyMap<VarAtom, number>;

  /** `order`: variables, outermost loop first. */
  constructor(walk: Walk, value: (e: Expr, copy?: number) => Reg, order: readonly VarAtom[]) {
    this.walk = walk;
    this.value = value;
    this.levels = new Map(order.map((v, i) => [v, i]));
  }

  atomLevel(atom: Atom): number {
    if (atom.kind === 'var') return this.levels.get(atom) ?? -1;
    if (atom.kind === 'data') return atom.vars.reduce((level, v) => Math.max(level, this.levels.get(v) ?? -1), -1);
    return atom.of.terms.reduce((level, { atom: inner }) => Math.max(level, this.atomLevel(inner)), -1);
  }

  /** Deepest loop that an index depends on; -1 for constants. */
  levelOf(ix: Ix): number {
    return ix.terms.reduce((level, { atom }) => Math.max(level, this.atomLevel(atom)), -1);
  }

  /** The part of an index that loops up to `level` determine (with the constant). */
  prefix(ix: Ix, level: number): Ix {
    const kept = ix.terms.filter(({ atom }) => this.atomLevel(atom) <= level);
    if (kept.length === ix.terms.length) return ix;
    return this.walk.tracer.table.sum(
      kept.map(({ atom, coef }) => [this.walk.tracer.table.ofAtom(atom), coef] as const),
      ix.constant,
    );
  }

  /** Whether an index advances by the same amount from lane to lane (0 included). */
  walksLanes(ix: Ix): boolean {
    return !this.walk.dependsOnLane(ix) || coefficient(ix, this.walk.lane!) !== null;
  }

  /** Scalar i32 value of an index (of lane 0 of copy 0). */
  index(ix: Ix): Reg {
    return this.walk.memo(`i${ix.id}`, () => {
      if (ix.terms.length === 0) return this.walk.b.i32(ix.constant);
      const level = this.levelOf(ix);
      const before = this.prefix(ix, level - 1);
      let sum: Reg | null = null;
      if (before.terms.length > 0) sum = this.index(before);
      for (const { atom, coef } of ix.terms) {
        if (before.terms.length > 0 && this.atomLevel(atom) < level) continue;
        sum = this.plus(sum, this.atom(atom), coef);
      }
      if (before.terms.length === 0 && ix.constant !== 0) sum = this.walk.b.add(sum!, this.walk.b.i32(ix.constant));
      return sum!;
    });
  }

  plus(sum: Reg | null, x: Reg, coef: number): Reg {
    const { b } = this.walk;
    if (coef === -1 && sum) return b.sub(sum, x);
    const term = coef === 1 ? x : isPowerOfTwo(coef) ? b.bin('shl', x, b.i32(Math.log2(coef))) : b.mul(x, b.i32(coef));
    return sum ? b.add(sum, term) : term;
  }

  atom(atom: Atom): Reg {
    const { b } = this.walk;
    if (atom.kind === 'var') return this.walk.varReg(atom);
    return this.walk.memo(`a${atom.id}`, () => {
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
    if (this.walk.isVector(checked.index)) throw new Error('internal: a loaded index differs between lanes');
    return this.check(checked, this.value(checked.index));
  }

  private check({ size, what, index }: CheckedIndex, x: Reg): Reg {
    const { b } = this.walk;
    const narrow = (): Reg =>
      index.dtype === 'bool' ? b.cvt('i32', x) : x.type.scalar === 'i64' ? b.cvt('i32', x) : x;
    if (what === null) return narrow();
    const wide = x.type.scalar === 'i64';
    const low = b.cmp('ge', x, wide ? b.const('i64', 0n) : b.i32(0));
    const high = b.cmp('lt', x, wide ? b.const('i64', BigInt(size)) : b.i32(size));
    const inside = b.bin('and', low, high);
    this.failUnless(inside, what, size, x);
    return b.select(inside, narrow(), b.i32(0));
  }

  private failUnless(inside: Reg, what: string, size: number, x: Reg): void {
    const { b, context } = this.walk;
    this.mayFail = true;
    const site = context.site(what, size);
    b.if(b.un('not', inside), () => b.fail(site, b.cvt('i64', x)));
  }

  /** Positions counted from the end where they are negative; 0 where they are outside, which fails. */
  wrapIndex(value: Value<'checkIndex'>, x: Reg, vector: boolean): Reg {
    if (vector) {
      const known = this.existing(x);
      return this.walk.gather(lane => this.wrapIndex(value, this.walk.b.extract(known, lane), false));
    }
    const { b } = this.walk;
    const { size, what } = value.attrs;
    const scalar = x.type.scalar === 'i64' ? 'i64' : 'i32';
    const literal = (n: number): Reg => b.const(scalar, scalar === 'i64' ? BigInt(n) : n);
    const inside = b.bin('and', b.cmp('ge', x, literal(-size)), b.cmp('lt', x, literal(size)));
    this.failUnless(inside, what, size, x);
    const wrapped = b.select(b.cmp('lt', x, literal(0)), b.add(x, literal(size)), x);
    return b.select(inside, wrapped, literal(0));
  }

  /** Scalar index seen by one lane of one copy. */
  laneIndex(ix: Ix, copy: number, lane: number): Reg {
    const step = copy * this.walk.mode.lanes + lane;
    const coef = coefficient(ix, this.walk.lane!);
    if (coef !== null) return this.offset(this.index(ix), step * coef);
    return this.walk.memo(`l${ix.id}.${step}`, () => {
      let sum: Reg | null = null;
      for (const { atom, coef: by } of ix.terms) sum = this.plus(sum, this.laneAtom(atom, copy, lane), by);
      return this.offset(sum!, ix.constant);
    });
  }

  private laneAtom(atom: Atom, copy: number, lane: number): Reg {
    const { b } = this.walk;
    const step = copy * this.walk.mode.lanes + lane;
    if (atom === this.walk.lane) return this.offset(this.atom(atom), step);
    if (atom.kind === 'var') return this.atom(atom);
    return this.walk.memo(`m${atom.id}.${step}`, () => {
      if (atom.kind === 'data') {
        const checked = (atom as DataAtom<CheckedIndex>).of;
        if (!this.walk.isVector(checked.index)) return this.atom(atom);
        return this.check(checked, b.extract(this.loadedLanes(checked, copy), lane));
      }
      const of = this.laneIndex(atom.of, copy, lane);
      return b.bin(atom.kind === 'div' ? 'divU' : 'remU', of, b.i32(atom.by));
    });
  }

  /** The index of a gather whose element does not depend on it: it must be in range all the same. */
  checkOnly(gather: Value<'gather'>, index: Expr, copy: number): void {
    const { b, mode } = this.walk;
    const { axis, what } = gather.attrs;
    const checked = checkedIndex(index, gather.inputs[0]!.shape[axis]!, what);
    if (!this.walk.isVector(index)) this.checked(checked);
    else
      for (let lane = 0; lane < mode.lanes; lane++)
        this.check(checked, b.extract(this.loadedLanes(checked, copy), lane));
  }

  /** Loaded indices that differ between lanes. */
  private loadedLanes({ index }: CheckedIndex, copy: number): Reg {
    const vector = this.existing(this.value(index, copy));
    return vector.type.scalar === 'mask' ? this.walk.b.cvt('i32', vector) : vector;
  }

  /** Integers with 0, which is inside of any range, in the lanes that do not exist. */
  private existing(x: Reg): Reg {
    const m = this.walk.activeMask();
    if (!m) return x;
    return x.type.scalar === 'mask'
      ? this.walk.b.bin('and', x, m)
      : this.walk.b.select(m, x, this.walk.b.const(x.type.scalar, 0, x.type.lanes));
  }

  /** An index as a vector of integers as wide as the kernel's lanes. */
  indexVector(ix: Ix, copy: number): Reg {
    const { b } = this.walk;
    const scalar = this.walk.laneBytes === 8 ? 'i64' : 'i32';
    const { lanes } = this.walk.mode;
    if (!this.walk.dependsOnLane(ix)) return b.splat(b.cvt(scalar, this.index(ix)), lanes);
    return this.walk.memo(`v${ix.id}.${copy}`, () => {
      const coef = coefficient(ix, this.walk.lane!);
      if (coef === null && this.isSumOfLanes(ix)) return this.sumOfLanes(ix, copy);
      if (coef === null) return this.walk.gather(lane => b.cvt(scalar, this.laneIndex(ix, copy, lane)));
      const first = b.splat(b.cvt(scalar, this.offset(this.index(ix), copy * lanes * coef)), lanes);
      return b.add(first, this.steps(coef));
    });
  }

  /**
   * Whether an index is made of whole vectors where it differs between lanes: of indices that are loaded, and the lanes
   * themselves.
   */
  isSumOfLanes(ix: Ix): boolean {
    const { context, laneBytes, mode } = this.walk;
    if (context.target.masksMemory !== true || laneBytes !== 4 || mode.lanes === 1) return false;
    return ix.terms.every(({ atom }) => {
      if (atom.kind === 'var') return true;
      if (atom.kind !== 'data') return !this.walk.dependsOnLane(this.walk.tracer.table.ofAtom(atom));
      return (atom as DataAtom<CheckedIndex>).of.index.dtype === 'i32';
    });
  }

  private sumOfLanes(ix: Ix, copy: number): Reg {
    const { b, lane, mode, tracer } = this.walk;
    const { lanes } = mode;
    const { table } = tracer;
    const differs = (atom: Atom): boolean => atom !== lane && this.walk.dependsOnLane(table.ofAtom(atom));
    const shared = table.sum(
      ix.terms.filter(({ atom }) => !differs(atom)).map(({ atom, coef }) => [table.ofAtom(atom), coef] as const),
      ix.constant,
    );
    let sum = this.indexVector(shared, copy);
    for (const { atom, coef } of ix.terms) {
      if (!differs(atom)) continue;
      const own = this.checkedLanes((atom as DataAtom<CheckedIndex>).of, copy);
      sum = b.add(sum, coef === 1 ? own : b.mul(own, b.const('i32', coef, lanes)));
    }
    return sum;
  }

  /**
   * Loaded indices of all lanes, inside their range: one comparison for all of them, and lane by lane only where one is
   * not.
   */
  private checkedLanes(checked: CheckedIndex, copy: number): Reg {
    const { b, mode } = this.walk;
    const x = this.loadedLanes(checked, copy);
    if (checked.what === null) return x;
    const zero = b.const('i32', 0, mode.lanes);
    const below = b.cmp('lt', x, b.const('i32', checked.size, mode.lanes));
    const inside = b.bin('and', below, b.cmp('ge', x, zero));
    b.if(b.anyTrue(b.un('not', inside)), () => {
      for (let lane = 0; lane < mode.lanes; lane++) this.check(checked, b.extract(x, lane));
    });
    return b.select(inside, x, zero);
  }

  /** The vector 0, coef, 2 * coef, ... */
  steps(coef: number): Reg {
    const { b } = this.walk;
    const scalar = this.walk.laneBytes === 8 ? 'i64' : 'i32';
    if (this.walk.context.target.masksMemory && scalar === 'i32')
      return this.walk.memo(`steps${coef}.${this.walk.mode.lanes}`, () => b.iota(this.walk.mode.lanes, coef));
    return this.walk.memo(`steps${coef}.${this.walk.mode.lanes}`, () =>
      this.walk.gather(lane => b.const(scalar, scalar === 'i64' ? BigInt(lane * coef) : lane * coef)),
    );
  }

  conditionMask({ ix, size }: Condition, vector: boolean, copy: number): Reg {
    const { b } = this.walk;
    if (!vector) {
      // One unsigned comparison does for both ends.
      return b.cmp('ltU', this.index(ix), b.i32(size));
    }
    const x = this.indexVector(ix, copy);
    const { lanes } = this.walk.mode;
    const wide = x.type.scalar === 'i64';
    const limit = b.const(x.type.scalar, wide ? BigInt(size) : size, lanes);
    const below = b.cmp('lt', x, limit);
    if (ix.lo >= 0) return below;
    const above = b.cmp('ge', x, b.const(x.type.scalar, wide ? 0n : 0, lanes));
    return ix.hi < size ? above : b.bin('and', below, above);
  }

  offset(x: Reg, by: number): Reg {
    return by === 0 ? x : this.walk.b.add(x, this.walk.b.i32(by));
  }
}

const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;
