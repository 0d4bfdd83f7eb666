/**
 * --profile: where a workload's processor time goes, kernel by kernel, from the trace that `profile` takes. Kernels are
 * timed one by one. For every time that a kernel runs in a program the fastest of all runs counts: the same code may
 * find what it reads near or far. Processor time, because it is the same on a machine that others use too.
 */
import { profile } from 'tenon';

interface Kernel {
  readonly name: string;
  readonly bytes: number;
  /** Microseconds of every time it ran. */
  readonly times: number[];
}

/** Products of a contraction, from the sizes in its name: `k7 contract [12 x 512 x 512 x 64]`. */
function flopOf(name: string): number {
  const sizes = / contract \[(.*)\]/.exec(name)?.[1]?.split(' x ').map(Number);
  return sizes ? 2 * sizes.reduce((a, n) => a * n, 1) : 0;
}

/**
 * What a kernel takes that runs `each` times in a program, from its times in the last `calls` runs: the sum of the
 * least of every time.
 */
function leastOf(times: readonly number[], each: number, calls: number): number {
  const last = times.slice(times.length - each * calls);
  const least = (at: number): number => Math.min(...last.filter((_, i) => i % each === at));
  return Array.from({ length: each }, (_, at) => least(at)).reduce((sum, us) => sum + us, 0);
}

/**
 * Runs `work`, which runs some programs a number of times each, and gives the lines of a table: shares, rates, kernels,
 * costliest first.
 */
export function profileTable(work: () => void): string[] {
  const kernels = new Map<string, Kernel>();
  /** How often each program ran, by the kernels it ran. */
  const programs = new Map<string, number>();
  // The clock of the package (src/launch/clock.ts).
  const wall = process.uptime;
  process.uptime = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const { traceEvents } = profile(work);
  process.uptime = wall;
  let ran = '';
  for (const { name, dur, args } of traceEvents) {
    if (name === 'run') {
      programs.set(ran, (programs.get(ran) ?? 0) + 1);
      ran = '';
    }
    if (args?.['threads'] === undefined) continue;
    ran += `${name}\n`;
    const kernel = kernels.get(name) ?? { name, bytes: Number(args['bytes'] ?? 0), times: [] };
    kernel.times.push(dur);
    kernels.set(name, kernel);
  }
  // What ran less often than the program that ran most belongs to the preparation.
  const calls = Math.max(1, ...programs.values());
  const rows = [...kernels.values()]
    .map(({ name, bytes, times }) => {
      const each = Math.floor(times.length / calls);
      return { name, bytes: bytes * each, flop: flopOf(name) * each, each, us: leastOf(times, each, calls) };
    })
    .filter(row => row.each > 0)
    .sort((a, b) => b.us - a.us);
  const total = rows.reduce((sum, row) => sum + row.us, 0);
  const line = (...cells: readonly string[]): string =>
    cells.map((cell, i) => cell.padStart([9, 7, 7, 9, 9][i] ?? 0)).join('');
  return [
    `${line('us', 'share', 'times', 'GFLOP/s', 'GB/s')}  kernel`,
    ...rows.map(({ name, bytes, flop, each, us }) => {
      const rate = flop > 0 ? (flop / us / 1e3).toFixed(0) : '';
      return `${line(us.toFixed(0), `${((100 * us) / total).toFixed(1)}%`, `${each}`, rate, (bytes / us / 1e3).toFixed(1))}  ${name}`;
    }),
    `${line(total.toFixed(0))}  in all`,
  ];
}
