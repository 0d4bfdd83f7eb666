/** Products of f32 in vectors: images at a pixel are rows of the microkernel's tile, read where they lie. */
import type { LoopBuilder } from '../../loop-builder.ts';
import { lanesFor, type Target } from '../../target.ts';
import { origin } from '../cursor.ts';
import { zero } from '../indices.ts';
import { sweep } from '../micro.ts';
import { laneWords, packPanel } from '../pack.ts';
import { blocksOf, collides, comesPacked } from '../plan.ts';
import { extent, type Problem } from '../problem.ts';
import { blockAt } from '../sides.ts';
import type { Scratch } from '../spec.ts';
import { eachTask, slotsOf } from '../tasks.ts';
import { chooseTile } from '../tile.ts';
import type { Forward, Product } from './forward.ts';

const F32 = 4;
/** Images, and channels, from which on tiles and sweeps are long enough. */
const LEAST_IMAGES = 8;
const LEAST_CHANNELS = 32;
/** Images of a block at most. */
const MOST_ROWS = 64;
const UNROLL = 2;

/** Images of a block: as many as divide them. */
const rowsOf = (images: number): number => {
  let rows = Math.min(images, MOST_ROWS);
  while (images % rows !== 0) rows--;
  return rows;
};

/**
 * Rows and vectors of a tile. One that divides the block is written once, and is as fast where it is nearly as high: 8
 * rows of 2 vectors as 11 (decision 305).
 */
function tileFor(rows: number, results: number, lanes: number, target: Target): ReturnType<typeof chooseTile> {
  const chosen = chooseTile(rows, results, lanes, target, true);
  let height = chosen.rows;
  while (rows % height !== 0) height--;
  return height * 1.4 < chosen.rows ? chosen : { ...chosen, rows: height };
}

export function suitsVectors(p: Problem, f: Forward, target: Target): boolean {
  if (target.keepsOrder !== true || f.dtype !== 'f32') return false;
  const lanes = lanesFor(target, F32);
  const rows = rowsOf(extent(p, [f.images]));
  const results = extent(p, p.n);
  const { rows: height } = tileFor(rows, results, lanes, target);
  const whole = rows >= LEAST_IMAGES && results % lanes === 0 && extent(p, [f.channel]) >= LEAST_CHANNELS;
  return whole && !collides(f.image.lin[f.images]! * F32, height);
}

export function productInVectors(b: LoopBuilder, p: Problem, f: Forward, target: Target, scratch: Scratch): Product {
  const { image, kernel: view, images, taps, channel } = f;
  const lanes = lanesFor(target, F32);
  const q = { ...p, k: [...taps, channel] };
  const results = extent(p, p.n);
  const rows = rowsOf(extent(p, [images]));
  const { rows: height, vectors } = tileFor(rows, results, lanes, target);
  const width = vectors * lanes;
  const panels = Math.ceil(results / width);
  const panelSize = extent(p, p.k) * width;
  const channels = extent(p, [channel]);
  const keeps = comesPacked(view);
  const kernel = (keeps ? scratch.kept : scratch.room)('packed kernel', 'f32', panels * panelSize);
  const words = laneWords(view, lanes);
  const whole = results % width === 0;
  const gathers = target.masksMemory && !whole;
  const room = gathers ? scratch.room('lanes of the kernel', 'i32', slotsOf(panels) * words) : null;
  const fill = (): void =>
    eachTask(b, panels, (panel, slot) =>
      packPanel(b, q, view, q.n, lanes, {
        at: origin(b, view),
        first: b.mul(panel, b.i32(width)),
        width,
        most: width,
        whole,
        block: blockAt(b, q, { k: blocksOf(q, extent(q, q.k), []) }, 0),
        to: b.addr(kernel, b.mul(panel, b.i32(panelSize))),
        lanesAt: room === null ? null : b.addr(room, b.mul(slot, b.i32(words))),
      }),
    );
  // Tiles of a block: the tall ones first, then those that are one row lower.
  const tiles = Math.ceil(rows / height);
  const low = Math.floor(rows / tiles);
  const tall = rows % tiles;
  return {
    rows,
    width,
    panels,
    panelBytes: panelSize * F32,
    element: 1,
    tap: channels * width,
    pack() {
      if (keeps) scratch.prepare(fill);
      else fill();
      return !keeps;
    },
    multiply: (panel, { at, count }, to) => {
      const columns = b.addr(kernel, b.mul(panel, b.i32(panelSize)));
      const pitch = image.lin[images]!;
      const some = (size: number, from: number, until: number): void =>
        b.for(from, until, size, row => {
          const tile = Array.from({ length: size }, () => Array.from({ length: vectors }, () => zero(b, 'f32', lanes)));
          const first = b.advance(b.addr(image.buffer), row, pitch * F32);
          const entry = b.copy(at);
          b.for(0, count, 1, () => {
            const from = b.advance(first, b.load('i32', entry), F32);
            const tap = b.advance(columns, b.load('i32', entry, F32), F32);
            const a = { dtype: 'f32', from, across: pitch, along: 1 } as const;
            sweep(b, 'f32', lanes, tile, channels, a, { dtype: 'f32', from: tap, across: lanes, along: width }, UNROLL);
            b.advance(entry, b.i32(2), F32, entry);
          });
          const place = b.advance(to, row, width * F32);
          for (const [r, line] of tile.entries())
            for (const [v, sum] of line.entries()) b.store('f32', place, sum, (r * width + v * lanes) * F32);
        });
      if (tall > 0) some(low + 1, 0, tall * (low + 1));
      some(low, tall * (low + 1), rows);
    },
  };
}
