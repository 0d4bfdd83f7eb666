/**
 * Writing a weight gradient: its sums come tap by tap in vectors of channels, results lie as the weights do, where the
 * taps of a channel are neighbours. The vectors of some channels go to a few lines of scratch, and whole vectors of
 * results are gathered, or shuffled, from there. Imports stores, the target and loop IR.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import { interleaved } from '../strides.ts';
import type { Target } from '../target.ts';
import { affine } from './indices.ts';
import { extent, type Problem } from './problem.ts';
import type { Scratch } from './spec.ts';
import { type Coords, finish, outputGroups, outputIndex, storesVectors } from './store.ts';

const F32 = 4;
/** Vectors of sums that are shuffled at most: a vector of results takes one from as many. */
const MOST_SHUFFLED = 18;

/** A weight gradient's dims, and how its sums come. */
interface KernelGradients {
  readonly channel: number;
  readonly taps: readonly number[];
  readonly out: number;
  readonly lanes: number;
  /** Vectors of a tap that are written together: lane l of vector v is channel `vectors` * l + v. */
  readonly vectors: number;
  /** The number among all vectors of the first one with a tap's sums, divided by `vectors`. */
  readonly place: (tap: number) => number;
}

export interface KernelWriter {
  /** Where the vectors of all taps are expected, one behind the other. */
  readonly stash: Reg;
  /** Writes the kernels of `lanes` * `vectors` channels from `channel` on, for one result. */
  readonly write: (result: Reg, channel: Reg) => void;
}

/** Asks for scratch of `slots` threads; what it returns is called once by each task, with its slot. */
export function kernelWriter(
  b: LoopBuilder,
  p: Problem,
  { channel: dim, taps, out, lanes, vectors, place }: KernelGradients,
  target: Target,
  slots: number,
  scratch: Scratch,
): (slot: Reg) => KernelWriter {
  const kernel = extent(p, taps);
  const count = kernel * lanes * vectors;
  const room = scratch.room('taps', 'f32', slots * count);
  /** Where the stash has tap `tap` of channel 0 of vector `v`. */
  const placeOf = (tap: number, v: number): number => (place(tap) * vectors + v) * lanes;
  const groups = outputGroups(p, [dim, ...taps]);
  const inRows = p.masks && groups.length === 1 && storesVectors(p, groups);
  const shuffles = inRows && target.shufflesStrides === true && kernel * vectors <= MOST_SHUFFLED;
  const gathers = inRows && !shuffles;
  const places = gathers ? scratch.room('places of taps', 'i32', slots * count) : null;
  const eachPlace = (visit: (tap: number, v: number) => void): void => {
    for (let v = 0; v < vectors; v++) for (let tap = 0; tap < kernel; tap++) visit(tap, v);
  };

  return slot => {
    const start = b.mul(slot, b.i32(count));
    const stash = b.addr(room, start);
    const placesAt = places === null ? null : b.addr(places, start);
    if (placesAt)
      b.for(0, lanes, 1, lane => {
        const to = b.advance(placesAt, lane, kernel * vectors * F32);
        eachPlace((tap, v) => b.store('i32', to, b.add(lane, b.i32(placeOf(tap, v))), (v * kernel + tap) * F32));
      });
    const write = (result: Reg, channel: Reg): void => {
      const inRow = (x: Reg, first: Reg): void => {
        const { inner } = groups[0]!;
        const coords: Coords = new Map([
          [out, result],
          [inner, first],
        ]);
        finish(b, p, x, coords, outputIndex(b, p, coords), inner);
      };
      if (shuffles) {
        const sums = Array.from({ length: kernel * vectors }, (_, k) =>
          b.load('f32', stash, placeOf(k % kernel, Math.floor(k / kernel)) * F32, lanes),
        );
        for (const part of sums.keys()) {
          const x = interleaved(b, sums, lanes, part);
          inRow(x, affine(b, [[channel, kernel]], part * lanes));
        }
        return;
      }
      if (placesAt) {
        b.for(0, count, lanes, v => {
          const x = b.gather('f32', stash, b.load('i32', b.advance(placesAt, v, F32), 0, lanes));
          inRow(x, affine(b, [[channel, kernel], [v, 1]], 0)); // biome-ignore format: a sum
        });
        return;
      }
      b.for(0, lanes, 1, lane => {
        const at = b.advance(stash, lane, F32);
        eachPlace((tap, v) => {
          const coords: Coords = new Map([
            [out, result],
            [dim, affine(b, [[channel, 1], [lane, vectors]], v)], // biome-ignore format: a sum
            ...taps.map((d, i) => [d, tapCoords(b, p, taps, tap)[i]!] as const),
          ]);
          finish(b, p, b.load('f32', at, placeOf(tap, v) * F32), coords, outputIndex(b, p, coords), null);
        });
      });
    };
    return { stash, write };
  };
}

/** Coordinates of a tap that is known when compiling. */
const tapCoords = (b: LoopBuilder, p: Problem, taps: readonly number[], tap: number): Reg[] => {
  let rest = tap;
  const coords = taps.map(() => 0);
  for (let i = taps.length - 1; i >= 0; i--) {
    const { size } = p.dims[taps[i]!]!;
    coords[i] = rest % size;
    rest = Math.floor(rest / size);
  }
  return coords.map(x => b.i32(x));
};
