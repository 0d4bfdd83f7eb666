/**
 * What the documentation says of itself: links lead to files, the files it names are there, the index of docs/decisions
 * lists every decision under its title.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const textOf = (page: string): string => readFileSync(path.join(root, page), 'utf8');

/** Pages of a folder, and of those below it except what is built or installed there. */
function pagesIn(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const page = path.join(folder, entry.name);
    if (entry.isDirectory()) return ['node_modules', 'out'].includes(entry.name) ? [] : pagesIn(page);
    return page.endsWith('.md') ? [page] : [];
  });
}

const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...['docs', 'bench', 'examples'].flatMap(pagesIn)];

it.each(pages)('%s: links lead to files', page => {
  const targets = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!.replace(/#.*$/, ''))
    .filter(target => target && !/^[a-z]+:/.test(target));
  expect(targets.filter(target => !existsSync(path.join(root, path.dirname(page), target)))).toEqual([]);
});

it.each(pages)('%s: the files it names are there', page => {
  const written = /`((?:src|tests|bench|conformance|docs|examples|packaging)\/[\w./-]+)`/g;
  const named = [...textOf(page).matchAll(written)].map(([, file]) => file!.replace(/\/$/, ''));
  const isMade = (file: string): boolean => file.startsWith('docs/api/out') || file.includes('NNN');
  const isThere = (file: string): boolean =>
    ['', '.ts', '.test.ts'].some(end => existsSync(path.join(root, file + end)));
  expect(named.filter(file => !isMade(file) && !isThere(file))).toEqual([]);
});

it('docs/decisions/README.md has one line for each decision', () => {
  const decisions = readdirSync(path.join(root, 'docs/decisions')).filter(name => /^\d{3}-.*\.md$/.test(name));
  const title = (name: string): string => textOf(`docs/decisions/${name}`).split('\n')[0]!.slice(2);
  const listed = textOf('docs/decisions/README.md')
    .split('\n')
    .filter(line => line.startsWith('- '));
  expect(listed.toSorted()).toEqual(
    decisions.map(name => `- [${name.slice(0, 3)}](${name}): ${title(name)}`).toSorted(),
  );
});
