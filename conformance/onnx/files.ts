/**
 * The files of a suite by their path, from a folder or from a gzipped tar archive (POSIX ustar with GNU and pax long
 * names).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export type SuiteFiles = ReadonlyMap<string, Uint8Array>;

const text = new TextDecoder();
const BLOCK = 512;

const field = (header: Uint8Array, start: number, length: number): string =>
  text.decode(header.subarray(start, start + length)).replace(/\0.*$/s, '');

/** Regular files of a tar archive. */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let longName: string | null = null;
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const header = archive.subarray(at, at + BLOCK);
    const size = Number.parseInt(field(header, 124, 12).trim() || '0', 8);
    const body = archive.subarray(at + BLOCK, at + BLOCK + size);
    const type = String.fromCharCode(header[156]!);
    const prefix = field(header, 257, 5) === 'ustar' ? field(header, 345, 155) : '';
    const short = field(header, 0, 100);
    if (type === 'L') longName = text.decode(body).replace(/\0.*$/s, '');
    else if (type === 'x') longName = /\d+ path=([^\n]+)\n/.exec(text.decode(body))?.[1] ?? longName;
    else {
      if (type === '0' || type === '\0') files.set(longName ?? (prefix ? `${prefix}/${short}` : short), body);
      longName = null;
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

/** Every file below a folder, or in an archive. */
export function readSuite(path: string): SuiteFiles {
  if (!statSync(path).isDirectory()) {
    const bytes = readFileSync(path);
    return readTar(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes);
  }
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' });
  return new Map(
    names.filter(name => statSync(join(path, name)).isFile()).map(name => [name, readFileSync(join(path, name))]),
  );
}
