/**
 * Finding the rows of distinct signs and reading them: the twin of `findPlainly` in table/plain.ts. The memory of some
 * signs is asked for before any of it is used: index entries, then rows, then vectors that lie apart.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { HI, LINK, LO, SHOW, WIDE } from '../table/layout.ts';
import { INITIAL, writeInitial } from './create.ts';
import {
  type Chunk,
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

type Buffers = { readonly [N in keyof typeof FIND]: number };

/** @param starts whether signs without a row get what they would start with */
export function findKernel(machine: HostKernels, shape: TableShape, starts: boolean): HostKernel {
  return loadKernel(machine, 'find rows', FIND, (b, buffer) => {
    const find = new Find(b, buffer, shape, chunksOf(b, machine.target, shape.layout.dim), starts);
    eachBlock(b, word(b, buffer.numbers, 0), find.passes);
  });
}

/** A pass over signs `from` to `to`. */
type Pass = (from: Reg, to: Reg) => void;

class Find {
  private readonly b: LoopBuilder;
  private readonly buffer: Buffers;
  private readonly layout: TableShape['layout'];
  private readonly chunks: readonly Chunk[];
  private readonly starts: boolean;
  private readonly main: Rows;
  private readonly apartRows: Rows;
  private readonly zero: Reg;
  private readonly one: Reg;

  constructor(b: LoopBuilder, buffer: Buffers, shape: TableShape, chunks: readonly Chunk[], starts: boolean) {
    const { layout, rowShift, vectorShift } = shape;
    this.b = b;
    this.buffer = buffer;
    this.layout = layout;
    this.chunks = chunks;
    this.starts = starts;
    this.main = { segments: buffer.segments, shift: rowShift, words: layout.rowWords };
    this.apartRows = { segments: buffer.vectorSegments, shift: vectorShift, words: layout.vectorWords };
    this.zero = b.i32(0);
    this.one = b.i32(1);
  }

  /** What is done with each block of signs, one pass after the other. */
  get passes(): readonly Pass[] {
    const [askIndex, guess, compare, copyOut]: readonly Pass[] = [
      (from, to) => this.askIndex(from, to),
      (from, to) => this.guess(from, to),
      (from, to) => this.compare(from, to),
      (from, to) => this.copyOut(from, to),
    ];
    if (this.layout.apart) return [askIndex!, guess!, compare!, copyOut!];
    const compareAndCopy: Pass = (from, to) => {
      compare!(from, to);
      copyOut!(from, to);
    };
    return [askIndex!, guess!, compareAndCopy];
  }

  private entryOf(u: Reg): ReturnType<typeof indexEntry> {
    const { b, buffer } = this;
    return indexEntry(b, buffer.parts, word(b, buffer.hash, u), word(b, buffer.tag, u));
  }

  private next(at: Reg, mask: Reg): Reg {
    return this.b.bin('and', this.b.add(at, this.b.i32(2)), mask);
  }

  private put(u: Reg, row: Reg): void {
    this.b.store('i32', this.b.addr(this.buffer.rows, u), row);
  }

  /** Whether the row at `p` is that of sign `u`. */
  private holds(p: Reg, u: Reg): Reg {
    const { b, buffer } = this;
    const low = b.bin('xor', b.load('i32', p, W * LO), word(b, buffer.lo, u));
    const high = b.bin('xor', b.load('i32', p, W * HI), word(b, buffer.hi, u));
    return b.cmp('eq', b.bin('or', low, high), this.zero);
  }

  private askIndex(from: Reg, to: Reg): void {
    this.b.for(from, to, 1, u => {
      this.b.prefetch(this.entryOf(u).entry, 0, false);
    });
  }

  /** Takes the first row with the sign's tag for the sign's, -1 where there is none, and asks for it. */
  private guess(from: Reg, to: Reg): void {
    const { b, buffer, zero, one } = this;
    const { apart, rowWords, vectorState } = this.layout;
    b.for(from, to, 1, u => {
      const { start, mask, home } = this.entryOf(u);
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
          b.move(at, this.next(at, mask));
        },
      );
      const guessed = b.sub(row, one);
      this.put(u, guessed);
      // Words of a row that a pull reads.
      const read = apart ? rowWords : vectorState;
      b.if(b.cmp('ge', guessed, zero), () => prefetchWords(b, rowPointer(b, this.main, guessed), read, false));
    });
  }

  /** Replaces guesses that were wrong, and asks for vectors that lie apart. */
  private compare(from: Reg, to: Reg): void {
    const { b, buffer, zero, one, main } = this;
    b.for(from, to, 1, u => {
      const row = b.copy(word(b, buffer.rows, u));
      b.if(b.cmp('ge', row, zero), () => {
        b.if(b.un('not', this.holds(rowPointer(b, main, row), u)), () => {
          this.search(u, row);
          this.put(u, row);
        });
      });
      if (this.layout.apart)
        b.if(b.cmp('ge', row, zero), () => {
          const link = b.load('i32', rowPointer(b, main, row), W * LINK);
          b.if(b.cmp('ne', link, zero), () =>
            prefetchWords(b, rowPointer(b, this.apartRows, b.sub(link, one)), this.layout.vectorState, false),
          );
        });
    });
  }

  /** The row of sign `u`, or -1, where another sign has the same tag: one in many thousand. */
  private search(u: Reg, row: Reg): void {
    const { b, buffer, zero, one } = this;
    const { start, mask, home } = this.entryOf(u);
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
              b.if(this.holds(rowPointer(b, this.main, row), u), () => b.move(searching, zero)),
            ),
        );
        b.move(at, this.next(at, mask));
      },
    );
  }

  private copyOut(from: Reg, to: Reg): void {
    const { b, buffer, zero, one, chunks } = this;
    const { wide, apart, width, vector } = this.layout;
    b.for(from, to, 1, u => {
      const row = word(b, buffer.rows, u);
      const out = b.addr(buffer.weights, b.mul(u, b.i32(width)));
      if (this.starts) b.if(b.cmp('lt', row, zero), () => this.absent(u, out));
      b.if(b.cmp('ge', row, zero), () => {
        const p = rowPointer(b, this.main, row);
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
          () => copy(rowPointer(b, this.apartRows, b.sub(link, one)), 0),
          () => this.zeros(out),
        );
      });
    });
  }

  /** What a sign without a row reads. */
  private absent(u: Reg, out: Reg): void {
    const { b, buffer, chunks } = this;
    const { wide, apart } = this.layout;
    const none = b.const('f32', 0);
    b.store('f32', b.addr(buffer.shows, u), none);
    if (wide) b.store('f32', out, none);
    const sign = { hash: word(b, buffer.hash, u), tag: word(b, buffer.tag, u) };
    if (apart) this.zeros(out);
    else writeInitial(b, buffer, chunks, sign, out, W * wide);
  }

  private zeros(out: Reg): void {
    for (const chunk of this.chunks)
      storeChunk(this.b, out, W * this.layout.wide, chunk, this.b.const('f32', 0, chunk.lanes));
  }
}
