/**
 * ImageDecoder: PNG, JPEG, WebP, TIFF by their libraries, BMP and PNM by the few lines they take; told by content.
 * Larger images than 2^28 pixels are refused before anything is allocated for them.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import jpegFactory from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js';
import webpFactory from '@jsquash/webp/codec/dec/webp_dec.js';
import { convertIndexedToRgb, decode as decodePng } from 'fast-png';
import { decode as decodeTiff } from 'tiff';
import { Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';

/** Samples row by row, `channels` (1 to 4) for each pixel. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: ArrayLike<number>;
}

const MAX_PIXELS = 2 ** 28;

type WasmDecoder = (bytes: Uint8Array) => { width: number; height: number; data: ArrayLike<number> };

interface Codec {
  readonly instantiateWasm: (imports: WebAssembly.Imports, use: (instance: WebAssembly.Instance) => void) => unknown;
  readonly noInitialRun: boolean;
  readonly printErr: () => void;
  decode?: (bytes: Uint8Array, ...more: readonly unknown[]) => ReturnType<WasmDecoder>;
}

/**
 * A codec of the jsquash family, ready at once: what its factory promises is there when the module is instantiated
 * synchronously.
 */
function wasmDecoder(factory: (codec: Codec) => unknown, file: string, ...more: readonly unknown[]): () => WasmDecoder {
  let decode: WasmDecoder | null = null;
  return () => {
    if (decode) return decode;
    const wasm = new WebAssembly.Module(readFileSync(createRequire(import.meta.url).resolve(file)));
    const codec: Codec = {
      noInitialRun: true,
      printErr() {},
      instantiateWasm(imports, use) {
        const instance = new WebAssembly.Instance(wasm, imports);
        use(instance);
        return instance.exports;
      },
    };
    factory(codec);
    decode = bytes => codec.decode!(bytes, ...more);
    return decode;
  };
}

const jpegDecoder = wasmDecoder(
  jpegFactory as unknown as (codec: Codec) => unknown,
  '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm',
  // The orientation of the metadata is for viewers.
  true,
);
const webpDecoder = wasmDecoder(
  webpFactory as unknown as (codec: Codec) => unknown,
  '@jsquash/webp/codec/dec/webp_dec.wasm',
);

const rgba = ({ width, height, data }: ReturnType<WasmDecoder>): Pixels => ({ width, height, channels: 4, data });

/** Refuses what a header claims before a decoder believes it. WebP's own limit is 2^28 pixels. */
function checkSize(width: number, height: number): void {
  if (!(width > 0 && height > 0 && width * height <= MAX_PIXELS))
    throw new Error(`an image of ${width} x ${height} pixels is empty or larger than 2^28 pixels`);
}

/** The frame header of a JPEG: segments are skipped by their lengths. */
function checkJpeg(bytes: Uint8Array): void {
  for (let at = 2; at + 9 < bytes.length; at += 2 + bytes[at + 2]! * 256 + bytes[at + 3]!) {
    const marker = bytes[at + 1]!;
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (!frame) continue;
    checkSize(bytes[at + 7]! * 256 + bytes[at + 8]!, bytes[at + 5]! * 256 + bytes[at + 6]!);
    return;
  }
  throw new Error('the JPEG image has no frame');
}

function fromPng(bytes: Uint8Array): Pixels {
  if (bytes.length < 24) throw new Error('the PNG image is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkSize(view.getUint32(16), view.getUint32(20));
  const png = decodePng(bytes);
  const { width, height, channels, depth } = png;
  if (png.palette) return { width, height, channels: png.palette[0]!.length, data: convertIndexedToRgb(png) };
  if (depth < 8) throw new Error(`PNG images of ${depth} bits are not supported`);
  return { width, height, channels, data: depth === 16 ? Uint8Array.from(png.data, value => value >> 8) : png.data };
}

function fromTiff(bytes: Uint8Array): Pixels {
  const [claimed] = decodeTiff(bytes, { pages: [0], ignoreImageData: true });
  checkSize(claimed?.width ?? 0, claimed?.height ?? 0);
  const [page] = decodeTiff(bytes, { pages: [0] });
  if (page?.bitsPerSample !== 8) throw new Error('TIFF images must have 8 bits a sample');
  return { width: page.width, height: page.height, channels: page.samplesPerPixel, data: page.data };
}

/**
 * Bitmaps without compression, 24 or 32 bits a pixel, rows from the bottom (or the top, where the height is negative).
 */
function fromBmp(bytes: Uint8Array): Pixels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = view.getUint32(10, true);
  const [width, signed] = [view.getInt32(18, true), view.getInt32(22, true)];
  const [bits, compression] = [view.getUint16(28, true), view.getUint32(30, true)];
  if ((bits !== 24 && bits !== 32) || (compression !== 0 && compression !== 3))
    throw new Error(`BMP images of ${bits} bits with compression ${compression} are not supported`);
  const height = Math.abs(signed);
  const size = bits / 8;
  const stride = Math.ceil((width * size) / 4) * 4;
  if (width < 1 || height < 1 || start + stride * height > bytes.length) throw new Error('the BMP image is cut off');
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = start + (signed > 0 ? height - 1 - y : y) * stride;
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = bytes[row + x * size + 2 - c]!;
  }
  return { width, height, channels: 3, data };
}

