/**
 * Loads and stores at index expressions: pointers that outer loops share, vectors of neighbours, of every second
 * or n-th element or gathered, and lanes that may not exist. Imports level 1 and the loop IR.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { LoadExpr } from '../expr.ts';
import type { Value } from '../flow.ts';
import { coefficient, type Ix } from '../index-expr.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { fromMemory, toMemory } from '../math/index.ts';
import { everyNth } from '../strides.ts';
import type { Indices } from './indices.ts';
import type { Walk } from './walk.ts';

export class Memory {
  /** Buffers that whole vectors are stored to past the caches. */
  past: ReadonlySet<number> = new Set();
  private readonly walk: Walk;
  private readonly indices: Indices;
  private readonly bufferOf: (value: Value) => number;

  constructor(walk: Walk, indices: Indices, bufferOf: (value: Value) => number) {
    this.walk = walk;
    this.indices = indices;
    this.bufferOf = bufferOf;
  }

  /** Pointer to element `ix` (of lane 0 of copy 0) of a buffer. */
  pointer(buffer: number, dtype: DType, ix: Ix): Reg {
    return this.walk.memo(`p${buffer}:${ix.id}`, () => {
      const { b } = this.walk;
      if (ix.terms.length === 0) return b.addr(buffer, ix.constant === 0 ? null : b.i32(ix.constant));
      const level = this.indices.levelOf(ix);
      const before = this.indices.prefix(ix, level - 1);
      if (before.terms.length === 0 && this.walk.recall(`p${buffer}:${before.id}`) === undefined)
        return b.addr(buffer, this.indices.index(ix));
      const base = this.pointer(buffer, dtype, before);
      const top = ix.terms.filter(({ atom }) => this.indices.atomLevel(atom) === level);
      const bytes = bytesOf(dtype);
      if (top.length === 1 && top[0]!.coef > 0)
        return b.advance(base, this.indices.atom(top[0]!.atom), top[0]!.coef * bytes);
      let sum: Reg | null = null;
      for (const { atom, coef } of top) sum = this.indices.plus(sum, this.indices.atom(atom), coef);
      return b.advance(base, sum!, bytes);
    });
  }

  /** Loads what an expression reads, a vector where that differs between lanes. */
  load(e: LoadExpr, copy: number): Reg {
    const { b } = this.walk;
    const { of, ix, conditions } = e;
    const buffer = this.bufferOf(of);
    const bytes = bytesOf(of.dtype);
    const { lanes } = this.walk.mode;
    if (!this.walk.isVector(e)) {
      if (conditions.length > 0) return this.loadElements(of, this.clamp(this.indices.index(ix), of.size - 1), 1);
      return fromMemory(b, of.dtype, b.load(of.dtype, this.pointer(buffer, of.dtype, ix), 0, 1));
    }
    const coef = coefficient(ix, this.walk.lane!);
    const laneGuards = conditions.some(c => this.walk.dependsOnLane(c.ix));
    if (coef === 1 && conditions.length === 0 && (of.size >= lanes || this.walk.partial))
      return fromMemory(
        b,
        of.dtype,
        this.loadLanes(of.dtype, this.pointer(buffer, of.dtype, ix), copy * lanes * bytes),
      );
    if (coef === 1 && !laneGuards && of.size >= lanes && !this.walk.partial) {
      const start = this.indices.offset(this.indices.index(ix), copy * lanes);
      return this.loadElements(of, this.clamp(start, of.size - lanes), lanes);
    }
    if (coef === 2 && conditions.length === 0 && !this.walk.partial) {
      const pair = this.everySecond(of, buffer, ix, copy);
      if (pair) return fromMemory(b, of.dtype, pair);
    }
    if (coef !== null && conditions.length === 0 && this.shuffles(coef)) {
      const p = this.pointer(buffer, of.dtype, ix);
      const at = (offset: number): Reg => b.load(of.dtype, p, (copy * lanes * coef + offset) * bytes, lanes);
      return fromMemory(b, of.dtype, everyNth(b, coef, lanes, at));
    }
    if (
      this.gathers(of.dtype) &&
      (coef !== null || conditions.length > 0 || this.walk.partial || this.indices.isSumOfLanes(ix))
    ) {
      const mask = this.walk.activeMask();
      if (coef !== null && conditions.length === 0) {
        const p = this.pointer(buffer, of.dtype, ix);
        const from = copy === 0 ? p : b.advance(p, b.i32(copy * lanes * coef), bytes);
        return b.gather(of.dtype, from, this.indices.steps(coef), mask);
      }
      const at = this.indices.indexVector(ix, copy);
      if (conditions.length === 0) return b.gather(of.dtype, b.addr(buffer), at, mask);
      const low = b.bin('max', at, b.const('i32', 0, lanes));
      return b.gather(of.dtype, b.addr(buffer), b.bin('min', low, b.const('i32', of.size - 1, lanes)), mask);
    }
    const last = (this.walk.mode.active ?? lanes) - 1;
    const single = (any: number): Reg => {
      // Lanes that do not exist repeat one that does.
      const lane = Math.min(any, last);
      // Addresses are remembered, so they are computed where every lane sees them.
      const [p, offset] = place(lane);
      if (this.walk.mode.mask) {
        const x = b.copy(b.const(registerScalar(of.dtype), of.dtype === 'i64' ? 0n : 0));
        this.walk.whereActive(lane, () => b.load(of.dtype, p, offset, 1, x));
        return x;
      }
      return b.load(of.dtype, p, offset, 1);
    };
    const place = (lane: number): readonly [p: Reg, offset: number] => {
      if (coef !== null && coef >= 0 && conditions.length === 0)
        return [this.pointer(buffer, of.dtype, ix), (copy * lanes + lane) * coef * bytes];
      const at = this.indices.laneIndex(ix, copy, lane);
      return [b.addr(buffer, conditions.length > 0 ? this.clamp(at, of.size - 1) : at), 0];
    };
    return fromMemory(b, of.dtype, this.walk.gather(single));
  }

  /**
   * Elements ix, ix + 2, ... by two whole loads and a shuffle, if what lies between and beside them is inside the
   * buffer.
   */
  private everySecond(of: Value, buffer: number, ix: Ix, copy: number): Reg | null {
    const { b, tracer } = this.walk;
    const { lanes } = this.walk.mode;
    // Odd neighbours of an even element come from the same two loads.
    const odd = ix.lo >= 1 && (ix.constant % 2 !== 0 || ix.hi + 1 >= of.size);
    if (!odd && ix.hi + 1 >= of.size) return null;
    const from = odd ? tracer.table.add(ix, tracer.table.constant(-1)) : ix;
    const whole = (half: number): Reg =>
      this.walk.memo(`w${buffer}:${from.id}.${2 * copy + half}`, () => {
        const p = this.pointer(buffer, of.dtype, from);
        return b.load(of.dtype, p, (2 * copy + half) * lanes * bytesOf(of.dtype), lanes);
      });
    const picked = Array.from({ length: lanes }, (_, lane) => 2 * lane + (odd ? 1 : 0));
    return b.shuffle(whole(0), whole(1), picked);
  }

  /** Loads element `ix` of a buffer, a vector where that differs between lanes. */
  loadAt(dtype: DType, buffer: number, ix: Ix, copy: number): Reg {
    const { b } = this.walk;
    const { lanes } = this.walk.mode;
    const bytes = bytesOf(dtype);
    const vector = this.walk.dependsOnLane(ix);
    const coef = vector ? coefficient(ix, this.walk.lane!) : 0;
    if (coef === null) throw new Error('internal: lanes of a result are not in step');
    const at = (step: number, n: number): Reg => b.load(dtype, this.pointer(buffer, dtype, ix), step * coef * bytes, n);
    if (!vector) return fromMemory(b, dtype, at(0, 1));
    if (coef === 1)
      return fromMemory(b, dtype, this.loadLanes(dtype, this.pointer(buffer, dtype, ix), copy * lanes * bytes));
    const last = (this.walk.mode.active ?? lanes) - 1;
    return fromMemory(
      b,
      dtype,
      this.walk.gather(lane => at(copy * lanes + Math.min(lane, last), 1)),
    );
  }

  /** Stores values (of copy u where they differ between lanes) at element `ix` of a buffer. */
  storeAt(dtype: DType, buffer: number, ix: Ix, value: (copy: number) => Reg): void {
    const { b } = this.walk;
    const bytes = bytesOf(dtype);
    const { lanes, copies } = this.walk.mode;
    if (!this.walk.dependsOnLane(ix)) {
      b.store(dtype, this.pointer(buffer, dtype, ix), toMemory(b, dtype, value(0)));
      return;
    }
    const coef = coefficient(ix, this.walk.lane!);
    for (let copy = 0; copy < copies; copy++) {
      const x = toMemory(b, dtype, value(copy));
      if (coef === 1) {
        this.storeLanes(dtype, buffer, this.pointer(buffer, dtype, ix), x, copy * lanes * bytes);
        continue;
      }
      for (let lane = 0; lane < (this.walk.mode.active ?? lanes); lane++) {
        if (coef !== null && coef >= 0) {
          const p = this.pointer(buffer, dtype, ix);
          this.walk.whereActive(lane, () =>
            b.store(dtype, p, b.extract(x, lane), (copy * lanes + lane) * coef * bytes),
          );
          continue;
        }
        const at = this.indices.laneIndex(ix, copy, lane);
        this.walk.whereActive(lane, () => b.store(dtype, b.addr(buffer, at), b.extract(x, lane)));
      }
    }
  }

  private loadElements(of: Value, index: Reg, lanes: number): Reg {
    return fromMemory(
      this.walk.b,
      of.dtype,
      this.walk.b.load(of.dtype, this.walk.b.addr(this.bufferOf(of), index), 0, lanes),
    );
  }

  private clamp(index: Reg, last: number): Reg {
    const { b } = this.walk;
    return b.bin('min', b.bin('max', index, b.i32(0)), b.i32(last));
  }

  /** Whether lanes of `dtype` can be read from addresses of their own in one instruction. */
  private gathers(dtype: DType): dtype is 'f32' | 'i32' {
    return (
      this.walk.context.target.masksMemory === true && this.walk.laneBytes === 4 && (dtype === 'f32' || dtype === 'i32')
    );
  }

  /** Whether lanes `step` elements apart are loaded with what lies between them. */
  private shuffles(step: number): boolean {
    const { target } = this.walk.context;
    const { lanes } = this.walk.mode;
    const whole = this.walk.laneBytes === 4 && lanes * 4 === target.vectorBytes && !this.walk.partial;
    return target.shufflesStrides === true && whole && step > 1 && step <= lanes;
  }

  /** A vector load of which only the lanes that exist touch memory. */
  private loadLanes(dtype: DType, p: Reg, offset: number): Reg {
    const m = this.walk.activeMask();
    return m ? this.walk.b.loadMasked(dtype, p, m, offset) : this.walk.b.load(dtype, p, offset, this.walk.mode.lanes);
  }

  private storeLanes(dtype: DType, buffer: number, p: Reg, x: Reg, offset: number): void {
    const m = this.walk.activeMask();
    if (m) this.walk.b.storeMasked(dtype, p, x, m, offset);
    else if (this.past.has(buffer)) this.walk.b.storePast(dtype, p, x, offset);
    else this.walk.b.store(dtype, p, x, offset);
  }
}
