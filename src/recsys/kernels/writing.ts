/**
 * What the kernels share in writing: sharing out work among threads, vectors of f32 computed in f64, pointers to rows
 * in segments.
 */

import { LoopBuilder } from '../../compiler/loop-builder.ts';
import type { KernelBuffer, Reg } from '../../compiler/loops.ts';
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { lanesFor, type Target } from '../../compiler/target.ts';
import type { DType } from '../../graph/dtype.ts';
import type { Layout } from '../table/layout.ts';
import type { TableSettings } from '../table/options.ts';

/**
 * Signs whose memory is asked for ahead of its use: as many reads under way as the processor can hold, and all still in
 * the first cache.
 */
export const BLOCK = 64;
/** Bytes of a word of a row. */
export const W = 4;
/** Signs that go through a stage at once, and groups of them between a stage and the next. */
const FEW = 8;
const LEAD = 4;
/** Bytes of a cache line. */
const LINE = 64;

const loaded = new WeakMap<HostKernels, Map<string, unknown>>();

/** What `make` makes, once for each key and machine: tables and trainers of one shape share their code. */
export function loadedOnce<T>(machine: HostKernels, key: string, make: () => T): T {
  let known = loaded.get(machine);
  if (!known) loaded.set(machine, (known = new Map()));
  let found = known.get(key) as T | undefined;
  if (found === undefined) known.set(key, (found = make()));
  return found;
}

/** A buffer of a kernel: its number, and how it is addressed. */
export type BufferNames = Readonly<Record<string, DType>>;

/** Writes a kernel over named buffers, in the order they are named. */
export function loadKernel<N extends BufferNames>(
  machine: HostKernels,
  name: string,
  named: N,
  write: (b: LoopBuilder, buffers: { readonly [K in keyof N]: number }) => void,
): HostKernel {
  const b = new LoopBuilder();
  const names = Object.keys(named);
  write(b, Object.fromEntries(names.map((key, i) => [key, i])) as { readonly [K in keyof N]: number });
  const buffers = names.map(
    (key): KernelBuffer => ({ name: key, dtype: named[key]!, elements: 2 ** 31 - 1, access: 'readwrite' }),
  );
  return machine.load({ name, buffers, body: b.instructions });
}

/** Element `index` of a buffer of i32. */
export const word = (b: LoopBuilder, buffer: number, index: Reg | number): Reg =>
  b.load('i32', b.addr(buffer, typeof index === 'number' ? b.i32(index) : index));

/** Numbers known when the kernel runs. */
export const real = (b: LoopBuilder, buffer: number, index: number): Reg => b.load('f64', b.addr(buffer, b.i32(index)));

/**
 * `count` items, dealt to the threads in turn by blocks of BLOCK, so that the frequent ones, which come first, are
 * shared out. Items go through the stages in order, FEW at a time, and each stage runs LEAD groups behind the one
 * before: what it asks of memory has that long to come, and there is always something under way while something is
 * computed.
 */
export function eachBlock(b: LoopBuilder, count: Reg, stages: readonly ((from: Reg, to: Reg) => void)[]): void {
  const groups = BLOCK / FEW;
  const threads = b.threads();
  const thread = b.copy(b.thread());
  /** First item of a thread's group. */
  const place = (group: Reg): Reg => {
    const block = b.add(b.mul(b.bin('shrU', group, b.i32(Math.log2(groups))), threads), thread);
    return b.add(b.mul(block, b.i32(BLOCK)), b.mul(b.bin('and', group, b.i32(groups - 1)), b.i32(FEW)));
  };
  const newest = b.copy(b.i32(0));
  const oldest = b.copy(b.i32(0));
  b.while(
    () => b.cmp('lt', oldest, count),
    () => {
      stages.forEach((stage, s) => {
        const group = b.sub(newest, b.i32(s * LEAD));
        b.if(b.cmp('ge', group, b.i32(0)), () => {
          const from = b.copy(place(group));
          b.if(b.cmp('lt', from, count), () => stage(from, b.bin('min', b.add(from, b.i32(FEW)), count)));
        });
      });
      b.move(newest, b.add(newest, b.i32(1)));
      b.move(oldest, place(b.bin('max', b.sub(newest, b.i32((stages.length - 1) * LEAD)), b.i32(0))));
    },
  );
}

