/**
 * Inclusive scans. Sums and products of floats are carried in f64 whatever the dtype, so the order of a scan costs no
 * accuracy. Columns (inner > 1) run in vectors; a few long rows are cut into blocks, by their length alone, so that
 * threads share them and the bits do not depend on how many there are. May import ../math; knows nothing of graphs.
 */
import { bytesOf, type DType, isFloat } from '../../graph/dtype.ts';
import type { Binary, ScanKind } from '../../graph/node.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { loadValue, lowerBinary, lowerCast, storeValue } from '../math/index.ts';
import { lanesFor, type Target } from '../target.ts';
import type { BufferIndex, ScanSpec, Scratch } from './index.ts';
import { eachColumn, lesser, scaled } from './lanes.ts';

const COMBINE: { readonly [K in ScanKind]: Binary } = { sum: 'add', prod: 'mul', max: 'max', min: 'min' };

/** Rows from here on are cut into blocks when there are fewer than FEW of them. */
const BLOCK = 4096;
const FEW = 16;

const isBlocked = (spec: ScanSpec): boolean => spec.inner === 1 && spec.outer < FEW && spec.n >= 4 * BLOCK;
const blocksOf = (spec: ScanSpec): number => Math.ceil(spec.n / BLOCK);

/** What the running value is kept in. */
const carrierOf = (spec: ScanSpec): DType =>
  isFloat(spec.dtype) && (spec.kind === 'sum' || spec.kind === 'prod') ? 'f64' : spec.dtype;

export function scanScratch(spec: ScanSpec, _target: Target): readonly Scratch[] {
  return isBlocked(spec) ? [{ dtype: carrierOf(spec), elements: spec.outer * blocksOf(spec) }] : [];
}

/** Position of the k-th element in scan order. */
const positionOf = (b: LoopBuilder, spec: ScanSpec, k: Reg): Reg => (spec.reverse ? b.sub(b.i32(spec.n - 1), k) : k);

/**
 * Scans elements `from` .. `to` (in scan order) of one column, on from `carry`, or afresh when it is null; stores when
 * asked.
 */
function scanColumn(
  b: LoopBuilder,
  spec: ScanSpec,
  column: { readonly o: Reg; readonly j: Reg | null; readonly lanes: number; readonly vectors: number },
  from: Reg | number,
  to: Reg | number,
  carry: Reg | null,
  stores: boolean,
): readonly Reg[] {
  const { dtype, kind, n, inner } = spec;
  const carrier = carrierOf(spec);
  const { o, j, lanes, vectors } = column;
  const bytes = bytesOf(dtype);
  const at = (k: Reg): Reg => {
    const row = scaled(b, b.add(b.mul(o, b.i32(n)), positionOf(b, spec, k)), inner);
    return j ? b.add(row, j) : row;
  };
  const read = (p: Reg, v: number): Reg =>
    lowerCast(b, dtype, carrier, loadValue(b, dtype, p, v * lanes * bytes, lanes));
  const write = (p: Reg, v: number, value: Reg): void =>
    storeValue(b, dtype, p, lowerCast(b, carrier, dtype, value), v * lanes * bytes);
  const first = typeof from === 'number' ? b.i32(from) : from;
  const start = at(first);
  const accumulators: Reg[] = [];
  const head = b.addr(spec.input, start);
  const headOut = stores ? b.addr(spec.output, start) : head;
  for (let v = 0; v < vectors; v++) {
    const x = read(head, v);
    const value = carry ? lowerBinary(b, COMBINE[kind], carrier, carry, x) : x;
    accumulators.push(b.copy(value));
    if (stores) write(headOut, v, value);
  }
  b.for(b.add(first, b.i32(1)), to, 1, k => {
    const index = at(k);
    const p = b.addr(spec.input, index);
    const q = stores ? b.addr(spec.output, index) : p;
    accumulators.forEach((accumulator, v) => {
      b.move(accumulator, lowerBinary(b, COMBINE[kind], carrier, accumulator, read(p, v)));
      if (stores) write(q, v, accumulator);
    });
  });
  return accumulators;
}

/** Block totals, then what comes before each block, then every block on from there. */
function lowerBlocked(b: LoopBuilder, spec: ScanSpec, totals: BufferIndex): void {
  const blocks = blocksOf(spec);
  const carrier = carrierOf(spec);
  const block = (i: Reg) => {
    const o = spec.outer === 1 ? b.i32(0) : b.bin('div', i, b.i32(blocks));
    const within = spec.outer === 1 ? i : b.sub(i, b.mul(o, b.i32(blocks)));
    const from = b.mul(within, b.i32(BLOCK));
    const to = lesser(b, b.add(from, b.i32(BLOCK)), b.i32(spec.n));
    return { column: { o, j: null, lanes: 1, vectors: 1 }, within, from, to };
  };
  b.parallel(spec.outer * blocks, i => {
    const { column, from, to } = block(i);
    const [total] = scanColumn(b, spec, column, from, to, null, false);
    storeValue(b, carrier, b.addr(totals, i), total!);
  });
  b.barrier();
  b.once(() => {
    b.for(0, spec.outer, 1, o => {
      const row = b.mul(o, b.i32(blocks));
      const running = b.copy(loadValue(b, carrier, b.addr(totals, row)));
      b.for(1, blocks, 1, k => {
        const p = b.addr(totals, b.add(row, k));
        b.move(running, lowerBinary(b, COMBINE[spec.kind], carrier, running, loadValue(b, carrier, p)));
        storeValue(b, carrier, p, running);
      });
    });
  });
  b.barrier();
  b.parallel(spec.outer * blocks, i => {
    const { column, within, from, to } = block(i);
    b.if(
      b.cmp('eq', within, b.i32(0)),
      () => scanColumn(b, spec, column, from, to, null, true),
      () => {
        const before = loadValue(b, carrier, b.addr(totals, b.sub(i, b.i32(1))));
        scanColumn(b, spec, column, from, to, before, true);
      },
    );
  });
}

/** Fills the output with the running sum, product, maximum or minimum (NaN stays once met). */
export function lowerScan(b: LoopBuilder, spec: ScanSpec, target: Target, scratch: readonly BufferIndex[]): void {
  const { outer, n, inner } = spec;
  if (outer * n * inner === 0) return;
  if (isBlocked(spec)) {
    lowerBlocked(b, spec, scratch[0]!);
    return;
  }
  if (inner === 1) {
    b.parallel(outer, o => {
      scanColumn(b, spec, { o, j: null, lanes: 1, vectors: 1 }, 0, n, null, true);
    });
    return;
  }
  const lanes = lanesFor(target, Math.max(4, bytesOf(spec.dtype), bytesOf(carrierOf(spec))));
  eachColumn(b, outer, inner, Math.max(1, lanes), 4, (o, j, width, vectors) => {
    scanColumn(b, spec, { o, j, lanes: width, vectors }, 0, n, null, true);
  });
}
