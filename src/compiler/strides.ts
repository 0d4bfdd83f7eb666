/**
 * Vectors whose lanes lie a few elements apart, by whole vectors and shuffles of two: a gather takes some 40 cycles on
 * Zen 5 (decision 304). Imports loop IR only.
 */
import type { LoopBuilder } from './loop-builder.ts';
import type { Reg } from './loops.ts';

/** A lane of one of several vectors. */
type Place = readonly [vector: number, lane: number];

/** The vector of the lanes at `places`, which are of two vectors at least, or a whole one. */
function picked(b: LoopBuilder, vector: (k: number) => Reg, places: readonly Place[]): Reg {
  const lanes = places.length;
  const [first, ...others] = [...new Set(places.map(([k]) => k))];
  let x = vector(first!);
  const taken = new Set([first]);
  // Lanes that no shuffle has placed are still where the first vector has them.
  const at = (lane: number, placed: boolean): number => (placed ? lane : places[lane]![1]);
  for (const [i, k] of others.entries()) {
    const from = places.map(([source, lane], l) =>
      source === k ? lanes + lane : taken.has(source) ? at(l, i > 0) : l,
    );
    x = b.shuffle(x, vector(k), from);
    taken.add(k);
  }
  return x;
}

/**
 * Elements `step` apart, 2 to `lanes`: `load` gives the vector so many elements behind the first one. Nothing behind
 * the last one is read.
 */
export function everyNth(b: LoopBuilder, step: number, lanes: number, load: (offset: number) => Reg): Reg {
  const last = step - 1;
  const start = (k: number): number => (k === last ? (lanes - 1) * last : k * lanes);
  const places = Array.from({ length: lanes }, (_, lane): Place => {
    const k = Math.min(last, Math.floor((lane * step) / lanes));
    return [k, lane * step - start(k)];
  });
  return picked(b, k => load(start(k)), places);
}

/** Every n-th element from `part` on of those that n vectors hold one behind the other. */
export const deinterleaved = (b: LoopBuilder, vectors: readonly Reg[], lanes: number, part: number): Reg => {
  const places = Array.from({ length: lanes }, (_, lane): Place => {
    const element = lane * vectors.length + part;
    return [Math.floor(element / lanes), element % lanes];
  });
  return picked(b, k => vectors[k]!, places);
};

/** Part `part` of the elements that vectors hold when they are walked lane by lane. */
export const interleaved = (b: LoopBuilder, vectors: readonly Reg[], lanes: number, part: number): Reg => {
  const places = Array.from({ length: lanes }, (_, lane): Place => {
    const element = part * lanes + lane;
    return [element % vectors.length, Math.floor(element / vectors.length)];
  });
  return picked(b, k => vectors[k]!, places);
};