/** Netpbm's binary greymaps (P5) and pixmaps (P6), and their plain twins (P2, P3), of up to 255 levels. */
function fromPnm(bytes: Uint8Array): Pixels {
  let at = 2;
  const number = (): number => {
    while (at < bytes.length && (bytes[at]! <= 32 || bytes[at] === 35)) {
      if (bytes[at] === 35) while (at < bytes.length && bytes[at] !== 10) at++;
      else at++;
    }
    let value = 0;
    const begin = at;
    for (; bytes[at]! >= 48 && bytes[at]! <= 57; at++) value = value * 10 + bytes[at]! - 48;
    if (at === begin || value > MAX_PIXELS) throw new Error(`the PNM image has no number at byte ${begin}`);
    return value;
  };
  const kind = bytes[1]! - 48;
  const [width, height, most] = [number(), number(), number()];
  const channels = kind === 3 || kind === 6 ? 3 : 1;
  const count = width * height * channels;
  if (most !== 255) throw new Error(`PNM images of ${most} levels are not supported`);
  if (count > 2 * bytes.length) throw new Error('the PNM image is cut off');
  if (kind <= 3) return { width, height, channels, data: Uint8Array.from({ length: count }, number) };
  const data = bytes.subarray(at + 1, at + 1 + count);
  if (data.length < count) throw new Error('the PNM image is cut off');
  return { width, height, channels, data };
}

const startsWith = (bytes: Uint8Array, text: string, at = 0): boolean =>
  [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));

function decoded(call: Call, bytes: Uint8Array): Pixels {
  if (startsWith(bytes, '\x89PNG')) return fromPng(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    checkJpeg(bytes);
    return rgba(jpegDecoder()(bytes));
  }
  if (startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8)) return rgba(webpDecoder()(bytes));
  if (startsWith(bytes, 'II*\0') || startsWith(bytes, 'MM\0*')) return fromTiff(bytes);
  if (startsWith(bytes, 'BM')) return fromBmp(bytes);
  if (bytes[0] === 0x50 && [50, 51, 53, 54].includes(bytes[1]!)) return fromPnm(bytes);
  return call.fail('the image is none of PNG, JPEG, WebP, TIFF, BMP and PNM');
}

const imageDecoder: Rule = call => {
  const format = call.choice('pixel_format', ['RGB', 'BGR', 'Grayscale'], 'RGB');
  let pixels: Pixels;
  try {
    pixels = decoded(call, call.data(call.x(0), 0) as Uint8Array);
  } catch (error) {
    // Decoders written in C++ throw opaque numbers.
    return call.fail(
      error instanceof Error && !/memory|index/.test(error.message) ? error.message : 'the image is damaged',
    );
  }
  const { width, height, channels, data } = pixels;
  const at = (i: number, c: number): number => data[i * channels + (channels < 3 ? 0 : c)]!;
  const count = width * height;
  if (format === 'Grayscale') {
    // ITU-R 601-2 luma in 16 bits, as Pillow rounds it.
    const grey = Uint8Array.from({ length: count }, (_, i) =>
      channels < 3 ? at(i, 0) : (at(i, 0) * 19595 + at(i, 1) * 38470 + at(i, 2) * 7471 + 0x8000) >> 16,
    );
    return Tensor.from(grey, { shape: [height, width, 1] });
  }
  const order = format === 'RGB' ? [0, 1, 2] : [2, 1, 0];
  const samples = Uint8Array.from({ length: 3 * count }, (_, k) => at(Math.floor(k / 3), order[k % 3]!));
  return Tensor.from(samples, { shape: [height, width, 3] });
};

export const images: OperatorTable = { ImageDecoder: imageDecoder };
