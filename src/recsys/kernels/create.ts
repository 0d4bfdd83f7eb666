/**
 * New rows: their words, and their entries in the index; the twin of `insert` in table/table.ts. Which rows they are
 * and that the index has room is settled before. Rows are shared out in blocks; an entry is placed by the thread that
 * owns its part of the index.
 */
import type { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { HI, type Layout, LO } from '../table/layout.ts';
import {
  BLOCK,
  type Chunk,
  chunksOf,
  eachBlock,
  indexEntry,
  loadChunk,
  loadedOnce,
  loadKernel,
  ownerTest,
  prefetchWords,
  type Rows,
  real,
  rowPointer,
  storeChunk,
  storeWide,
  W,
  word,
} from './writing.ts';

/** Uniform initial weights: a function of a sign, `uniformOf` of table/hash.ts between -range and range. */
export class InitialWeights {
  /** `[1]`: what the seed adds to a sign's hash. */
  readonly seed: Int32Array;
  /** [1] */
  readonly range: Float64Array;
  /** What the place of a weight in its row adds to a sign's hash. */
  readonly counters: Int32Array;

  constructor(dim: number, seed: number, range: number) {
    this.seed = Int32Array.of(Math.imul(seed + 1, 0x85ebca6b));
    this.range = Float64Array.of(range);
    this.counters = Int32Array.from({ length: Math.max(1, dim) }, (_, d) => Math.imul(d, 0x9e3779b9));
  }
}

/** The buffers of InitialWeights in a kernel. */
export const INITIAL = { seed: 'i32', range: 'f64', counters: 'i32' } as const;

/** Writes the initial weights of a sign to p + offset, chunk by chunk. */
export function writeInitial(
  b: LoopBuilder,
  buffer: { readonly [K in keyof typeof INITIAL]: number },
  chunks: readonly Chunk[],
  { hash, tag }: { readonly hash: Reg; readonly tag: Reg },
  p: Reg,
  offset: number,
): void {
  const seed = word(b, buffer.seed, 0);
  const range = real(b, buffer.range, 0);
  const counters = b.addr(buffer.counters);
  for (const chunk of chunks) {
    const { at, lanes, mask } = chunk;
    const all = (x: Reg): Reg => b.splat(x, lanes);
    const c = (value: number): Reg => b.const('i32', value, lanes);
    const mixed = (x: Reg, shift: number): Reg => b.bin('xor', x, b.bin('shrU', x, c(shift)));
    const counter = mask ? b.loadMasked('i32', counters, mask, W * at) : b.load('i32', counters, W * at, lanes);
    let x = mixed(b.bin('xor', b.add(all(hash), counter), all(seed)), 16);
    x = mixed(b.mul(b.bin('xor', x, all(tag)), c(0x7feb352d)), 15);
    x = mixed(b.mul(x, c(0x846ca68b | 0)), 16);
    const uniform = b.mul(b.cvt('f64', b.bin('shrU', x, c(8))), b.const('f64', 2 ** -24, lanes));
    const centred = b.sub(b.mul(b.const('f64', 2, lanes), uniform), b.const('f64', 1, lanes));
    storeWide(b, p, offset, chunk, b.mul(all(range), centred));
  }
}

const CREATE = {
  wanted: 'i32',
  rows: 'i32',
  hi: 'i32',
  lo: 'i32',
  hash: 'i32',
  tag: 'i32',
  parts: 'i64',
  segments: 'i64',
  blank: 'f32',
  numbers: 'i32',
  ...INITIAL,
} as const;

/** The distinct signs of a batch and the rows they have been given. */
export interface CreatedArrays {
  readonly rows: Int32Array;
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  readonly hash: Int32Array;
  readonly tag: Uint32Array;
}

export class CreateKernel {
  private readonly kernel: HostKernel;
  private readonly numbers = new Int32Array(1);
  private readonly initial: InitialWeights;
  private readonly blank: Float32Array;

  /** @param blank a new row but for its sign and its weights */
  constructor(machine: HostKernels, layout: Layout, rowShift: number, initial: InitialWeights, blank: Float32Array) {
    this.initial = initial;
    this.blank = blank;
    const key = JSON.stringify(['create', layout, rowShift]);
    this.kernel = loadedOnce(machine, key, () => createKernel(machine, layout, rowShift));
  }

  /** Fills the rows of distinct signs wanted[0, count) and enters them in the index. */
  run(
    wanted: Int32Array,
    count: number,
    { rows, hi, lo, hash, tag }: CreatedArrays,
    memory: { readonly parts: BigInt64Array; readonly rows: BigInt64Array },
  ): void {
    const { numbers, blank, initial } = this;
    const { seed, range, counters } = initial;
    numbers[0] = count;
    const own = [wanted, rows, hi, lo, hash, tag, memory.parts, memory.rows, blank, numbers];
    this.kernel.run([...own, seed, range, counters]);
  }
}

function createKernel(machine: HostKernels, layout: Layout, rowShift: number): HostKernel {
  const { rowWords, dim, apart, vector } = layout;
  return loadKernel(machine, 'create rows', CREATE, (b, buffer) => {
    const main: Rows = { segments: buffer.segments, shift: rowShift, words: rowWords };
    const weights = chunksOf(b, machine.target, dim);
    const whole = chunksOf(b, machine.target, rowWords);
    const count = word(b, buffer.numbers, 0);
    const zero = b.i32(0);
    const one = b.i32(1);
    const pointer = (u: Reg): Reg => rowPointer(b, main, word(b, buffer.rows, u));

    const ask = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, i => prefetchWords(b, pointer(word(b, buffer.wanted, i)), rowWords, true));
    const fill = (from: Reg, to: Reg): void =>
      b.for(from, to, 1, i => {
        const u = word(b, buffer.wanted, i);
        const p = pointer(u);
        for (const chunk of whole) storeChunk(b, p, 0, chunk, loadChunk(b, b.addr(buffer.blank), 0, chunk));
        b.store('i32', p, word(b, buffer.hi, u), W * HI);
        b.store('i32', p, word(b, buffer.lo, u), W * LO);
        const sign = { hash: word(b, buffer.hash, u), tag: word(b, buffer.tag, u) };
        if (!apart) writeInitial(b, buffer, weights, sign, p, W * vector);
      });
    eachBlock(b, count, [ask, fill]);

    const isOwn = ownerTest(b);
    /** The entries of this thread's own among wanted[from, to). */
    const eachOwn = (from: Reg, to: Reg, body: (u: Reg, entry: ReturnType<typeof indexEntry>) => void): void =>
      b.for(from, to, 1, i => {
        const u = word(b, buffer.wanted, i);
        const hash = word(b, buffer.hash, u);
        b.if(isOwn(b.bin('shrU', hash, b.i32(24))), () =>
          body(u, indexEntry(b, buffer.parts, hash, word(b, buffer.tag, u))),
        );
      });
    b.for(zero, b.add(count, b.i32(BLOCK)), BLOCK, next => {
      eachOwn(next, b.bin('min', b.add(next, b.i32(BLOCK)), count), (_, { entry }) => b.prefetch(entry, 0, true));
      const from = b.bin('max', b.sub(next, b.i32(BLOCK)), zero);
      b.if(b.cmp('lt', from, next), () =>
        eachOwn(from, b.bin('min', next, count), (u, { start, mask, home }) => {
          const at = b.copy(home);
          b.while(
            () => b.cmp('ne', b.load('i32', b.advance(start, at, W), W), zero),
            () => b.move(at, b.bin('and', b.add(at, b.i32(2)), mask)),
          );
          const entry = b.advance(start, at, W);
          b.store('i32', entry, word(b, buffer.tag, u));
          b.store('i32', entry, b.add(word(b, buffer.rows, u), one), W);
        }),
      );
    });
  });
}
