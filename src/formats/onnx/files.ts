/**
 * The bytes of a model's tensors: in the model file itself, or in files beside it (external data), which must lie in
 * the model's own folder: no absolute path, no "..", no link that leads out of it.
 */
import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { reasonOf } from '../atomic.ts';
import { type ByteSource, bytesSource, withFile } from '../source.ts';
import type { Entry, RawData } from './proto/schema.ts';

type Fail = (what: string) => never;

export class Files {
  readonly source: ByteSource;
  /** The folder external data may lie in; null for a model from memory. */
  readonly folder: string | null;

  constructor(source: ByteSource, folder: string | null) {
    this.source = source;
    this.folder = folder;
  }

  get name(): string {
    return this.source.name;
  }

  /** The bytes of raw_data, which must be exactly `expected`. */
  raw(range: RawData, expected: number, fail: Fail): Uint8Array<ArrayBuffer> {
    if (range.length !== expected) fail(`raw_data has ${range.length} bytes, dims and data_type need ${expected}`);
    return range instanceof Uint8Array ? new Uint8Array(range) : this.source.read(range.offset, range.length);
  }

  /** The bytes of external data: `location`, `offset` and `length` entries (ONNX "ExternalData.md"). */
  external(entries: readonly Entry[], expected: number, fail: Fail): Uint8Array<ArrayBuffer> {
    const entry = (key: string): string | undefined => entries.find(found => found.key === key)?.value;
    const location = entry('location') ?? fail('external_data has no location');
    const number = (key: string, absent: number): number => {
      const text = entry(key);
      if (text === undefined) return absent;
      const value = Number(text);
      return /^\d+$/.test(text) && Number.isSafeInteger(value)
        ? value
        : fail(`external_data ${key} "${text}" is no size`);
    };
    const offset = number('offset', 0);
    const length = number('length', expected);
    if (length !== expected) fail(`external_data length is ${length}, dims and data_type need ${expected}`);
    if (this.folder === null)
      fail(`the data lies in "${location}", and a model from memory has no folder: load it from its file`);
    const path = this.inside(location, fail);
    return withFile(path, source => {
      if (offset + length > source.size)
        fail(`external_data ends at byte ${offset + length} of "${location}", which has ${source.size}`);
      return source.read(offset, length);
    });
  }

  private inside(location: string, fail: Fail): string {
    const parts = location.split(/[\\/]/);
    if (location === '' || isAbsolute(location) || /^[a-zA-Z]:/.test(location) || parts.includes('..'))
      fail(`external_data location "${location}" is not inside the model's folder`);
    let path: string;
    let folder: string;
    try {
      folder = realpathSync(this.folder!);
      path = realpathSync(join(folder, location));
    } catch (error) {
      return fail(`external_data location "${location}" cannot be read: ${reasonOf(error)}`);
    }
    if (!path.startsWith(folder + sep))
      fail(`external_data location "${location}" leads out of the model's folder, to ${path}`);
    return path;
  }
}

/** An open model file, its external data in its folder. */
export const filesOf = (source: ByteSource, path: string): Files => new Files(source, dirname(path));

export const filesOfBytes = (bytes: Uint8Array, name: string): Files => new Files(bytesSource(bytes, name), null);

export const withFiles = <T>(path: string, use: (files: Files) => T): T =>
  withFile(path, source => use(filesOf(source, path)));
