/**
 * Type-checks and executes every TypeScript snippet of the README and the guides, in order within a page (so a later
 * snippet may use what an earlier one declared), together with the commands of `sh run` blocks, in an empty folder; and
 * checks that every other shell line is a command this project has. Needs `npm run build`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const pages = ['README.md', ...readdirSync(path.join(root, 'docs/guides')).map(name => `docs/guides/${name}`)];
const folder = mkdtempSync(path.join(root, 'tests/.snippets-'));
const program = path.join(root, 'bin/tenon.js');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Block {
  /** What stands behind the opening fence: `ts`, `sh`, `sh run`. */
  readonly kind: string;
  readonly text: string;
}

function blocks(page: string, ...kinds: readonly string[]): Block[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  return [...text.matchAll(/^```([^\n]+)\n([\s\S]*?)^```/gm)]
    .map(match => ({ kind: match[1]!, text: match[2]! }))
    .filter(({ kind }) => kinds.includes(kind));
}

/** Shell lines, one command each. */
const commandsOf = (text: string): string[] =>
  text
    .split('\n')
    .flatMap(line => line.replace(/#.*$/, '').split('&&'))
    .map(line => line.trim())
    .filter(Boolean);

/** A page's snippets as one module: imports of the same package are merged, commands run in the working folder. */
function asModule(snippets: readonly Block[]): string {
  const imports = new Map<string, Set<string>>([['node:child_process', new Set(['execFileSync'])]]);
  const code = ({ kind, text }: Block): string => {
    if (kind === 'ts') return text;
    const calls = commandsOf(text).map(command => {
      const [npx, tenon, ...args] = command.split(/\s+/);
      expect([npx, tenon], command).toEqual(['npx', 'tenon']);
      return `execFileSync(${JSON.stringify(process.execPath)}, ${JSON.stringify([program, ...args])});`;
    });
    return calls.join('\n');
  };
  const body = snippets
    .map(code)
    .join('\n')
    .replace(/^import \{([^}]+)\} from '([^']+)';$/gm, (_, names: string, from: string) => {
      const set = imports.get(from) ?? new Set();
      for (const name of names.split(',')) if (name.trim()) set.add(name.trim());
      imports.set(from, set);
      return '';
    });
  const head = [...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from '${from}';`);
  return `${head.join('\n')}\n${body}\nexport {};\n`;
}

const moduleOf = (page: string): string => path.join(folder, `${page.replaceAll('/', '-')}.ts`);
const executable = (page: string): Block[] => blocks(page, 'ts', 'sh run');

beforeAll(() => {
  for (const page of pages) writeFileSync(moduleOf(page), asModule(executable(page)));
});

it('the snippets have the types the API asks for', () => {
  const config = { extends: '../../tsconfig.json', compilerOptions: { noUnusedLocals: false }, include: ['*.ts'] };
  // The sources' names stand in the base configuration, relative to it.
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
  const { stdout, error } = spawnSync(path.join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' });
  expect(stdout.split('\n').filter(line => line.includes('.snippets-'))).toEqual([]);
  expect(error).toBeUndefined();
});

describe.each(pages)('%s', page => {
  it.runIf(executable(page).length > 0)('runs', { timeout: 120_000 }, async () => {
    expect(existsSync(path.join(root, 'dist/node/cli/main.js')), 'not built: npm run build').toBe(true);
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const before = process.cwd();
    process.chdir(folder);
    try {
      await import(/* @vite-ignore */ moduleOf(page));
    } finally {
      process.chdir(before);
      log.mockRestore();
    }
  });

  const commands = blocks(page, 'sh', 'sh run').flatMap(({ text }) => commandsOf(text));
  it.runIf(commands.length > 0)('names commands that exist', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).scripts);
    for (const command of commands) {
      const [runner, ...words] = command.split(/\s+/);
      if (runner === 'npm')
        expect(['ci', 'install', ...scripts], command).toContain(words.find(w => !['run', '-s'].includes(w)));
      else if (runner === 'node') expect(existsSync(path.join(root, words[0]!)), command).toBe(true);
      else {
        expect([runner, words[0]], command).toEqual(['npx', 'tenon']);
        checkTenon(words.slice(1));
      }
    }
  });
});

const helpTexts = new Map<string, string>();

/** The command and each of its options stand in its own `--help`. */
function checkTenon(words: readonly string[]): void {
  const name = words.filter(word => /^[a-z]+$/.test(word)).slice(0, words[0] === 'train' ? 2 : 1);
  const key = name.join(' ');
  const help = helpTexts.get(key) ?? execFileSync(process.execPath, [program, ...name, '--help'], { encoding: 'utf8' });
  helpTexts.set(key, help);
  expect(help).toContain(name.at(-1));
  for (const option of words.filter(word => word.startsWith('--'))) expect(help, words.join(' ')).toContain(option);
}
