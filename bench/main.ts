/**
 * npm run bench -- [--only NAME] [--threads N] [--reps N] [--max-s S] [--backend NAME] [--verify] [--list]
 *
 * Runs the peers' fixed workloads (../shared/peers/workloads.md) on Tenon and prints one JSON line each, as compare.mjs
 * and verify.mjs of that folder read them. Without --only every workload runs in a process of its own. What the first
 * call costs is measured twice: in a process that finds no machine code kept, which comes first and keeps it
 * (`fresh_s`), and in the one that is timed (`compile_s`).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { backendName, setBackend, setNumThreads } from 'tenon';
import { coldStart } from './cold.ts';
import { runInference } from './inference.ts';
import { runKernel } from './kernels.ts';
import { profileTable } from './profile.ts';
import { line, type Options, type Result } from './report.ts';
import { readSpec, type WorkloadSpec } from './spec.ts';
import { runTraining, verifyTraining } from './training.ts';

const program = new Command('bench')
  .option('--only <name>', 'run one workload in this process')
  .option('--threads <n>', 'compute threads', '1')
  .option('--reps <n>', "timed calls (0: the workload's own number)", '0')
  .option('--max-s <s>', 'seconds of timing per workload', '20')
  .option('--backend <name>', 'backend (the best that works here)')
  .option('--autocast <dtype>', 'bf16 or f16: train with autocast (f16 with a GradScaler)')
  .option('--json', 'JSON lines (the default, and the only form)')
  .option('--verify', 'print the training numerics for verify.mjs instead of times')
  .option('--profile', 'print the time of every kernel instead (with --only)')
  .option('--first', 'take the first call apart instead of timing steady ones')
  .option('--twice', 'call twice, for what the first call costs')
  .option('--list', 'print the names of the workloads')
  .parse();
const flags = program.opts<{
  only?: string;
  threads: string;
  reps: string;
  maxS: string;
  backend?: string;
  autocast?: 'bf16' | 'f16';
  verify?: boolean;
  profile?: boolean;
  first?: boolean;
  twice?: boolean;
  list?: boolean;
}>();
const spec = readSpec();
if (flags.backend) setBackend(flags.backend);
const options: Options = {
  threads: Number(flags.threads),
  reps: flags.twice ? 1 : Number(flags.reps),
  maxSeconds: flags.twice ? 0 : Number(flags.maxS),
  backend: backendName(),
  first: flags.first,
  autocast: flags.autocast,
};

async function run(name: string, workload: WorkloadSpec): Promise<Result> {
  switch (workload.kind) {
    case 'kernel':
      return runKernel(name, workload, options);
    case 'train':
      return runTraining(name, workload, options);
    case 'infer':
      return runInference(name, workload, options);
    case 'startup':
      return coldStart(workload, options);
  }
}

const self = fileURLToPath(import.meta.url);

/**
 * The line of a workload whose machine code an earlier process, which found none, has kept in a folder of their own.
 */
async function measured(name: string, workload: WorkloadSpec): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-bench-'));
  process.env['TENON_CACHE'] = folder;
  try {
    const args = [self, ...process.argv.slice(2), '--twice'];
    const earlier = spawnSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
    if (earlier.status !== 0) throw new Error(`bench: the first process of ${name} ended with ${earlier.status}`);
    const { compile_s: freshSeconds } = JSON.parse(earlier.stdout);
    return line(name, workload, options, { ...(await run(name, workload)), freshSeconds });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function only(name: string): Promise<void> {
  const skip = (reason: string): void =>
    console.log(JSON.stringify({ peer: 'ours', workload: name, threads: options.threads, skipped: reason }));
  const workload = spec.workloads[name];
  if (!workload) return skip('unknown workload');
  setNumThreads(options.threads);
  if (flags.profile && workload.kind !== 'startup') {
    const work = (): void => {
      // All of it is done before the promise is there.
      void run(name, workload);
    };
    for (const text of profileTable(work)) console.log(text);
  } else if (!flags.verify) {
    const once = flags.first || flags.twice || workload.kind === 'startup';
    console.log(once ? line(name, workload, options, await run(name, workload)) : await measured(name, workload));
  } else if (workload.kind === 'train') console.log(JSON.stringify(verifyTraining(name, workload)));
  else skip('not a training workload');
}

if (flags.list) console.log(spec.order.join('\n'));
else if (flags.only) await only(flags.only);
else
  for (const name of spec.order) {
    const args = [self, '--only', name, ...process.argv.slice(2)];
    const child = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    if (child.status !== 0) process.exitCode = 1;
  }
