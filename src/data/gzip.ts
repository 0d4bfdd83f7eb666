/**
 * Gzip by content: files may be compressed or not whatever they are called, and none unpacks past a bound.
 */
import { constants as bufferLimits } from 'node:buffer';
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { constants, gunzipSync } from 'node:zlib';
import { reasonOf } from '../formats/atomic.ts';

/** Whether bytes start as gzip does (RFC 1952). */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The first `length` bytes of a file (fewer if it is shorter). */
export function readStart(path: string, length: number): Uint8Array {
  return reading(path, () => {
    const file = openSync(path, 'r');
    try {
      if (!fstatSync(file).isFile()) throw new Error('it is not a file');
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, 0));
    } finally {
      closeSync(file);
    }
  });
}

/** A whole file as it is. */
export function readWhole(path: string): Uint8Array {
  return reading(path, () => readFileSync(path));
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Unpacks gzip data of at most `limit` bytes; `partial` unpacks what a cut-off beginning holds.
 * @throws Error naming the file when the data is damaged, truncated or larger.
 */
export function gunzip(bytes: Uint8Array, path: string, limit: number, { partial = false } = {}): Uint8Array {
  try {
    return gunzipSync(bytes, {
      maxOutputLength: Math.min(limit, bufferLimits.MAX_LENGTH),
      finishFlush: partial ? constants.Z_SYNC_FLUSH : constants.Z_FINISH,
    });
  } catch (error) {
    throw new Error(`${path}: ${gzipReason(error, limit, bytes.length)}`, { cause: error });
  }
}

/** What zlib's error codes mean for a reader of files. */
export function gzipReason(error: unknown, limit = Number.POSITIVE_INFINITY, size?: number): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR')
    return `the gzip data ends too early${size === undefined ? '' : `, at byte ${size}`} (truncated file?)`;
  if (code === 'ERR_BUFFER_TOO_LARGE') return `the gzip data unpacks to more than ${limit} bytes`;
  return `the gzip data is damaged (${message})`;
}
