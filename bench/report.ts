/**
 * Timing as workloads.md says (warm-up, then calls one by one by the wall clock), and the line compare.mjs reads.
 */
import { readFileSync } from 'node:fs';
import { type FirstCall, firstCall } from './first.ts';
import { measurePeaks } from './peaks.ts';
import type { WorkloadSpec } from './spec.ts';

export interface Options {
  readonly threads: number;
  /** Timed calls; 0 means the workload's own number. */
  readonly reps: number;
  /** Timing stops after this many seconds (but not before three calls). */
  readonly maxSeconds: number;
  readonly backend: string;
  /** Whether the first call is taken apart. */
  readonly first?: boolean;
  /** What products of training workloads are computed in; f32 when absent. */
  readonly autocast?: 'bf16' | 'f16';
}

export interface Result {
  /** Seconds of each timed call. */
  readonly times: readonly number[];
  /** Losses of steps 0..4 (training). */
  readonly losses?: readonly number[];
  /** Samples of the output, or tokens (everything else). */
  readonly check?: readonly number[];
  /** Seconds from the first call to its result, less one steady step: what compiling costs. */
  readonly compileSeconds?: number;
  /** The same in an earlier process that found no machine code kept. */
  readonly freshSeconds?: number;
  readonly peakRssMb?: number;
  readonly first?: FirstCall;
  /** Further fields of the line. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

const median = (xs: readonly number[]): number => {
  const sorted = [...xs].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
};

/**
 * Times `call`; the first call is timed apart, as it compiles. Seconds are multiplied by `scale` (for calls of many
 * steps).
 */
export function timed(
  options: Options,
  spec: WorkloadSpec,
  call: () => void,
  scale = 1,
): Pick<Result, 'times' | 'compileSeconds' | 'first'> {
  if (options.first) return { times: [0], first: firstCall(call) };
  const clock = (): number => performance.now() / 1e3;
  const begin = clock();
  call();
  const first = (clock() - begin) * scale;
  for (let i = 1; i < spec.warmup && clock() - begin < 2 * options.maxSeconds; i++) call();
  const reps = options.reps || spec.reps;
  const times: number[] = [];
  const start = clock();
  for (let i = 0; i < reps; i++) {
    const t = clock();
    call();
    times.push((clock() - t) * scale);
    const spent = clock() - start;
    if ((i >= 2 && spent > options.maxSeconds) || spent > 5 * options.maxSeconds) break;
  }
  return { times, compileSeconds: Math.max(0, first - median(times)) / scale };
}

/** Highest resident memory of this process, MB. VmHWM belongs to this process image alone. */
function peakRssMb(): number {
  try {
    const line = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
    return Math.round(Number(line![1]) / 102.4) / 10;
  } catch {
    return Math.round(process.resourceUsage().maxRSS / 102.4) / 10;
  }
}

/** The JSON line of one workload. */
export function line(name: string, spec: WorkloadSpec, options: Options, result: Result): string {
  const seconds = median(result.times);
  const peak = result.peakRssMb ?? peakRssMb();
  const machine = options.backend === 'x86' ? measurePeaks(options.threads) : null;
  return JSON.stringify({
    peer: 'ours',
    workload: name,
    threads: options.threads,
    backend: options.backend,
    ...(options.autocast ? { autocast: options.autocast } : {}),
    median_s: seconds,
    min_s: Math.min(...result.times),
    unit: spec.unit,
    unit_per_s: spec.units_per_call / seconds,
    gflops: spec.flop ? spec.flop / seconds / 1e9 : null,
    gb_per_s: spec.bytes ? spec.bytes / seconds / 1e9 : null,
    peak_rss_mb: peak,
    reps: result.times.length,
    fma_peak_gflops: machine?.fmaGflops,
    fma_fed_gflops: machine?.fedGflops,
    copy_gb_per_s: machine?.copyGbPerS,
    compile_s: result.compileSeconds,
    fresh_s: result.freshSeconds,
    first: result.first,
    losses: result.losses,
    check: result.check,
    ...result.extra,
  });
}

/** Eight elements spread over a flat output, as reference_checks.json takes them. */
export function samples(values: ArrayLike<number | bigint>): number[] {
  return Array.from({ length: 8 }, (_, k) => Number(values[Math.floor((k * (values.length - 1)) / 7)]));
}
