/**
 * What a bundler makes of the package: the size that docs/guides/browser.md gives. Needs `npm run build`.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const built = path.join(root, 'dist/index.js');

it.skipIf(!existsSync(built))('bundles to about the size that the guide gives', async () => {
  const entry = 'virtual:page';
  const page = `import { tensor } from '${built}';
    import { Linear } from '${path.join(root, 'dist/nn/index.js')}';
    import { Adam } from '${path.join(root, 'dist/optim/index.js')}';
    console.log(tensor, Linear, Adam);`;
  const bundle = await rolldown({
    input: entry,
    platform: 'browser',
    plugins: [{ name: 'page', resolveId: id => (id === entry ? id : null), load: id => (id === entry ? page : null) }],
  });
  const { output } = await bundle.generate({ format: 'es', minify: true });
  await bundle.close();
  expect(output).toHaveLength(1);
  const { code } = output[0];
  const said = /Rolldown makes (\d+) kB \((\d+) kB gzipped\)/.exec(
    readFileSync(path.join(root, 'docs/guides/browser.md'), 'utf8'),
  );
  const [size, zipped] = [code.length / 1000, gzipSync(code).length / 1000];
  expect(Math.abs(size / Number(said?.[1]) - 1), `${size} kB`).toBeLessThan(0.15);
  expect(Math.abs(zipped / Number(said?.[2]) - 1), `${zipped} kB gzipped`).toBeLessThan(0.15);
});
