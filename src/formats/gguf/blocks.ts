/**
 * The block formats of GGML as f32: a row of weights is cut into blocks of 32 or 256 that share scales (layouts:
 * ggml/src/ggml-common.h, arithmetic: `dequantize_row_*` of ggml-quants.c, every product and sum rounded to f32 as
 * there).
 */
import { f16Value } from '../../graph/half.ts';

/** One block at `at` of `bytes` to `out` from `to` on. */
type Decode = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

interface BlockFormat {
  /** Weights in a block. */
  readonly weights: number;
  /** Bytes of a block. */
  readonly bytes: number;
  readonly decode: Decode;
}

const f = Math.fround;
const half = (b: Uint8Array, at: number): number => f16Value(b[at]! | (b[at + 1]! << 8));
const signed = (byte: number): number => (byte << 24) >> 24;

/** Low nibbles are the first 16 weights, high ones the others; `high(j)` is the fifth bit of weight j. */
const nibbles =
  (qs: number, scale: (b: Uint8Array, at: number) => readonly [d: number, m: number], qh = -1): Decode =>
  (b, at, out, to) => {
    const [d, m] = scale(b, at);
    for (let j = 0; j < 32; j++) {
      const byte = b[at + qs + (j & 15)]!;
      let q = j < 16 ? byte & 15 : byte >> 4;
      if (qh >= 0) q |= ((b[at + qh + (j >> 3)]! >> (j & 7)) & 1) << 4;
      out[to + j] = f(f(q * d) + m);
    }
  };

/** Weights are (q - zero) d; the product with the zero is exact in f32. */
const centred =
  (zero: number) =>
  (b: Uint8Array, at: number): readonly [number, number] => {
    const d = half(b, at);
    return [d, -zero * d];
  };

const withMinimum = (b: Uint8Array, at: number): readonly [number, number] => [half(b, at), half(b, at + 2)];

const bytesTimes =
  (qs: number, scale: (b: Uint8Array, at: number) => number, weights: number): Decode =>
  (b, at, out, to) => {
    const d = scale(b, at);
    for (let j = 0; j < weights; j++) out[to + j] = f(d * signed(b[at + qs + j]!));
  };

/** Six-bit scale and minimum number `j` of 8, packed in 12 bytes. */
function scaleAndMinimum(b: Uint8Array, s: number, j: number): readonly [number, number] {
  if (j < 4) return [b[s + j]! & 63, b[s + j + 4]! & 63];
  return [(b[s + j + 4]! & 15) | ((b[s + j - 4]! >> 6) << 4), (b[s + j + 4]! >> 4) | ((b[s + j]! >> 6) << 4)];
}

/** q4_K and, with a fifth bit in `qh`, q5_K: 8 groups of 32, pairs of them in the nibbles of 32 bytes. */
const groupsOf32 =
  (qs: number, qh = -1): Decode =>
  (b, at, out, to) => {
    const [d, dmin] = withMinimum(b, at);
    for (let group = 0; group < 8; group++) {
      const [scale, minimum] = scaleAndMinimum(b, at + 4, group);
      const step = f(d * scale);
      const offset = f(dmin * minimum);
      for (let l = 0; l < 32; l++) {
        const byte = b[at + qs + (group >> 1) * 32 + l]!;
        let q = group & 1 ? byte >> 4 : byte & 15;
        if (qh >= 0) q += ((b[at + qh + l]! >> group) & 1) << 4;
        out[to + group * 32 + l] = f(f(step * q) - offset);
      }
    }
  };

const q2K: Decode = (b, at, out, to) => {
  const d = half(b, at + 80);
  const dmin = half(b, at + 82);
  for (let i = 0; i < 256; i++) {
    const scale = b[at + (i >> 4)]!;
    const q = (b[at + 16 + (i >> 7) * 32 + (i & 31)]! >> (((i >> 5) & 3) * 2)) & 3;
    out[to + i] = f(f(f(d * (scale & 15)) * q) - f(dmin * (scale >> 4)));
  }
};

