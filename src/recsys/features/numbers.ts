/**
 * Numbers in bytes, without strings: unsigned 64-bit decimal signs in two exact halves, and floating-point numbers. Imports nothing.
 */

const ZERO = 48;
const NINE = 57;
const BILLION = 1e9;
const WORD = 2 ** 32;

/** Why a text is no sign; `ok` when it is one. */
export type SignFault = 'ok' | 'empty' | 'negative' | 'not-a-number' | 'over-64-bits';

/**
 * Reads bytes [start, end) as an unsigned decimal integer into out[0] (upper half) and out[1] (lower half). Exact up to 2^64 - 1: the digits
 * before the last nine and the last nine are numbers below 2^53 each.
 */
export function parseSign(bytes: Uint8Array, start: number, end: number, out: Uint32Array): SignFault {
  if (start >= end) return 'empty';
  let at = start;
  while (at < end - 1 && bytes[at] === ZERO) at++;
  const digits = end - at;
  const split = digits <= 15 ? end : end - 9;
  let head = 0;
  for (let i = at; i < split; i++) {
    const c = bytes[i];
    if (c < ZERO || c > NINE) return bytes[start] === 45 ? 'negative' : 'not-a-number';
    head = head * 10 + (c - ZERO);
  }
  if (split === end) {
    out[0] = head / WORD;
    out[1] = head;
    return 'ok';
  }
  let last = 0;
  for (let i = split; i < end; i++) {
    const c = bytes[i];
    if (c < ZERO || c > NINE) return bytes[start] === 45 ? 'negative' : 'not-a-number';
    last = last * 10 + (c - ZERO);
  }
  if (digits > 20) return 'over-64-bits';
  // head * 10^9 + last with head < 10^11: 17 bits of head at a time keep every product below 2^53.
  const upper = Math.floor(head / 131072) * BILLION;
  const low = (upper % 32768) * 131072 + (head % 131072) * BILLION + last;
  const hi = Math.floor(upper / 32768) + Math.floor(low / WORD);
  if (hi >= WORD) return 'over-64-bits';
  out[0] = hi;
  out[1] = low % WORD;
  return 'ok';
}

/** Powers of ten that are exact in f64. */
const TENS = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
const text = new TextDecoder();

/**
 * Reads bytes [start, end) as a decimal number, correctly rounded: digits below 2^53 and powers of ten up to 10^22 are exact, so one product
 * or quotient rounds once (Clinger, PLDI 1990); anything else goes through `Number`. NaN when it is no number.
 */
export function parseNumber(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  const negative = bytes[at] === 45;
  if (negative || bytes[at] === 43) at++;
  let mantissa = 0;
  let digits = 0;
  let fraction = 0;
  for (; at < end; at++) {
    const c = bytes[at];
    if (c < ZERO || c > NINE) break;
    mantissa = mantissa * 10 + (c - ZERO);
    digits++;
  }
  if (at < end && bytes[at] === 46) {
    for (at++; at < end; at++) {
      const c = bytes[at];
      if (c < ZERO || c > NINE) break;
      mantissa = mantissa * 10 + (c - ZERO);
      digits++;
      fraction++;
    }
  }
  if (at === end && digits > 0 && digits <= 15) {
    const value = fraction === 0 ? mantissa : mantissa / TENS[fraction];
    return negative ? -value : value;
  }
  const whole = text.decode(bytes.subarray(start, end));
  // `Number` also takes '', '0x1f' and 'Infinity', which no log means as a number.
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(whole) ? Number(whole) : Number.NaN;
}
