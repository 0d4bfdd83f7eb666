/**
 * Starts the core of the package in Node the fastest way there is: as a script, and a second one where it is needed,
 * compiled from the code cache that V8 made of it in an earlier process, as Python keeps .pyc files: one of the user's
 * processes, or one that the build ran. Without a cache, or with one that does not hold, the script is compiled from
 * its text. Only the build refers to this file (packaging/bundle.mjs), and it imports nothing of the package but its
 * neighbour. Figures: docs/decisions/090, 145 and 175.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { runAsElsewhere } from './engine.ts';
import { privatePath, readPackaged, readPrivate, writePrivate } from './privateFiles.ts';

/**
 * What core.cjs gives: what other modules import, of the URL that stands for `import.meta.url` and of what starts
 * later.cjs.
 */
type Core = (moduleUrl: string, later: (core: object) => object) => object;

/** What later.cjs gives: its functions, of what the core gave. */
type Later = (core: object, moduleUrl: string) => object;

/**
 * A process that computed for longer has lost code again that it needed at its start: V8 forgets what some collections
 * found unused (ResNet-18's 4 s left a cache with which a start took 120 ms, the 1 s of a small GPT one with which it
 * took 95).
 */
const FRESH_SECONDS = 2;

/**
 * Where stack traces say that the scripts lie: V8 keeps a script's name in its cache, and the one that the build left
 * would name the builder's folders.
 */
const SHOWN_FOLDER = 'tenon/dist/node/chunks/';

/**
 * What the core at `url` gives; later.cjs beside it starts when one of its functions is called.
 * @param hash of both, which names their caches
 */
export function load(url: URL, hash: string): object {
  const later = (core: object): object =>
    runAsElsewhere(() => script(new URL('./later.cjs', url), hash) as Later)(core, url.href);
  return (script(url, hash) as Core)(url.href, later);
}

function script(url: URL, hash: string): unknown {
  const path = fileURLToPath(url);
  const name = `${basename(path, '.cjs')}-${hash}-${process.versions.v8}-${process.arch}${flags()}.bin`;
  const file = privatePath(name);
  // What the build left is the package's own, as the script is.
  const cache = (file === null ? null : readPrivate(file)) ?? readPackaged(fileURLToPath(new URL(name, url)));
  const filename = SHOWN_FOLDER + basename(path);
  const compiled = new Script(readFileSync(path, 'latin1'), { filename, cachedData: cache?.bytes });
  if (file !== null && (!cache || compiled.cachedDataRejected)) writeAtExit(file, compiled);
  return compiled.runInThisContext();
}

/** V8 refuses a cache that was written under other flags. */
function flags(): string {
  const text = [process.env['NODE_OPTIONS'], ...process.execArgv].filter(Boolean).join(' ');
  return text && `-${process.getBuiltinModule('node:zlib').crc32(text).toString(16)}`;
}

/** Writes the functions compiled by then when the process ends. */
function writeAtExit(file: string, script: Script): void {
  process.once('exit', () => {
    const { user, system } = process.cpuUsage();
    if ((user + system) / 1e6 > FRESH_SECONDS || !process.getBuiltinModule('node:worker_threads').isMainThread) return;
    writePrivate(file, script.createCachedData(), 0);
  });
}
