/**
 * Random access to bytes with a known end, from a file or from memory: the only way formats read. Every read is checked
 * against the real size first, so no length that a file claims is ever allocated unchecked.
 */
import { reasonOf } from './atomic.ts';
import { fs } from './node.ts';

export interface ByteSource {
  /** What errors call it: the path, or a name the caller gave. */
  readonly name: string;
  readonly size: number;
  /** A fresh copy of `length` bytes at `offset`, its buffer exactly that long. The range must lie within `size`. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    size: bytes.length,
    read: (offset, length) => {
      checkRange(name, bytes.length, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
  };
}

/** A file held open until it is closed. */
export interface OpenSource extends ByteSource {
  close(): void;
}

/**
 * Opens `path` for reading.
 * @throws Error naming the file and the reason (no such file, no permission, a folder).
 */
export function openFile(path: string): OpenSource {
  const { closeSync, fstatSync, openSync, readSync } = fs();
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  const stat = fstatSync(file);
  if (!stat.isFile()) {
    closeSync(file);
    throw new Error(`cannot read ${path}: it is not a file`);
  }
  const size = stat.size;
  let open = true;
  const read = (offset: number, length: number): Uint8Array<ArrayBuffer> => {
    checkRange(path, size, offset, length);
    if (!open) throw new Error(`${path}: it was closed, and bytes ${offset} to ${offset + length} are asked for`);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const got = readSync(file, bytes, at, Math.min(length - at, 1 << 30), offset + at);
      if (got === 0) throw new Error(`${path}: ended at byte ${offset + at} while it was read`);
      at += got;
    }
    return bytes;
  };
  const close = (): void => {
    if (open) closeSync(file);
    open = false;
  };
  return { name: path, size, read, close };
}

/** Opens `path`, hands its bytes to `use`, and closes it. */
export function withFile<T>(path: string, use: (source: ByteSource) => T): T {
  const file = openFile(path);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

function checkRange(name: string, size: number, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size))
    throw new Error(`${name}: bytes ${offset} to ${offset + length} are asked for, and it has ${size}`);
}
