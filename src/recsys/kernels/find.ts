/**
 * Finding the rows of distinct signs and reading them: the twin of `findPlainly` in table/plain.ts. The memory of some signs is asked for before any of it is
 * used: index entries, then rows, then vectors that lie apart.
 */
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { HI, LINK, LO, SHOW, WIDE } from '../table/layout.ts';
import { INITIAL, writeInitial } from './create.ts';
import {
  chunksOf,
  eachBlock,
  indexEntry,
  loadChunk,
  loadKernel,
  prefetchWords,
  type Rows,
  rowPointer,
  storeChunk,
  type TableShape,
  W,
  word,
} from './writing.ts';

const FIND = {
  hi: 'i32',
  lo: 'i32',
  hash: 'i32',
  tag: 'i32',
  rows: 'i32',
  weights: 'f32',
  shows: 'f32',
  parts: 'i64',
  segments: 'i64',
  vectorSegments: 'i64',
  numbers: 'i32',
  ...INITIAL,
} as const;

/** @param starts whether signs without a row get what they would start with */
export function findKernel(
  machine: HostKernels,
  { layout, rowShift, vectorShift }: TableShape,
  starts: boolean,
): HostKernel {
  const { wide, dim, apart, width, rowWords, vector, vectorState } = layout;
  /** Words of a row that a pull reads. */
  const read = apart ? rowWords : vectorState;
  return loadKernel(machine, 'find rows', FIND, (b, buffer) => {
    const main: Rows = { segments: buffer.segments, shift: rowShift, words: rowWords };
    const apartRows: Rows = { segments: buffer.vectorSegments, shift: vectorShift, words: layout.vectorWords };
    const chunks = chunksOf(b, machine.target, dim);
    const zero = b.i32(0);
    const one = b.i32(1);
    const entryOf = (u: Reg): ReturnType<typeof indexEntry> =>
      indexEntry(b, buffer.parts, word(b, buffer.hash, u), word(b, buffer.tag, u));
    const next = (at: Reg, mask: Reg): Reg => b.bin('and', b.add(at, b.i32(2)), mask);
    const put = (u: Reg, row: Reg): void => b.store('i32', b.addr(buffer.rows, u), row);

    const holds = (p: Reg, u: Reg): Reg => {
      const low = b.bin('xor', b.load('i32', p, W * LO), word(b, buffer.lo, u));
      const high = b.bin('xor', b.load('i32', p, W * HI), word(b, buffer.hi, u));
      return b.cmp('eq', b.bin('or', low, high), zero);
    };
    const askIndex = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u => {
        b.prefetch(entryOf(u).entry, 0, false);
      });

    const guess = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u => {
        const { start, mask, home } = entryOf(u);
        const tag = word(b, buffer.tag, u);
        const at = b.copy(home);
        const row = b.copy(zero);
        const searching = b.copy(one);
        b.while(
          () => b.cmp('ne', searching, zero),
          () => {
            const entry = b.advance(start, at, W);
            b.move(row, b.load('i32', entry, W));
            const goesOn = b.bin('and', b.cmp('ne', b.load('i32', entry), tag), b.cmp('ne', row, zero));
            b.move(searching, b.cvt('i32', goesOn));
            b.move(at, next(at, mask));
          },
        );
        const guessed = b.sub(row, one);
        put(u, guessed);
        b.if(b.cmp('ge', guessed, zero), () => prefetchWords(b, rowPointer(b, main, guessed), read, false));
      });

    const compare = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u => {
        const row = b.copy(word(b, buffer.rows, u));
        b.if(b.cmp('ge', row, zero), () => {
          b.if(b.un('not', holds(rowPointer(b, main, row), u)), () => {
            // Another sign with the same tag: one in many thousand.
            const { start, mask, home } = entryOf(u);
            const tag = word(b, buffer.tag, u);
            const at = b.copy(home);
            const searching = b.copy(one);
            b.while(
              () => b.cmp('ne', searching, zero),
              () => {
                const entry = b.advance(start, at, W);
                b.move(row, b.sub(b.load('i32', entry, W), one));
                b.if(
                  b.cmp('lt', row, zero),
                  () => b.move(searching, zero),
                  () =>
                    b.if(b.cmp('eq', b.load('i32', entry), tag), () =>
                      b.if(holds(rowPointer(b, main, row), u), () => b.move(searching, zero)),
                    ),
                );
                b.move(at, next(at, mask));
              },
            );
            put(u, row);
          });
        });
        if (apart)
          b.if(b.cmp('ge', row, zero), () => {
            const link = b.load('i32', rowPointer(b, main, row), W * LINK);
            b.if(b.cmp('ne', link, zero), () =>
              prefetchWords(b, rowPointer(b, apartRows, b.sub(link, one)), vectorState, false),
            );
          });
      });

    const absent = (u: Reg, out: Reg): void => {
      const none = b.const('f32', 0);
      b.store('f32', b.addr(buffer.shows, u), none);
      if (wide) b.store('f32', out, none);
      const sign = { hash: word(b, buffer.hash, u), tag: word(b, buffer.tag, u) };
      if (!apart) writeInitial(b, buffer, chunks, sign, out, W * wide);
      else for (const chunk of chunks) storeChunk(b, out, W * wide, chunk, b.const('f32', 0, chunk.lanes));
    };
    const copyOut = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, u => {
        const row = word(b, buffer.rows, u);
        const out = b.addr(buffer.weights, b.mul(u, b.i32(width)));
        if (starts) b.if(b.cmp('lt', row, zero), () => absent(u, out));
        b.if(b.cmp('ge', row, zero), () => {
          const p = rowPointer(b, main, row);
          b.store('f32', b.addr(buffer.shows, u), b.load('f32', p, W * SHOW));
          if (wide) b.store('f32', out, b.load('f32', p, W * WIDE));
          const copy = (source: Reg, offset: number): void => {
            for (const chunk of chunks) storeChunk(b, out, W * wide, chunk, loadChunk(b, source, offset, chunk));
          };
          if (!apart) {
            copy(p, W * vector);
            return;
          }
          const link = b.load('i32', p, W * LINK);
          b.if(
            b.cmp('ne', link, zero),
            () => copy(rowPointer(b, apartRows, b.sub(link, one)), 0),
            () => {
              for (const chunk of chunks) storeChunk(b, out, W * wide, chunk, b.const('f32', 0, chunk.lanes));
            },
          );
        });
      });
    const compareAndCopy = (from: Reg, to: Reg): void => {
      compare(from, to);
      copyOut(from, to);
    };
    eachBlock(
      b,
      word(b, buffer.numbers, 0),
      apart ? [askIndex, guess, compare, copyOut] : [askIndex, guess, compareAndCopy],
    );
  });
}
