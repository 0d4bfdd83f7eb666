/**
 * Applying gradients and statistics to rows: the twin of `updatePlainly` in table/plain.ts, with the row optimizers of
 * rules.ts in it.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { CLICK, DELTA, LINK, META, SHOW, WIDE } from '../table/layout.ts';
import { type RowUpdate, writeUpdate } from './rules.ts';
import {
  chunksOf,
  eachBlock,
  loadKernel,
  prefetchWords,
  type Rows,
  real,
  rowPointer,
  type TableShape,
  W,
  word,
} from './writing.ts';

const UPDATE = {
  rows: 'i32',
  gradients: 'f32',
  shows: 'f32',
  clicks: 'f32',
  slots: 'i32',
  segments: 'i64',
  vectorSegments: 'i64',
  corrections: 'f64',
  numbers: 'i32',
  reals: 'f64',
} as const;

export function updateKernel(
  machine: HostKernels,
  { layout, settings, rowShift, vectorShift }: TableShape,
): HostKernel {
  const { wide, dim, apart, width, rowWords, vectorWords, vector, vectorState, wideState } = layout;
  const { nonclick, click: clicked } = settings.score;
  return loadKernel(machine, 'update rows', UPDATE, (b, buffer) => {
    const main: Rows = { segments: buffer.segments, shift: rowShift, words: rowWords };
    const apartRows: Rows = { segments: buffer.vectorSegments, shift: vectorShift, words: vectorWords };
    const vectorChunks = chunksOf(b, machine.target, dim);
    const wideChunks = chunksOf(b, machine.target, wide);
    const zero = b.i32(0);
    const one = b.i32(1);
    const unique = word(b, buffer.numbers, 0);
    const withSlots = b.cmp('ne', word(b, buffer.numbers, 1), zero);
    const corrections = { buffer: buffer.corrections, last: word(b, buffer.numbers, 2) };
    const rate = real(b, buffer.reals, 0);
    const wideRate = real(b, buffer.reals, 1);
    const whereThere = (u: Reg, body: (p: Reg) => void): void => {
      const row = word(b, buffer.rows, u);
      b.if(b.cmp('ge', row, zero), () => body(rowPointer(b, main, row)));
    };
    const askRows = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u => whereThere(u, p => prefetchWords(b, p, rowWords, true)));
    const askVectors = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u =>
        whereThere(u, p => {
          const link = b.load('i32', p, W * LINK);
          b.if(b.cmp('ne', link, zero), () =>
            prefetchWords(b, rowPointer(b, apartRows, b.sub(link, one)), vectorWords, true),
          );
        }),
      );
    const update = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u =>
        whereThere(u, p => {
          const show = b.load('f32', b.addr(buffer.shows, u));
          const click = b.load('f32', b.addr(buffer.clicks, u));
          b.store('f32', p, b.add(b.load('f32', p, W * SHOW), show), W * SHOW);
          b.store('f32', p, b.add(b.load('f32', p, W * CLICK), click), W * CLICK);
          const shows = b.cvt('f64', show);
          storeScore(b, p, shows, b.cvt('f64', click), nonclick, clicked);
          b.if(
            withSlots,
            () => b.store('i32', p, b.load('i32', b.addr(buffer.slots, u)), W * META),
            () => b.store('i32', p, b.bin('and', b.load('i32', p, W * META), b.i32(0xffff)), W * META),
          );
          const gradient = b.addr(buffer.gradients, b.mul(u, b.i32(width)));
          const common = { b, gradient, shows, corrections } satisfies Partial<RowUpdate>;
          if (wide)
            writeUpdate(settings.wideOptimizer, {
              ...common,
              n: 1,
              chunks: wideChunks,
              row: p,
              weights: W * WIDE,
              state: W * wideState,
              from: 0,
              rate: wideRate,
            });
          if (dim === 0) return;
          const updateVector = (row: Reg, weights: number): void =>
            writeUpdate(settings.optimizer, {
              ...common,
              n: dim,
              chunks: vectorChunks,
              row,
              weights: W * weights,
              state: W * vectorState,
              from: W * wide,
              rate,
            });
          if (!apart) {
            updateVector(p, vector);
            return;
          }
          const link = b.load('i32', p, W * LINK);
          b.if(b.cmp('ne', link, zero), () => updateVector(rowPointer(b, apartRows, b.sub(link, one)), 0));
        }),
      );
    eachBlock(b, unique, apart ? [askRows, askVectors, update] : [askRows, update]);
  });
}

/** delta score += (show - click) nonclick + click clicked, in f64. */
function storeScore(b: LoopBuilder, p: Reg, show: Reg, click: Reg, nonclick: number, clicked: number): void {
  const grown = b.add(b.mul(b.sub(show, click), b.const('f64', nonclick)), b.mul(click, b.const('f64', clicked)));
  b.store('f32', p, b.cvt('f32', b.add(b.cvt('f64', b.load('f32', p, W * DELTA)), grown)), W * DELTA);
}
