/**
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC'11), written from the
 * paper.
 */

const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n] as const;
const WEYL = [0x9e3779b9n, 0xbb67ae85n] as const;
const WORD = 0xffffffffn;

/** Ten rounds over a counter of four words under a key of two. */
export function philox(counter: readonly bigint[], key: readonly bigint[]): bigint[] {
  let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p0 = MULTIPLIERS[0] * c0;
    const p1 = MULTIPLIERS[1] * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & WORD, (p0 >> 32n) ^ c3 ^ k1, p0 & WORD];
    k0 = (k0 + WEYL[0]) & WORD;
    k1 = (k1 + WEYL[1]) & WORD;
  }
  return [c0, c1, c2, c3];
}

/** `size` words: element i is word i mod 4 of block counter + floor(i / 4); `key` is seed and counter. */
export function randomWords(key: BigInt64Array, size: number): Int32Array {
  const seed = BigInt.asUintN(64, key[0]!);
  const words = new Int32Array(size);
  for (let i = 0; i < size; i += 4) {
    const block = BigInt.asUintN(64, key[1]! + BigInt(i / 4));
    const four = philox([block & WORD, block >> 32n, 0n, 0n], [seed & WORD, seed >> 32n]);
    for (let j = 0; j < 4 && i + j < size; j++) words[i + j] = Number(BigInt.asIntN(32, four[j]!));
  }
  return words;
}
