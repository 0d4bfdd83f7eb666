/**
 * Expressions to instructions at one place of a loop nest, scalar or in vectors along one variable: operations here,
 * where elements are and how they are read in `indices.ts` and `memory.ts`. Imports level 1 and the loop IR; decides
 * nothing about loops.
 */
import { type DType, isFloat } from '../../graph/dtype.ts';
import type { Expr, GuardExpr, OpExpr, Tracer } from '../expr.ts';
import type { Value } from '../flow.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import {
  constantValue,
  lowerBinary,
  lowerBitcast,
  lowerCast,
  lowerCompare,
  lowerUnary,
  lowerWhere,
  settle,
  toMemory,
} from '../math/index.ts';
import { COMBINE, wideOf } from './accumulator.ts';
import type { ProgramContext } from './context.ts';
import { Indices } from './indices.ts';
import { Memory } from './memory.ts';
import { Walk } from './walk.ts';

export class Emitter extends Walk {
  readonly indices: Indices;
  readonly memory: Memory;
  /** Whether dividing by what all lanes share is multiplying by its reciprocal: where rows are long. */
  reciprocals = false;
  /** Conditions that are known here. */
  readonly decided = new Map<Expr, boolean>();
  /** Expressions an earlier pass has put into memory, at the element given and as values of that type. */
  spilled = new Map<Expr, { readonly buffer: number; readonly ix: Ix; readonly dtype: DType }>();

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
    super(b, context, tracer, lane, laneBytes);
    this.indices = new Indices(this, (e, copy) => this.value(e, copy), order);
    this.memory = new Memory(this, this.indices, bufferOf);
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

  /** Stores an expression's values at element `ix` of a buffer. */
  store(dtype: DType, buffer: number, ix: Ix, e: Expr): void {
    const vector = this.dependsOnLane(ix);
    this.memory.storeAt(dtype, buffer, ix, copy => (vector ? this.vector(e, copy) : this.value(e)));
  }

  /** The same at a row that is loaded: nothing is stored where `index` is none of `rows`. */
  storeAtRow(
    dtype: DType,
    buffer: number,
    ix: Ix,
    e: Expr,
    row: { readonly index: Expr; readonly rows: number },
  ): void {
    const { b } = this;
    const isRow = (index: Reg): Reg => b.cmp('ltU', index, b.i32(row.rows));
    if (!this.isVector(row.index)) {
      // Addresses and values are remembered, so they are there before anything depends on the row.
      this.memory.pointer(buffer, dtype, ix);
      b.if(isRow(this.value(row.index)), () => this.scoped(() => this.store(dtype, buffer, ix, e)));
      return;
    }
    const { lanes, copies, active } = this.mode;
    for (let copy = 0; copy < copies; copy++) {
      const [values, indices] = [toMemory(b, dtype, this.vector(e, copy)), this.value(row.index, copy)];
      for (let lane = 0; lane < (active ?? lanes); lane++) {
        const p = b.addr(buffer, this.indices.laneIndex(ix, copy, lane));
        this.whereActive(lane, () =>
          b.if(isRow(b.extract(indices, lane)), () => b.store(dtype, p, b.extract(values, lane))),
        );
      }
    }
  }

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

  private make(e: Expr, copy: number): Reg {
    const spilled = this.spilled.get(e);
    if (spilled) return this.memory.loadAt(spilled.dtype, spilled.buffer, spilled.ix, copy);
    switch (e.kind) {
      case 'const':
        return constantValue(this.b, e.dtype, e.value);
      case 'load':
        return this.memory.load(e, copy);
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
    if (!vector) return lowerCast(b, 'i32', dtype, this.indices.index(ix));
    return lowerCast(b, this.laneBytes === 8 ? 'i64' : 'i32', dtype, this.indices.indexVector(ix, copy));
  }

  private guard(e: GuardExpr, copy: number): Reg {
    const { b } = this;
    const vector = this.isVector(e);
    let holds: Reg | null = null;
    for (const condition of e.conditions) {
      const m = this.memo(`c${condition.ix.id}<${condition.size}.${vector ? copy : 's'}`, () => {
        const mine = vector && this.dependsOnLane(condition.ix);
        const made = this.indices.conditionMask(condition, mine, copy);
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
    if (value.op === 'gather') {
      const [element, index] = e.args as [Expr, Expr];
      this.indices.checkOnly(value as Value<'gather'>, index, copy);
      return vector ? this.vector(element, copy) : this.value(element);
    }
    const holds = value.op === 'where' ? this.decided.get(e.args[0]!) : undefined;
    if (holds !== undefined) {
      const chosen = e.args[holds ? 1 : 2]!;
      return vector ? this.vector(chosen, copy) : this.value(chosen);
    }
    const limit = limitOf(e);
    if (limit) {
      const [x, bound] = limit.args.map(arg => (vector ? this.vector(arg, copy) : this.value(arg))) as [Reg, Reg];
      return b.bin(limit.fn, x, bound);
    }
    const args = e.args.map(arg => (vector ? this.vector(arg, copy) : this.value(arg)));
    const [x, y, z] = args as [Reg, Reg, Reg];
    const from = e.args[0]!.dtype;
    switch (value.op) {
      case 'unary':
        return lowerUnary(b, (value as Value<'unary'>).attrs.fn, from, x);
      case 'binary':
        if (vector && this.isShared(e)) return this.quotient(e, x);
        return lowerBinary(b, (value as Value<'binary'>).attrs.fn, from, x, y);
      case 'compare':
        return lowerCompare(b, (value as Value<'compare'>).attrs.fn, from, x, y);
      case 'where':
        return lowerWhere(b, e.dtype, x, y, z);
      case 'cast':
        return lowerCast(b, from, e.dtype, x);
      case 'bitcast':
        return lowerBitcast(b, from, e.dtype, x);
      case 'checkIndex':
        return this.indices.wrapIndex(value as Value<'checkIndex'>, x, vector);
      default:
        throw new Error(`internal: ${value.op} is not elementwise`);
    }
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
   * x / y as (x * s) * (1 / (y * s)), where s brings y into the middle of the range: a division of 16 lanes takes 16
   * cycles, two products one. At most one unit more than the quotient's own half (for normal results), and what is
   * infinite, zero or NaN stays as it is.
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
}

/**
 * The limit that `x <= c ? c : x` and its like put on floats: one instruction each, which leaves NaN as it is, too. Not
 * where x = c makes a difference: -0 stays -0 there.
 */
function limitOf(e: OpExpr): { readonly fn: 'pmin' | 'pmax'; readonly args: readonly [Expr, Expr] } | null {
  if (e.value.op !== 'where' || !isFloat(e.dtype)) return null;
  const [condition, bound, x] = e.args;
  if (condition?.kind !== 'op' || !condition.value.is('compare')) return null;
  const { fn } = condition.value.attrs;
  const [left, right] = condition.args as readonly [Expr, Expr];
  const isBound = (arg: Expr): boolean => bound?.kind === 'const' && arg.kind === 'const' && arg.value === bound.value;
  if (fn === 'eq' || !x || !bound || (fn === 'le' && isZero(bound))) return null;
  if (left === x && isBound(right)) return { fn: 'pmax', args: [x, bound] };
  return right === x && isBound(left) ? { fn: 'pmin', args: [x, bound] } : null;
}

const isZero = (e: Expr): boolean => e.kind === 'const' && Number(e.value) === 0;
