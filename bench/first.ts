/**
 * --first: what the first call is made of beyond a steady one, in processor time of the calling thread where the system
 * tells it (Linux): that is the same on a machine that others use too. Both are profiled, so kernels run one by one
 * (some microseconds each).
 */
import { readFileSync } from 'node:fs';
import { profile } from 'tenon';

export interface FirstCall {
  /** Milliseconds of the first call by phase (`run` less a steady one's). */
  readonly phases: Readonly<Record<string, number>>;
  /** Milliseconds by the wall clock of the whole call, a steady one included. */
  readonly wall: number;
  /** Milliseconds of all threads in user code and in the system. */
  readonly user: number;
  readonly system: number;
  /** Pages that the system handed out. */
  readonly pageFaults: number;
}

/** Runs `call` some times. Phases that contain others come without them. */
export function firstCall(call: () => void): FirstCall {
  // The clock of the package (src/launch/clock.ts).
  const wall = process.uptime;
  process.uptime = (): number => threadSeconds() ?? wall.call(process);
  const before = process.resourceUsage();
  const start = wall.call(process);
  const first = spans(call);
  const end = wall.call(process);
  const after = process.resourceUsage();
  const steady = Math.min(...[0, 1, 2].map(() => spans(call)['run']!));
  process.uptime = wall;
  const of = (name: string): number => first[name] ?? 0;
  const phases = {
    trace: of('trace'),
    structure: of('prepare') - of('compile'),
    identity: of('x86: identity'),
    read: of('x86: read'),
    lower: of('lower'),
    emit: of('x86: emit'),
    keep: of('x86: keep'),
    load: of('x86: load'),
    run: of('run') - steady,
    other: of('profile') - of('trace') - of('prepare') - of('run'),
    all: of('profile') - steady,
  };
  return {
    phases: Object.fromEntries(Object.entries(phases).map(([name, ms]) => [name, tenths(ms)])),
    wall: tenths((end - start) * 1e3),
    user: tenths((after.userCPUTime - before.userCPUTime) / 1e3),
    system: tenths((after.systemCPUTime - before.systemCPUTime) / 1e3),
    pageFaults: after.minorPageFault - before.minorPageFault,
  };
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10;

/** Processor time of the main thread so far. */
function threadSeconds(): number | null {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
  } catch {
    return null;
  }
}

/** Milliseconds by name. */
function spans(call: () => void): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { name, dur, args } of profile(call).traceEvents)
    if (args?.['threads'] === undefined) sums[name] = (sums[name] ?? 0) + dur / 1e3;
  return sums;
}
