/**
 * Writes the package's JavaScript into dist (the declarations beside it are tsc's):
 *
 *   dist/         ES modules for browsers and bundlers: the entry points and the chunks they share
 *   dist/node/    the same for Node, where the chunk `core` (everything up to the Tensor API) is a script that src/launch starts from V8's code cache,
 *                 which lies beside it as this Node's V8 made it
 *
 * Nothing is minified, so that stack traces and profiles can be read. docs/decisions/090 and 145 have the figures.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { exports: published } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** What package.json publishes, as paths in src without endings. */
const entries = Object.values(published).flatMap(({ default: file }) =>
  file ? [file.slice('./dist/'.length, -'.js'.length)] : [],
);

/** Layers that a first result needs, as one chunk. It imports nothing. */
const CORE = /[\\/]src[\\/](launch|graph|transform|compiler|backends|runtime|tensor)[\\/]/;

/** What stands in the sources (src/launch/build.ts) for the hash of the core. */
const BUILD = 'not a build';

/** The chunk `core` as a function expression that returns what the chunk exports, and the module that starts it. */
function startFromCache(starter) {
  return {
    name: 'start-from-cache',
    generateBundle(_, chunks) {
      const core = Object.values(chunks).find(chunk => chunk.name === 'core');
      const runtime = chunks['chunks/rolldown-runtime.js'];
      const parts = /^import \{ __exportAll \} from "\.\/rolldown-runtime\.js";\n(.*)\nexport \{([^{}]*)\};\s*$/s.exec(
        core.code,
      );
      if (!parts || core.imports.length !== 1 || core.dynamicImports.length > 0)
        throw new Error(
          `bundle: the core must import the bundler's runtime alone and export once; it imports ${core.imports}`,
        );
      const [, own, list] = parts;
      const body = runtime.code.replace(/^export .*$/m, '') + own;
      const names = list.split(',').map(item => {
        const [inside, outside = inside] = item.trim().split(' as ');
        return { inside, outside };
      });
      const code = `(function (moduleUrl) {\n"use strict";\n${body.replaceAll('import.meta.url', 'moduleUrl')}\nreturn { ${names.map(({ inside, outside }) => `${outside}: ${inside}`).join(', ')} };\n})`;
      // Plain ASCII is read without decoding.
      const ascii = code.replace(/[^\0-\x7f]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
      const hash = createHash('sha256').update(ascii).digest('hex').slice(0, 16);
      this.emitFile({ type: 'asset', fileName: 'chunks/core.cjs', source: ascii.replace(BUILD, hash) });
      const locals = names.map(({ outside }, i) => ({ outside, local: `e${i}` }));
      // In one file with what starts it, because each file that Node loads costs over a millisecond.
      core.code = `${starter.replace(/^export .*$/m, '')}
const { ${locals.map(({ outside, local }) => `${outside}: ${local}`).join(', ')} } = load(new URL('./core.cjs', import.meta.url), '${hash}');
export { ${locals.map(({ outside, local }) => `${local} as ${outside}`).join(', ')} };
`;
    },
  };
}

const bundle = (names, plugins) =>
  rolldown({
    cwd: root,
    input: Object.fromEntries(names.map(name => [name, `src/${name}.ts`])),
    platform: 'neutral',
    // Other packages are installed beside this one.
    external: id => !/^(\.|\/|src\/|\0)/.test(id) && !path.isAbsolute(id),
    plugins,
  });

const format = { format: 'es', comments: { legal: true, annotation: true, jsdoc: false } };

async function write(folder, names, plugins) {
  const built = await bundle(names, plugins);
  await built.write({
    ...format,
    dir: path.join(root, folder),
    codeSplitting: { groups: [{ name: 'core', test: CORE }] },
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    minifyInternalExports: false,
  });
  await built.close();
}

const starter = await bundle(['launch/load'], []);
const { output } = await starter.generate(format);
await starter.close();
for (const folder of ['dist/chunks', 'dist/node']) rmSync(path.join(root, folder), { recursive: true, force: true });
await write('dist', entries, []);
await write('dist/node', [...entries, 'cli/main', 'recsys/read/worker'], [startFromCache(output[0].code)]);

/** V8's cache of the core, as a process leaves it that computed a first result. */
function writeCodeCache() {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-build-'));
  try {
    const { NODE_OPTIONS: _, ...env } = process.env;
    execFileSync(process.execPath, ['packaging/warm.mjs'], {
      cwd: root,
      stdio: 'inherit',
      env: { ...env, TENON_CACHE: folder },
    });
    const [name] = readdirSync(folder).filter(file => file.startsWith('core-'));
    // For every user of the package, where the process kept it for its own.
    writeFileSync(path.join(root, 'dist/node/chunks', name), readFileSync(path.join(folder, name)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
writeCodeCache();
