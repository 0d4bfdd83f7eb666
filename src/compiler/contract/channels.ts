/**
 * Contraction channel by channel, channels in the lanes: depthwise convolution of what is kept channels last. A tile is
 * a run of pixels; every vector read serves all taps of its row, and where a tile touches the border is known when
 * compiling, so nothing is padded or packed but the weights.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import { type Reg, registerScalar } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import { type Cursor, loadOne, origin, sizesOf, step, stepAll, walk, whenInside } from './cursor.ts';
import { affine, unravel, zero } from './indices.ts';
import { addProduct } from './micro.ts';
import { comesPacked } from './plan.ts';
import { extent, type Guard, type Problem, product, type View } from './problem.ts';
import type { Scratch, SharedReads } from './spec.ts';
import { type Coords, finish, outputIndex } from './store.ts';
import { eachTask, wantedTasks } from './tasks.ts';
import { ceilDiv } from './tile.ts';

/** Taps of a row whose weights are held in registers, at most, and taps in all. */
const MAX_ROW_TAPS = 9;
const MAX_TAPS = 1024;
/** Pixels of a tile: enough chains to hide the latency of a multiply-add, few enough for the registers and the code. */
const MIN_TILE = 6;
const MAX_TILE = 14;
/** Rows of a task at most: of what they read, two rows are read by two tasks. */
const MOST_ROWS = 14;

/** The problem as rows of pixels: which operand is the image, which dims are what. */
interface Rows {
  readonly image: View;
  readonly weights: View;
  /** The dim in the lanes, and the batch dims around it. */
  readonly channel: number;
  readonly outer: readonly number[];
  /** The dim a tile runs along (null: images of one pixel), and the dims around it. */
  readonly run: number | null;
  readonly rows: readonly number[];
  /** The guard of the run, dims of the taps that it moves with, and the other taps. */
  readonly guard: Guard | null;
  readonly inner: readonly number[];
  readonly around: readonly number[];
}

function rowsOf(p: Problem): Rows | null {
  const channel = p.batch[p.batch.length - 1];
  if (channel === undefined || p.out.lin[channel] !== 1) return null;
  if (p.m.length > 0 && p.n.length > 0) return null;
  const [image, weights] = p.m.length > 0 ? [p.a, p.b] : [p.b, p.a];
  const pixels = p.m.length > 0 ? p.m : p.n;
  if (image.lin[channel] !== 1 || image.prologue || weights.prologue || weights.guards.length > 0) return null;
  const run = pixels[pixels.length - 1] ?? null;
  const guards = image.guards.filter(g => run !== null && g.coefs[run] !== 0);
  const [guard = null] = guards;
  if (guards.length > 1 || image.guards.some(g => g.coefs[channel] !== 0)) return null;
  if (guard?.coefs.some((c, d) => c !== 0 && d !== run && !p.k.includes(d))) return null;
  const others = image.guards.filter(g => g !== guard);
  // Without a guard the innermost taps are those that step like the run does.
  const moves = (d: number): boolean =>
    guard ? guard.coefs[d] !== 0 : run !== null && image.lin[d] !== 0 && Math.abs(image.lin[d]!) <= image.lin[run]! * 8;
  const inner = p.k.filter(moves);
  if (others.some(g => inner.some(d => g.coefs[d] !== 0))) return null;
  return {
    image,
    weights,
    channel,
    outer: p.batch.slice(0, -1),
    run,
    rows: pixels.slice(0, -1),
    guard,
    inner,
    around: p.k.filter(d => !inner.includes(d)),
  };
}

/** Whether this schedule serves `p`. */
export function suitsChannels(p: Problem, target: Target): boolean {
  const rows = rowsOf(p);
  if (!rows) return false;
  const lanes = lanesFor(target, bytesOf(p.acc));
  const { size } = p.dims[rows.channel]!;
  const whole = size % lanes === 0;
  if (!whole && !(p.masks && size > lanes / 2 && rows.image.dtype === p.acc)) return false;
  if (extent(p, rows.inner) > MAX_ROW_TAPS || extent(p, p.k) > MAX_TAPS) return false;
  return [rows.image, rows.weights].every(
    view => registerScalar(view.dtype) === p.acc && bytesOf(registerScalar(view.dtype)) === bytesOf(p.acc),
  );
}

/** Pixels of a tile: the fewest tiles of a row, then the evenest. */
function tileOf(length: number): number {
  if (length <= MAX_TILE) return length;
  let best = MAX_TILE;
  let least = Number.POSITIVE_INFINITY;
  for (let tile = MAX_TILE; tile >= MIN_TILE; tile--) {
    const cost = Math.ceil(length / tile) * (tile + 1) + (length % tile === 0 ? 0 : 2);
    if (cost < least) [best, least] = [tile, cost];
  }
  return best;
}

