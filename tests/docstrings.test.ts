/**
 * Every function, constant and class that the package's entry points export says what it is: editors show nothing else. Declarations are found in the
 * sources by their (formatted) first lines.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const { exports: published } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>;
};
const entries = Object.keys(published)
  .filter(name => !name.endsWith('.json'))
  .map(name => path.join(root, 'src', name, 'index.ts'));

/** Where a name is declared. */
interface Declaration {
  readonly file: string;
  readonly at: number;
}

const sources = new Map<string, string>();
function sourceOf(file: string): string {
  const text = sources.get(file) ?? readFileSync(file, 'utf8');
  sources.set(file, text);
  return text;
}

const VALUE = '(?:abstract )?(?:async )?(?:function\\*?|const|class)';

/** The values that a file exports, by name; types have docs on their members. */
function exportsOf(file: string): Map<string, Declaration> {
  const text = sourceOf(file);
  const found = new Map<string, Declaration>();
  const from = (target: string): Map<string, Declaration> => exportsOf(path.resolve(path.dirname(file), target));
  for (const [, target] of text.matchAll(/^export \* from '([^']+)';/gm))
    for (const [name, declaration] of from(target!)) found.set(name, declaration);
  for (const [, space, target] of text.matchAll(/^export \* as (\w+) from '([^']+)';/gm))
    for (const [name, declaration] of from(target!)) found.set(`${space}.${name}`, declaration);
  for (const [, list, target] of text.matchAll(/^export \{([^}]+)\} from '([^']+)';/gm))
    for (const [inside, outside] of namesIn(list!)) {
      const declaration = from(target!).get(inside);
      expect(declaration, `${inside} of ${target}, exported by ${file}`).toBeDefined();
      found.set(outside, declaration!);
    }
  for (const match of text.matchAll(new RegExp(`^export ${VALUE} (\\w+)`, 'gm')))
    if (!found.has(match[1]!)) found.set(match[1]!, { file, at: match.index });
  for (const [, list] of text.matchAll(/^export \{([^}]+)\};/gm))
    for (const [inside, outside] of namesIn(list!)) {
      const at = text.search(new RegExp(`^${VALUE} ${inside}\\b`, 'm'));
      if (at >= 0) found.set(outside, { file, at });
    }
  return found;
}

const namesIn = (list: string): [inside: string, outside: string][] =>
  list
    .split(',')
    .map(item => item.trim())
    .filter(item => item && !item.startsWith('type '))
    .map(item => {
      const [inside, outside = inside] = item.split(' as ');
      return [inside!, outside!];
    });

function hasDocs({ file, at }: Declaration): boolean {
  const before = sourceOf(file)
    .slice(0, at)
    .trimEnd()
    .replace(/\n\/\/ biome-ignore[^\n]*$/, '');
  // The file's own header is not the declaration's.
  const isHeader = before.startsWith('/**') && before.indexOf('*/') + 2 === before.length;
  return before.endsWith('*/') && !isHeader;
}

it('every exported value has a docstring', () => {
  const declared = entries.flatMap(entry => [...exportsOf(entry)]);
  expect(declared.length).toBeGreaterThan(1200);
  const silent = declared.filter(([, declaration]) => !hasDocs(declaration));
  const listed = silent.map(([name, { file }]) => `${path.relative(root, file)}: ${name}`);
  expect([...new Set(listed)]).toEqual([]);
});
