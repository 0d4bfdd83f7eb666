/**
 * All suites that compute through the public API, and those of machine code itself, with each instruction set forced in turn, and the losses of every training
 * workload against PyTorch's where ../shared (or TENON_SHARED) is. Closes with a line per instruction set.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Argument, Command, InvalidArgumentError } from 'commander';

const ALL = ['avx2', 'avx512', 'amx'];
const CHECKS = ['suite', 'losses', 'guard'];
const checks = text => {
  const named = text.split(',');
  if (!named.every(check => CHECKS.includes(check)))
    throw new InvalidArgumentError(`Expected some of ${CHECKS.join(', ')}, with commas between.`);
  return named;
};
const share = text => {
  const [part, parts] = text.split('/').map(Number);
  if (!(Number.isInteger(part) && Number.isInteger(parts) && part >= 1 && part <= parts))
    throw new InvalidArgumentError('Expected a part of so many, as 2/4.');
  return text;
};
const command = new Command('npm run test:isa --')
  .addArgument(new Argument('[isa...]', 'instruction sets (default: all)').choices(ALL))
  .option('--only <checks>', `some of ${CHECKS.join(', ')}`, checks, ['suite', 'losses'])
  .option('--part <i/n>', 'one of n parts of the test files; the first compares the losses, too', share, '1/1')
  .parse();
const { only, part } = command.opts();
const root = path.resolve(import.meta.dirname, '..');
const verify = path.join(process.env.TENON_SHARED ?? path.join(root, '../shared'), 'peers/verify.mjs');
/** Tests of no backend in particular that compute with the default one: machine code. */
const GENERAL = ['tests/backends/x86', 'tests/recsys', 'tests/runtime'];

const run = (command, args, env, stdio = 'inherit') =>
  spawnSync(command, args, { cwd: root, stdio, env: { ...process.env, ...env } }).status === 0;

/** Test files under `env`: what passed, and whether all did. */
function tests(args, env) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-isa-'));
  const file = path.join(folder, 'tests.json');
  const passed = run(
    'npx',
    ['vitest', 'run', `--shard=${part}`, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...args],
    env,
  );
  const counts = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  rmSync(folder, { recursive: true });
  return {
    passed,
    said: `${counts.numPassedTests ?? 0} passed, ${counts.numFailedTests ?? '?'} failed, ${counts.numPendingTests ?? 0} skipped`,
  };
}

const RUN = {
  suite(env) {
    const all = [tests(['--project', 'x86'], env), tests(['--project', 'general', ...GENERAL], env)];
    return { passed: all.every(({ passed }) => passed), said: `suite: ${all.map(({ said }) => said).join(' and ')}` };
  },
  guard(env) {
    const { passed, said } = tests(['--project', 'x86'], { ...env, TENON_DEBUG: 'guard' });
    return { passed, said: `between guard pages: ${said}` };
  },
  losses(env) {
    if (!part.startsWith('1/')) return { passed: true, said: 'losses: in the first part' };
    if (!existsSync(verify)) return { passed: true, said: `losses: not compared, ${verify} is not there` };
    const passed = run('node', [verify, '--ours', 'npm run -s bench -- --backend x86'], env);
    return { passed, said: `losses: ${passed ? "PyTorch's" : 'DIFFER'}` };
  },
};

/** Whether this processor runs it. */
const available = isa =>
  run(
    'node',
    ['--input-type=module', '-e', "import { setBackend, ones } from 'tenon'; setBackend('x86'); ones([1]).item();"],
    { TENON_ISA: isa },
    'ignore',
  );

if (!existsSync(path.join(root, 'dist/node/index.js'))) command.error('error: run `npm run build` first');
let failed = false;
const lines = [];
for (const isa of command.args.length > 0 ? command.args : ALL) {
  if (!available(isa)) {
    lines.push(`skip  ${isa.padEnd(6)}  not on this processor`);
    continue;
  }
  const results = only.map(check => {
    console.log(`\n== ${isa}: ${check}`);
    return RUN[check]({ TENON_ISA: isa });
  });
  const passed = results.every(result => result.passed);
  failed ||= !passed;
  lines.push(`${passed ? 'ok  ' : 'FAIL'}  ${isa.padEnd(6)}  ${results.map(({ said }) => said).join('; ')}`);
}
console.log(`\n${lines.join('\n')}`);
process.exitCode = failed ? 1 : 0;
