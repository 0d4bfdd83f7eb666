// npm run test:isa [-- ISA...] [-- --only suite|losses|guard]: all suites that compute through the public API with machine code of each instruction set forced in turn,
// and the losses of every training workload against PyTorch's where ../shared (or TENON_SHARED) is.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const ALL = ['avx2', 'avx512', 'amx'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: 'suite,losses' } },
});
for (const isa of positionals)
  if (!ALL.includes(isa)) throw new Error(`test:isa: ${isa} came, expected some of ${ALL.join(', ')}`);
const parts = values.only.split(',');
const root = path.resolve(import.meta.dirname, '..');
const verify = path.join(process.env.TENON_SHARED ?? path.join(root, '../shared'), 'peers/verify.mjs');

const results = [];
function run(name, command, args, env) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  results.push([name, status === 0]);
}

for (const isa of positionals.length > 0 ? positionals : ALL) {
  const env = { TENON_ISA: isa };
  if (parts.includes('suite')) run(`${isa}: the suite`, 'npx', ['vitest', 'run', '--project', 'x86'], env);
  if (parts.includes('guard'))
    run(`${isa}: the suite between guard pages`, 'npx', ['vitest', 'run', '--project', 'x86'], {
      ...env,
      TENON_DEBUG: 'guard',
    });
  if (!parts.includes('losses')) continue;
  if (existsSync(verify))
    run(`${isa}: losses against PyTorch`, 'node', [verify, '--ours', 'npm run -s bench -- --backend x86'], env);
  else console.log(`test:isa: ${verify} is not there, so losses are not compared`);
}
console.log(`\n${results.map(([name, passed]) => `${passed ? 'ok  ' : 'FAIL'}  ${name}`).join('\n')}`);
process.exitCode = results.every(([, passed]) => passed) ? 0 : 1;
