/**
 * Stable sorting permutations: values become integers in the order wanted (NaN last, -0 equal to 0, complemented when
 * descending), then long rows of 4-byte keys are sorted by digits, others by runs of insertion and a bottom-up merge
 * sort without unpredictable branches. A key of 4 bytes travels with its position in one i64, which also makes equal
 * keys differ; one of 8 bytes has its position beside it. Rows are shared out among threads. Knows nothing of graphs.
 */
import { bytesOf, isFloat } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { Target } from '../target.ts';
import type { ArgSortSpec, BufferIndex, Scratch } from './index.ts';
import { lesser, scaled } from './lanes.ts';
import { RADIX_COUNTERS, radixSort } from './radix-sort.ts';

/** Length of the runs sorted by insertion. */
const RUN = 12;

type KeyType = 'i32' | 'i64';

/** From this length on, keys of 4 bytes are sorted by their digits. */
const RADIX = 2048;

const byRadix = (spec: ArgSortSpec): boolean => keyType(spec) === 'i32' && spec.n >= RADIX;

const keyType = (spec: ArgSortSpec): KeyType => (bytesOf(spec.dtype) === 8 ? 'i64' : 'i32');

/** Two arrays of entries, and two of positions where the entries have no room for them; a row for each sorted row. */
export function argSortScratch(spec: ArgSortSpec, _target: Target): readonly Scratch[] {
  const elements = spec.outer * spec.n * spec.inner;
  if (byRadix(spec))
    return [
      { dtype: 'i64', elements: 2 * elements },
      { dtype: 'i32', elements: spec.outer * spec.inner * RADIX_COUNTERS },
    ];
  const entry = { dtype: 'i64', elements } as const;
  const position = { dtype: 'i32', elements } as const;
  return keyType(spec) === 'i32' ? [entry, entry] : [entry, entry, position, position];
}

/** A signed integer that orders as the value does. */
function keyOf(b: LoopBuilder, spec: ArgSortSpec, x: Reg): Reg {
  const type = keyType(spec);
  const of = (value: number | bigint): Reg => b.const(type, type === 'i64' ? BigInt(value) : Number(value));
  let key = x;
  if (isFloat(spec.dtype)) {
    const largest = of(type === 'i64' ? 0x7fffffffffffffffn : 0x7fffffff);
    // Adding 0 turns -0 into 0. Negative floats order backwards, so their lower bits are complemented.
    const bits = b.bitcast(type, b.add(x, b.const(x.type.scalar, 0)));
    const sign = b.bin('shrS', bits, of(type === 'i64' ? 63 : 31));
    const ordered = b.bin('xor', bits, b.bin('and', sign, largest));
    key = b.select(b.cmp('ne', x, x), largest, ordered);
  }
  return spec.descending ? b.un('not', key) : key;
}

/** One of the two places a row is merged between; `positions` is null when the entries hold them. */
interface Arrays {
  readonly entries: BufferIndex;
  readonly positions: BufferIndex | null;
}

/**
 * Element k of a row of [outer, n, inner], as an offset, and as an entry: its key, with its position where there is
 * room.
 */
function rowReader(
  b: LoopBuilder,
  spec: ArgSortSpec,
  row: Reg,
): { readonly element: (k: Reg) => Reg; readonly entryOf: (k: Reg) => Reg } {
  const { n, inner, dtype } = spec;
  const o = inner === 1 ? row : b.bin('div', row, b.i32(inner));
  const column = inner === 1 ? null : b.sub(row, b.mul(o, b.i32(inner)));
  const element = (k: Reg): Reg => scaled(b, b.add(b.mul(o, b.i32(n)), k), inner, column);
  const entryOf = (k: Reg): Reg => {
    const key = b.cvt('i64', keyOf(b, spec, b.load(dtype, b.addr(spec.input, element(k)))));
    return keyType(spec) === 'i64' ? key : b.bin('or', b.bin('shl', key, b.const('i64', 32n)), b.cvt('i64', k));
  };
  return { element, entryOf };
}

