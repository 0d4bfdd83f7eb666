/**
 * Mixing of signs: places in hash tables, initial weights and random admission, all functions of the sign (and a seed)
 * alone, so that they are the same whatever came before and in whichever process.
 */

/** A well-mixed 32-bit integer of a sign (the finaliser of MurmurHash3 over both halves, then lowbias32). */
export function hashSign(hi: number, lo: number): number {
  let h = Math.imul(lo ^ (lo >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ hi, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  return h ^ (h >>> 15);
}

/** Another integer of a sign from 0 to 2^32 - 1, independent of `hashSign` as far as tables can tell. */
export function tagSign(hi: number, lo: number): number {
  let h = Math.imul(hi ^ 0x9e3779b9, 0x27d4eb2f) ^ Math.imul(lo ^ (lo >>> 15), 0x165667b1);
  h = Math.imul(h ^ (h >>> 13), 0x2c1b3c6d);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Uniform in [0, 1) from a sign's hash and two counters: lowbias32, 24 bits. */
export function uniformOf(hash: number, tag: number, counter: number, seed: number): number {
  let x = (hash + Math.imul(counter, 0x9e3779b9)) ^ Math.imul(seed + 1, 0x85ebca6b);
  x ^= x >>> 16;
  x = Math.imul(x ^ tag, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  x ^= x >>> 16;
  return (x >>> 8) * 2 ** -24;
}

/** Standard normal from the same source (Box and Muller). */
export function normalOf(hash: number, tag: number, counter: number, seed: number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniformOf(hash, tag, 2 * counter, seed)));
  return radius * Math.cos(2 * Math.PI * uniformOf(hash, tag, 2 * counter + 1, seed));
}
