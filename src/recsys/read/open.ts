/**
 * A file's bytes in chunks: plain, gzip or zstd, told by its first bytes whatever its name.
 */
import { open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip, type ZlibOptions } from 'node:zlib';
import { gzipReason, isGzip, readStart } from '../../data/gzip.ts';
import { reasonOf } from '../../formats/atomic.ts';
import { isZstd, unzstd } from './zstd.ts';

/** Unpacked on threads of the system's while others are parsed: about a block of lines. */
const GUNZIP: ZlibOptions & { readonly readableHighWaterMark: number } = {
  chunkSize: 1 << 18,
  readableHighWaterMark: 1 << 20,
};

/** Bytes asked of a file at once. */
const CHUNK = 1 << 20;

type Compression = 'none' | 'gzip' | 'zstd';

/**
 * How a file is compressed.
 * @throws Error naming the file when it cannot be read, or holds UTF-16, which begins with its byte order mark
 */
export function compressionOf(path: string): Compression {
  const start = readStart(path, 4);
  if ((start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff))
    throw new Error(`${path}: the text is UTF-16, expected UTF-8`);
  if (isGzip(start)) return 'gzip';
  return isZstd(start) ? 'zstd' : 'none';
}

/**
 * The unpacked bytes of a file, from position `start` (of plain files only). A chunk is valid until the next is asked
 * for.
 * @throws Error naming the file when it cannot be read, is damaged or truncated
 */
export async function* openChunks(path: string, start = 0): AsyncGenerator<Uint8Array, void, undefined> {
  const compression = compressionOf(path);
  const raw = rawChunks(path, start);
  if (compression === 'none') yield* raw;
  else yield* compression === 'gzip' ? gunzipped(path, raw) : unzstd(path, raw);
}

async function* rawChunks(path: string, start: number): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await open(path).catch(error => {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  });
  const buffers = [new Uint8Array(CHUNK), new Uint8Array(CHUNK)];
  const read = (number: number, at: number): Promise<{ bytesRead: number }> =>
    file.read(buffers[number % 2], 0, CHUNK, at);
  // The next chunk is read while this one is looked at.
  let pending = read(0, start);
  try {
    for (let number = 0, at = start; ; number++) {
      const { bytesRead } = await pending;
      if (bytesRead === 0) return;
      at += bytesRead;
      pending = read(number + 1, at);
      yield buffers[number % 2].subarray(0, bytesRead);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== 'read') throw error;
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  } finally {
    await pending.catch(() => {});
    await file.close();
  }
}

async function* gunzipped(path: string, raw: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  // Copies, because zlib reads a chunk after the next one was read from the file.
  const copies = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of raw) yield chunk.slice();
  };
  const unpacked = pipeline(Readable.from(copies()), createGunzip(GUNZIP), () => {});
  try {
    for await (const chunk of unpacked) yield chunk as Uint8Array;
  } catch (error) {
    if (!(error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw error;
    throw new Error(`${path}: ${gzipReason(error)}`, { cause: error });
  }
}
