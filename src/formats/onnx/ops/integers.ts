/**
 * Products of quantised operands in integers: (x - zero) * w is summed as x * w, of 8-bit operands as they are, less
 * zero * (sum of w), which backends multiply four or more at a time. A DequantizeLinear is remembered with what it came
 * from, so that the convolution or matrix product behind two of them (QDQ models) is done in integers and scaled once.
 */
import type { Tensor } from '../../../tensor/index.ts';
import type { Call } from '../call.ts';
import { convolve } from './convolve.ts';

/**
 * A quantised tensor: what it stands for is (q - zero) * scale, `scale` along `axis` or for all elements (axis null).
 */
export interface Quantised {
  readonly q: Tensor;
  readonly scale: Tensor;
  readonly zero: Tensor | null;
  readonly axis: number | null;
}

const origins = new WeakMap<Tensor, Quantised>();

/** Notes that `tensor` is `origin` dequantised. */
export function rememberOrigin(tensor: Tensor, origin: Quantised): void {
  if (isNarrow(origin.q)) origins.set(tensor, origin);
}

const isNarrow = (x: Tensor): boolean => x.dtype === 'u8' || x.dtype === 'i8';

/** The zero point for all elements, where it is one that is known while the graph is built. */
function knownZero(call: Call, zero: Tensor | null): number | null {
  if (!zero) return 0;
  const values = call.dataIfKnown(zero);
  if (!values || values.length === 0) return null;
  const first = Number(values[0]);
  return values.every((v: number | bigint) => Number(v) === first) ? first : null;
}

/** Sums over pixels of (x - xZero) * (w - 0), i32, or null where the operands are not of that kind. */
export function convolvedIntegers(
  call: Call,
  x: Tensor,
  xZero: Tensor | null,
  w: Tensor,
  wZero: Tensor | null,
): Tensor | null {
  if (!isNarrow(x) || !isNarrow(w) || knownZero(call, wZero) !== 0) return null;
  const zero = knownZero(call, xZero);
  if (zero === null) return null;
  const sums = convolve(call, x, w, null, { padValue: zero, accumulate: 'i32' });
  if (zero === 0) return sums;
  const spatial = Array.from({ length: x.ndim - 2 }, () => 1);
  const perOutput = w
    .to('i32')
    .sum(w.shape.map((_, d) => d).slice(1))
    .reshape([1, w.shape[0]!, ...spatial]);
  return sums.sub(perOutput.to('i32').mul(zero));
}

/**
 * (a - aZero) @ (b - bZero) in i32; zero points are one, or spread along a's rows and b's columns. Null where the
 * operands are wider.
 */
export function multipliedIntegers(
  call: Call,
  a: Tensor,
  aZero: Tensor | null,
  b: Tensor,
  bZero: Tensor | null,
): Tensor | null {
  if (!isNarrow(a) || !isNarrow(b) || a.ndim < 2 || b.ndim < 2) return null;
  const [knownA, knownB] = [knownZero(call, aZero), knownZero(call, bZero)];
  if (knownA === null || knownB === null) return null;
  const sum = (x: Tensor, dim: number): Tensor => x.to('i32').sum(dim, { keepdim: true }).to('i32');
  let product = a.to('i32').matmul(b.to('i32'));
  if (knownA !== 0) product = product.sub(sum(b, -2).mul(knownA));
  if (knownB !== 0) product = product.sub(sum(a, -1).mul(knownB));
  return knownA * knownB === 0 ? product : product.add(knownA * knownB * a.shape[a.ndim - 1]!);
}

/** What both scales make of a product of integers, along the result's `channel`. */
function scaled(sums: Tensor, x: Quantised, w: Quantised, channel: number): Tensor {
  const along = sums.shape.map((n, d) => (d === channel ? n : 1));
  const scale = x.scale.reshape([]).mul(w.axis === null ? w.scale.reshape([]) : w.scale.reshape(along));
  return sums.to('f32').mul(scale);
}

/** The convolution of two dequantised tensors in integers, or null. */
export function convolvedQuantised(call: Call, x: Tensor, w: Tensor, bias: Tensor | null): Tensor | null {
  const [a, b] = [origins.get(x), origins.get(w)];
  if (!a || !b || a.axis !== null || (b.axis !== null && b.axis !== 0) || x.dtype !== 'f32') return null;
  const sums = convolvedIntegers(call, a.q, a.zero, b.q, b.zero);
  if (!sums) return null;
  const result = scaled(sums, a, b, 1);
  return bias ? result.add(bias.reshape([1, -1, ...sums.shape.slice(2).map(() => 1)])) : result;
}

/** The product of two dequantised matrices in integers (`transposed`: b is [n, k]), or null. */
export function multipliedQuantised(call: Call, x: Tensor, w: Tensor, transposed: boolean): Tensor | null {
  const [a, b] = [origins.get(x), origins.get(w)];
  const column = transposed ? 0 : w.ndim - 1;
  if (!a || !b || a.axis !== null || (b.axis !== null && b.axis !== column) || x.dtype !== 'f32') return null;
  const sums = multipliedIntegers(call, a.q, a.zero, transposed ? b.q.transpose(0, 1) : b.q, b.zero);
  return sums && scaled(sums, a, b, sums.ndim - 1);
}
