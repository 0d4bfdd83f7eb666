/**
 * tenon doctor: what this machine has, which backends work here, and why one does not.
 */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { Command } from 'commander';
import { features } from '../../backends/wasm/features.ts';
import { availableProcessors, visibleProcessors } from '../../compiler/processors.ts';
import { whyUnavailable } from '../../runtime/index.ts';
import { backendNames, numThreads, rand, setBackend } from '../../tensor/index.ts';
import { Output } from '../output.ts';
import { VERSION } from '../version.ts';

export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('Show what this machine has and which backends work here.')
    .option('--json', 'one JSON object per line, the last with "event":"end"')
    .action((options: { json?: boolean }) => doctor(new Output(options.json ?? false)));

/** CPU features that matter to machine code and WebAssembly engines, of those Linux lists. */
const CPU_FEATURES = [
  'sse4_2',
  'avx',
  'fma',
  'avx2',
  'avx512f',
  'avx512_bf16',
  'amx_tile',
  'amx_bf16',
  'amx_int8',
  'asimd',
];

interface BackendReport {
  readonly name: string;
  readonly works: boolean;
  readonly why: string | null;
  readonly threads?: number;
  readonly matmul_gflops?: number;
}

/** `8 cores`, or `8 cores, time of 2 given`: a control group may have less. */
const coresOf = ({ cores, processors }: { readonly cores: number; readonly processors: number }): string =>
  processors < cores ? `${cores} cores, time of ${processors} given` : `${cores} cores`;

function doctor(output: Output): void {
  const machine = {
    tenon: VERSION,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: visibleProcessors(),
    processors: availableProcessors(),
    memory_gb: Math.round(totalmem() / 1e9),
    cpu_features: cpuFeatures(),
    webassembly: features(),
  };
  output.event('machine', machine);
  output.say(`Tenon ${machine.tenon} on Node ${machine.node}, ${machine.platform}`);
  output.say(`CPU           ${machine.cpu}, ${coresOf(machine)}, ${machine.memory_gb} GB of memory`);
  output.say(`CPU features  ${machine.cpu_features.join(' ') || 'unknown'}`);
  const wasm = Object.entries(machine.webassembly).map(
    ([name, has]) => `${name} ${has === true ? 'yes' : has === false ? 'no' : has}`,
  );
  output.say(`WebAssembly   ${wasm.join(', ')}`);
  const reports = backendNames().map(examine);
  for (const report of reports) {
    output.event('backend', { ...report });
    const state = report.works
      ? `works, ${report.threads} thread${report.threads === 1 ? '' : 's'}, ${report.matmul_gflops} GFLOP/s in a matrix product`
      : `not available: ${report.why}`;
    output.say(`backend       ${report.name}: ${state}`);
  }
  output.event('end', { backends: reports.filter(report => report.works).map(report => report.name) });
}

/** The features of the first CPU that are worth naming; empty where the system does not say. */
function cpuFeatures(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    const has = new Set(line?.[1]?.trim().split(/\s+/));
    return CPU_FEATURES.filter(feature => has.has(feature));
  } catch {
    return [];
  }
}

/** Opens a backend and has it multiply two matrices. */
function examine(name: string): BackendReport {
  const why = whyUnavailable(name);
  if (why !== null) return { name, works: false, why };
  try {
    setBackend(name);
    const n = name === 'reference' ? 96 : 1024;
    const [a, b] = [rand([n, n]), rand([n, n])];
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const started = performance.now();
      a.matmul(b).data();
      best = Math.min(best, performance.now() - started);
    }
    return {
      name,
      works: true,
      why: null,
      threads: numThreads(),
      matmul_gflops: Number(((2 * n ** 3) / best / 1e6).toPrecision(2)),
    };
  } catch (error) {
    return { name, works: false, why: (error as Error).message };
  }
}
