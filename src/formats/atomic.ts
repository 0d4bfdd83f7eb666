/**
 * Files and folders that are whole or absent: written beside their place, forced to disk, then renamed over it.
 */
import { fs, path as paths } from './node.ts';

/** Chunks are written by at most this many bytes a call: one write of Linux takes less than 2 GiB. */
const WRITE_BYTES = 1 << 30;

/**
 * Writes `chunks` one after the other, each as it comes, as the file `path`. A reader, also after a crash or with a
 * full disk, sees the old file or the whole new one; the temporary file is removed when writing fails.
 * @throws Error naming the file and the reason (no space left, no such folder, no permission).
 */
export function writeAtomic(path: string, chunks: Iterable<Uint8Array | string>): void {
  const { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } = fs();
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w');
    try {
      for (const chunk of chunks) writeAll(file, typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    // Of a file that could not be opened there is nothing to take away.
    if (existsSync(temporary)) rmSync(temporary, { force: true });
    throw new Error(`cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
  syncFolder(paths().dirname(path));
}

/**
 * Makes the folder `path` of what `write` puts into a new one beside it. Should `write` fail, the folder is as it was
 * and nothing is left over. An old folder is moved aside first, so a crash between the two renames leaves it as
 * `path.old`, from where `recoverFolder` takes it back.
 * @throws what `write` throws; an Error naming the folder and the reason where the file system refuses
 */
export function writeFolderAtomic(path: string, write: (folder: string) => void): void {
  const { mkdirSync, renameSync, rmSync } = fs();
  const temporary = `${path}.tmp`;
  const old = movedAside(path);
  const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true });
  try {
    remove(temporary);
    mkdirSync(temporary, { recursive: true });
    write(temporary);
    remove(old);
    if (fs().existsSync(path)) renameSync(path, old);
    renameSync(temporary, path);
    remove(old);
  } catch (error) {
    if (fs().existsSync(temporary)) remove(temporary);
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new Error(`cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
  syncFolder(paths().dirname(path));
}

/** Puts the folder `path` back where it was, if a crash in `writeFolderAtomic` left it moved aside. */
export function recoverFolder(path: string): void {
  const { existsSync, renameSync } = fs();
  if (existsSync(path) || !existsSync(movedAside(path))) return;
  renameSync(movedAside(path), path);
  syncFolder(paths().dirname(path));
}

const movedAside = (folder: string): string => `${folder}.old`;

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + WRITE_BYTES);
    at += fs().writeSync(file, bytes, at, end - at);
  }
}

/** The rename itself survives a power cut only once its folder is on disk; not every system can open one. */
function syncFolder(folder: string): void {
  try {
    const { closeSync, fsyncSync, openSync } = fs();
    const handle = openSync(folder, 'r');
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EISDIR' && code !== 'EPERM' && code !== 'EACCES' && code !== 'EINVAL') throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be larger than this system allows',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
};

/** Why a file operation failed, in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && REASONS[code]) || message;
}
