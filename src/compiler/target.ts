/**
 * What the compiler may know about a machine: the vector length, the register file, the caches. Every schedule is a
 * function of these numbers, so WebAssembly (4 lanes), AVX2 (8) and AVX-512 (16) share every line above the emitters.
 */
import type { LoopKernel } from './loops.ts';

export interface Target {
  readonly name: string;
  /** Bytes of one vector register: 16 on WebAssembly and SSE, 32 on AVX2, 64 on AVX-512. */
  readonly vectorBytes: number;
  /** Vector registers the contraction microkernel may count on. */
  readonly vectorRegisters: number;
  /** Whether `fma` rounds once (and is as fast as a multiplication). */
  readonly fusedMultiplyAdd: boolean;
  /**
   * Whether instructions run in the order the loop IR has them. False (the default) for engines that compile again: V8
   * moves all loads of a basic block to its top, so a microkernel must hold every operand of a step in registers at
   * once and must not be unrolled.
   */
  readonly keepsOrder?: boolean;
  /** Whether loads and stores of f32 and i32 can be masked by lane, and gathered from any addresses (AVX-512). */
  readonly masksMemory?: boolean;
  /**
   * Whether lanes a few elements apart come faster by whole loads and shuffles than by a gather (the x86 backend with
   * AVX-512 and without tiles).
   */
  readonly shufflesStrides?: boolean;
  /**
   * Whether floats can be scaled by powers of two and inverted roughly in one instruction: `scale` and `nearInverse` of
   * the loop IR (AVX-512).
   */
  readonly scales?: boolean;
  /** Whether a quotient of vectors of f32 takes less than the rough inverse and Newton's rule. */
  readonly dividesQuickly?: boolean;
  /**
   * Vectors that a loop over a long formula has side by side, where their instructions take turns (the x86 backend with
   * AVX-512 and without tiles); none without.
   */
  readonly vectorsInTurn?: number;
  /** Whether f32 is rounded to the values of binary16 by conversions: `toF16` of the loop IR (F16C). */
  readonly roundsF16?: boolean;
  /** The same for bfloat16: `toBf16`, `toNormalBf16` and `toBf16Words` (AVX512_BF16). */
  readonly roundsBf16?: boolean;
  /**
   * Bytes that loops over rows ask for ahead where no cache keeps the rows (the x86 backend with AVX-512 and without
   * tiles), and not 2 KB as elsewhere. Where told, rows that go past the caches are stored beside the next row's work.
   */
  readonly rowBytesAhead?: number;
  /**
   * Whether products of f32 read rows where they lie although they push each other out of the first cache: lines come
   * back from the second one in time (the x86 backend on Zen 5).
   */
  readonly readsFarRows?: boolean;
  /** Bytes of a result from which on its stores go past the caches, where they can. */
  readonly streamedBytes?: number;
  /** How words of packed elements are multiplied, where they are: see `dot` and `tiles` of the loop IR. */
  readonly packedProducts?: PackedProducts;
  /** Whether programs may keep memory from run to run: then what depends on lasting leaves alone is computed once. */
  readonly keepsMemory?: boolean;
  /** What measuring says of schedules, where somebody asked for it: the cost model alone decides by default. */
  readonly tuner?: Tuner;
  /**
   * Processors that threads share work on: there are tasks enough for as many. Results do not depend on it. 2 by
   * default.
   */
  readonly processors?: number;
  /** Bytes of the level-1 data cache and of the level-2 cache of one core. */
  readonly l1Bytes: number;
  readonly l2Bytes: number;
  /** Bytes of a pointer. */
  readonly pointerBytes: 4 | 8;
}

/** Chooses among schedules of one kernel by running it. */
export interface Tuner {
  /**
   * One of `labels` (the first is the cost model's) for what `key` describes; not settled before `settle` has returned.
   */
  choose(key: string, labels: readonly string[]): string;
  /** Makes a kernel, as often as it takes to know which choices are the best for it. */
  settle<K extends { readonly loop: LoopKernel }>(make: () => K): K;
}

/** For contractions of bf16, of 8-bit integers, and of f32 in three parts of bf16. */
export interface PackedProducts {
  readonly bf16: 'tiles' | 'dot' | null;
  readonly int8: 'tiles' | 'dot' | null;
  readonly f32: 'tiles' | null;
}

export const processorsOf = (target: Target): number => target.processors ?? 2;

/** Lanes of a vector whose elements take `elementBytes`. */
export const lanesFor = (target: Target, elementBytes: number): number => target.vectorBytes / elementBytes;
