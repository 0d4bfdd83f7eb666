/**
 * Concatenation: every part's rows are copied to their place in the output, in blocks that threads share out. May
 * import the loop IR; knows nothing of graphs.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { Target } from '../target.ts';
import type { BufferIndex, ConcatSpec, Scratch } from './index.ts';
import { lesser, scaled } from './lanes.ts';

/** Elements of a row that one task copies. */
const BLOCK = 2048;
/** Rows of up to this many vectors are written out without a loop. */
const SHORT = 8;

export function concatScratch(_spec: ConcatSpec, _target: Target): readonly Scratch[] {
  return [];
}

/** Copies every part to its stretch of each row of the output. */
export function lowerConcat(b: LoopBuilder, spec: ConcatSpec, target: Target, _scratch: readonly BufferIndex[]): void {
  const { dtype, outer, inner, parts, output } = spec;
  const bytes = bytesOf(dtype);
  const lanes = bytes >= 4 ? target.vectorBytes / bytes : 1;
  const mem = dtype === 'bool' ? 'u8' : dtype;
  const total = parts.reduce((sum, part) => sum + part.n, 0) * inner;
  let before = 0;
  for (const { n, input } of parts) {
    const row = n * inner;
    const start = before;
    before += row;
    if (outer * row === 0) continue;
    const copy = (from: Reg, to: Reg, wide: number): void => {
      b.store(mem, b.addr(output, to), b.load(mem, b.addr(input, from), 0, wide));
    };
    if (row <= SHORT * lanes) {
      b.parallel(outer, o => {
        const from = b.addr(input, scaled(b, o, row));
        const to = b.addr(output, scaled(b, o, total, b.i32(start)));
        let at = 0;
        for (; at + lanes <= row; at += lanes) b.store(mem, to, b.load(mem, from, at * bytes, lanes), at * bytes);
        for (; at < row; at++) b.store(mem, to, b.load(mem, from, at * bytes), at * bytes);
      });
      continue;
    }
    const blocks = Math.ceil(row / BLOCK);
    b.parallel(outer * blocks, task => {
      const o = blocks === 1 ? task : b.bin('div', task, b.i32(blocks));
      const lo = blocks === 1 ? b.i32(0) : b.mul(b.sub(task, b.mul(o, b.i32(blocks))), b.i32(BLOCK));
      const hi = blocks === 1 ? b.i32(row) : lesser(b, b.add(lo, b.i32(BLOCK)), b.i32(row));
      const source = scaled(b, o, row);
      const place = scaled(b, o, total, b.i32(start));
      const whole = lanes === 1 ? hi : b.add(lo, b.bin('and', b.sub(hi, lo), b.i32(-lanes)));
      if (lanes > 1) b.for(lo, whole, lanes, i => copy(b.add(source, i), b.add(place, i), lanes));
      b.for(lanes === 1 ? lo : whole, hi, 1, i => copy(b.add(source, i), b.add(place, i), 1));
    });
  }
}
