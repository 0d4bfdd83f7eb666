/** The code cache that the built package starts from: who may write it, what is done with one that does not hold. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPrivate } from '../../src/launch/privateFiles.ts';

const root = path.resolve(import.meta.dirname, '../..');
const built = existsSync(path.join(root, 'dist/node/index.js'));

/**
 * A process that computes. V8's cache goes by Node's arguments, of which it has some: the one in the package is not for
 * it.
 */
const PROGRAM = `
import { Tensor } from 'tenon';
console.log(Tensor.from([1, 2, 3]).sum().item());`;

describe.skipIf(!built)('the code cache', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tenon-launch-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (cache: string, backend = 'reference', program = PROGRAM): string =>
    execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, TENON_CACHE: cache, TENON_BACKEND: backend, NODE_ENV: '' },
    }).trim();
  const only = (at: string): string => path.join(at, readdirSync(at)[0]!);

  it('is written once, for the user alone, and read again', () => {
    const at = path.join(folder, 'a');
    expect(run(at)).toBe('6');
    const files = readdirSync(at).sort();
    // Sums on this backend are not what a first result needs.
    expect(files.map(file => file.split('-')[0])).toEqual(['core', 'later']);
    const inode = (file: string): number => statSync(path.join(at, file)).ino;
    if (process.platform !== 'win32') {
      expect(statSync(at).mode & 0o777).toBe(0o700);
      for (const file of files) expect(statSync(path.join(at, file)).mode & 0o777).toBe(0o600);
    }
    const inodes = files.map(inode);
    expect(run(at)).toBe('6');
    expect(files.map(inode)).toEqual(inodes);
  });

  it('shows the package, and not the folders of who built it, in stack traces', () => {
    const at = path.join(folder, 'traces');
    const program = `
import { Tensor } from 'tenon';
try { Tensor.from([1, 2, 3]).reshape([2, 2]); } catch (error) { console.log(error.stack); }`;
    const frames = (): string => run(at, 'reference', program);
    for (const kept of [false, true]) {
      expect(existsSync(at)).toBe(kept);
      expect(frames()).toMatch(/\(tenon\/dist\/node\/chunks\/(core|later)\.cjs:\d+:\d+\)/);
    }
  });

  it.each([
    ['a changed byte', (bytes: Buffer) => void (bytes[bytes.length >> 1]! ^= 0xff)],
    ['a wrong length', (bytes: Buffer) => void bytes.writeUInt32LE(7, 4)],
    ['another word at its head', (bytes: Buffer) => void bytes.writeUInt32LE(0, 0)],
  ])('is replaced when it has %s', (name, damage) => {
    const at = path.join(folder, name);
    run(at);
    const file = only(at);
    const bytes = readFileSync(file);
    damage(bytes);
    writeFileSync(file, bytes);
    const { ino } = statSync(file);
    expect(run(at)).toBe('6');
    expect(statSync(file).ino).not.toBe(ino);
  });

  it.skipIf(process.platform === 'win32')('is not believed when others could have written it', () => {
    const at = path.join(folder, 'shared');
    run(at);
    chmodSync(only(at), 0o666);
    const { ino } = statSync(only(at));
    expect(run(at)).toBe('6');
    expect(statSync(only(at)).ino).not.toBe(ino);
    expect(statSync(only(at)).mode & 0o777).toBe(0o600);
  });

  it.skipIf(process.platform === 'win32')(
    'is not believed behind a link, nor in a folder where others can put files',
    () => {
      const at = path.join(folder, 'linked');
      run(at);
      const file = only(at);
      const elsewhere = path.join(folder, 'elsewhere');
      renameSync(file, elsewhere);
      symlinkSync(elsewhere, file);
      expect(readPrivate(file)).toBeNull();
      expect(run(at)).toBe('6');
      expect(lstatSync(file).isFile()).toBe(true);
      expect(readPrivate(file)).not.toBeNull();
      chmodSync(at, 0o777);
      expect(readPrivate(file)).toBeNull();
      // Where only owners replace their files, as in /tmp.
      chmodSync(at, 0o1777);
      expect(readPrivate(file)).not.toBeNull();
    },
  );

  it.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('is of the core alone for a first result', () => {
    const at = path.join(folder, 'first');
    const program = `
      import { ones, Tensor } from 'tenon';
      console.log(Tensor.from([[1, 2], [3, 4]]).matmul(ones([2, 2])).toArray().join());`;
    expect(run(at, 'x86', program)).toBe('3,3,7,7');
    expect(readdirSync(at).map(file => file.split('-')[0])).toEqual(['core']);
  });

  it('comes with the package for the Node that built it, and is not written again', () => {
    const at = path.join(folder, 'packaged');
    const output = execFileSync(process.execPath, [], {
      cwd: root,
      encoding: 'utf8',
      input: `import('tenon').then(({ Tensor }) => console.log(Tensor.from([1, 2, 3]).sum().item()))`,
      env: { ...process.env, TENON_CACHE: at, TENON_BACKEND: 'reference', NODE_OPTIONS: '' },
    });
    expect(output.trim()).toBe('6');
    expect(existsSync(at)).toBe(false);
  });

  it.each([0, 8, 15, 16, 17, 100])('is not believed when only %i bytes of it are left', length => {
    const at = path.join(folder, `cut ${length}`);
    run(at);
    const bytes = readFileSync(only(at));
    writeFileSync(only(at), bytes.subarray(0, length));
    expect(readPrivate(only(at))).toBeNull();
  });

  it('need not be: off, or a folder that cannot be made', () => {
    expect(run('off')).toBe('6');
    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    expect(run(path.join(file, 'below'))).toBe('6');
    expect(readFileSync(file, 'utf8')).toBe('');
  });

  it.skipIf(process.platform !== 'linux')('nor where the system denies that the folder around it is there', () => {
    expect(run('/proc/none/tenon')).toBe('6');
  });
});
