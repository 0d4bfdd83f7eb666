import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { availableProcessors, wantedThreads } from '../../src/compiler/processors.ts';
import { processorsGiven } from '../../src/compiler/quota.ts';

const root = path.resolve(import.meta.dirname, '../..');

afterEach(() => vi.unstubAllEnvs());

it('one thread per processor, or as many as TENON_NUM_THREADS says', () => {
  vi.stubEnv('TENON_NUM_THREADS', '');
  expect(wantedThreads()).toBe(availableProcessors());
  expect(wantedThreads()).toBeLessThanOrEqual(availableParallelism());
  vi.stubEnv('TENON_NUM_THREADS', '3');
  expect(wantedThreads()).toBe(3);
});

it.each(['abc', '0', '-1', '1.5'])('TENON_NUM_THREADS=%s is refused', text => {
  vi.stubEnv('TENON_NUM_THREADS', text);
  expect(wantedThreads).toThrow(`TENON_NUM_THREADS: "${text}" came, expected a whole number of at least 1`);
});

describe('time that a control group gives', () => {
  const given = (files: { readonly [path: string]: string }): number => processorsGiven(path => files[path] ?? null);
  const own = '/proc/self/cgroup';

  it('is none where there are no groups, or no limits', () => {
    expect(given({})).toBe(Number.POSITIVE_INFINITY);
    expect(given({ [own]: '0::/a\n', '/sys/fs/cgroup/a/cpu.max': 'max 100000\n' })).toBe(Number.POSITIVE_INFINITY);
    expect(
      given({
        [own]: '4:memory:/\n1:cpu,cpuacct:/\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      }),
    ).toBe(Number.POSITIVE_INFINITY);
  });

  it('is the least of a group and those around it (version 2)', () => {
    const files = {
      [own]: '0::/pods/one/web\n',
      '/sys/fs/cgroup/pods/one/web/cpu.max': '400000 100000\n',
      '/sys/fs/cgroup/pods/one/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/pods/cpu.max': 'max 100000\n',
    };
    expect(given(files)).toBe(1.5);
  });

  it('is that of the outermost where a container shows no other', () => {
    expect(given({ [own]: '0::/\n', '/sys/fs/cgroup/cpu.max': '200000 100000' })).toBe(2);
    const files = {
      [own]: '12:pids:/docker/1a\n3:cpu:/docker/1a\n0::/docker/1a\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    };
    expect(given(files)).toBe(0.5);
  });

  // Version 1, where this process may make groups.
  const group = `/sys/fs/cgroup/cpu/tenon-${process.pid}`;
  it.skipIf(!mayMake(group))('is what the kernel holds a process to', () => {
    const script = "import { numThreads } from 'tenon'; console.log(numThreads())";
    try {
      writeFileSync(`${group}/cpu.cfs_period_us`, '100000');
      writeFileSync(`${group}/cpu.cfs_quota_us`, '130000');
      const shell = `echo $$ > ${group}/cgroup.procs && exec "$0" --input-type=module -e "$1"`;
      const { TENON_NUM_THREADS: _, ...env } = process.env;
      expect(execFileSync('sh', ['-c', shell, process.execPath, script], { encoding: 'utf8', cwd: root, env })).toBe(
        '1\n',
      );
    } finally {
      rmdirSync(group);
    }
  });
});

/** Whether a control group could be made there, with a quota to set. */
function mayMake(group: string): boolean {
  try {
    mkdirSync(group);
    return existsSync(`${group}/cpu.cfs_quota_us`);
  } catch {
    return false;
  }
}
