/**
 * The microkernel: a register tile of `rows` x `vectors` accumulators swept over a block of k. One splat load per row and one vector load per
 * column vector feed rows * vectors multiply-adds. Everything it reads is linear; packing has seen to the rest.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { LoopBuilder, Reg } from '../loops.ts';
import type { Extent } from './cursor.ts';
import type { AccScalar } from './spec.ts';

/** Where rows of A (or vectors of B) are read: element strides are known when compiling. */
export interface Stream {
  readonly dtype: DType;
  readonly from: Reg;
  /** Elements from row to row (A); B's vectors lie side by side. */
  readonly across: number;
  /** Elements from one k to the next. */
  readonly along: number;
  /** Loops around rows of `rowLength` points of k (A; outermost first), where it does not step evenly through all of them. */
  readonly rows?: readonly { readonly extent: Extent; readonly step: number }[];
  readonly rowLength?: number;
}

/** What the tiles after this one will read: asked for meanwhile, so many bytes for every trip of the loop. */
export interface Ahead {
  readonly from: Reg;
  readonly bytes: number;
  /** Whether they will be written too. */
  readonly written?: boolean;
}
const LINE = 64;

/** a * b + c: fused for floats, exact for integers. */
export const multiplyAdd = (b: LoopBuilder, acc: AccScalar, x: Reg, y: Reg, c: Reg): Reg =>
  acc === 'f32' || acc === 'f64' ? b.fma(x, y, c) : b.add(b.mul(x, y), c);

/**
 * Adds the products of `length` steps of k to `sums` (rows x vectors, mutable), `unroll` steps per trip of the loop. On WebAssembly that is 1: V8
 * gathers the loads of a whole trip at its top, and a 6x2 tile unrolled by four then spills 40 registers (41 of 62 GFLOP/s where
 * a 3x3 tile, whose operands all fit, reaches 61).
 */
export function sweep(
  b: LoopBuilder,
  acc: AccScalar,
  lanes: number,
  sums: readonly (readonly Reg[])[],
  length: Extent,
  a: Stream,
  c: Stream,
  unroll: number,
  ahead: readonly Ahead[] = [],
): void {
  const cAt = b.copy(c.from);
  const next = ahead.map(stream => ({ ...stream, from: b.copy(stream.from) }));
  const descend = (level: number, from: Reg): void => {
    const row = a.rows?.[level];
    if (!row) {
      sweepRow(b, acc, lanes, sums, a.rowLength ?? length, { ...a, from }, { ...c, from: cAt }, unroll, next);
      return;
    }
    const at = b.copy(from);
    b.for(0, row.extent, 1, () => {
      descend(level + 1, at);
      b.move(at, b.advance(at, b.i32(row.step), bytesOf(a.dtype)));
    });
  };
  descend(0, a.from);
}

/** The same for points of k that both step evenly through; moves `c.from` (and those of `ahead`) behind them. */
function sweepRow(
  b: LoopBuilder,
  acc: AccScalar,
  lanes: number,
  sums: readonly (readonly Reg[])[],
  length: Extent,
  a: Stream,
  c: Stream,
  unroll: number,
  ahead: readonly Ahead[],
): void {
  const aAt = b.copy(a.from);
  const cAt = c.from;
  const one = b.i32(1);
  const aBytes = bytesOf(a.dtype);
  const cBytes = bytesOf(c.dtype);
  const vectors = sums[0]!.length;
  const trip = (steps: number): void => {
    for (const { from, bytes, written = false } of steps === unroll ? ahead : []) {
      for (let at = 0; at < bytes; at += LINE) b.prefetch(from, at, written);
      b.move(from, b.advance(from, one, bytes));
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
            b.move(sum, multiplyAdd(b, acc, x, held[v]!, sum));
          });
        });
      } else {
        const held = sums.map((_, r) => row(r));
        for (let v = 0; v < vectors; v++) {
          const y = column(v);
          sums.forEach((tile, r) => {
            b.move(tile[v]!, multiplyAdd(b, acc, held[r]!, y, tile[v]!));
          });
        }
      }
    }
    b.move(aAt, b.advance(aAt, one, steps * a.along * aBytes));
    b.move(cAt, b.advance(cAt, one, steps * c.along * cBytes));
  };
  const whole =
    typeof length === 'number'
      ? length - (length % unroll)
      : unroll === 1
        ? length
        : b.bin('and', length, b.i32(-unroll));
  if (whole === unroll) trip(unroll);
  else if (whole !== 0) b.for(0, whole, unroll, () => trip(unroll));
  if (unroll > 1 && whole !== length) b.for(whole, length, 1, () => trip(1));
}
