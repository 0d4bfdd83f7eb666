/**
 * Executes every TypeScript snippet of the README and the guides, in order within a page (so a later snippet may use what an earlier
 * one declared), and checks that every shell line there is a command this project has.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const pages = ['README.md', ...readdirSync(path.join(root, 'docs/guides')).map(name => `docs/guides/${name}`)];
const folder = mkdtempSync(path.join(root, 'tests/.snippets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Fenced blocks of one language. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(match => match[1]!);
}

/** One module out of a page's snippets: imports of the same package are merged. */
function asModule(snippets: readonly string[]): string {
  const imports = new Map<string, Set<string>>();
  const body = snippets
    .join('\n')
    .replace(/^import \{([^}]+)\} from '([^']+)';$/gm, (_, names: string, from: string) => {
      const set = imports.get(from) ?? new Set();
      for (const name of names.split(',')) if (name.trim()) set.add(name.trim());
      imports.set(from, set);
      return '';
    });
  const head = [...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from '${from}';`);
  return `${head.join('\n')}\n${body}`;
}

describe.each(pages)('%s', page => {
  const snippets = blocks(page, 'ts');
  it.runIf(snippets.length > 0)('runs', { timeout: 120_000 }, async () => {
    const file = path.join(folder, `${page.replaceAll('/', '-')}.ts`);
    writeFileSync(file, asModule(snippets));
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await import(/* @vite-ignore */ file);
    log.mockRestore();
  });

  const commands = blocks(page, 'sh').flatMap(block =>
    block
      .split('\n')
      .map(line => line.replace(/#.*$/, '').trim())
      .filter(Boolean),
  );
  it.runIf(commands.length > 0)('names commands that exist', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).scripts);
    for (const command of commands.flatMap(line => line.split('&&').map(part => part.trim()))) {
      const [program, ...words] = command.split(/\s+/);
      if (program === 'npm') expect(['ci', ...scripts], command).toContain(words.find(w => !['run', '-s'].includes(w)));
      else {
        expect([program, words[0]], command).toEqual(['npx', 'tenon']);
        checkTenon(words.slice(1));
      }
    }
  });
});

/** The command and each of its options stand in its own `--help`. */
function checkTenon(words: readonly string[]): void {
  const name = words.filter(word => /^[a-z]+$/.test(word)).slice(0, words[0] === 'train' ? 2 : 1);
  const help = execFileSync(process.execPath, [path.join(root, 'bin/tenon.js'), ...name, '--help'], {
    encoding: 'utf8',
  });
  expect(help).toContain(name.at(-1));
  for (const option of words.filter(word => word.startsWith('--'))) expect(help, words.join(' ')).toContain(option);
}