/** The kernel's sizes and how a pixel meets its taps. */
interface Layout {
  readonly rows: Rows;
  readonly lanes: number;
  readonly channels: number;
  /** Taps in all, those of a row, and elements from the weights of one to those of the next. */
  readonly taps: number;
  readonly rowTaps: number;
  readonly pitch: number;
  /** Pixels of a row, and elements from one to the next. */
  readonly length: number;
  readonly along: number;
  /** Where each tap of a row reads, in elements and in positions of the guard. */
  readonly reach: readonly { readonly index: number; readonly pos: number }[];
  /** Whether pixel `x` of a row has the tap inside of the image. */
  inside(x: number, tap: number): boolean;
}

function layoutOf(p: Problem, rows: Rows, target: Target): Layout {
  const { image, channel, run, guard, inner } = rows;
  const lanes = lanesFor(target, bytesOf(p.acc));
  const channels = p.dims[channel]!.size;
  const rowTaps = extent(p, inner);
  const reach = Array.from({ length: rowTaps }, (_, tap) => {
    let [index, pos, rest] = [0, 0, tap];
    for (const d of inner.toReversed()) {
      const x = rest % p.dims[d]!.size;
      rest = Math.floor(rest / p.dims[d]!.size);
      index += x * image.lin[d]!;
      pos += x * (guard?.coefs[d] ?? 0);
    }
    return { index, pos };
  });
  return {
    rows,
    lanes,
    channels,
    taps: extent(p, p.k),
    rowTaps,
    pitch: Math.ceil(channels / lanes) * lanes,
    length: run === null ? 1 : p.dims[run]!.size,
    along: run === null ? 0 : image.lin[run]!,
    reach,
    inside(x, tap) {
      if (!guard) return true;
      const pos = guard.offset + guard.coefs[run!]! * x + reach[tap]!.pos;
      return pos >= 0 && pos < guard.size;
    },
  };
}

/** Weights [outer][taps around, taps of a row][channels], the last vector filled up; the buffer. */
function packWeights(b: LoopBuilder, p: Problem, { rows, channels, taps, pitch }: Layout, scratch: Scratch): number {
  const { weights, channel, outer, inner, around } = rows;
  const bytes = bytesOf(p.acc);
  const keeps = comesPacked(weights);
  const packed = (keeps ? scratch.kept : scratch.room)('packed weights', p.acc, extent(p, outer) * taps * pitch);
  const pack = (): void =>
    b.parallel(extent(p, outer) * taps, index => {
      const coords = unravel(b, index, [...sizesOf(p, outer), ...sizesOf(p, around), ...sizesOf(p, inner)]);
      const from = stepAll(b, weights, origin(b, weights), [...outer, ...around, ...inner], coords);
      const to = b.addr(packed, b.mul(index, b.i32(pitch)));
      b.for(0, channels, 1, c =>
        b.store(p.acc, b.advance(to, c, bytes), loadOne(b, weights, step(b, weights, from, channel, c).index)),
      );
      b.for(channels, pitch, 1, c => b.store(p.acc, b.advance(to, c, bytes), zero(b, p.acc)));
    });
  if (keeps) scratch.prepare(pack);
  else {
    pack();
    b.barrier();
  }
  return packed;
}

/** How the output is cut: rows of images in groups, and vectors of channels. */
interface Tasks {
  /** Rows of an image (one where tiles have none around them), groups of them, and groups of vectors. */
  readonly rows: number;
  readonly rowGroups: number;
  readonly vectors: number;
  readonly vectorGroups: number;
}

/**
 * A task takes its rows below each other for one vector of channels after the other: what a row reads of the image is
 * still in the first cache for the row below it.
 */
function tasksOf(p: Problem, target: Target, { rows, channels, lanes }: Layout): Tasks {
  const height = rows.rows.length === 0 ? 1 : p.dims[rows.rows[rows.rows.length - 1]!]!.size;
  const rowGroups = ceilDiv(height, MOST_ROWS);
  const others = extent(p, [...rows.outer, ...rows.rows]) / height;
  const vectors = ceilDiv(channels, lanes);
  const vectorGroups = Math.max(1, Math.min(vectors, ceilDiv(wantedTasks(p, target), others * rowGroups)));
  return { rows: height, rowGroups, vectors, vectorGroups };
}

