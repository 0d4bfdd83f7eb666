/**
 * The small floats of ONNX (float8 of OCP and of Graphcore, AMD and Qualcomm; float4; the power-of-two scale type):
 * their bits to values and values to bits (ONNX technical details "float8", "float4").
 */
import type { NumericType } from './elementTypes.ts';

export interface MiniFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /** Whether there are infinities. */
  readonly infinity: boolean;
  /** fn: NaN is all ones; ieee: NaN above infinity; uz: NaN is minus zero; none: there is none. */
  readonly nan: 'fn' | 'ieee' | 'uz' | 'none';
}

export const MINI_FLOATS: Partial<Record<NumericType, MiniFloat>> = {
  float8e4m3fn: { exponentBits: 4, mantissaBits: 3, bias: 7, infinity: false, nan: 'fn' },
  float8e4m3fnuz: { exponentBits: 4, mantissaBits: 3, bias: 8, infinity: false, nan: 'uz' },
  float8e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, infinity: true, nan: 'ieee' },
  float8e5m2fnuz: { exponentBits: 5, mantissaBits: 2, bias: 16, infinity: false, nan: 'uz' },
  float4e2m1: { exponentBits: 2, mantissaBits: 1, bias: 1, infinity: false, nan: 'none' },
};

/** The value of the bits. */
export function miniValue(format: MiniFloat, bits: number): number {
  const { exponentBits, mantissaBits, bias, infinity, nan } = format;
  const sign = bits >> (exponentBits + mantissaBits) ? -1 : 1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const top = exponent === 2 ** exponentBits - 1;
  if (nan === 'uz' && bits === 1 << (exponentBits + mantissaBits)) return Number.NaN;
  if (nan === 'fn' && top && mantissa === 2 ** mantissaBits - 1) return Number.NaN;
  if (infinity && top) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The largest finite value. */
export function miniMax(format: MiniFloat): number {
  const { exponentBits, mantissaBits, nan, infinity } = format;
  const all = 2 ** (exponentBits + mantissaBits) - 1;
  if (infinity) return miniValue(format, all - 2 ** mantissaBits);
  return miniValue(format, nan === 'fn' ? all - 1 : all);
}

/** The bits of a value of the format. */
export function miniBits(format: MiniFloat, value: number): number {
  const { exponentBits, mantissaBits, bias, nan, infinity } = format;
  const signBit = 1 << (exponentBits + mantissaBits);
  if (Number.isNaN(value)) return nan === 'uz' ? signBit : signBit - 1;
  const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY && infinity) return sign | ((2 ** exponentBits - 1) << mantissaBits);
  if (size === 0) return nan === 'uz' ? 0 : sign;
  const smallest = 2 ** (1 - bias);
  if (size < smallest) return sign | Math.round(size / (smallest / 2 ** mantissaBits));
  const exponent = Math.floor(Math.log2(size));
  const mantissa = Math.round((size / 2 ** exponent - 1) * 2 ** mantissaBits);
  return sign | ((exponent + bias) << mantissaBits) | mantissa;
}

/** float8e8m0: 2^(bits - 127); 255 is NaN. */
export const scaleValue = (bits: number): number => (bits === 255 ? Number.NaN : 2 ** (bits - 127));

/** The nearest power of two under the rounding mode (ONNX Cast: up, down or nearest, ties up). */
export function scaleRound(x: number, saturate: boolean, mode: string): number {
  if (Number.isNaN(x) || x < 0 || x === Number.POSITIVE_INFINITY) {
    if (x === Number.POSITIVE_INFINITY && saturate) return 2 ** 127;
    return Number.NaN;
  }
  if (x === 0) return 2 ** -127;
  const floor = Math.floor(Math.log2(x));
  const below = 2 ** floor > x ? floor - 1 : floor;
  const exact = 2 ** below === x;
  const up = mode === 'up' ? !exact : mode === 'down' ? false : x >= 1.5 * 2 ** below;
  const exponent = up ? below + 1 : below;
  if (exponent > 127) return saturate ? 2 ** 127 : Number.NaN;
  return 2 ** Math.max(exponent, -127);
}
