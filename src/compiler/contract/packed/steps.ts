/**
 * Numbers in three parts of bf16, x = x0 + x1 + x2, each the rest rounded to nearest: words of two points of k, w and w
 * + 16 of a step's 32, cut from f32 and joined again, 32 lines at a time. Which panels can be cut without a loss that
 * shows is said by the range of their lines. Knows layouts, not operands.
 */
import type { LoopBuilder } from '../../loop-builder.ts';
import type { Reg } from '../../loops.ts';
import { LEAST, LEAST_PRODUCT, MOST, MOST_PRODUCT, storeParts } from '../parts.ts';
import type { Layout } from './pack.ts';
import { STEP } from './problem.ts';

const WORD = 4;
/** Bytes of a vector of 16 words. */
const VECTOR = STEP * WORD;
/** Points of a step. */
export const POINTS = 2 * STEP;

/** The half of a word that is a bf16 as it stands. */
const TOP = -0x10000;

/** Bits of 2^e, halved so that sums of two stay positive. */
const halfBitsOf = (e: number): number => (e + 127) * 2 ** 22;
const HIGH = halfBitsOf(MOST);
const LOW = halfBitsOf(LEAST);

/**
 * What the lines of a panel have as their largest number, halved bits: the least of them (lines of zeros aside) and the
 * greatest.
 */
export interface Range {
  readonly low: Reg;
  readonly high: Reg;
}
export const RANGE_WORDS = 2;

export const loadRange = (b: LoopBuilder, at: Reg): Range => ({
  low: b.load('i32', at),
  high: b.load('i32', at, WORD),
});
export function storeRange(b: LoopBuilder, at: Reg, { low, high }: Range): void {
  b.store('i32', at, low);
  b.store('i32', at, high, WORD);
}
/** The range of no numbers. */
export const emptyRange = (b: LoopBuilder): Range => ({ low: b.i32(HIGH - 1), high: b.i32(0) });

/** Whether one of some numbers is negative. */
const anyNegative = (b: LoopBuilder, numbers: readonly Reg[]): Reg =>
  b.cmp(
    'lt',
    numbers.reduce((all, x) => b.bin('or', all, x)),
    b.i32(0),
  );

/** Numbers of which one is negative where a panel of this range cannot be cut. */
const hindrances = (b: LoopBuilder, { low, high }: Range): Reg[] => [
  b.sub(b.i32(HIGH - 1), high),
  b.sub(low, b.i32(LOW)),
];

/** Whether a panel of this range cannot be cut into parts: it is kept as f32. */
export const isWhole = (b: LoopBuilder, range: Range): Reg => anyNegative(b, hindrances(b, range));

/** Whether products of two panels cannot be summed in parts. */
export const needsWhole = (b: LoopBuilder, x: Range, y: Range): Reg =>
  anyNegative(b, [
    ...hindrances(b, x),
    ...hindrances(b, y),
    b.sub(b.add(x.low, y.low), b.i32(halfBitsOf(LEAST_PRODUCT) + halfBitsOf(0))),
    b.sub(b.i32(halfBitsOf(MOST_PRODUCT) + halfBitsOf(0)), b.add(x.high, y.high)),
  ]);

/** A step's f32 in memory: [32 points][lines] for `words`, [lines][32 points] for `lines`; and its parts. */
export interface Slab {
  readonly layout: Layout;
  readonly lines: number;
}

/** Words of a table that finds the largest number of every line: 16 for a line where its points lie in lanes. */
export const tableWords = ({ layout, lines }: Slab): number => (layout === 'lines' ? STEP * lines : lines);

/** Vectors of words: where their two vectors of f32, their place in a part and that in the table are. */
function eachPair(b: LoopBuilder, { layout, lines }: Slab, visit: (pair: Pair) => void): void {
  const [across, gap] = layout === 'lines' ? [2 * VECTOR, VECTOR] : [VECTOR, lines * VECTOR];
  const together = layout === 'lines' ? 2 : lines / STEP;
  b.for(0, lines, together, at => {
    for (let i = 0; i < together; i++)
      visit({
        at,
        across,
        low: i * across,
        high: i * across + gap,
        word: i * VECTOR,
        largest: layout === 'lines' ? at : b.i32(0),
      });
  });
}

