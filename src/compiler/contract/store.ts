/**
 * From a finished tile of sums in scratch to the output: coordinates, vectors within rows, single lanes across them,
 * the epilogue. Imports problem and loop IR; knows nothing of packing or blocking.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Inst, type Reg, registerScalar } from '../loops.ts';
import type { Extent } from './cursor.ts';
import { affine, unravel, zero } from './indices.ts';
import { mergesInOutput, type Problem } from './problem.ts';
import type { OutputSite, SharedReads } from './spec.ts';

/** Dims walked as one in the output: the coordinate of `inner` runs over all of them. */
export interface Group {
  readonly inner: number;
  readonly size: number;
}

/** Neighbouring dims (outermost first) joined wherever output and epilogue allow. */
export function outputGroups(p: Problem, dims: readonly number[]): Group[] {
  const groups: Group[] = [];
  for (let i = dims.length - 1; i >= 0; i--) {
    const dim = dims[i]!;
    const size = p.dims[dim]!.size;
    const group = groups[0];
    if (group) {
      const merged = { ...p, dims: p.dims.map((x, d) => (d === group.inner ? { ...x, size: group.size } : x)) };
      if (mergesInOutput(merged, dim, group.inner)) {
        groups[0] = { inner: group.inner, size: group.size * size };
        continue;
      }
    }
    groups.unshift({ inner: dim, size });
  }
  return groups;
}

/** Coordinates of problem dims, by problem dim; what is not in the map stands at 0. */
export type Coords = ReadonlyMap<number, Reg>;

/** Adds the coordinates of composite `index` over `groups` to `coords`. */
export function locate(b: LoopBuilder, groups: readonly Group[], index: Reg, coords: Coords): Map<number, Reg> {
  const all = new Map(coords);
  const split = unravel(
    b,
    index,
    groups.map(g => g.size),
  );
  for (const [i, group] of groups.entries()) all.set(group.inner, split[i]!);
  return all;
}

/** Element index in the output. */
export const outputIndex = (b: LoopBuilder, p: Problem, coords: Coords): Reg =>
  affine(
    b,
    [...coords].map(([dim, x]) => [x, p.out.lin[dim]!] as const),
    p.out.base,
  );

/** Whether vectors can be stored along the innermost of these groups. */
export function storesVectors(p: Problem, n: readonly Group[]): boolean {
  const inner = n[n.length - 1];
  return inner !== undefined && p.out.lin[inner.inner] === 1 && bytesOf(registerScalar(p.out.dtype)) === bytesOf(p.acc);
}

/** Whether tiles of so many columns are stored row by row, in whole vectors. */
export const storesRows = (p: Problem, n: readonly Group[], lanes: number, columns: number): boolean =>
  n.length === 1 && columns % lanes === 0 && n[0]!.size % lanes === 0 && storesVectors(p, n);

/** Coordinates of the problem as those of the spec. */
function siteOf(
  b: LoopBuilder,
  p: Problem,
  coords: Coords,
  index: Reg,
  vectorDim: number | null,
  lanes: number,
  mask: Reg | null,
  shared: SharedReads | null,
): OutputSite {
  const spread: (Reg | null)[] = p.fixed.map(x => (x === null ? null : b.i32(x)));
  p.dims.forEach((dim, d) => {
    if (dim.role === 'k') return;
    const x = coords.get(d);
    spread[dim.origin] = x ? affine(b, [[x, dim.step]], dim.phase) : b.i32(dim.phase);
  });
  const along = vectorDim === null || lanes === 1 ? null : p.dims[vectorDim]!.origin;
  return { coords: spread, vectorDim: along, lanes, index, mask, shared };
}

/** Bytes of a cache line. */
export const LINE = 64;

/** Something small that is done `times` times, spread over the sums of a tile or the rows of one that is stored. */
export interface Meanwhile {
  readonly times: number;
  readonly each: (i: Reg) => void;
}

/**
 * Asks, row by row, for the lines that finishing a tile of `rows` x `columns` will read and write, while its products
 * are summed: a line that is written for the first time comes from the third cache in some 70 ns, which stores in order
 * would wait for. All at once they would fill the buffers that the sums' own lines come through. Null where results do
 * not lie side by side.
 */
export function touchesOf(
  b: LoopBuilder,
  p: Problem,
  m: readonly Group[],
  n: readonly Group[],
  lanes: number,
  tile: Pick<Tile, 'm' | 'n' | 'columns' | 'batch'> & { readonly rows: number },
): Meanwhile | null {
  const inner = n[n.length - 1];
  if (!inner || !storesVectors(p, n)) return null;
  const columns = locate(b, n, tile.n, tile.batch);
  const each = (r: Reg): void => {
    askForRow(b, p, locate(b, m, b.add(tile.m, r), columns), inner.inner, lanes, tile.columns);
  };
  return { times: tile.rows, each };
}

