/**
 * Writes the package's JavaScript into dist (the declarations beside it are tsc's):
 *
 *   dist/         ES modules for browsers and bundlers: the entry points and the chunks they share
 *   dist/node/    the same for Node, where the layers up to the Tensor API are two scripts (scripts.mjs) that src/launch starts from V8's code caches, which
 *                 lie beside them as this Node's V8 made them
 *
 * Nothing is minified, so that stack traces and profiles can be read. docs/decisions/090, 145 and 175 have the figures.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { scripts } from './scripts.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { exports: published } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** What package.json publishes, as paths in src without endings. */
const entries = Object.values(published).flatMap(({ default: file }) =>
  file ? [file.slice('./dist/'.length, -'.js'.length)] : [],
);

/** The layers up to the Tensor API. */
const CORE = /[\\/]src[\\/](launch|graph|transform|compiler|backends|runtime|tensor)[\\/]/;

/** Of these, what a first result does not need: in Node a script of its own, started by the first call of one of its functions. */
const LATER = new RegExp(
  [
    'transform/',
    'compiler/(chain/(lower|neutral|plan|rows)|math/(?!values)|routines/|print-loops|verify/)',
    'compiler/contract/(kernel-gradients|packed/(?!problem|suits)|pad|pixels/(blocks|gradient-|kernel-parts|plain|vectors)|taps/(plan|sums)|winograd/(?!convolution|index))',
    'compiler/lower/(routine|sized)',
    'backends/(reference/(?!index)|wasm/(?!encoder|function-writer|opcodes)|x86/(avx2/(?!memory)|emit-tiles))',
    'tensor/(control|customGrad|einsum|fft/|functional/(?!.*[pP]ool)|jacobian|linalg/|masked|print|profile|random|special/|vmap)',
    'tensor/ops/(advanced|distinct|histogram|indexing|matrix|numbers|scan|segments|select|sort|special|statistics|strided|views)',
  ]
    .map(paths => `/src/${paths}`)
    .join('|'),
);

const bundle = (names, plugins) =>
  rolldown({
    cwd: root,
    input: Object.fromEntries(names.map(name => [name, `src/${name}.ts`])),
    platform: 'neutral',
    // Other packages are installed beside this one.
    external: id => !/^(\.|\/|src\/|\0)/.test(id) && !path.isAbsolute(id),
    plugins,
    preserveEntrySignatures: 'allow-extension',
  });

const format = { format: 'es', comments: { legal: true, annotation: true, jsdoc: false } };

async function write(folder, names, plugins, groups) {
  const built = await bundle(names, plugins);
  await built.write({
    ...format,
    dir: path.join(root, folder),
    codeSplitting: { groups, includeDependenciesRecursively: false },
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
await write('dist', entries, [], [{ name: 'core', test: CORE }]);
const later = id => CORE.test(id) && LATER.test(id.replaceAll(path.sep, '/'));
await write(
  'dist/node',
  [...entries, 'cli/main', 'recsys/read/worker'],
  [scripts(output[0])],
  [
    { name: 'later', test: later },
    { name: 'core', test: id => CORE.test(id) && !later(id) },
  ],
);

/** V8's cache of a script, as a process leaves it that did what warm.mjs does for it. */
function writeCodeCache(script) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-build-'));
  try {
    const { NODE_OPTIONS: _, ...env } = process.env;
    execFileSync(process.execPath, ['packaging/warm.mjs', script], {
      cwd: root,
      stdio: 'inherit',
      env: { ...env, TENON_CACHE: folder },
    });
    const name = readdirSync(folder).find(file => file.startsWith(`${script}-`));
    // For every user of the package, where the process kept it for its own: unless it was so slow that it kept none.
    if (!name) console.warn(`build: no code cache of ${script}: the package starts from its text`);
    else writeFileSync(path.join(root, 'dist/node/chunks', name), readFileSync(path.join(folder, name)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
writeCodeCache('core');
writeCodeCache('later');
