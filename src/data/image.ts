/**
 * Images as planar arrays, and the decoders of PNG and JPEG files (fast-png; @jsquash/jpeg, MozJPEG's decoder as
 * WebAssembly).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { decode as decodePng, encode as encodePng } from 'fast-png';
import { readWhole } from './gzip.ts';

/** Pixels as [channels, height, width], row-major: u8 of 0 to 255 as decoded, or floats after `toFloat`. */
export interface Image {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array | Float32Array;
}

/** Larger images are refused before their pixels are allocated. */
const MAX_PIXELS = 1 << 28;

export function isImage(value: unknown): value is Image {
  if (typeof value !== 'object' || value === null) return false;
  const { channels, height, width, data } = value as Partial<Image>;
  return (data instanceof Uint8Array || data instanceof Float32Array) && data.length === channels! * height! * width!;
}

/**
 * Reads a PNG or JPEG file, told by content, as u8: 1 channel for grey, 3 for colour, 2 or 4 where a PNG has
 * transparency. 16-bit PNGs keep their upper 8 bits.
 * @throws Error naming the file when it is missing, damaged, truncated or neither format.
 */
export async function readImage(path: string): Promise<Image> {
  return decodeImage(readWhole(path), path);
}

/** The same from bytes in memory; `name` is what errors call them. */
export async function decodeImage(bytes: Uint8Array, name = 'image'): Promise<Image> {
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return fromPng(bytes, name);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return fromJpeg(bytes, name);
  throw new Error(`${name}: neither a PNG nor a JPEG file`);
}

function fromPng(bytes: Uint8Array, name: string): Image {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    checkSize(bytes.length >= 24 ? view.getUint32(16) : 0, bytes.length >= 24 ? view.getUint32(20) : 0);
    const png = decodePng(bytes, { checkCrc: true });
    if (png.palette) return fromPalette(png.data, png.width, png.height, png.depth, png.palette);
    if (png.depth < 8) return unpackGrey(png.data, png.width, png.height, png.depth);
    const eight = png.depth === 16 ? Uint8Array.from(png.data, value => value >> 8) : Uint8Array.from(png.data);
    return planar(eight, png.channels, png.channels, png.width, png.height);
  } catch (error) {
    throw new Error(`${name}: not a valid PNG file: ${(error as Error).message}`, { cause: error });
  }
}

/** Indices of `depth` bits, rows filled up to whole bytes, to the palette's colours. */
function fromPalette(
  data: ArrayLike<number>,
  width: number,
  height: number,
  depth: number,
  palette: readonly (readonly number[])[],
): Image {
  const indices = unpackBits(data, width, height, depth);
  const interleaved = new Uint8Array(indices.length * 3);
  indices.forEach((index, i) => {
    const colour = palette[index];
    if (!colour) throw new Error(`colour ${index} of a palette of ${palette.length}`);
    interleaved.set(colour.slice(0, 3), i * 3);
  });
  return planar(interleaved, 3, 3, width, height);
}

function unpackGrey(data: ArrayLike<number>, width: number, height: number, depth: number): Image {
  const scale = 255 / (2 ** depth - 1);
  return { channels: 1, height, width, data: unpackBits(data, width, height, depth).map(value => value * scale) };
}

function unpackBits(data: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const rowBytes = Math.ceil((width * depth) / 8);
  const mask = 2 ** depth - 1;
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * depth;
    const byte = data[Math.floor(i / width) * rowBytes + (bit >> 3)]!;
    return (byte >> (8 - depth - (bit & 7))) & mask;
  });
}

type JpegDecoder = (bytes: Uint8Array) => {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
};

let jpegDecoder: Promise<JpegDecoder> | null = null;
/** What the decoder said about the file it is reading; libjpeg goes on after most damage. */
let jpegComplaints: string[] = [];

async function loadJpegDecoder(): Promise<JpegDecoder> {
  const { default: factory } = await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
  const wasmFile = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
  const wasm = new WebAssembly.Module(readFileSync(wasmFile));
  const codec = await factory({
    noInitialRun: true,
    instantiateWasm: (imports: WebAssembly.Imports, use: (instance: WebAssembly.Instance) => void) => {
      const instance = new WebAssembly.Instance(wasm, imports);
      use(instance);
      return instance.exports;
    },
    printErr: (line: string) => jpegComplaints.push(line),
  });
  return bytes => codec.decode(bytes, true);
}

async function fromJpeg(bytes: Uint8Array, name: string): Promise<Image> {
  jpegDecoder ??= loadJpegDecoder();
  const decode = await jpegDecoder;
  const fail = (what: string): never => {
    throw new Error(`${name}: not a valid JPEG file: ${what}`);
  };
  try {
    const size = jpegSize(bytes);
    checkSize(size.width, size.height);
    jpegComplaints = [];
    const { width, height, data } = decode(bytes);
    if (jpegComplaints.length > 0) return fail(jpegComplaints[0]!);
    return planar(data, 4, 3, width, height);
  } catch (error) {
    // The codec throws opaque C++ exceptions; what it printed says more.
    return fail(jpegComplaints[0] ?? (error instanceof Error ? error.message : 'the decoder gave up'));
  }
}

/** Width and height from the frame header (SOFn marker, ITU-T T.81 B.2.2). */
function jpegSize(bytes: Uint8Array): { width: number; height: number } {
  for (let at = 2; at + 9 < bytes.length; ) {
    if (bytes[at] !== 0xff) break;
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame)
      return { height: (bytes[at + 5]! << 8) | bytes[at + 6]!, width: (bytes[at + 7]! << 8) | bytes[at + 8]! };
    at += marker === 0xff ? 1 : 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
  }
  throw new Error('it has no frame header');
}

function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1 || width * height > MAX_PIXELS) throw new Error(`its size is ${width} x ${height}`);
}

/** The first `keep` of `channels` interleaved channels, one plane after the other. */
function planar(interleaved: ArrayLike<number>, channels: number, keep: number, width: number, height: number): Image {
  const pixels = width * height;
  const data = new Uint8Array(keep * pixels);
  for (let c = 0; c < keep; c++) for (let i = 0; i < pixels; i++) data[c * pixels + i] = interleaved[i * channels + c]!;
  return { channels: keep, height, width, data };
}

/** A grey (1 channel) or colour (3 channel) u8 image as the bytes of a PNG file. */
export function toPng({ channels, height, width, data }: Image): Uint8Array {
  if (!(data instanceof Uint8Array) || (channels !== 1 && channels !== 3))
    throw new Error(`toPng: image of ${channels} channels, expected u8 with 1 or 3`);
  const pixels = width * height;
  const interleaved = Uint8Array.from(
    { length: data.length },
    (_, i) => data[(i % channels) * pixels + Math.floor(i / channels)]!,
  );
  return encodePng({ width, height, channels, data: interleaved, depth: 8 });
}

/** The mean of the colour channels (as ITU-R BT.601 luma), or the image itself when it is grey already. */
export function toGrey(image: Image): Image {
  const { channels, height, width, data } = image;
  if (channels === 1) return image;
  const pixels = height * width;
  const plane = (c: number, i: number): number => data[c * pixels + i]!;
  const luma = (_: unknown, i: number): number =>
    channels < 3 ? plane(0, i) : 0.299 * plane(0, i) + 0.587 * plane(1, i) + 0.114 * plane(2, i);
  const grey =
    data instanceof Uint8Array
      ? Uint8Array.from({ length: pixels }, (_, i) => Math.round(luma(_, i)))
      : Float32Array.from({ length: pixels }, luma);
  return { channels: 1, height, width, data: grey };
}
