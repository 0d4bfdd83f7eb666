/**
 * Tiles of an image, transformed: 4x4 pixels (or the gradients of 2x2 results) of every channel become 16 planes
 * [tile][channel] that the products read as they lie. What lies outside of the image is known per tile, so nothing is
 * padded. Imports windows, transforms and loop IR.
 */
import { bytesOf } from '../../../graph/dtype.ts';
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { affine, unravel, zero } from '../indices.ts';
import type { View } from '../problem.ts';
import type { Axis, Windows } from './convolution.ts';
import { type Matrix, transformGradients, transformPixels } from './transforms.ts';

const F32 = 4;
const WORD = 4;
/** Planes: the products of a 4x4 tile. */
export const PLANES = 16;
const SIDE = 4;

/** 16 planes of `rows` x `pitch` elements; a line between them keeps their rows out of one another's cache sets. */
export interface Planes {
  /** f32; bf16 whose neighbours, two channels, are words of dot products; or words of bf16 of two tiles, the rows. */
  readonly dtype: 'f32' | 'bf16' | 'i32';
  readonly pitch: number;
  readonly plane: number;
}

export const planesOf = (rows: number, pitch: number, lanes: number, dtype: Planes['dtype'] = 'f32'): Planes => ({
  dtype,
  pitch,
  plane: rows * pitch + (lanes * F32) / bytesOf(dtype),
});

/** Planes that begin at an address. */
export interface PlacedPlanes extends Planes {
  readonly from: Reg;
}

/** Elements of all planes. */
export const planeElements = (planes: Planes): number => PLANES * planes.plane;

/** Stores vector (i, j) of `values` at `to` of plane 4 i + j. */
export function storePlanes(b: LoopBuilder, values: Matrix, to: Reg, { dtype, plane }: Planes): void {
  for (const [k, x] of values.flat().entries())
    b.store(dtype, to, dtype === 'bf16' ? b.asFlushed(x) : x, k * plane * bytesOf(dtype));
}

/** Of two tiles that become words: whether this is the second one, and whether it is one that no second follows. */
interface InPair {
  readonly second: Reg;
  readonly alone: Reg;
}

/** The same in words of two tiles: f32 for the first one waits for the second, or becomes words whose upper half is 0. */
function storeWords(b: LoopBuilder, values: Matrix, to: Reg, { plane }: Planes, { second, alone }: InPair): void {
  const all = values.flat();
  const offset = (k: number): number => k * plane * WORD;
  const each = (word: (x: Reg, offset: number) => Reg): void => {
    for (const [k, x] of all.entries()) b.store('i32', to, word(x, offset(k)), offset(k));
  };
  b.if(
    second,
    () => each((x, at) => b.bf16Words(b.load('f32', to, at, x.type.lanes), x)),
    () =>
      b.if(
        alone,
        () => each(x => b.bf16Words(x, zero(b, 'f32', x.type.lanes))),
        () => each(x => b.bitcast('i32', x)),
      ),
  );
}

/** Vectors at `from` of all planes. */
export const loadPlanes = (b: LoopBuilder, from: Reg, { plane }: Planes, lanes: number): Reg[][] =>
  Array.from({ length: SIDE }, (_, i) =>
    Array.from({ length: SIDE }, (_, j) => b.load('f32', from, (i * SIDE + j) * plane * F32, lanes)),
  );

/** Coordinates of tile `index`, in tiles along the axes. */
export const tileCoords = (b: LoopBuilder, windows: Windows, index: Reg): ReadonlyMap<number, Reg> => {
  const at = unravel(b, index, windows.counts);
  return new Map(windows.dims.map((d, i) => [d, at[i]!] as const));
};

/**
 * Whose sign is set where positions `from` and `to` behind the first one of a tile are not both in [lo, hi); null where
 * they always are.
 */
function outside(b: LoopBuilder, axis: Axis, tile: Reg, lo: number, hi: number, from: number, to = from): Reg | null {
  const low = from >= lo ? null : affine(b, [[tile, 2]], from - lo);
  const high = 2 * (axis.tiles - 1) + to < hi ? null : affine(b, [[tile, -2]], hi - 1 - to);
  return low && high ? b.bin('or', low, high) : (low ?? high);
}

const joined = (b: LoopBuilder, x: Reg | null, y: Reg | null): Reg | null => (x && y ? b.bin('or', x, y) : (x ?? y));

/** Channels of an image that are wanted. */
export interface Channels {
  readonly from: Reg;
  readonly count: Reg | number;
}

interface TileLoad {
  readonly view: View;
  /** Element of the tile's first position in channel 0. */
  readonly index: Reg;
  readonly channels: Channels;
  /** Positions of a side. */
  readonly side: number;
  readonly strides: readonly [number, number];
  /** By axis: see `outside`, for positions from to to. */
  readonly missing: (axis: 0 | 1, from: number, to: number) => Reg | null;
}

/**
 * Loads all vectors of a tile, 0 outside, and hands them on with the channel they begin with (counted from the first).
 */