interface Pair {
  /** Number of the first pair here, and bytes from one to the next in f32; parts are side by side. */
  readonly at: Reg;
  readonly across: number;
  /** Offsets of the vectors of this one, its words, and of its place in the table behind `largest` vectors. */
  readonly low: number;
  readonly high: number;
  readonly word: number;
  readonly largest: Reg;
}

const splat = (b: LoopBuilder, value: number): Reg => b.const('i32', value, STEP);

/**
 * Cuts a step of f32 at `from` into parts at `to`, and keeps in `table` the largest bits, sign aside, of every line (in
 * lanes).
 */
export function splitStep(b: LoopBuilder, slab: Slab, from: Reg, to: Reg, table: Reg): void {
  eachPair(b, slab, ({ at, across, low, high, word, largest }) => {
    const source = b.advance(from, at, across);
    const [x, y] = [b.load('f32', source, low, STEP), b.load('f32', source, high, STEP)];
    const target = b.advance(to, at, VECTOR);
    raising(b, b.advance(table, largest, VECTOR), word, most =>
      storeParts(b, x, y, target, word, slab.lines * VECTOR, most),
    );
  });
}

/** Has `raise` raise the table's vector at `at`. */
export function raising(b: LoopBuilder, at: Reg, offset: number, raise: (largest: Reg) => void): void {
  const largest = b.load('i32', at, offset, STEP);
  raise(largest);
  b.store('i32', at, largest, offset);
}

/** The f32 at `to` that `splitStep` has cut. */
export function joinStep(b: LoopBuilder, slab: Slab, from: Reg, to: Reg): void {
  const sum = (parts: readonly Reg[]): Reg => {
    const [x, y, z] = parts.map(bits => b.bitcast('f32', bits));
    return b.add(x!, b.add(y!, z!));
  };
  eachPair(b, slab, ({ at, across, low, high, word }) => {
    const source = b.advance(from, at, VECTOR);
    const target = b.advance(to, at, across);
    const words = [0, 1, 2].map(part => b.load('i32', source, part * slab.lines * VECTOR + word, STEP));
    b.store('f32', target, sum(words.map(x => b.bin('shl', x, splat(b, STEP)))), low);
    b.store('f32', target, sum(words.map(x => b.bin('and', x, splat(b, TOP)))), high);
  });
}

/** A step of f32 as it is. */
export const copyStep = (b: LoopBuilder, { lines }: Slab, from: Reg, to: Reg): void =>
  b.for(0, 2 * lines, 2, at => {
    for (const offset of [0, VECTOR])
      b.store('i32', b.advance(to, at, VECTOR), b.load('i32', b.advance(from, at, VECTOR), offset, STEP), offset);
  });

export const clearTable = (b: LoopBuilder, slab: Slab, table: Reg): void =>
  b.for(0, tableWords(slab), STEP, at => b.store('i32', b.advance(table, at, WORD), splat(b, 0)));

/** The range of the lines whose largest bits are in `table`. */
export function rangeOf(b: LoopBuilder, { layout, lines }: Slab, table: Reg): Range {
  const none = HIGH - 1;
  const zero = splat(b, 0);
  const low = b.copy(splat(b, none));
  const high = b.copy(zero);
  const take = (largest: Reg): void => {
    const halved = b.bin('shrU', largest, splat(b, 1));
    b.bin('max', high, halved, high);
    b.bin('min', low, b.select(b.cmp('eq', largest, zero), splat(b, none), halved), low);
  };
  if (layout === 'words') for (let at = 0; at < lines; at += STEP) take(b.load('i32', table, at * WORD, STEP));
  else
    b.for(0, lines, 1, line =>
      take(b.splat(b.reduce('max', b.load('i32', b.advance(table, line, VECTOR), 0, STEP)), STEP)),
    );
  return { low: b.reduce('min', low), high: b.reduce('max', high) };
}
