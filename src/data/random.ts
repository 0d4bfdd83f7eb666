/**
 * Random numbers for data: counter-based Philox 4x32-10 (Salmon et al., SC'11), so that what is drawn for (seed, epoch,
 * index) depends on nothing else: not on order, workers or platform. Imports nothing.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const WEYL0 = 0x9e3779b9;
const WEYL1 = 0xbb67ae85;

/** Upper half of the 64-bit product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16);
  const cross = al * bh + (middle & 0xffff);
  return (ah * bh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
}

/** One block of four words into `out`: `counter` are its four words, (key0, key1) the key. */
export function philox(
  counter: readonly [number, number, number, number],
  key0: number,
  key1: number,
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let k0 = key0;
  let k1 = key1;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0) >>> 0;
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL0) >>> 0;
    k1 = (k1 + WEYL1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** A sequence of random numbers named by a seed and up to two stream numbers (say epoch and index). */
export class RandomStream {
  private readonly key0: number;
  private readonly key1: number;
  private readonly stream0: number;
  private readonly stream1: number;
  private readonly words = new Uint32Array(4);
  private block = 0;
  private used = 4;

  /** `seed` is a safe integer; the stream numbers are taken modulo 2^32. */
  constructor(seed: number, stream0 = 0, stream1 = 0) {
    if (!Number.isSafeInteger(seed)) throw new Error(`RandomStream: seed is ${seed}, expected a safe integer`);
    this.key0 = seed >>> 0;
    this.key1 = Math.floor(seed / 0x1_0000_0000) >>> 0;
    this.stream0 = stream0 >>> 0;
    this.stream1 = stream1 >>> 0;
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    if (this.used === 4) {
      const counter = [this.block >>> 0, Math.floor(this.block / 0x1_0000_0000), this.stream0, this.stream1] as const;
      philox([...counter], this.key0, this.key1, this.words);
      this.block++;
      this.used = 0;
    }
    return this.words[this.used++]!;
  }

  /** Uniform in [low, high), 32 bits fine. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.bits() / 0x1_0000_0000);
  }

  /** Uniform integer in [0, n), for n up to 2^32. */
  integer(n: number): number {
    // The multiplication's bias is below n / 2^32: nothing that data could show.
    return Math.floor(this.uniform() * n);
  }

  /** Standard normal, by Box and Muller (one of the pair). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** 0 to n - 1 in random order (Fisher and Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return order;
  }
}
