/**
 * The loop that vectors run along: several at a time, then one by one, then what is left. Emits loops; what happens
 * inside is told.
 */
import type { Reg } from '../loops.ts';
import type { LoopVar } from './domain.ts';
import type { Emitter } from './emitter.ts';
import type { Vectors } from './lanes.ts';
import { type Mode, SCALAR } from './walk.ts';

/** The part of a loop that one task walks. */
export interface Chunk {
  readonly lo: Reg;
  /** Elements, or fewer where the loop ends. */
  readonly length: number;
  /** Where the loop ends, if only known at run time. */
  readonly end?: Reg;
}

/** Vectors (several at a time, then one by one), then what is left one element at a time. */
export function laneLoop(emitter: Emitter, vectors: Vectors, chunk: Chunk | null, body: () => void): void {
  const { b } = emitter;
  const { lanes, copies, masked } = vectors;
  const loop = vectors.lane!;
  const { extent } = loop.atom;
  const wide = lanes * copies;
  const part = (mode: Mode, lo: Reg | number, hi: Reg | number): void => {
    if (typeof lo === 'number' && typeof hi === 'number' && lo >= hi) return;
    b.for(lo, hi, mode.lanes * mode.copies, i => inMode(emitter, mode, loop, i, body));
  };
  const full: Mode = { lanes, copies };
  const one: Mode = { lanes, copies: 1 };
  // Elements behind the last whole vector: one by one, or as a vector with some of its lanes.
  const tail: Mode = masked ? { lanes, copies: 1, active: extent % lanes } : SCALAR;
  if (!chunk) {
    const wideEnd = extent - (extent % wide);
    const vectorEnd = extent - (extent % lanes);
    part(full, 0, wideEnd);
    if (copies > 1) part(one, wideEnd, vectorEnd);
    part(tail, vectorEnd, extent);
    return;
  }
  const { lo } = chunk;
  if (chunk.end) {
    const hi = b.bin('min', b.add(lo, b.i32(chunk.length)), chunk.end);
    const wideEnd = b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(wide)));
    const vectorEnd = copies > 1 ? b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(lanes))) : wideEnd;
    part(full, lo, wideEnd);
    if (copies > 1) part(one, wideEnd, vectorEnd);
    if (masked)
      b.if(b.cmp('lt', vectorEnd, hi), () => {
        const mask = b.firstLanes(b.sub(hi, vectorEnd), lanes);
        inMode(emitter, { lanes, copies: 1, mask }, loop, vectorEnd, body);
      });
    else part(SCALAR, vectorEnd, hi);
    return;
  }
  if (extent % chunk.length === 0) {
    part(full, lo, b.add(lo, b.i32(chunk.length)));
    return;
  }
  const hi = b.bin('min', b.add(lo, b.i32(chunk.length)), b.i32(extent));
  const wideEnd = b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(wide)));
  part(full, lo, wideEnd);
  if (extent % wide === 0) return;
  const vectorEnd = copies > 1 ? b.sub(hi, b.bin('remU', b.sub(hi, lo), b.i32(lanes))) : wideEnd;
  if (copies > 1) part(one, wideEnd, vectorEnd);
  if (extent % lanes !== 0) part(tail, vectorEnd, hi);
}

function inMode(emitter: Emitter, mode: Mode, loop: LoopVar, i: Reg, body: () => void): void {
  const before = emitter.mode;
  emitter.scoped(() => {
    emitter.mode = mode;
    emitter.setVar(loop.atom, i);
    body();
  });
  emitter.mode = before;
}
