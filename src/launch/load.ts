/**
 * Starts the core of the package in Node the fastest way there is: as one script, compiled from the code cache that V8 made of it in an earlier process, as
 * Python keeps .pyc files. Without a cache, or with one that does not hold, the script is compiled from its text. Only the build refers to this
 * file (packaging/bundle.mjs), and it imports nothing of the package. Figures: docs/decisions/090.
 *
 * The cache lies in a folder of the user's alone: `$TENON_CACHE`, or `tenon` in the system's place for caches; `TENON_CACHE=off` does without.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

/** What the script gives: a function of the URL that stands for `import.meta.url`. */
type Core = (moduleUrl: string) => object;

/** Ahead of V8's bytes: this word, how many bytes follow, their CRC-32, and how much the process that wrote them had run. */
const MAGIC = 0x316e_6574;
const HEADER_BYTES = 16;

/** A process that ran for longer has lost code again that it needed at its start: V8 forgets what is not called. */
const FRESH_SECONDS = 30;

interface Cache {
  readonly bytes: Buffer;
  /** Milliseconds of processor time of the process that wrote it: the more, the more functions it holds. */
  readonly worth: number;
}

/** What the script at `url` returns. @param hash of its text, which names the cache */
export function load(url: URL, hash: string): object {
  const filename = fileURLToPath(url);
  const folder = cacheFolder();
  const file = folder && path.join(folder, `core-${hash}-${process.versions.v8}-${process.arch}.bin`);
  const cache = file ? readCache(file) : null;
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: cache?.bytes });
  if (file) writeAtExit(file, script, script.cachedDataRejected ? null : cache);
  return (script.runInThisContext() as Core)(url.href);
}

/** Null where there is to be none. */
function cacheFolder(): string | null {
  const { TENON_CACHE, XDG_CACHE_HOME, LOCALAPPDATA, HOME } = process.env;
  if (TENON_CACHE) return TENON_CACHE === 'off' ? null : path.resolve(TENON_CACHE);
  const { platform } = process;
  if (platform === 'win32') return LOCALAPPDATA ? path.join(LOCALAPPDATA, 'tenon', 'cache') : null;
  if (XDG_CACHE_HOME) return path.join(XDG_CACHE_HOME, 'tenon');
  return HOME ? path.join(HOME, platform === 'darwin' ? 'Library/Caches' : '.cache', 'tenon') : null;
}

/** Null unless it is whole and nobody else could have written it: V8 checks its version, flags and the source's length, not the bytes. */
function readCache(file: string): Cache | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return null;
  }
  try {
    const { uid, mode } = fstatSync(descriptor);
    if (process.getuid && (uid !== process.getuid() || mode & 0o022)) return null;
    const all = readFileSync(descriptor);
    if (all.length < HEADER_BYTES || all.readUInt32LE(0) !== MAGIC) return null;
    const bytes = all.subarray(HEADER_BYTES);
    const whole = all.readUInt32LE(4) === bytes.length && all.readUInt32LE(8) === checksum(bytes);
    return whole ? { bytes, worth: all.readUInt32LE(12) } : null;
  } finally {
    closeSync(descriptor);
  }
}

const checksum = (bytes: Uint8Array): number => process.getBuiltinModule('node:zlib').crc32(bytes);

/** Writes the functions compiled by then when the process ends, if they are more than the cache had. */
function writeAtExit(file: string, script: Script, cache: Cache | null): void {
  process.once('exit', () => {
    const { user, system } = process.cpuUsage();
    const worth = process.uptime() < FRESH_SECONDS ? Math.round((user + system) / 1e3) : 0;
    if (cache && worth < 2 * cache.worth) return;
    if (!process.getBuiltinModule('node:worker_threads').isMainThread) return;
    const bytes = script.createCachedData();
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(MAGIC, 0);
    header.writeUInt32LE(bytes.length, 4);
    header.writeUInt32LE(checksum(bytes), 8);
    header.writeUInt32LE(worth, 12);
    const draft = `${file}.${process.pid}`;
    // Where nothing can be written, the next process starts as slowly as this one did.
    const written = succeeds(() => {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(draft, Buffer.concat([header, bytes]), { mode: 0o600, flag: 'wx' });
      renameSync(draft, file);
    });
    if (!written) succeeds(() => rmSync(draft, { force: true }));
  });
}

function succeeds(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
