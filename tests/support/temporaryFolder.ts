/**
 * A fresh folder per test file, removed afterwards.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
      writeFileSync(file(name), content);
      return file(name);
    },
  };
}
