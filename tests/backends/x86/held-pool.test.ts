/**
 * Runs that are led by a thread of the event loop's pool, which may be held up by others for ever: a synchronous call
 * takes back what no thread has begun on, and calls of the pool that come late do no harm. With a pool that is held in
 * processes of their own, on the built package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { distinct, mirrored, mirrorProgram } from '../../support/loop-programs.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { isas, machineCode } from './available.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const built = existsSync(path.join(root, 'dist/node/index.js'));
const folder = temporaryFolder();

/** hold() has every thread of the pool read from a pipe that nobody writes to; what it returns lets them go. */
const HOLD = `
import { execFileSync } from 'node:child_process';
import { constants, openSync, read, writeSync } from 'node:fs';
const hold = () => {
  const pipes = Array.from({ length: 6 }, (_, i) => {
    const name = process.argv[1] + i;
    execFileSync('mkfifo', [name]);
    const pipe = openSync(name, constants.O_RDWR);
    read(pipe, Buffer.alloc(1), 0, 1, null, () => {});
    return pipe;
  });
  return () => { for (const pipe of pipes) writeSync(pipe, 'x'); };
};
`;

/** Calls of a pure number: a program of several segments, and a long one. */
const CALLS = `
import { compile, F, full, ones, setNumThreads } from 'tenon';
import { setImmediate } from 'node:timers/promises';
setNumThreads(2);
const first = n => {
  let y = ones([1, 3, 8, 8]);
  const step = compile(x => {
    for (let i = 0; i < n; i++) y = F.conv2d(i === 0 ? x : y, full([5 + i, i === 0 ? 3 : 4 + i, 1, 1], 1 / (i === 0 ? 3 : 4 + i)));
    return y.mean();
  });
  return Math.round(1e3 * step(y).item()) / 1e3;
};
const x = full([512, 512], 1 / 512);
const long = compile(a => { let y = a; for (let i = 0; i < 6; i++) y = y.matmul(a); return y; });
const mean = y => Math.round(1e6 * 512 * y.mean().item()) / 1e6;
`;

let count = 0;
function run(script: string) {
  return spawnSync(process.execPath, ['--input-type=module', '-e', script, folder.file(`pipe${count++}-`)], {
    cwd: root,
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: process.env['PATH'], TENON_BACKEND: 'x86', TENON_CACHE: 'off' },
  });
}

describe.skipIf(!machineCode)('with runs that wait for the event loop', () => {
  const linux = process.platform === 'linux' && built;

  it.skipIf(!linux)('synchronous calls do not wait for a pool that is held, nor do the promises before them', () => {
    const { stdout, stderr, status, signal } = run(`${HOLD}${CALLS}
      const before = mean(long(x));
      const release = hold();
      const numbers = [before, first(8), first(9)];
      const earlier = [long.async(x), long.async(x)];
      await setImmediate();
      numbers.push(mean(long(x)));
      for (const y of await Promise.all(earlier)) numbers.push(mean(y));
      const later = long.async(x);
      await setImmediate();
      console.log('held', numbers.join());
      release();
      console.log('released', mean(await later), first(10), mean(await long.async(x)));`);
    expect({ stdout, status, signal }, stderr).toEqual({
      stdout: 'held 1,1,1,1,1,1\nreleased 1 1 1\n',
      status: 0,
      signal: null,
    });
  });

  it.skipIf(!linux)('a worker may end whose calls the pool has not come to', () => {
    const worker = `${CALLS}
      import { parentPort } from 'node:worker_threads';
      const before = mean(long(x));
      parentPort.once('message', async () => {
        const numbers = [before, first(8)];
        long.async(x);
        await setImmediate();
        numbers.push(mean(long(x)));
        long.async(x);
        await setImmediate();
        parentPort.postMessage(numbers.join());
      });
      parentPort.postMessage('ready');`.replace("'tenon'", `'file://${root}/dist/node/index.js'`);
    const { stdout, stderr, status, signal } = run(`${HOLD}${CALLS}
      import { Worker } from 'node:worker_threads';
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(worker)})));
      const message = () => new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
      await message();
      const release = hold();
      const numbers = message();
      worker.postMessage('go');
      console.log('held', await numbers, first(8));
      const ended = worker.terminate();
      setTimeout(release, 50);
      await ended;
      console.log('released', first(9), mean(await long.async(x)));`);
    expect({ stdout, status, signal }, stderr).toEqual({
      stdout: 'held 1,1,1 1\nreleased 1 1\n',
      status: 0,
      signal: null,
    });
  });

  it('first runs take what they need of the pool, however many there are before the event loop turns', async () => {
    const machine = new Machine(new Native(), isas[0]!, { allThreads: true, segmentBytes: 64 });
    machine.threads = 2;
    const lead = vi.spyOn(machine.pool, 'lead');
    const x = Float32Array.from({ length: 100 }, (_, i) => i);
    while (lead.mock.calls.length < 400)
      expect(machine.load(distinct(mirrorProgram(100, 5))).run([x])[0]).toEqual(mirrored(x, 5));
    // Nor does the run that comes then find no call left.
    expect((await machine.load(mirrorProgram(100, 101)).runAsync([x]))[0]).toEqual(mirrored(x, 101));
  });

  it.each([1, 2, 3])('calls of every kind on %i threads come in any order', async threads => {
    const machine = new Machine(new Native(), isas[0]!, { allThreads: true, segmentBytes: 64 });
    machine.threads = threads;
    const n = 300;
    const loaded = machine.load(mirrorProgram(n, 31));
    loaded.run([new Float32Array(n)]);
    const open: Promise<void>[] = [];
    let seed = threads;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let settled = 0;
    for (let i = 0; i < 400; i++) {
      const x = Float32Array.from({ length: n }, (_, k) => i + k);
      const kind = random(8);
      if (kind < 4)
        open.push(
          loaded.runAsync([x]).then(([out]) => {
            expect(out).toEqual(mirrored(x, 31));
            settled++;
          }),
        );
      else if (kind < 6) expect(loaded.run([x])[0]).toEqual(mirrored(x, 31));
      else if (kind < 7) expect(machine.load(distinct(mirrorProgram(n, 5))).run([x])[0]).toEqual(mirrored(x, 5));
      else if (random(2) === 0) await new Promise(resolve => setTimeout(resolve, random(3)));
      else await Promise.all(open);
    }
    await Promise.all(open);
    expect(settled).toBe(open.length);
    expect(machine.pool.leads).toBe(false);
  });
});
