/**
 * The microkernel: a register tile of `rows` x `vectors` accumulators swept over a block of k. One splat load per row
 * and one vector load per column vector feed rows * vectors multiply-adds. Everything it reads is linear; packing has
 * seen to the rest.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { asReg, type Extent } from './cursor.ts';
import type { AccScalar } from './spec.ts';
import type { Meanwhile } from './store.ts';

/** Where rows of A (or vectors of B) are read: element strides are known when compiling. */
export interface Stream {
  readonly dtype: DType;
  readonly from: Reg;
  /** Elements from row to row (A); B's vectors lie side by side. */
  readonly across: number;
  /** Elements from one k to the next. */
  readonly along: number;
  /**
   * Loops around rows of `rowLength` points of k (A; outermost first), where it does not step evenly through all of
   * them.
   */
  readonly rows?: readonly { readonly extent: Extent; readonly step: number }[];
  readonly rowLength?: number;
}

/** What the tiles after this one will read: asked for meanwhile, so many bytes for every trip of the loop. */
export interface Ahead {
  readonly from: Reg;
  readonly bytes: number;
}
const LINE = 64;

/** What products are summed in; `words` are pairs of bf16 that are summed in f32, where the target multiplies them. */
export type SumKind = AccScalar | 'words';

/** sum += x * y: fused for floats, exact for integers. */
export const addProduct = (b: LoopBuilder, acc: SumKind, x: Reg, y: Reg, sum: Reg): Reg => {
  if (acc === 'words') return b.dot('bf16', x, y, sum, sum);
  return acc === 'f32' || acc === 'f64' ? b.fma(x, y, sum, sum) : b.add(b.mul(x, y), sum, sum);
};

/**
 * Adds the products of `length` steps of k to `sums` (rows x vectors, mutable), `unroll` steps per trip of the loop. On
 * WebAssembly that is 1: V8 gathers the loads of a whole trip at its top, and a 6x2 tile unrolled by four then spills
 * 40 registers (41 of 62 GFLOP/s where a 3x3 tile, whose operands all fit, reaches 61).
 */
export function sweep(
  b: LoopBuilder,
  acc: SumKind,
  lanes: number,
  sums: readonly (readonly Reg[])[],
  length: Extent,
  a: Stream,
  c: Stream,
  unroll: number,
  ahead: Ahead | null = null,
  meanwhile: Meanwhile | null = null,
): void {
  const cAt = b.copy(c.from);
  const next = ahead && { ...ahead, from: b.copy(ahead.from) };
  if (meanwhile && a.rows) b.for(0, meanwhile.times, 1, meanwhile.each);
  const descend = (level: number, from: Reg): void => {
    const row = a.rows?.[level];
    if (!row) {
      sweepRow(
        b,
        acc,
        lanes,
        sums,
        a.rowLength ?? length,
        { ...a, from },
        { ...c, from: cAt },
        unroll,
        next,
        a.rows ? null : meanwhile,
      );
      return;
    }
    const at = b.copy(from);
    b.for(0, row.extent, 1, () => {
      descend(level + 1, at);
      b.advance(at, b.i32(row.step), bytesOf(a.dtype), at);
    });
  };
  descend(0, a.from);
}

/** The same for points of k that both step evenly through; moves `c.from` (and `ahead.from`) behind them. */
function sweepRow(
  b: LoopBuilder,
  acc: SumKind,
  lanes: number,
  sums: readonly (readonly Reg[])[],
  length: Extent,
  a: Stream,
  c: Stream,
  unroll: number,
  ahead: Ahead | null,
  meanwhile: Meanwhile | null,
): void {
  const aAt = b.copy(a.from);
  const cAt = c.from;
  const one = b.i32(1);
  const aBytes = bytesOf(a.dtype);
  const cBytes = bytesOf(c.dtype);
  const vectors = sums[0]!.length;
  const trip = (steps: number): void => {
    if (ahead && steps === unroll) {
      for (let at = 0; at < ahead.bytes; at += LINE) b.prefetch(ahead.from, at, false);
      b.advance(ahead.from, one, ahead.bytes, ahead.from);
    }
    for (let k = 0; k < steps; k++) {
      const row = (r: number): Reg => b.splat(b.load(a.dtype, aAt, (k * a.along + r * a.across) * aBytes), lanes);
      const column = (v: number): Reg => b.load(c.dtype, cAt, (k * c.along + v * lanes) * cBytes, lanes);
      // The shorter side is held in registers.
      if (vectors <= sums.length) {
        const held = Array.from({ length: vectors }, (_, v) => column(v));
        sums.forEach((tile, r) => {
          const x = row(r);
          tile.forEach((sum, v) => {
            addProduct(b, acc, x, held[v]!, sum);
          });
        });
      } else {
        const held = sums.map((_, r) => row(r));
        for (let v = 0; v < vectors; v++) {
          const y = column(v);
          sums.forEach((tile, r) => {
            addProduct(b, acc, held[r]!, y, tile[v]!);
          });
        }
      }
    }
    b.advance(aAt, one, steps * a.along * aBytes, aAt);
    b.advance(cAt, one, steps * c.along * cBytes, cAt);
  };
  const whole =
    typeof length === 'number'
      ? length - (length % unroll)
      : unroll === 1
        ? length
        : b.bin('and', length, b.i32(-unroll));
  if (whole !== 0 && meanwhile) {
    // Parts of the same length, the last with what is left, so that what was asked for last has time to come as well.
    const { times, each } = meanwhile;
    const part =
      typeof whole === 'number'
        ? b.i32(Math.floor(whole / unroll / times) * unroll)
        : b.mul(b.bin('divU', whole, b.i32(unroll * times)), b.i32(unroll));
    b.for(0, times, 1, i => {
      each(i);
      const from = b.mul(i, part);
      const until = b.select(b.cmp('eq', i, b.i32(times - 1)), asReg(b, whole), b.add(from, part));
      b.for(from, until, unroll, () => trip(unroll));
    });
  } else if (whole === unroll) trip(unroll);
  else if (whole !== 0) b.for(0, whole, unroll, () => trip(unroll));
  if (unroll > 1 && whole !== length) b.for(whole, length, 1, () => trip(1));
}
