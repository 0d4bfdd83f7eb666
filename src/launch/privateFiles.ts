/**
 * A folder of files that make a later process faster: code that V8 or Tenon compiled. Whoever can write them can run
 * code, so they are the user's alone, are read only if nobody else could have written them, and carry a checksum;
 * whatever is wrong with one, it is as if it were not there. Node only; imports nothing, and nothing statically, as it
 * is part of what browsers load.
 *
 * The folder is `$TENON_CACHE`, or `tenon` in the system's place for caches; `TENON_CACHE=off` does without.
 */

/** Ahead of the bytes of a file: this word, how many bytes follow, their CRC-32, and a number of the writer's. */
const MAGIC = 0x316e_6574;
const HEADER_BYTES = 16;
/** By the group or by others. */
const WRITABLE = 0o022;
const STICKY = 0o1000;

interface PrivateFile {
  readonly bytes: Uint8Array;
  readonly mark: number;
}

/** The path of a private file; null where there are to be none. */
export function privatePath(name: string): string | null {
  const path = globalThis.process?.getBuiltinModule?.('node:path');
  if (!path) return null;
  const { TENON_CACHE, XDG_CACHE_HOME, LOCALAPPDATA, HOME } = process.env;
  if (TENON_CACHE) return TENON_CACHE === 'off' ? null : path.resolve(TENON_CACHE, name);
  const { platform } = process;
  if (platform === 'win32') return LOCALAPPDATA ? path.join(LOCALAPPDATA, 'tenon', 'cache', name) : null;
  if (XDG_CACHE_HOME) return path.join(XDG_CACHE_HOME, 'tenon', name);
  return HOME ? path.join(HOME, platform === 'darwin' ? 'Library/Caches' : '.cache', 'tenon', name) : null;
}

/** Null unless the file is there, is whole, and nobody else could have written it. */
export function readPrivate(file: string): PrivateFile | null {
  const fs = process.getBuiltinModule('node:fs');
  let descriptor: number;
  try {
    // No link: a valid file under another's name is the wrong code.
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0));
  } catch {
    return null;
  }
  try {
    const { uid, mode } = fs.fstatSync(descriptor);
    if (process.getuid && (uid !== process.getuid() || mode & WRITABLE || isOthers(file))) return null;
    const all = fs.readFileSync(descriptor);
    const made = contents(all);
    return made && all.readUInt32LE(8) === checksum(made.bytes) ? made : null;
  } catch {
    return null;
  } finally {
    fs.closeSync(descriptor);
  }
}

/** A file that came with the package, and is trusted as its scripts are: null unless it is there with all its bytes. */
export function readPackaged(file: string): PrivateFile | null {
  try {
    return contents(process.getBuiltinModule('node:fs').readFileSync(file));
  } catch {
    return null;
  }
}

/** What follows the header; null unless all of it is there. */
function contents(all: Buffer): PrivateFile | null {
  if (all.length < HEADER_BYTES || all.readUInt32LE(0) !== MAGIC) return null;
  const bytes = all.subarray(HEADER_BYTES);
  return all.readUInt32LE(4) === bytes.length ? { bytes, mark: all.readUInt32LE(12) } : null;
}

/**
 * Whether others can put files into a file's folder in place of it: those that are writable by all, but for sticky
 * ones, as /tmp.
 */
function isOthers(file: string): boolean {
  const folder = process.getBuiltinModule('node:path').dirname(file);
  const { mode } = process.getBuiltinModule('node:fs').statSync(folder);
  return (mode & WRITABLE) !== 0 && (mode & STICKY) === 0;
}

/** Writes a file beside its place and moves it there; where nothing can be written, nothing is. */
export function writePrivate(file: string, bytes: Uint8Array, mark: number): void {
  const fs = process.getBuiltinModule('node:fs');
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(bytes.length, 4);
  header.writeUInt32LE(checksum(bytes), 8);
  header.writeUInt32LE(mark, 12);
  const draft = `${file}.${process.pid}`;
  const written = succeeds(() => {
    makeFolder(process.getBuiltinModule('node:path').dirname(file));
    fs.writeFileSync(draft, Buffer.concat([header, bytes]), { mode: 0o600, flag: 'wx' });
    fs.renameSync(draft, file);
  });
  if (!written) succeeds(() => fs.rmSync(draft, { force: true }));
}

/**
 * Makes a folder and those it lies in, for the user alone; one that the system refuses is not there afterwards. Node's
 * `recursive` goes round for ever where the system says ENOENT in a folder that is there, as in /proc and where homes
 * are mounted when they are asked for.
 */
function makeFolder(folder: string): void {
  const fs = process.getBuiltinModule('node:fs');
  if (fs.existsSync(folder)) return;
  makeFolder(process.getBuiltinModule('node:path').dirname(folder));
  succeeds(() => fs.mkdirSync(folder, { mode: 0o700 }));
}

/** Keeps the newest `most` files of those beside `file` whose names begin as said. */
export function dropOldest(file: string, prefix: string, most: number): void {
  const fs = process.getBuiltinModule('node:fs');
  const path = process.getBuiltinModule('node:path');
  const folder = path.dirname(file);
  succeeds(() => {
    const names = fs.readdirSync(folder).filter(name => name.startsWith(prefix));
    if (names.length <= most) return;
    const files = names.map(name => ({ name, time: fs.statSync(path.join(folder, name)).mtimeMs }));
    files.sort((a, b) => b.time - a.time);
    for (const { name } of files.slice(most)) fs.rmSync(path.join(folder, name), { force: true });
  });
}

const checksum = (bytes: Uint8Array): number => process.getBuiltinModule('node:zlib').crc32(bytes);

function succeeds(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