/** Asks for the lines that finishing `columns` neighbours along `vectorDim` will read and write. */
export function askForRow(
  b: LoopBuilder,
  p: Problem,
  coords: Coords,
  vectorDim: number,
  lanes: number,
  columns: number,
): void {
  const index = outputIndex(b, p, coords);
  const beside = p.touches?.(b, siteOf(b, p, coords, index, vectorDim, lanes, null, null)) ?? [];
  for (const { from, bytes } of [{ from: b.addr(p.out.buffer, index), bytes: bytesOf(p.out.dtype) }, ...beside])
    for (let at = 0; at < columns * bytes; at += LINE) b.prefetch(from, at, true);
}

/**
 * Runs the epilogue on `value` (`lanes` along `vectorDim`, problem dims; those of `mask` only) and stores what it
 * returns. Of sites with the same lanes in one block, `shared` holds what all of them read.
 */
export function finish(
  b: LoopBuilder,
  p: Problem,
  value: Reg,
  coords: Coords,
  index: Reg,
  vectorDim: number | null,
  mask: Reg | null = null,
  shared: SharedReads | null = null,
): void {
  let result: Reg | null = value;
  if (p.epilogue) result = p.epilogue(b, value, siteOf(b, p, coords, index, vectorDim, value.type.lanes, mask, shared));
  if (result && mask) b.storeMasked(p.out.dtype, b.addr(p.out.buffer, index), result, mask);
  else if (result) b.store(p.out.dtype, b.addr(p.out.buffer, index), result);
}

const count = (insts: readonly Inst[]): number =>
  insts.reduce((n, inst) => {
    if (inst.op === 'if') return n + 1 + count(inst.body) + count(inst.otherwise);
    return n + 1 + ('body' in inst ? count(inst.body) : 0);
  }, 0);

/** Instructions of a fused result up to which it is written out for every vector of a register tile. */
const SMALL_EPILOGUE = 24;

/** Whether sums may be finished one by one in registers: nothing is fused, or little. */
export function finishesInRegisters(b: LoopBuilder, p: Problem, lanes: number, vectorDim: number): boolean {
  if (!p.epilogue) return true;
  const trial = b.separate(() => finish(b, p, zero(b, p.acc, lanes), new Map(), b.i32(0), vectorDim));
  return count(trial) <= SMALL_EPILOGUE + p.fixed.length + 4;
}

export interface Tile {
  /** Sums, `pitch` accumulators from row to row. */
  readonly from: Reg;
  readonly pitch: number;
  /**
   * First composite m and n index, and how many rows; columns end at `columns` of them or at the end of n. Vectors need
   * whole ones.
   */
  readonly m: Reg;
  readonly rows: Extent;
  readonly n: Reg;
  readonly columns: number;
  /** Columns that are results, where the last are not. */
  readonly exist?: Reg;
  readonly batch: Coords;
  /** Leading columns (of the only vector) that are already stored. */
  readonly skip?: Reg;
  /** Done row by row meanwhile, or else before. */
  readonly meanwhile?: Meanwhile | null;
  /** Whether long formulas may be computed for some rows at once. */
  readonly inTurns?: boolean;
}

/**
 * Rows that a long formula is computed for at once: their vectors take turns (src/backends/x86/turns.ts), as many as
 * registers are there for.
 */
const ROWS_IN_TURNS = 8;

function loadSum(b: LoopBuilder, p: Problem, from: Reg, lanes: number, offset = 0): Reg {
  const sum = b.load(p.acc, from, offset, lanes);
  return p.normal ? b.asFlushed(sum) : sum;
}

/** Stores rows of whole vectors up to column `until`; where a row stands is worked out once for all of them. */
function storeLines(
  b: LoopBuilder,
  p: Problem,
  m: readonly Group[],
  vectorDim: number,
  lanes: number,
  tile: Tile,
  until: Reg,
): void {
  const bytes = bytesOf(p.acc);
  const { rows, meanwhile } = tile;
  const whole = typeof rows === 'number' && rows % ROWS_IN_TURNS === 0;
  const together = tile.inTurns && whole && !finishesInRegisters(b, p, lanes, vectorDim) ? ROWS_IN_TURNS : 1;
  const from = b.copy(tile.from);
  b.for(0, rows, together, r => {
    const lines = Array.from({ length: together }, (_, i) => {
      const row = i === 0 ? r : b.add(r, b.i32(i));
      meanwhile?.each(row);
      const coords = locate(b, m, b.add(tile.m, row), tile.batch);
      return { coords, index: outputIndex(b, p, coords), offset: i * tile.pitch * bytes };
    });
    b.for(0, until, lanes, v => {
      const column = b.add(tile.n, v);
      const place = b.advance(from, v, bytes);
      b.storingLast(
        lines.map(({ coords, index, offset }) => () => {
          const sum = loadSum(b, p, place, lanes, offset);
          finish(b, p, sum, new Map([...coords, [vectorDim, column]]), b.add(index, column), vectorDim);
        }),
      );
    });
    b.advance(from, b.i32(together * tile.pitch), bytes, from);
  });
}

