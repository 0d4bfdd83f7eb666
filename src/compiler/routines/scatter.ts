/**
 * Scatter: rows of updates are combined into rows of the base, in index order, so the bits are the same for any number
 * of threads. Each thread owns a part of the destination (leading slices, index positions or trailing columns,
 * whichever are many), fills it, and walks all indices, writing only what it owns; no atomics, no barrier. May import
 * ../math; knows nothing of graphs.
 */
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { Binary, ScatterKind } from '../../graph/node.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { constantValue, loadValue, lowerBinary, storeValue } from '../math/index.ts';
import { lanesFor, type Target } from '../target.ts';
import type { BufferIndex, ScatterSpec, Scratch } from './index.ts';
import { lesser } from './lanes.ts';

const COMBINE: { readonly [K in Exclude<ScatterKind, 'set'>]: Binary } = {
  add: 'add',
  mul: 'mul',
  max: 'max',
  min: 'min',
};

/** Leading slices, or blocks of trailing columns, that are enough to keep threads busy. */
const ENOUGH = 16;
/** Trailing columns a thread takes at a time. */
const COLUMNS = 256;

export function scatterScratch(_spec: ScatterSpec, _target: Target): readonly Scratch[] {
  return [];
}

/** The part of the destination one call of `walk` owns, as registers or numbers; columns are elements of `post`. */
interface Part {
  readonly pre: Reg;
  readonly rows: { readonly from: Reg; readonly count: Reg } | null;
  readonly columns: { readonly from: Reg | number; readonly to: Reg | number };
}

const lanesOf = (dtype: DType, target: Target): number =>
  Math.max(1, lanesFor(target, registerScalar(dtype) === dtype ? bytesOf(dtype) : 4));

/** Runs `body` over [from, to) by vectors, then by elements. */
function eachVector(
  b: LoopBuilder,
  from: Reg | number,
  to: Reg | number,
  lanes: number,
  body: (at: Reg, lanes: number) => void,
): void {
  if (lanes === 1) {
    b.for(from, to, 1, at => body(at, 1));
    return;
  }
  if (typeof from === 'number' && typeof to === 'number') {
    const whole = from + Math.floor((to - from) / lanes) * lanes;
    if (whole > from) b.for(from, whole, lanes, at => body(at, lanes));
    if (to > whole) b.for(whole, to, 1, at => body(at, 1));
    return;
  }
  const lo = typeof from === 'number' ? b.i32(from) : from;
  const hi = typeof to === 'number' ? b.i32(to) : to;
  const whole = b.add(lo, b.bin('and', b.sub(hi, lo), b.i32(-lanes)));
  b.for(lo, whole, lanes, at => body(at, lanes));
  b.for(whole, hi, 1, at => body(at, 1));
}

/** Elements [from, to) of the output become the base's. */
function fill(b: LoopBuilder, spec: ScatterSpec, from: Reg | number, to: Reg | number, lanes: number): void {
  const { base, dtype, output } = spec;
  if ('buffer' in base) {
    if (base.buffer === output) return;
    eachVector(b, from, to, lanes, (at, width) => {
      b.store(dtype, b.addr(output, at), b.load(dtype, b.addr(base.buffer, at), 0, width));
    });
    return;
  }
  const value = constantValue(b, dtype, base.value, lanes);
  const single = constantValue(b, dtype, base.value, 1);
  eachVector(b, from, to, lanes, (at, width) => {
    storeValue(b, dtype, b.addr(output, at), width === lanes ? value : single);
  });
}

