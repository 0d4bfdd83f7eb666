/**
 * MurmurHash3_x86_128 (Austin Appleby, public domain), of which the first 64 bits are a feature's sign. Chosen because
 * it needs 32-bit products only, which JavaScript has: xxHash64 in two halves costs five 64-bit products for a short
 * text. Imports nothing.
 */

export const C1 = 0x239b961b;
export const C2 = 0xab0e9789;
export const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** The four words of the hash, in the order of the published digest. */
type HashWords = Uint32Array;

export const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

export function finish(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** Hashes bytes [start, end) with a 32-bit seed into `out` [4]. */
export function murmur128(bytes: Uint8Array, start: number, end: number, seed: number, out: HashWords): void {
  const length = end - start;
  let h1 = seed | 0;
  let h2 = h1;
  let h3 = h1;
  let h4 = h1;
  let at = start;
  for (; at + 16 <= end; at += 16) {
    h1 ^= Math.imul(rotate(Math.imul(word(bytes, at), C1), 15), C2);
    h1 = (Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(word(bytes, at + 4), C2), 16), C3);
    h2 = (Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(word(bytes, at + 8), C3), 17), C4);
    h3 = (Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(word(bytes, at + 12), C4), 18), C1);
    h4 = (Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
  }
  const left = end - at;
  if (left > 12) h4 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 12, left - 12), C4), 18), C1);
  if (left > 8) h3 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 8, left - 8), C3), 17), C4);
  if (left > 4) h2 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 4, left - 4), C2), 16), C3);
  if (left > 0) h1 ^= Math.imul(rotate(Math.imul(tail(bytes, at, left), C1), 15), C2);
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = finish(h1);
  h2 = finish(h2);
  h3 = finish(h3);
  h4 = finish(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  out[0] = h1;
  out[1] = h2 + h1;
  out[2] = h3 + h1;
  out[3] = h4 + h1;
}

/** Four bytes, little endian. */
const word = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);

/** Up to four bytes, little endian; those that are missing are zero. */
function tail(bytes: Uint8Array, at: number, count: number): number {
  if (count >= 4) return word(bytes, at);
  let value = bytes[at];
  if (count > 1) value |= bytes[at + 1] << 8;
  if (count > 2) value |= bytes[at + 2] << 16;
  return value;
}