/** Emits the whole kernel. */
export function lowerChannels(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const layout = layoutOf(p, rowsOf(p)!, target);
  const { lanes, channels, taps, pitch } = layout;
  const { image, outer, rows } = layout.rows;
  const packed = packWeights(b, p, layout, scratch);
  const ragged = channels % lanes;
  const cut = tasksOf(p, target, layout);
  const around = [...outer, ...rows.slice(0, -1)];
  const spaces = [...sizesOf(p, around), cut.rowGroups, cut.vectorGroups];
  eachTask(b, product(spaces), task => {
    const place = unravel(b, task, spaces);
    const [rowGroup, vectorGroup] = place.slice(around.length) as [Reg, Reg];
    const until = (at: Reg, size: number, groups: number): Reg => b.bin('divU', b.mul(at, b.i32(size)), b.i32(groups));
    const range = (at: Reg, size: number, groups: number): readonly [Reg, Reg] => [
      until(at, size, groups),
      until(b.add(at, b.i32(1)), size, groups),
    ];
    const [top, bottom] = range(rowGroup, cut.rows, cut.rowGroups);
    const [from, to] = range(vectorGroup, cut.vectors, cut.vectorGroups).map(v => b.mul(v, b.i32(lanes)));
    const batch = affine(
      b,
      outer.map((_, i) => [place[i]!, product(sizesOf(p, outer.slice(i + 1)))] as const),
      0,
    );
    const weights = b.mul(batch, b.i32(taps * pitch));
    /** A tile of each of the task's rows. */
    const downwards = (tile: Tile, c: Reg, mask: Reg | null): void =>
      b.for(top, bottom, 1, y => {
        const at = [...place.slice(0, around.length), ...(rows.length > 0 ? [y] : [])];
        const start = stepAll(b, image, origin(b, image), [...outer, ...rows], at);
        sumTile(b, p, layout, { at, start, packed, weights }, tile, c, mask);
      });
    eachTile(b, layout, (first, count, shape) => {
      const tile = { first, count, shape };
      if (ragged === 0) b.for(from!, to!, lanes, c => downwards(tile, c, null));
      else {
        const whole = b.i32(channels - ragged);
        b.for(from!, b.bin('min', to!, whole), lanes, c => downwards(tile, c, null));
        b.if(b.cmp('gt', to!, whole), () => downwards(tile, whole, b.firstLanes(b.i32(ragged), lanes)));
      }
    });
  });
}

/** Runs `visit` for the tiles of a row; those next to each other that have all taps inside are a loop. */
function eachTile(
  b: LoopBuilder,
  { length, reach, inside }: Layout,
  visit: (first: Reg, count: number, shape: number) => void,
): void {
  const size = tileOf(length);
  const tiles = Math.ceil(length / size);
  const isWhole = (i: number): boolean =>
    (i + 1) * size <= length &&
    Array.from({ length: size }, (_, x) => reach.every((_, tap) => inside(i * size + x, tap))).every(Boolean);
  for (let i = 0; i < tiles; ) {
    let until = i;
    while (until < tiles && isWhole(until)) until++;
    if (until - i > 1) {
      const shape = i * size;
      b.for(shape, until * size, size, first => visit(first, size, shape));
      i = until;
    } else {
      visit(b.i32(i * size), Math.min(size, length - i * size), i * size);
      i++;
    }
  }
}

/** A row of results: its coordinates, where it begins in the image, and its weights in the packed ones. */
interface Row {
  readonly at: readonly Reg[];
  readonly start: Cursor;
  readonly packed: number;
  readonly weights: Reg;
}

/** `count` pixels of a row from `first` on (at run time; `shape` begins a tile with the same taps inside). */
interface Tile {
  readonly first: Reg;
  readonly count: number;
  readonly shape: number;
}

/** Computes the channels from `c` on, a vector of them, of a tile. */
function sumTile(b: LoopBuilder, p: Problem, layout: Layout, row: Row, tile: Tile, c: Reg, mask: Reg | null): void {
  const { lanes, rowTaps, pitch, along, reach, inside } = layout;
  const { image, channel, outer, run, rows, guard, around } = layout.rows;
  const bytes = bytesOf(p.acc);
  const { at, start, packed } = row;
  const { first, count, shape } = tile;
  const sums = Array.from({ length: count }, () => zero(b, p.acc, lanes));
  const ahead = run === null ? start : { index: b.add(start.index, b.mul(first, b.i32(along))), pos: start.pos };
  const weightsAt = b.copy(b.addr(packed, b.add(row.weights, c)));
  const uniform = image.guards.flatMap((g, i) => (g === guard ? [] : [i]));
  walk(b, image, [ahead], around, sizesOf(p, around), uniform, ([cursor], [violated]) => {
    whenInside(b, violated!, () => {
      const w = reach.map((_, tap) => b.load(p.acc, weightsAt, tap * pitch * bytes, lanes));
      const from = b.addr(image.buffer, b.add(cursor!.index, c));
      const read = new Map<number, Reg>();
      for (let x = 0; x < count; x++)
        for (let tap = 0; tap < rowTaps; tap++) {
          if (!inside(shape + x, tap)) continue;
          const offset = (x * along + reach[tap]!.index) * bytesOf(image.dtype);
          let value = read.get(offset);
          if (!value) {
            value = mask ? b.loadMasked(image.dtype, from, mask, offset) : b.load(image.dtype, from, offset, lanes);
            read.set(offset, value);
          }
          addProduct(b, p.acc, value, w[tap]!, sums[x]!);
        }
    });
    b.advance(weightsAt, b.i32(rowTaps * pitch), bytes, weightsAt);
  });
  const shared: SharedReads = new Map();
  const coordsOf = (x: number): Coords =>
    new Map([
      ...[...outer, ...rows].map((d, i) => [d, at[i]!] as const),
      ...(run === null ? [] : [[run, x === 0 ? first : b.add(first, b.i32(x))] as const]),
      [channel, c],
    ]);
  const begin = outputIndex(b, p, coordsOf(0));
  for (const [x, sum] of sums.entries()) {
    const index = x === 0 ? begin : b.add(begin, b.i32(x * p.out.lin[run!]!));
    finish(b, p, sum, coordsOf(x), index, channel, mask, shared);
  }
}
