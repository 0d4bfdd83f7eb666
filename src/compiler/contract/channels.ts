/**
 * Contraction channel by channel, channels in the lanes: depthwise convolution of what is kept channels last. A tile is a run of pixels; every vector
 * read serves all taps of its row, and where a tile touches the border is known when compiling, so nothing is padded or packed but the weights.
 */
import { bytesOf } from '../../graph/dtype.ts';
import { type LoopBuilder, type Reg, registerScalar } from '../loops.ts';
import { lanesFor, type Target } from '../target.ts';
import { loadOne, origin, sizesOf, step, stepAll, walk, whenInside } from './cursor.ts';
import { affine, unravel, zero } from './indices.ts';
import { addProduct } from './micro.ts';
import { comesPacked } from './plan.ts';
import { extent, type Guard, type Problem, product, type View } from './problem.ts';
import type { Scratch } from './spec.ts';
import { type Coords, finish, outputIndex } from './store.ts';
import { eachTask } from './tasks.ts';

/** Taps of a row whose weights are held in registers, at most, and taps in all. */
const MAX_ROW_TAPS = 9;
const MAX_TAPS = 1024;
/** Pixels of a tile: enough chains to hide the latency of a multiply-add, few enough for the registers and the code. */
const MIN_TILE = 6;
const MAX_TILE = 14;

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

/** Emits the whole kernel. */
export function lowerChannels(b: LoopBuilder, p: Problem, target: Target, scratch: Scratch): void {
  const bytes = bytesOf(p.acc);
  const lanes = lanesFor(target, bytes);
  const { image, weights, channel, outer, run, rows, guard, inner, around } = rowsOf(p)!;
  const channels = p.dims[channel]!.size;
  const [taps, rowTaps] = [extent(p, p.k), extent(p, inner)];
  const length = run === null ? 1 : p.dims[run]!.size;
  const pitch = Math.ceil(channels / lanes) * lanes;

  // Weights: [outer][taps around, taps of a row][channels], the last vector filled up.
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

  /** Where each tap of a row reads, in elements and in positions of the guard. */
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
  const along = run === null ? 0 : image.lin[run]!;
  /** The taps a pixel has inside of the image. */
  const inside = (x: number, tap: number): boolean => {
    if (!guard) return true;
    const pos = guard.offset + guard.coefs[run!]! * x + reach[tap]!.pos;
    return pos >= 0 && pos < guard.size;
  };

  const ragged = channels % lanes;
  const spaces = [...sizesOf(p, outer), ...sizesOf(p, rows)];
  eachTask(b, product(spaces), task => {
    const at = unravel(b, task, spaces);
    const place = [...outer, ...rows];
    const start = stepAll(b, image, origin(b, image), place, at);
    const batch = affine(
      b,
      outer.map((_, i) => [at[i]!, product(sizesOf(p, outer.slice(i + 1)))] as const),
      0,
    );
    const ownWeights = b.mul(batch, b.i32(taps * pitch));

    /** Pixels `first` to `first + count` of the row (`first` at run time, `shape` a tile with the same taps inside). */
    const tile = (first: Reg, count: number, shape: number, c: Reg, mask: Reg | null): void => {
      const sums = Array.from({ length: count }, () => b.copy(zero(b, p.acc, lanes)));
      const ahead = run === null ? start : { index: b.add(start.index, b.mul(first, b.i32(along))), pos: start.pos };
      const weightsAt = b.copy(b.addr(packed, b.add(ownWeights, c)));
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
      for (const [x, sum] of sums.entries()) {
        const coords: Coords = new Map([
          ...place.map((d, i) => [d, at[i]!] as const),
          ...(run === null ? [] : [[run, x === 0 ? first : b.add(first, b.i32(x))] as const]),
          [channel, c],
        ]);
        finish(b, p, sum, coords, outputIndex(b, p, coords), channel, mask);
      }
    };
    /** All channels of a tile. */
    const channelwise = (first: Reg, count: number, shape: number): void => {
      if (channels >= lanes) b.for(0, channels - ragged, lanes, c => tile(first, count, shape, c, null));
      if (ragged > 0) tile(first, count, shape, b.i32(channels - ragged), b.firstLanes(b.i32(ragged), lanes));
    };

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
        b.for(shape, until * size, size, first => channelwise(first, size, shape));
        i = until;
      } else {
        channelwise(b.i32(i * size), Math.min(size, length - i * size), i * size);
        i++;
      }
    }
  });
}
