/**
 * Starts the core of the package in Node the fastest way there is: as one script, compiled from the code cache that V8 made of it in an earlier process, as
 * Python keeps .pyc files. Without a cache, or with one that does not hold, the script is compiled from its text. Only the build refers to this
 * file (packaging/bundle.mjs), and it imports nothing of the package but its neighbour. Figures: docs/decisions/090.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { type PrivateFile, privatePath, readPrivate, writePrivate } from './privateFiles.ts';

/** What the script gives: a function of the URL that stands for `import.meta.url`. */
type Core = (moduleUrl: string) => object;

/**
 * A process that ran for longer has lost code again that it needed at its start: V8 forgets what some collections found unused (ResNet-18's 4 s
 * left a cache with which a start took 120 ms, the 1 s of a small GPT one with which it took 95).
 */
const FRESH_SECONDS = 2;

/** What the script at `url` returns. @param hash of its text, which names the cache */
export function load(url: URL, hash: string): object {
  const filename = fileURLToPath(url);
  const file = privatePath(`core-${hash}-${process.versions.v8}-${process.arch}${flags()}.bin`);
  const cache = file === null ? null : readPrivate(file);
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: cache?.bytes });
  if (file !== null) writeAtExit(file, script, script.cachedDataRejected ? null : cache);
  return (script.runInThisContext() as Core)(url.href);
}

/** V8 refuses a cache that was written under other flags. */
function flags(): string {
  const text = [process.env['NODE_OPTIONS'], ...process.execArgv].filter(Boolean).join(' ');
  return text && `-${process.getBuiltinModule('node:zlib').crc32(text).toString(16)}`;
}

/**
 * Writes the functions compiled by then when the process ends, if they are likely to be more than the cache had: the mark of a cache is
 * the milliseconds of processor time of its writer.
 */
function writeAtExit(file: string, script: Script, cache: PrivateFile | null): void {
  process.once('exit', () => {
    const { user, system } = process.cpuUsage();
    const worth = process.uptime() < FRESH_SECONDS ? Math.round((user + system) / 1e3) : 0;
    if (cache && worth < 2 * cache.mark) return;
    if (!process.getBuiltinModule('node:worker_threads').isMainThread) return;
    writePrivate(file, script.createCachedData(), worth);
  });
}
