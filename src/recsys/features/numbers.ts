/**
 * Numbers in bytes, without strings: unsigned 64-bit decimal signs in two exact halves, and floating-point numbers.
 * Imports nothing.
 */

const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const BILLION = 1e9;
const WORD = 2 ** 32;

/** Why a text is no sign; `ok` when it is one. */
export type SignFault = 'ok' | 'empty' | 'negative' | 'not-a-number' | 'over-64-bits';

/** What `digitsOf` gives where there is another byte. */
const NO_DIGITS = -1;

/** The number of at most nine digits. */
function digitsOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at] - ZERO;
    if (digit < 0 || digit > 9) return NO_DIGITS;
    value = (value * 10 + digit) | 0;
  }
  return value;
}

/**
 * Reads bytes [start, end) as an unsigned decimal integer into out[0] (upper half) and out[1] (lower half). Exact up to
 * 2^64 - 1: nine digits at a time, in products and sums below 2^53.
 */
export function parseSign(bytes: Uint8Array, start: number, end: number, out: Uint32Array): SignFault {
  if (start >= end) return 'empty';
  let at = start;
  while (at < end - 1 && bytes[at] === ZERO) at++;
  const digits = end - at;
  if (digits <= 9) {
    const value = digitsOf(bytes, at, end);
    if (value < 0) return faultOf(bytes, start, end);
    out[0] = 0;
    out[1] = value;
    return 'ok';
  }
  const last = digitsOf(bytes, end - 9, end);
  const middle = digitsOf(bytes, Math.max(at, end - 18), end - 9);
  const first = digits <= 18 ? 0 : digits <= 20 ? digitsOf(bytes, at, end - 18) : NO_DIGITS;
  if (last < 0 || middle < 0 || first < 0) return faultOf(bytes, start, end);
  // (first 10^9 + middle) 10^9 + last, with the head cut into 16 bits and the rest (at most 21).
  const head = first * BILLION + middle;
  const headHigh = Math.floor(head / 65536);
  const product = headHigh * BILLION;
  const productHigh = Math.floor(product / 65536);
  const low = (product - productHigh * 65536) * 65536 + (head - headHigh * 65536) * BILLION + last;
  const carry = Math.floor(low / WORD);
  if (productHigh + carry >= WORD) return 'over-64-bits';
  out[0] = productHigh + carry;
  out[1] = low - carry * WORD;
  return 'ok';
}

/** Why a text is no sign, for those that are none. */
function faultOf(bytes: Uint8Array, start: number, end: number): SignFault {
  for (let at = start; at < end; at++)
    if (bytes[at] < ZERO || bytes[at] > NINE) return bytes[start] === MINUS ? 'negative' : 'not-a-number';
  return 'over-64-bits';
}

/** Powers of ten that are exact in f64. */
const TENS = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
const text = new TextDecoder();

/**
 * Reads bytes [start, end) as a decimal number, correctly rounded: digits below 2^53 and powers of ten up to 10^22 are
 * exact, so one product or quotient rounds once (Clinger, PLDI 1990); anything else goes through `Number`. NaN when it
 * is no number.
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