/** Walks all indices in order and combines what falls into the part. */
function walk(b: LoopBuilder, spec: ScatterSpec, part: Part, lanes: number): void {
  const { dtype, indexDtype, kind, n, count, post, site } = spec;
  const bytes = bytesOf(dtype);
  const wide = indexDtype === 'i64';
  const size = wide ? b.const('i64', BigInt(n)) : b.i32(n);
  const updatesRow = b.mul(part.pre, b.i32(count));
  const outputRow = b.mul(part.pre, b.i32(n));
  const combine = (p: Reg, q: Reg, offset: number, width: number): void => {
    const update = loadValue(b, dtype, q, offset, width);
    const value =
      kind === 'set' ? update : lowerBinary(b, COMBINE[kind], dtype, loadValue(b, dtype, p, offset, width), update);
    storeValue(b, dtype, p, value, offset);
  };
  b.for(0, count, 1, k => {
    const raw = b.load(indexDtype, b.addr(spec.index, k));
    const index = b.cvt('i32', raw);
    const legal = b.cmp('ltU', raw, size);
    const { rows } = part;
    const owned = rows ? b.bin('and', legal, b.cmp('ltU', b.sub(index, rows.from), rows.count)) : legal;
    b.if(
      owned,
      () => {
        const out = b.mul(b.add(outputRow, index), b.i32(post));
        const from = b.mul(b.add(updatesRow, k), b.i32(post));
        const { columns } = part;
        if (typeof columns.from === 'number' && typeof columns.to === 'number' && columns.to <= 8 * lanes) {
          // Short rows (embeddings) are written out: no loop, constant offsets.
          const p = b.addr(spec.output, out);
          const q = b.addr(spec.updates, from);
          let at = columns.from;
          for (; at + lanes <= columns.to; at += lanes) combine(p, q, at * bytes, lanes);
          for (; at < columns.to; at++) combine(p, q, at * bytes, 1);
          return;
        }
        eachVector(b, columns.from, columns.to, lanes, (at, width) => {
          combine(b.addr(spec.output, b.add(out, at)), b.addr(spec.updates, b.add(from, at)), 0, width);
        });
      },
      site === null ? undefined : () => b.if(b.un('not', legal), () => b.fail(site, b.cvt('i64', raw))),
    );
  });
}

/** floor(total * part / parts) for scalar i32 registers, without overflow. */
function share(b: LoopBuilder, total: number, part: Reg, parts: Reg): Reg {
  const wide = b.mul(b.const('i64', BigInt(total)), b.cvt('i64', part));
  return b.cvt('i32', b.bin('div', wide, b.cvt('i64', parts)));
}

/** Fills the output with the base and combines the updates into it. */
export function lowerScatter(
  b: LoopBuilder,
  spec: ScatterSpec,
  target: Target,
  _scratch: readonly BufferIndex[],
): void {
  const { pre, n, post, dtype } = spec;
  if (pre * n * post === 0) return;
  const lanes = lanesOf(dtype, target);
  const allColumns = { from: 0, to: post };

  if (pre >= ENOUGH) {
    b.parallel(pre, slice => {
      const from = b.mul(slice, b.i32(n * post));
      fill(b, spec, from, b.add(from, b.i32(n * post)), lanes);
      walk(b, spec, { pre: slice, rows: null, columns: allColumns }, lanes);
    });
    return;
  }
  if (n < post && post >= ENOUGH * COLUMNS) {
    b.parallel(Math.ceil(post / COLUMNS), block => {
      const from = b.mul(block, b.i32(COLUMNS));
      const to = lesser(b, b.add(from, b.i32(COLUMNS)), b.i32(post));
      b.for(0, pre, 1, slice => {
        b.for(0, n, 1, row => {
          const start = b.mul(b.add(b.mul(slice, b.i32(n)), row), b.i32(post));
          fill(b, spec, b.add(start, from), b.add(start, to), lanes);
        });
        walk(b, spec, { pre: slice, rows: null, columns: { from, to } }, lanes);
      });
    });
    return;
  }
  const thread = b.thread();
  const threads = b.threads();
  const from = share(b, n, thread, threads);
  const to = share(b, n, b.add(thread, b.i32(1)), threads);
  b.for(0, pre, 1, slice => {
    const row = b.mul(slice, b.i32(n));
    fill(b, spec, b.mul(b.add(row, from), b.i32(post)), b.mul(b.add(row, to), b.i32(post)), lanes);
    walk(b, spec, { pre: slice, rows: { from, count: b.sub(to, from) }, columns: allColumns }, lanes);
  });
}
