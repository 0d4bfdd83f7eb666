/**
 * Entries of a zip read where they lie: the directory through yauzl, stored entries as ranges of the file, deflated
 * ones unpacked when asked.
 */
import { inflateRawSync } from 'node:zlib';
import yauzl from 'yauzl';
import { reasonOf } from './atomic.ts';
import { type ByteSource, bytesSource, openFile } from './source.ts';

/**
 * Unpacked bytes may be this many times the archive's; a larger claim is a bomb. (Weights hardly deflate: 1.1 is
 * usual.)
 */
const MAX_EXPANSION = 100;

interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** The entry's bytes as a source of their own; of a stored entry nothing is read yet. */
  open(): ByteSource;
}

export interface ZipArchive {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  close(): void;
}

/**
 * Opens the archive `path`.
 * @throws Error naming the file: damaged, encrypted, an unknown compression, a repeated entry, sizes that lie
 */
export async function openZip(path: string): Promise<ZipArchive> {
  const file = openFile(path);
  const { promise: thrown, reject } = rejection();
  const reader = new SourceReader(file, reject);
  try {
    const entries = await Promise.race([directory(file, reader), thrown]);
    return { entries, close: () => file.close() };
  } catch (error) {
    file.close();
    throw new Error(`${path}: not a valid zip: at byte ${reader.position}: ${reasonOf(error)}`, { cause: error });
  }
}

/** A promise that only ever fails. */
function rejection(): { readonly promise: Promise<never>; readonly reject: (error: unknown) => void } {
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<never>((_, fail) => {
    reject = fail;
  });
  // Whoever waits for it hears of it; an archive that was fine leaves it alone.
  promise.catch(() => {});
  return { promise, reject };
}

/**
 * How yauzl reads: ranges of the source, checked before they are read. What it throws while it looks at them (numbers
 * of a damaged directory) goes to `onThrow`, as nobody stands above a callback.
 */
class SourceReader extends yauzl.RandomAccessReader {
  /** Where it read last: errors are about what stands there. */
  position = 0;
  private readonly file: ByteSource;
  private readonly onThrow: (error: unknown) => void;

  constructor(file: ByteSource, onThrow: (error: unknown) => void) {
    super();
    this.file = file;
    this.onThrow = onThrow;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.position = position;
    process.nextTick(() => {
      try {
        buffer.set(this.file.read(position, length), offset);
        callback(null, length);
      } catch (error) {
        this.onThrow(error);
      }
    });
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null);
  }
}

async function directory(file: ByteSource, reader: SourceReader): Promise<Map<string, ZipEntry>> {
  const entries = new Map<string, ZipEntry>();
  const zip = await yauzl.fromRandomAccessReaderPromise(reader, file.size, {
    lazyEntries: true,
    validateEntrySizes: true,
  });
  try {
    let unpacked = 0;
    for await (const entry of zip.eachEntry()) {
      const { fileName: name, compressedSize, uncompressedSize, compressionMethod } = entry;
      const quoted = JSON.stringify(name);
      if (entries.has(name)) throw new Error(`the entry ${quoted} is repeated`);
      if (entry.isEncrypted()) throw new Error(`the entry ${quoted} is encrypted`);
      if (compressionMethod !== 0 && compressionMethod !== 8)
        throw new Error(`the entry ${quoted} is compressed by method ${compressionMethod}, expected 0 or 8`);
      unpacked += uncompressedSize;
      if (unpacked > file.size * MAX_EXPANSION)
        throw new Error(
          `its entries claim to unpack ${file.size} bytes into ${unpacked}, over ${MAX_EXPANSION} times as much`,
        );
      const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      if (fileDataStart + compressedSize > file.size) throw new Error(`the entry ${quoted} ends behind the file's end`);
      const open = (): ByteSource =>
        compressionMethod === 0
          ? part(file, fileDataStart, uncompressedSize)
          : inflated(file, fileDataStart, compressedSize, uncompressedSize, name);
      entries.set(name, { name, size: uncompressedSize, open });
    }
  } finally {
    zip.close();
  }
  return entries;
}

const part = (file: ByteSource, start: number, size: number): ByteSource => ({
  name: file.name,
  size,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > size)
      throw new Error(`${file.name}: bytes ${offset} to ${offset + length} of an entry of ${size} are asked for`);
    return file.read(start + offset, length);
  },
});

function inflated(file: ByteSource, start: number, compressed: number, size: number, name: string): ByteSource {
  const where = `${file.name}: ${name}`;
  let bytes: Buffer;
  try {
    bytes = inflateRawSync(file.read(start, compressed), { maxOutputLength: Math.max(1, size) });
  } catch (error) {
    throw new Error(`${where}: cannot be unpacked from byte ${start} on: ${reasonOf(error)}`, { cause: error });
  }
  if (bytes.length !== size) throw new Error(`${where}: unpacks to ${bytes.length} bytes, its directory says ${size}`);
  return bytesSource(bytes, where);
}

/** fflate writes no zip64: sizes and places of entries are 32 bits. */
const MOST_WRITTEN = 2 ** 32 - 2 ** 20;

/** @throws RangeError where so many bytes do not fit into a zip that fflate writes */
export function checkZipSize(path: string, bytes: number): void {
  if (bytes > MOST_WRITTEN)
    throw new RangeError(`cannot write ${path}: ${bytes} bytes are more than its zip holds (4 GB): write .safetensors`);
}