const q3K: Decode = (b, at, out, to) => {
  const d = half(b, at + 108);
  const scales = at + 96;
  for (let i = 0; i < 256; i++) {
    const group = i >> 4;
    // Sixteen scales of six bits: the low four in 8 bytes, the high two in 4.
    const low = group < 8 ? b[scales + group]! & 15 : b[scales + group - 8]! >> 4;
    const high = (b[scales + 8 + (group & 3)]! >> ((group >> 2) * 2)) & 3;
    const q = (b[at + 32 + (i >> 7) * 32 + (i & 31)]! >> (((i >> 5) & 3) * 2)) & 3;
    const bit = (b[at + (i & 31)]! >> (i >> 5)) & 1;
    out[to + i] = f(f(d * ((low | (high << 4)) - 32)) * (q - (bit ? 0 : 4)));
  }
};

const q6K: Decode = (b, at, out, to) => {
  const d = half(b, at + 208);
  for (let i = 0; i < 256; i++) {
    const part = i >> 7;
    const quarter = (i >> 5) & 3;
    const l = i & 31;
    const low = b[at + part * 64 + (quarter & 1) * 32 + l]!;
    const high = (b[at + 128 + part * 32 + l]! >> (quarter * 2)) & 3;
    const q = ((quarter < 2 ? low & 15 : low >> 4) | (high << 4)) - 32;
    const scale = signed(b[at + 192 + part * 8 + (l >> 4) + quarter * 2]!);
    out[to + i] = f(f(d * scale) * q);
  }
};

/** The sixteen values of the non-linear four-bit formats. */
const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const iq4NL: Decode = (b, at, out, to) => {
  const d = half(b, at);
  for (let j = 0; j < 32; j++) {
    const byte = b[at + 2 + (j & 15)]!;
    out[to + j] = f(d * IQ4[j < 16 ? byte & 15 : byte >> 4]!);
  }
};

const iq4XS: Decode = (b, at, out, to) => {
  const d = half(b, at);
  const high = b[at + 2]! | (b[at + 3]! << 8);
  for (let i = 0; i < 256; i++) {
    const group = i >> 5;
    const low = (b[at + 4 + (group >> 1)]! >> ((group & 1) * 4)) & 15;
    const scale = f(d * ((low | (((high >> (2 * group)) & 3) << 4)) - 32));
    const byte = b[at + 8 + group * 16 + (i & 15)]!;
    out[to + i] = f(scale * IQ4[(i & 31) < 16 ? byte & 15 : byte >> 4]!);
  }
};

const float32 = (b: Uint8Array, at: number): number => new DataView(b.buffer, b.byteOffset + at, 4).getFloat32(0, true);

const format = (weights: number, bytes: number, decode: Decode): BlockFormat => ({ weights, bytes, decode });

/** Block formats by GGML's name. */
export const BLOCKS = {
  q4_0: format(32, 18, nibbles(2, centred(8))),
  q4_1: format(32, 20, nibbles(4, withMinimum)),
  q5_0: format(32, 22, nibbles(6, centred(16), 2)),
  q5_1: format(32, 24, nibbles(8, withMinimum, 4)),
  q8_0: format(32, 34, bytesTimes(2, half, 32)),
  q8_1: format(32, 36, bytesTimes(4, half, 32)),
  q2_K: format(256, 84, q2K),
  q3_K: format(256, 110, q3K),
  q4_K: format(256, 144, groupsOf32(16)),
  q5_K: format(256, 176, groupsOf32(48, 16)),
  q6_K: format(256, 210, q6K),
  q8_K: format(256, 292, bytesTimes(4, float32, 256)),
  iq4_nl: format(32, 18, iq4NL),
  iq4_xs: format(256, 136, iq4XS),
} as const satisfies Readonly<Record<string, BlockFormat>>;

export type BlockName = keyof typeof BLOCKS;

/** All blocks of `bytes` as f32. */
export function dequantise(bytes: Uint8Array, name: BlockName): Float32Array<ArrayBuffer> {
  const { weights, bytes: blockBytes, decode } = BLOCKS[name];
  const blocks = bytes.length / blockBytes;
  const out = new Float32Array(blocks * weights);
  for (let i = 0; i < blocks; i++) decode(bytes, i * blockBytes, out, i * weights);
  return out;
}
