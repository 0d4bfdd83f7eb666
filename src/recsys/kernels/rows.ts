/**
 * Rows of a table: finding and reading those of a batch, and updating them; the twins of `findPlainly` and `updatePlainly` in table/plain.ts. The memory of
 * a block of signs is asked for before any of it is used: index entries, then rows, then vectors that lie apart.
 */
import type { LoopBuilder, Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { CLICK, DELTA, HI, type Layout, LINK, LO, META, SHOW, WIDE } from '../table/layout.ts';
import { correction } from '../table/optimizers.ts';
import type { RowOptimizer, TableSettings } from '../table/options.ts';
import { type CreatedArrays, CreateKernel, INITIAL, InitialWeights, writeInitial } from './create.ts';
import { type RowUpdate, writeUpdate } from './rules.ts';
import {
  chunksOf,
  eachBlock,
  indexEntry,
  loadChunk,
  loadedOnce,
  loadKernel,
  prefetchWords,
  type Rows,
  real,
  rowPointer,
  storeChunk,
  word,
} from './writing.ts';

/** Bytes of a word of a row. */
const W = 4;

/** The distinct signs of a batch and what is read of their rows. */
export interface FoundArrays {
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  readonly hash: Int32Array;
  readonly tag: Uint32Array;
  readonly rows: Int32Array;
  readonly weights: Float32Array;
  readonly shows: Float32Array;
}

/** Where a table's memory is, as addresses; see RowStore and SignIndex. */
export interface TableMemory {
  /** Per part of the index: its address, and its words less one. */
  readonly parts: BigInt64Array;
  readonly rows: BigInt64Array;
  readonly vectors: BigInt64Array;
}

/** How rows are numbered within segments. */
export interface TableShape {
  readonly layout: Layout;
  readonly settings: TableSettings;
  readonly rowShift: number;
  readonly vectorShift: number;
  /** A new row but for its sign and the weights of its vector. */
  readonly blank: Float32Array;
}

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

/** Steps from which on a correction is 1 for good, but no more than so many are kept. */
const MOST_CORRECTIONS = 1 << 22;

export class TableKernels {
  private readonly finder: HostKernel;
  private readonly updater: HostKernel;
  /** Null where initial weights are drawn in JavaScript (normal ones). */
  private readonly creator: CreateKernel | null;
  private readonly initial: InitialWeights;
  private readonly numbers = new Int32Array(4);
  private readonly reals = new Float64Array(2);
  private corrections = new Float64Array(1);
  /** The betas whose corrections rows need by their own steps. */
  private readonly betas: readonly [number, number] | null;

  constructor(machine: HostKernels, shape: TableShape) {
    const { layout, settings, rowShift, vectorShift, blank } = shape;
    const { optimizer, wideOptimizer, score, init, seed, dim } = settings;
    const key = JSON.stringify([layout, optimizer, wideOptimizer, score, rowShift, vectorShift]);
    this.initial = new InitialWeights(dim, seed, init.type === 'uniform' ? (init.range ?? 1e-4) : 0);
    const starts = layout.apart || init.type === 'uniform';
    this.creator = starts ? new CreateKernel(machine, layout, rowShift, this.initial, blank) : null;
    this.finder = loadedOnce(machine, `find ${starts} ${key}`, () => findKernel(machine, shape, starts));
    this.updater = loadedOnce(machine, `update ${key}`, () => updateKernel(machine, shape));
    const shared = [optimizer, wideOptimizer].find(spec => spec.type === 'sharedAdam');
    this.betas = shared ? ((shared as { betas?: readonly [number, number] }).betas ?? [0.9, 0.999]) : null;
  }

  /** Whether the kernels can stand for the rules of a table. */
  static takes({ optimizer, wideOptimizer, wide, dim }: TableSettings): boolean {
    const betas = (spec: RowOptimizer): string => JSON.stringify('betas' in spec ? spec.betas : undefined);
    const both = wide && dim > 0 && optimizer.type === 'sharedAdam' && wideOptimizer.type === 'sharedAdam';
    return !both || betas(optimizer) === betas(wideOptimizer);
  }

  /** Whether `create` is there, and `find` says what signs without a row start with. */
  get starts(): boolean {
    return this.creator !== null;
  }

  /** Fills rows (-1: none), weights and shows; those of signs without a row only where it `starts` them. */
  find(unique: number, { hi, lo, hash, tag, rows, weights, shows }: FoundArrays, memory: TableMemory): void {
    const { numbers } = this;
    numbers[0] = unique;
    const { parts, rows: segments, vectors } = memory;
    const { seed, range, counters } = this.initial;
    const found = [hi, lo, hash, tag, rows, weights, shows];
    this.finder.run([...found, parts, segments, vectors, numbers, seed, range, counters]);
  }

  /** Fills the new rows of signs wanted[0, count), and enters them in the index, which has room for them. Only where it `starts` rows. */
  create(wanted: Int32Array, count: number, found: CreatedArrays, memory: TableMemory): void {
    this.creator!.run(wanted, count, found, memory);
  }

  /** Applies gradients and statistics to the rows that are there. `slots` null leaves the rows' own. */
  update(
    unique: number,
    rows: Int32Array,
    { gradients, shows, clicks, slots }: PushedArrays,
    { rate, wideRate, step }: { readonly rate: number; readonly wideRate: number; readonly step: number },
    memory: TableMemory,
  ): void {
    const { numbers, reals } = this;
    numbers[0] = unique;
    numbers[1] = slots ? 1 : 0;
    numbers[2] = this.correctionsTo(step);
    reals[0] = rate;
    reals[1] = wideRate;
    const { rows: segments, vectors } = memory;
    const { corrections } = this;
    this.updater.run([rows, gradients, shows, clicks, slots ?? rows, segments, vectors, corrections, numbers, reals]);
  }

  /** Makes corrections up to a step, or to the first of those that are all 1. @returns the last index */
  private correctionsTo(step: number): number {
    const { betas } = this;
    if (!betas) return 0;
    const { length } = this.corrections;
    const over = length > 1 && this.corrections[length - 1] === 1;
    if (step >= length && !over && length < MOST_CORRECTIONS) {
      const longer = new Float64Array(Math.min(MOST_CORRECTIONS, Math.max(2 * length, step + 1)));
      longer.set(this.corrections);
      for (let t = length; t < longer.length; t++) longer[t] = correction(betas[0], betas[1], t);
      this.corrections = longer;
    }
    return this.corrections.length - 1;
  }
}

/** What is pushed, per distinct sign. */
export interface PushedArrays {
  readonly gradients: Float32Array;
  readonly shows: Float32Array;
  readonly clicks: Float32Array;
  readonly slots: Int32Array | null;
}

function findKernel(machine: HostKernels, { layout, rowShift, vectorShift }: TableShape, starts: boolean): HostKernel {
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

function updateKernel(machine: HostKernels, { layout, settings, rowShift, vectorShift }: TableShape): HostKernel {
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
