/**
 * Holds the layering: a folder of src imports only folders below it (see docs/architecture.md), and exports only what
 * somebody else uses.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

/** From the ground up. Folders of one row stand beside each other and may use one another, but not in a circle. */
const LAYERS: readonly (readonly string[])[] = [
  ['launch'],
  ['graph'],
  ['transform'],
  ['compiler'],
  ['backends'],
  ['runtime'],
  ['tensor'],
  ['nn', 'optim', 'data', 'metrics', 'formats', 'train', 'models', 'text', 'pretrained'],
  ['recsys'],
  ['index.ts'],
  ['cli'],
];

const source = path.resolve(import.meta.dirname, '../src');

interface Import {
  readonly file: string;
  readonly target: string;
  readonly from: string;
  readonly to: string;
}

/** The layer a path of src belongs to: its folder, or the file itself at the top. */
const folderOf = (file: string): string => path.relative(source, file).split(path.sep)[0]!;

const imports: Import[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .flatMap(name => {
    const file = path.join(source, name);
    // Static, side-effect and dynamic imports, and workers by URL; what lies outside of src is no layer.
    const specifiers = readFileSync(file, 'utf8').matchAll(/(?:\bfrom|\bimport|\bURL)\s*\(?\s*'(\.[^']+)'/g);
    return [...specifiers]
      .map(([, specifier]) => path.resolve(path.dirname(file), specifier!))
      .filter(target => target.startsWith(source + path.sep))
      .map(target => ({
        file: name,
        target: path.relative(source, target),
        from: folderOf(file),
        to: folderOf(target),
      }));
  });

const rank = (folder: string): number => LAYERS.findIndex(row => row.includes(folder));
const text = ({ file, target }: Import): string => `${file} imports ${target}`;

it('every folder has its layer', () => {
  const folders = new Set(imports.flatMap(({ from, to }) => [from, to]));
  expect([...folders].filter(folder => rank(folder) < 0)).toEqual([]);
  expect(folders.size).toBeGreaterThan(5);
});

it('nothing imports upwards', () => {
  expect(imports.filter(({ from, to }) => rank(to) > rank(from)).map(text)).toEqual([]);
});

it('folders beside each other do not import in a circle', () => {
  const beside = imports.filter(({ from, to }) => from !== to && rank(from) === rank(to));
  const reaches = (start: string, goal: string, seen = new Set<string>()): boolean =>
    beside.some(({ from, to }) => {
      if (from !== start || seen.has(to)) return false;
      seen.add(to);
      return to === goal || reaches(to, goal, seen);
    });
  expect(beside.filter(({ from, to }) => reaches(to, from)).map(text)).toEqual([]);
});

it('what runs in browsers reaches no module of Node', () => {
  const reached = new Set([
    'index.ts',
    ...['nn', 'optim', 'models', 'metrics', 'text'].map(room => path.join(room, 'index.ts')),
  ]);
  for (const file of reached) for (const { file: from, target } of imports) if (from === file) reached.add(target);
  const ofNode = [...reached].filter(file =>
    /^import (?!type).*'node:/m.test(readFileSync(path.join(source, file), 'utf8')),
  );
  expect(ofNode).toEqual([]);
});

it('backends do not know each other', () => {
  const backendOf = (file: string): string => file.split(path.sep)[1]!;
  const across = imports.filter(
    ({ file, target, from, to }) => from === 'backends' && to === 'backends' && backendOf(file) !== backendOf(target),
  );
  expect(across.map(text)).toEqual([]);
});

it('what is exported is used elsewhere, or public', () => {
  const root = path.dirname(source);
  const files = ['src', 'tests', 'bench', 'conformance', 'examples', 'packaging'].flatMap(folder =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ts|mjs)$/.test(name))
      .map(name => path.join(root, folder, name)),
  );
  const uses = new Map<string, Set<string>>();
  const texts = new Map(files.map(file => [file, readFileSync(file, 'utf8')]));
  for (const [file, code] of texts)
    for (const [word] of code.matchAll(/[A-Za-z_$][\w$]*/g)) uses.set(word, (uses.get(word) ?? new Set()).add(file));
  // Files of which an index exports everything.
  const whole = new Set(
    [...texts].flatMap(([index, code]) =>
      [...code.matchAll(/^export \* (?:as \w+ )?from '([^']+)'/gm)].map(([, to]) =>
        path.resolve(path.dirname(index), to!),
      ),
    ),
  );
  const unused = [...texts].flatMap(([file, code]) => {
    if (!file.startsWith(source + path.sep) || whole.has(file)) return [];
    const exported = code.matchAll(/^export (?:async )?(?:const|function\*?|(?:abstract )?class) ([\w$]+)/gm);
    return [...exported]
      .filter(([, name]) => uses.get(name!)!.size < 2)
      .map(([, name]) => `${path.relative(source, file)}: ${name}`);
  });
  expect(unused).toEqual([]);
});