/** By merging, in one of two arrays; the permutation goes to the output. */
function mergeRow(b: LoopBuilder, spec: ArgSortSpec, row: Reg, arrays: readonly [Arrays, Arrays]): void {
  const { n } = spec;
  const start = b.mul(row, b.i32(n));
  const one = b.i32(1);
  const { element, entryOf } = rowReader(b, spec, row);
  const entryAt = (from: Arrays, k: Reg): Reg => b.load('i64', b.addr(from.entries, b.add(start, k)));
  const positionAt = (from: Arrays, k: Reg): Reg =>
    from.positions === null ? b.cvt('i32', entryAt(from, k)) : b.load('i32', b.addr(from.positions, b.add(start, k)));
  const put = (to: Arrays, k: Reg, entry: Reg, position: () => Reg): void => {
    const at = b.add(start, k);
    b.store('i64', b.addr(to.entries, at), entry);
    if (to.positions !== null) b.store('i32', b.addr(to.positions, at), position());
  };

  const [first, second] = arrays;
  b.for(0, n, RUN, from => {
    const to = lesser(b, b.add(from, b.i32(RUN)), b.i32(n));
    b.for(from, to, 1, k => {
      const entry = entryOf(k);
      const hole = b.copy(k);
      const before = b.copy(b.select(b.cmp('gt', k, from), b.sub(k, one), from));
      b.while(
        () => b.bin('and', b.cmp('gt', hole, from), b.cmp('gt', entryAt(first, before), entry)),
        () => {
          put(first, hole, entryAt(first, before), () => positionAt(first, before));
          b.move(hole, before);
          b.move(before, b.select(b.cmp('gt', before, from), b.sub(before, one), from));
        },
      );
      put(first, hole, entry, () => k);
    });
  });

  // Each pass merges runs of `width` from one place into the other; how many passes there are is known.
  let source = first;
  let sink = second;
  for (let width = RUN; width < n; width *= 2) {
    const from = source;
    const to = sink;
    b.for(0, n, 2 * width, lo => {
      const middle = lesser(b, b.add(lo, b.i32(width)), b.i32(n));
      const end = lesser(b, b.add(lo, b.i32(2 * width)), b.i32(n));
      const left = b.copy(lo);
      const right = b.copy(middle);
      const out = b.copy(lo);
      b.while(
        () => b.bin('and', b.cmp('lt', left, middle), b.cmp('lt', right, end)),
        () => {
          const leftEntry = entryAt(from, left);
          const rightEntry = entryAt(from, right);
          const takeRight = b.cmp('lt', rightEntry, leftEntry);
          put(to, out, b.select(takeRight, rightEntry, leftEntry), () =>
            positionAt(from, b.select(takeRight, right, left)),
          );
          const step = b.cvt('i32', takeRight);
          b.move(right, b.add(right, step));
          b.move(left, b.add(left, b.sub(one, step)));
          b.move(out, b.add(out, one));
        },
      );
      const drain = (at: Reg, stop: Reg): void => {
        b.while(
          () => b.cmp('lt', at, stop),
          () => {
            put(to, out, entryAt(from, at), () => positionAt(from, at));
            b.move(at, b.add(at, one));
            b.move(out, b.add(out, one));
          },
        );
      };
      drain(left, middle);
      drain(right, end);
    });
    [source, sink] = [sink, source];
  }
  b.for(0, n, 1, k => {
    b.store('i64', b.addr(spec.output, element(k)), b.cvt('i64', positionAt(source, k)));
  });
}

/** By digits; the permutation goes to the output. */
function radixRow(b: LoopBuilder, spec: ArgSortSpec, row: Reg, entries: BufferIndex, counters: BufferIndex): void {
  const { n } = spec;
  const { element, entryOf } = rowReader(b, spec, row);
  const at = b.mul(row, b.i32(2 * n));
  const counter = b.mul(row, b.i32(RADIX_COUNTERS));
  const sorted = radixSort(b, n, entries, at, counters, counter, entryOf);
  b.for(0, n, 1, k => {
    const position = b.cvt('i32', b.load('i64', b.addr(entries, b.add(sorted, k))));
    b.store('i64', b.addr(spec.output, element(k)), b.cvt('i64', position));
  });
}

/** Fills the i64 output [outer, n, inner]. */
export function lowerArgSort(
  b: LoopBuilder,
  spec: ArgSortSpec,
  _target: Target,
  scratch: readonly BufferIndex[],
): void {
  if (spec.outer * spec.n * spec.inner === 0) return;
  const rows = spec.outer * spec.inner;
  if (byRadix(spec)) {
    const [entries, counters] = scratch;
    b.parallel(rows, row => radixRow(b, spec, row, entries!, counters!));
    return;
  }
  const [entries, otherEntries, positions = null, otherPositions = null] = scratch;
  b.parallel(rows, row =>
    mergeRow(b, spec, row, [
      { entries: entries!, positions },
      { entries: otherEntries!, positions: otherPositions },
    ]),
  );
}