/** Stores one tile. */
export function storeTile(
  b: LoopBuilder,
  p: Problem,
  m: readonly Group[],
  n: readonly Group[],
  lanes: number,
  tile: Tile,
): void {
  const total = n.reduce((x, g) => x * g.size, 1);
  const inner = n[n.length - 1];
  const bytes = bytesOf(p.acc);
  const { meanwhile } = tile;
  const evenly = storesRows(p, n, lanes, tile.columns) && !tile.skip && !tile.exist;
  if (meanwhile && !evenly) b.for(0, meanwhile.times, 1, meanwhile.each);
  const rows = (fill: (from: Reg, coords: Coords) => void): void => {
    const from = b.copy(tile.from);
    b.for(0, tile.rows, 1, r => {
      fill(from, locate(b, m, b.add(tile.m, r), tile.batch));
      b.advance(from, b.i32(tile.pitch), bytes, from);
    });
  };
  if (evenly && inner) {
    // A tile of taps may begin behind the last column.
    const until = b.bin('min', b.i32(tile.columns), b.sub(b.i32(total), tile.n));
    storeLines(b, p, m, inner.inner, lanes, tile, until);
    return;
  }
  if (p.masks && inner && storesVectors(p, n)) {
    // Pieces that lie in one row of the innermost dim, as long as they can be.
    const from = b.copy(tile.skip ?? b.i32(0));
    const until = b.bin('min', tile.exist ?? b.i32(tile.columns), b.sub(b.i32(total), tile.n));
    b.while(
      () => b.cmp('lt', from, until),
      () => {
        const first = b.add(tile.n, from);
        const column = locate(b, n, first, new Map());
        const x = n.length === 1 ? first : column.get(inner.inner)!;
        const left = b.bin('min', b.sub(until, from), b.sub(b.i32(inner.size), x));
        const count = b.bin('min', left, b.i32(lanes));
        const mask = b.firstLanes(count, lanes);
        rows((line, coords) => {
          const at = new Map([...coords, ...column]);
          const value = b.loadMasked(p.acc as 'f32' | 'i32', b.advance(line, from, bytes), mask);
          finish(b, p, value, at, outputIndex(b, p, at), inner.inner, mask);
        });
        b.add(from, count, from);
      },
    );
    return;
  }
  b.for(0, tile.columns, lanes, v => {
    const first = b.add(tile.n, v);
    const single = (): void => {
      const room =
        tile.columns % lanes === 0 ? b.i32(lanes) : b.bin('min', b.i32(lanes), b.sub(b.i32(tile.columns), v));
      const inside = b.bin('min', room, b.sub(b.i32(total), first));
      const count = tile.exist ? b.bin('min', inside, b.sub(tile.exist, v)) : inside;
      b.for(tile.skip ?? 0, count, 1, lane => {
        const column = locate(b, n, b.add(first, lane), new Map());
        rows((from, coords) => {
          const at = new Map([...coords, ...column]);
          const value = loadSum(b, p, b.advance(from, b.add(v, lane), bytes), 1);
          finish(b, p, value, at, outputIndex(b, p, at), null);
        });
      });
    };
    if (!inner || !storesVectors(p, n) || inner.size < lanes || tile.columns % lanes !== 0) {
      single();
      return;
    }
    const vector = (): void => {
      const column = locate(b, n, first, new Map());
      rows((from, coords) => {
        const at = new Map([...coords, ...column]);
        const value = loadSum(b, p, b.advance(from, v, bytes), lanes);
        finish(b, p, value, at, outputIndex(b, p, at), inner.inner);
      });
    };
    const x = n.length === 1 ? first : b.bin('remU', first, b.i32(inner.size));
    const inside = b.bin('or', b.sub(b.i32(inner.size - lanes), x), b.sub(b.i32(total - lanes), first));
    const fits = tile.skip ? b.bin('or', inside, b.un('neg', tile.skip)) : inside;
    if (inner.size % lanes === 0 && !tile.skip) b.if(b.cmp('ge', fits, b.i32(0)), vector);
    else b.if(b.cmp('ge', fits, b.i32(0)), vector, single);
  });
}