/**
 * Whether this thread owns what has a number. Owners are as many threads as the largest power of two among them, each
 * of which walks over all there is: what has an owner is changed in an order that does not depend on the threads.
 */
export function ownerTest(b: LoopBuilder): (number: Reg) => Reg {
  const threads = b.threads();
  const owners = b.copy(b.i32(1));
  b.while(
    () => b.cmp('le', b.add(owners, owners), threads),
    () => b.move(owners, b.add(owners, owners)),
  );
  const mask = b.sub(owners, b.i32(1));
  const thread = b.copy(b.thread());
  return number => b.cmp('eq', b.bin('and', number, mask), thread);
}

/** Consecutive weights of a row that are computed with at once. */
export interface Chunk {
  readonly at: number;
  readonly lanes: number;
  /** The lanes that exist; null where all do. */
  readonly mask: Reg | null;
}

/** The chunks of `n` weights: vectors of f64, and a masked one or single weights behind them. */
export function chunksOf(b: LoopBuilder, target: Target, n: number): Chunk[] {
  const lanes = lanesFor(target, 8);
  const chunks: Chunk[] = [];
  let at = 0;
  for (; at + lanes <= n; at += lanes) chunks.push({ at, lanes, mask: null });
  const rest = n - at;
  if (rest > 1 && target.masksMemory) chunks.push({ at, lanes, mask: b.firstLanes(b.i32(rest), lanes) });
  else for (; at < n; at++) chunks.push({ at, lanes: 1, mask: null });
  return chunks;
}

export function loadChunk(b: LoopBuilder, p: Reg, offset: number, { at, lanes, mask }: Chunk): Reg {
  return mask ? b.loadMasked('f32', p, mask, offset + 4 * at) : b.load('f32', p, offset + 4 * at, lanes);
}

export function storeChunk(b: LoopBuilder, p: Reg, offset: number, { at, mask }: Chunk, value: Reg): void {
  if (mask) b.storeMasked('f32', p, value, mask, offset + 4 * at);
  else b.store('f32', p, value, offset + 4 * at);
}

/** The chunk's weights as f64. */
export const loadWide = (b: LoopBuilder, p: Reg, offset: number, chunk: Chunk): Reg =>
  b.cvt('f64', loadChunk(b, p, offset, chunk));

/** Rounds to f32 and stores. */
export const storeWide = (b: LoopBuilder, p: Reg, offset: number, chunk: Chunk, value: Reg): void =>
  storeChunk(b, p, offset, chunk, b.cvt('f32', value));

/** Where the rows of a store lie: a buffer of its segments' addresses, and their size. */
export interface Rows {
  readonly segments: number;
  readonly shift: number;
  readonly words: number;
}

/** What the kernels of a table are written for: its rows, and how they are numbered within segments. */
export interface TableShape {
  readonly layout: Layout;
  readonly settings: TableSettings;
  readonly rowShift: number;
  readonly vectorShift: number;
  /** A new row but for its sign and the weights of its vector. */
  readonly blank: Float32Array;
}

/** Pointer to the first word of a row. */
export function rowPointer(b: LoopBuilder, { segments, shift, words }: Rows, row: Reg): Reg {
  const segment = b.follow(b.addr(segments, b.bin('shrU', row, b.i32(shift))));
  return b.advance(segment, b.bin('and', row, b.i32((1 << shift) - 1)), 4 * words);
}

/**
 * Where a sign would be in its part of a table's index: the part's first word, the mask of its word numbers, and the
 * entry.
 */
export function indexEntry(
  b: LoopBuilder,
  parts: number,
  hash: Reg,
  tag: Reg,
): { readonly start: Reg; readonly mask: Reg; readonly home: Reg; readonly entry: Reg } {
  const place = b.addr(parts, b.bin('shl', b.bin('shrU', hash, b.i32(24)), b.i32(1)));
  const start = b.follow(place);
  const mask = b.load('i32', place, 8);
  const home = b.bin('and', b.bin('shl', tag, b.i32(1)), mask);
  return { start, mask, home, entry: b.advance(start, home, 4) };
}

/** Asks for the lines of `words` words at p. */
export function prefetchWords(b: LoopBuilder, p: Reg, words: number, write: boolean): void {
  const bytes = 4 * words;
  for (let at = 0; at < bytes - 4; at += LINE) b.prefetch(p, at, write);
  b.prefetch(p, bytes - 4, write);
}
