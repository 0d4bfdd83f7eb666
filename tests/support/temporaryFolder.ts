/**
 * A fresh folder per test file, removed afterwards.
 */
import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';

export interface TemporaryFolder {
  readonly path: string;
  /** Writes a file into it and returns its path. */
  write(name: string, content: string | Uint8Array): string;
  /** A path inside it. */
  file(name: string): string;
}

export function temporaryFolder(): TemporaryFolder {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => path.join(folder, name);
  return {
    path: folder,
    file,
    write: (name, content) => {
      // Not emptied first: ext4 flushes what was emptied and written again to the disk, which takes milliseconds.
      const descriptor = openSync(file(name), constants.O_WRONLY | constants.O_CREAT);
      writeFileSync(descriptor, content);
      ftruncateSync(descriptor, Buffer.byteLength(content));
      closeSync(descriptor);
      return file(name);
    },
  };
}