function eachVector(b: LoopBuilder, tile: TileLoad, lanes: number, use: (values: Matrix, channel: Reg) => void): void {
  const { view, channels, side, strides, missing } = tile;
  const start = b.add(tile.index, channels.from);
  const all = Array.from({ length: side }, (_, i) => i);
  const apart = (i: number, j: number): number => i * strides[0] + j * strides[1];
  const load = (at: Reg, i: number, j: number, into?: Reg): Reg =>
    b.load(view.dtype, at, apart(i, j) * bytesOf(view.dtype), lanes, into);
  const border = joined(b, missing(0, 0, side - 1), missing(1, 0, side - 1));
  if (!border) {
    b.for(0, channels.count, lanes, channel => {
      const at = b.addr(view.buffer, b.add(start, channel));
      use(
        all.map(i => all.map(j => load(at, i, j))),
        channel,
      );
    });
    return;
  }
  const none = b.i32(0);
  const inside = b.cmp('ge', border, none);
  const [rows, columns] = ([0, 1] as const).map(axis => all.map(i => missing(axis, i, i)));
  b.for(0, channels.count, lanes, channel => {
    const values = all.map(() => all.map(() => zero(b, 'f32', lanes)));
    const index = b.add(start, channel);
    const at = b.addr(view.buffer, index);
    /** A tile may begin before the image does. */
    const loadAlone = (i: number, j: number): Reg =>
      b.wideAddresses
        ? load(at, i, j, values[i]![j])
        : load(b.addr(view.buffer, b.add(index, b.i32(apart(i, j)))), 0, 0, values[i]![j]);
    const eachOf = (fill: (i: number, j: number) => void): void => {
      for (const i of all) for (const j of all) fill(i, j);
    };
    b.if(
      inside,
      () => eachOf((i, j) => load(at, i, j, values[i]![j])),
      () =>
        eachOf((i, j) => {
          const out = joined(b, rows![i]!, columns![j]!);
          if (out) b.if(b.cmp('ge', out, none), () => loadAlone(i, j));
          else loadAlone(i, j);
        }),
    );
    use(values, channel);
  });
}

/** What tiles are read from, and what becomes of one. */
interface TileSource {
  readonly view: View;
  readonly base: number;
  readonly side: number;
  readonly strides: readonly [number, number];
  /** Where the positions of an axis begin and end. */
  readonly bounds: (axis: Axis) => readonly [lo: number, hi: number];
  readonly transform: (b: LoopBuilder, values: Matrix) => Matrix;
}

/** Tiles `first` to `last` - 1 that are transformed into the rows of `to`, `lanes` channels at a time. */
interface TileRange {
  readonly channels: Channels;
  readonly lanes: number;
  readonly first: Reg;
  readonly last: Reg;
  readonly to: PlacedPlanes;
}

function transformTiles(
  b: LoopBuilder,
  windows: Windows,
  { view, base, side, strides, bounds, transform }: TileSource,
  { channels, lanes, first, last, to }: TileRange,
): void {
  const { axes, dims } = windows;
  b.for(first, last, 1, tile => {
    const coords = tileCoords(b, windows, tile);
    const terms = dims.map(d => [coords.get(d)!, view.lin[d]! * (isAxis(axes, d) ? 2 : 1)] as const);
    const at = b.sub(tile, first);
    const one = b.i32(1);
    const inPairs = to.dtype === 'i32';
    const row = b.advance(to.from, inPairs ? b.bin('shrU', at, one) : at, to.pitch * bytesOf(to.dtype));
    const pair = inPairs
      ? { second: b.cmp('eq', b.bin('and', at, one), one), alone: b.cmp('eq', b.sub(last, tile), one) }
      : null;
    const missing: TileLoad['missing'] = (axis, from, until) =>
      outside(b, axes[axis], coords.get(axes[axis].dim)!, ...bounds(axes[axis]), from, until);
    const load: TileLoad = { view, channels, index: affine(b, terms, base), side, strides, missing };
    eachVector(b, load, lanes, (values, channel) => {
      const place = b.advance(row, channel, bytesOf(to.dtype));
      const planes = transform(b, values);
      if (pair) storeWords(b, planes, place, to, pair);
      else storePlanes(b, planes, place, to);
    });
  });
}

/** Transforms tiles of the image. */
export function transformImage(b: LoopBuilder, windows: Windows, range: TileRange): void {
  const { view, axes, base } = windows;
  const strides = [axes[0].stride, axes[1].stride] as const;
  const bounds = ({ lo, hi }: Axis): readonly [number, number] => [lo, hi];
  transformTiles(b, windows, { view, base, side: SIDE, strides, bounds, transform: transformPixels }, range);
}

/** The same for the gradient of the results that the windows make. */
export function transformResultGradients(b: LoopBuilder, windows: Windows, view: View, range: TileRange): void {
  const { axes } = windows;
  const strides = [view.lin[axes[0].dim]!, view.lin[axes[1].dim]!] as const;
  const bounds = ({ size }: Axis): readonly [number, number] => [0, size];
  const { base } = view;
  transformTiles(b, windows, { view, base, side: 2, strides, bounds, transform: transformGradients }, range);
}

const isAxis = (axes: readonly Axis[], dim: number): boolean => axes.some(axis => axis.dim === dim);
