import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { recoverFolder, writeAtomic, writeFolderAtomic } from '../../src/formats/atomic.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

test('writes all chunks and leaves nothing beside the file', () => {
  const path = folder.file('a.bin');
  writeAtomic(path, ['first ', new Uint8Array([50, 10]), 'third']);
  expect(readFileSync(path, 'utf8')).toBe('first 2\nthird');
  expect(readdirSync(folder.path)).toEqual(['a.bin']);
});

test('names the file and the reason when it cannot be written', () => {
  const path = folder.file('absent/a.bin');
  expect(() => writeAtomic(path, ['x'])).toThrow(`cannot write ${path}: no such file or folder`);
  mkdirSync(folder.file('taken'));
  expect(() => writeAtomic(folder.file('taken'), ['x'])).toThrow('it is a folder');
});

describe.runIf(existsSync('/dev/full'))('on a full disk', () => {
  test('the old file stays and the temporary one goes', () => {
    const path = folder.file('kept.bin');
    writeAtomic(path, ['old']);
    // Every write to /dev/full fails as on a full disk.
    symlinkSync('/dev/full', `${path}.${process.pid}.tmp`);
    expect(() => writeAtomic(path, ['new'])).toThrow(`cannot write ${path}: no space left on the disk`);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder.path).filter(name => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a folder that a crash left moved aside', () => {
  const write = (path: string, text: string): void => writeFolderAtomic(path, at => writeAtomic(`${at}/a.txt`, [text]));

  test('comes back', () => {
    const path = folder.file('crashed');
    write(path, 'old');
    renameSync(path, `${path}.old`);
    recoverFolder(path);
    expect(readFileSync(`${path}/a.txt`, 'utf8')).toBe('old');
    expect(existsSync(`${path}.old`)).toBe(false);
  });

  test('does not come back over what was written since', () => {
    const path = folder.file('rewritten');
    write(path, 'old');
    renameSync(path, `${path}.old`);
    write(path, 'new');
    recoverFolder(path);
    expect(readFileSync(`${path}/a.txt`, 'utf8')).toBe('new');
  });
});
