/**
 * Positions of the first maximum or minimum; NaN counts as the extreme, so the first NaN wins. Columns run side by side
 * in the lanes; a contiguous row is searched by all lanes at once, and the lanes' finds are compared at the end. May
 * import the loop IR and the target; knows nothing of graphs.
 */
import { bytesOf, type DType, isFloat } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import type { ArgReduceSpec, BufferIndex, Scratch } from './index.ts';
import { eachColumn, scaled } from './lanes.ts';

export function argReduceScratch(_spec: ArgReduceSpec, _target: Target): readonly Scratch[] {
  return [];
}

/** Whether x goes before the best so far, when it stands behind it. */
function beats(b: LoopBuilder, spec: ArgReduceSpec, x: Reg, best: Reg): Reg {
  const further = b.cmp(spec.kind === 'max' ? 'gt' : 'lt', x, best);
  if (!isFloat(spec.dtype)) return further;
  return b.bin('or', further, b.bin('and', b.cmp('ne', x, x), b.cmp('eq', best, best)));
}

/** Positions are kept in integers as wide as the values, so that one mask serves both. */
const positionScalar = (dtype: DType): 'i32' | 'i64' => (bytesOf(dtype) === 8 ? 'i64' : 'i32');

const positionOf = (b: LoopBuilder, dtype: DType, k: Reg, lanes: number): Reg =>
  b.splat(b.cvt(positionScalar(dtype), k), lanes);

function columnExtreme(b: LoopBuilder, spec: ArgReduceSpec, o: Reg, j: Reg, lanes: number, vectors: number): void {
  const { dtype, n, inner } = spec;
  const bytes = bytesOf(dtype);
  const at = (k: Reg): Reg => b.addr(spec.input, b.add(scaled(b, b.add(b.mul(o, b.i32(n)), k), inner), j));
  const head = at(b.i32(0));
  const found = Array.from({ length: vectors }, (_, v) => ({
    best: b.copy(b.load(dtype, head, v * lanes * bytes, lanes)),
    position: b.copy(positionOf(b, dtype, b.i32(0), lanes)),
  }));
  b.for(1, n, 1, k => {
    const p = at(k);
    const position = positionOf(b, dtype, k, lanes);
    found.forEach((column, v) => {
      const x = b.load(dtype, p, v * lanes * bytes, lanes);
      const take = beats(b, spec, x, column.best);
      b.move(column.best, b.select(take, x, column.best));
      b.move(column.position, b.select(take, position, column.position));
    });
  });
  const out = b.addr(spec.output, b.add(b.mul(o, b.i32(inner)), j));
  found.forEach(({ position }, v) => {
    if (position.type.scalar === 'i64') {
      b.store('i64', out, position, v * lanes * 8);
      return;
    }
    for (let lane = 0; lane < lanes; lane++) {
      const one = lanes === 1 ? position : b.extract(position, lane);
      b.store('i64', out, b.cvt('i64', one), (v * lanes + lane) * 8);
    }
  });
}

function rowExtreme(b: LoopBuilder, spec: ArgReduceSpec, o: Reg, lanes: number): void {
  const { dtype, n } = spec;
  const row = b.mul(o, b.i32(n));
  const load = (k: Reg, width: number): Reg => b.load(dtype, b.addr(spec.input, b.add(row, k)), 0, width);
  const zero = b.i32(0);
  const wide = lanes > 1 && n >= 2 * lanes ? lanes : 1;
  const vectored = Math.floor(n / wide) * wide;
  const best = b.copy(load(zero, wide));
  const position = b.copy(positionOf(b, dtype, zero, wide));
  b.for(wide, vectored, wide, k => {
    const x = load(k, wide);
    const take = beats(b, spec, x, best);
    b.move(best, b.select(take, x, best));
    b.move(position, b.select(take, positionOf(b, dtype, k, wide), position));
  });
  const scalar = positionScalar(dtype);
  let winner = best;
  let place = position;
  if (wide > 1) {
    winner = b.copy(b.extract(best, 0));
    place = b.copy(b.extract(position, 0));
    for (let lane = 1; lane < wide; lane++) {
      const x = b.extract(best, lane);
      const at = b.add(b.extract(position, lane), b.const(scalar, scalar === 'i64' ? BigInt(lane) : lane));
      // Between equals (two NaN are equal here) the earlier one.
      const neither = b.un('not', b.bin('or', beats(b, spec, x, winner), beats(b, spec, winner, x)));
      const tied = b.bin('and', neither, b.cmp('lt', at, place));
      const take = b.bin('or', beats(b, spec, x, winner), tied);
      b.move(winner, b.select(take, x, winner));
      b.move(place, b.select(take, at, place));
    }
    b.for(vectored, n, 1, k => {
      const x = load(k, 1);
      const take = beats(b, spec, x, winner);
      b.move(winner, b.select(take, x, winner));
      b.move(place, b.select(take, positionOf(b, dtype, k, 1), place));
    });
  }
  b.store('i64', b.addr(spec.output, o), b.cvt('i64', place));
}

/** Fills the i64 output [outer, inner]. */
export function lowerArgReduce(
  b: LoopBuilder,
  spec: ArgReduceSpec,
  target: Target,
  _scratch: readonly BufferIndex[],
): void {
  const { outer, n, inner, dtype } = spec;
  if (outer * n * inner === 0) return;
  const lanes = Math.max(1, lanesFor(target, registerScalar(dtype) === dtype ? bytesOf(dtype) : 4));
  if (inner === 1) b.parallel(outer, o => rowExtreme(b, spec, o, lanes));
  else eachColumn(b, outer, inner, lanes, 2, (o, j, width, vectors) => columnExtreme(b, spec, o, j, width, vectors));
}
