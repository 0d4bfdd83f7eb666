/**
 * Random keys. A generator is a seed and a counter; every random tensor takes the next stretch of the counter, so the
 * same seed gives the same numbers on every backend and for any number of threads (Philox 4x32-10, four words a block).
 */
import { data } from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { drawsPerNumber, loopKey, movedOn } from './drawing.ts';
import { activeTrace } from './trace.ts';

function seedOf(seed: number | bigint): bigint {
  if (typeof seed !== 'bigint' && !Number.isInteger(seed))
    throw new TypeError(`manualSeed: seed: expected a whole number, got ${String(seed)}`);
  return BigInt.asIntN(64, BigInt(seed));
}

/**
 * A stream of random numbers: a seed and how many blocks have been drawn (Philox 4x32-10). `manualSeed` seeds the one
 * that functions take by default.
 */
export class Generator {
  private seed: bigint;
  private counter = 0n;

  /** @param seed any integer up to 64 bits */
  constructor(seed: number | bigint = 0) {
    this.seed = seedOf(seed);
  }

  /** Starts over with `seed`. */
  manualSeed(seed: number | bigint): this {
    this.seed = seedOf(seed);
    this.counter = 0n;
    return this;
  }

  /** The key for `elements` random words, i64[2]; the counter moves past them. */
  nextKey(elements: number): Node {
    const blocks = BigInt(Math.ceil((elements * drawsPerNumber()) / 4));
    const own = loopKey(this, blocks);
    if (own) return own;
    const trace = activeTrace();
    if (trace) {
      // Inside a compiled function the counter is an argument, so every call draws new numbers from the same program.
      const { placeholder, used } = trace.randomKey(this, blocks);
      return used === 0n ? placeholder : movedOn(placeholder, used);
    }
    const key = BigInt64Array.of(this.seed, this.counter);
    this.counter += blocks;
    return data(key, [2], 'i64');
  }

  /** The present key; `advance` moves the counter after a compiled call used it. */
  key(): BigInt64Array {
    return BigInt64Array.of(this.seed, this.counter);
  }

  /** Moves the counter past so many blocks of four words. */
  advance(blocks: bigint): void {
    this.counter += blocks;
  }

  /** Seed and counter, to be saved in checkpoints. */
  state(): { readonly seed: string; readonly counter: string } {
    return { seed: String(this.seed), counter: String(this.counter) };
  }

  /** Goes on from a saved state. */
  setState(state: { readonly seed: string; readonly counter: string }): void {
    this.seed = BigInt(state.seed);
    this.counter = BigInt(state.counter);
  }
}

/** The generator behind `rand`, `dropout`, initialisers and their kin; seeded from the clock until `manualSeed`. */
export const defaultGenerator = new Generator(BigInt(Date.now()));

/** Seeds the default generator. */
export function manualSeed(seed: number | bigint): Generator {
  return defaultGenerator.manualSeed(seed);
}
