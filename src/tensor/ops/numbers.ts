/**
 * Divisors of integers and the parts of floats. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { bytesOf, type DType } from '../../graph/dtype.ts';
import type { Node } from '../../graph/node.ts';
import { checkFloat, checkInt, checkTensor, promoted } from '../operands.ts';
import { withPartials } from '../special/elementary.ts';
import { Tensor } from '../tensor.ts';

/** Steps of Euclid's algorithm that numbers below 2^bits may take: the golden ratio to that power is 2^bits. */
const euclidSteps = (dtype: DType): number => Math.ceil((8 * bytesOf(dtype)) / Math.log2((1 + Math.sqrt(5)) / 2)) + 1;

function divisor(op: string, x: Tensor, other: Tensor): { a: Tensor; b: Tensor; gcd: Tensor } {
  checkInt(op, 'input', x);
  checkInt(op, 'other', other);
  const [a, b] = promoted(op, [x, other]).map(node => new Tensor(node).abs()) as [Tensor, Tensor];
  let [larger, smaller] = [a, b];
  for (let i = 0; i < euclidSteps(a.dtype); i++) {
    const done = smaller.eq(0);
    const rest = larger.remainder(done.where(1, smaller));
    [larger, smaller] = [done.where(larger, smaller), done.where(0, rest).to(a.dtype)];
  }
  return { a, b, gcd: larger };
}

/** The greatest common divisor of integers, by Euclid; of 0 and n it is |n|. */
export function gcd(x: Tensor, other: Tensor): Tensor {
  return divisor('gcd', x, other).gcd;
}

/** The least common multiple of integers, 0 where one of them is. */
export function lcm(x: Tensor, other: Tensor): Tensor {
  const { a, b, gcd: common } = divisor('lcm', x, other);
  const none = common.eq(0);
  return a.div(none.where(1, common), { roundingMode: 'trunc' }).mul(b);
}

interface Layout {
  readonly int: 'i32' | 'i64';
  readonly fractionBits: number;
  readonly bias: number;
}
const LAYOUT: { readonly [F in 'f32' | 'f64']: Layout } = {
  f32: { int: 'i32', fractionBits: 23, bias: 127 },
  f64: { int: 'i64', fractionBits: 52, bias: 1023 },
};

const literal = (value: number | bigint, like: Node): Node =>
  build.full(like.dtype === 'i64' ? BigInt(value) : Number(value), like.shape, like.dtype);

/**
 * x as mantissa * 2^exponent with 0.5 <= |mantissa| < 1 and an i32 exponent; zeros, infinities and NaN are their own
 * mantissa, with exponent 0. f32 and f64.
 */
export function frexp(x: Tensor): { readonly mantissa: Tensor; readonly exponent: Tensor } {
  checkFloat('frexp', 'input', x);
  if (x.dtype !== 'f32' && x.dtype !== 'f64') {
    const { mantissa, exponent } = frexp(x.to('f32'));
    return { mantissa: mantissa.to(x.dtype), exponent };
  }
  const mantissa = withPartials(
    y => partsOfFloat(y).mantissa,
    [x],
    // The factor 2^-exponent is mantissa / x.
    [([z], m) => z!.eq(0).where(1, m.div(z!.eq(0).where(1, z!)))],
  );
  return { mantissa, exponent: partsOfFloat(x.detach()).exponent };
}

function partsOfFloat(value: Tensor): { readonly mantissa: Tensor; readonly exponent: Tensor } {
  const dtype = value.dtype as 'f32' | 'f64';
  const { int, fractionBits, bias } = LAYOUT[dtype];
  // Denormals are scaled up into the normal range first.
  const tiny = value.abs().lt(2 ** (2 - bias));
  const scaled = tiny.where(value.mul(2 ** 60), value);
  const bits = build.bitcast(scaled.node, int);
  const field = build.binary(
    'and',
    build.binary('shr', bits, literal(fractionBits, bits)),
    literal(2 * bias + 1, bits),
  );
  const keep = (1n << BigInt(fractionBits)) - 1n - (1n << BigInt(8 * bytesOf(dtype) - 1));
  const half = BigInt(bias - 1) << BigInt(fractionBits);
  const fraction = build.binary('or', build.binary('and', bits, literal(keep, bits)), literal(half, bits));
  const odd = value.eq(0).logicalOr(value.isfinite().logicalNot());
  const shift = tiny.where(bias - 1 + 60, bias - 1);
  const exponent = odd.where(0, new Tensor(field).to('i32').sub(shift)).to('i32');
  return { mantissa: odd.where(value, new Tensor(build.bitcast(fraction, dtype))), exponent };
}

/** The next representable number after x in the direction of other; bf16, f32 and f64. */
export function nextafter(x: Tensor, other: Tensor): Tensor {
  checkTensor('nextafter', 'input', x);
  checkTensor('nextafter', 'other', other);
  checkFloat('nextafter', 'input', x);
  checkFloat('nextafter', 'other', other);
  const [a, b] = promoted('nextafter', [x, other]).map(node => new Tensor(node).detach()) as [Tensor, Tensor];
  if (a.dtype === 'bf16') return beside(a.to('f32'), b.to('f32'), 1 << 16, 2 ** -133).to('bf16');
  if (a.dtype === 'f16') throw new TypeError('nextafter: input: expected a tensor bf16, f32 or f64, got f16');
  return beside(a, b, 1, a.dtype === 'f32' ? 2 ** -149 : 2 ** -1074);
}

/**
 * The number of f32 or f64 a whose bits are `step` further in the direction of b; `smallest` is the first one beside 0.
 */
function beside(a: Tensor, b: Tensor, step: number, smallest: number): Tensor {
  const bits = build.bitcast(a.node, LAYOUT[a.dtype as keyof typeof LAYOUT].int);
  // Away from 0 the bits count up.
  const away = a.lt(b).eq(a.gt(0));
  const moved = away.where(
    new Tensor(build.binary('add', bits, literal(step, bits))),
    new Tensor(build.binary('sub', bits, literal(step, bits))),
  );
  const next = new Tensor(build.bitcast(moved.node, a.dtype));
  const first = b.gt(0).where(smallest, -smallest).to(a.dtype);
  const stepped = a.eq(0).where(first, next);
  const still = a.eq(b).where(b, stepped);
  return a.isnan().logicalOr(b.isnan()).where(Number.NaN, still);
}
