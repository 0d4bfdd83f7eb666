/**
 * A stable radix sort of i64 entries by their upper 32 bits, a signed key: three digits, least significant first, all
 * counted in one pass; a digit that is the same everywhere is passed over. Linear, without a branch on the keys: 53,000
 * of them in 0.6 ms where merging takes 4. Knows nothing of graphs.
 */
import type { LoopBuilder } from '../loop-builder.ts';
import type { Reg } from '../loops.ts';
import type { BufferIndex } from './index.ts';

const DIGITS = [
  { shift: 0, bits: 11 },
  { shift: 11, bits: 11 },
  { shift: 22, bits: 10 },
] as const;
const COUNTS = 1 << 11;
/** Counters (i32) of one row. */
export const RADIX_COUNTERS = DIGITS.length * COUNTS;

/**
 * Sorts `n` entries. They lie at `at` in `entries`, a place of 2 n; `make` gives entry k. The counters lie at `counter`
 * in `counters`.
 * @returns where in `entries` the sorted ones are
 */
export function radixSort(
  b: LoopBuilder,
  n: number,
  entries: BufferIndex,
  at: Reg,
  counters: BufferIndex,
  counter: Reg,
  make: (k: Reg) => Reg,
): Reg {
  const zero = b.i32(0);
  const one = b.i32(1);
  const digitOf = (entry: Reg, d: number): Reg => {
    const { shift, bits } = DIGITS[d]!;
    const raw = b.cvt('i32', b.bin('shrS', entry, b.const('i64', BigInt(32 + shift))));
    const digit = b.bin('and', raw, b.i32((1 << bits) - 1));
    // The sign is the upper bit of the last digit: negative keys come first.
    return d === DIGITS.length - 1 ? b.bin('xor', digit, b.i32(1 << (bits - 1))) : digit;
  };
  const countAt = (d: number, digit: Reg): Reg => b.addr(counters, b.add(b.add(counter, b.i32(d * COUNTS)), digit));

  b.for(0, RADIX_COUNTERS, 1, i => b.store('i32', b.addr(counters, b.add(counter, i)), zero));
  b.for(0, n, 1, k => {
    const entry = make(k);
    b.store('i64', b.addr(entries, b.add(at, k)), entry);
    for (let d = 0; d < DIGITS.length; d++) {
      const place = countAt(d, digitOf(entry, d));
      b.store('i32', place, b.add(b.load('i32', place), one));
    }
  });

  const source = b.copy(at);
  const sink = b.copy(b.add(at, b.i32(n)));
  DIGITS.forEach(({ bits }, d) => {
    const first = b.load('i64', b.addr(entries, source));
    const varies = b.cmp('lt', b.load('i32', countAt(d, digitOf(first, d))), b.i32(n));
    b.if(varies, () => {
      const before = b.copy(zero);
      b.for(0, 1 << bits, 1, digit => {
        const place = countAt(d, digit);
        const count = b.load('i32', place);
        b.store('i32', place, before);
        b.move(before, b.add(before, count));
      });
      b.for(0, n, 1, k => {
        const entry = b.load('i64', b.addr(entries, b.add(source, k)));
        const place = countAt(d, digitOf(entry, d));
        const to = b.load('i32', place);
        b.store('i32', place, b.add(to, one));
        b.store('i64', b.addr(entries, b.add(sink, to)), entry);
      });
      const was = b.copy(source);
      b.move(source, sink);
      b.move(sink, was);
    });
  });
  return source;
}
