/**
 * What becomes of generated code: pages that are written are never executable at the same time, kept programs included;
 * programs that are collected give their pages back; workers may be terminated and processes ended in the middle of a
 * run. In processes of their own, on the built package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { machineCode } from './available.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const folder = temporaryFolder();

function run(script: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env['PATH'], TENON_BACKEND: 'x86', TENON_CACHE: 'off', ...env },
  });
}

/** A long program: some 100 ms on one thread. */
const LONG = `
import { compile, ones, randn, setNumThreads } from 'tenon';
setNumThreads(2);
const x = randn([1024, 1024]);
const long = compile(a => { let y = a; for (let i = 0; i < 6; i++) y = y.matmul(a).mul(1e-3); return y; });
`;

/** How many pages of this process may be executed and are no file's. */
const CODE_PAGES = `
const codePages = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').filter(line => / r-xp .* 0 *$/.test(line)).reduce((sum, line) => {
  const [from, to] = line.split(/[- ]/).map(word => Number.parseInt(word, 16));
  return sum + (to - from) / 4096;
}, 0);
`;

interface Call {
  readonly name: 'mmap' | 'mprotect';
  readonly address: number;
  readonly protection: number;
}
const [WRITE, EXECUTE] = [2, 4];

/** What a process holds: pages of code and megabytes. */
interface Reading {
  readonly pages: number;
  readonly megabytes: number;
}

describe.skipIf(!machineCode || !existsSync(path.join(root, 'dist/node/index.js')))('generated code', () => {
  it.skipIf(process.platform !== 'linux')('threads may run wherever their process may', () => {
    const { stdout, stderr } = run(`${LONG}
      import { readdirSync, readFileSync } from 'node:fs';
      long(x);
      const status = task => readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      const allowed = readdirSync('/proc/self/task').map(task => /Cpus_allowed:\\t(.*)/.exec(status(task))[1]);
      console.log(new Set(allowed).size);`);
    expect([stdout, stderr]).toEqual(['1\n', '']);
  });

  it('is never writable and executable at once, whether made here or kept by an earlier process', () => {
    const script = `${LONG} long(x).sum().item();`;
    const flags = ['--require', path.join(root, 'tests/support/koffi-watched.cjs')];
    for (const process of ['first', 'second']) {
      const { stderr, status } = run(script, flags, { TENON_CACHE: path.join(folder.path, 'kept') });
      expect(status, `${process}: ${stderr}`).toBe(0);
      const calls = JSON.parse(stderr.trim().split('\n').at(-1)!) as Call[];
      const sealed = calls.filter(({ name, protection }) => name === 'mprotect' && protection & EXECUTE);
      expect(sealed.length, process).toBeGreaterThan(3);
      expect(
        calls.filter(({ protection }) => protection & WRITE && protection & EXECUTE),
        process,
      ).toEqual([]);
      expect(
        calls.filter(({ name, protection }) => name === 'mmap' && protection & EXECUTE),
        process,
      ).toEqual([]);
      // Pages that have become executable are not made writable again: other code is put elsewhere.
      const reopened = sealed.filter(({ address }, i) =>
        calls
          .slice(calls.indexOf(sealed[i]!) + 1)
          .some(later => later.name === 'mprotect' && later.address === address && later.protection & WRITE),
      );
      expect(reopened, process).toEqual([]);
    }
  });

  it('is given back with its model when that is collected (TENON_SOAK: how many models)', () => {
    const models = Number(process.env['TENON_SOAK'] ?? 60);
    const { stdout, stderr } = run(
      `import { compile, randn } from 'tenon';
      import { Linear } from 'tenon/nn';
      import { readFileSync } from 'node:fs';
      import { setImmediate } from 'node:timers/promises';
      const x = randn([64, 500]);
      ${CODE_PAGES}
      const use = n => {
        const model = new Linear(500, 500);
        return compile(a => model.forward(a).mul(n).relu().sum())(x).item();
      };
      const collected = async () => {
        for (let i = 0; i < 5; i++) { gc(); await setImmediate(); }
        return { pages: codePages(), megabytes: process.memoryUsage().arrayBuffers / 1e6 };
      };
      use(1);
      const before = await collected();
      for (let i = 0; i < ${models}; i++) use(2 + i);
      const most = codePages();
      console.log(JSON.stringify({ before, most, after: await collected() }));`,
      ['--expose-gc'],
    );
    expect(stdout, stderr).not.toBe('');
    const { before, most, after } = JSON.parse(stdout) as { before: Reading; most: number; after: Reading };
    expect(most).toBeGreaterThan(before.pages + models / 2);
    expect(after.pages).toBeLessThanOrEqual(before.pages + 8);
    expect(after.megabytes).toBeLessThan(before.megabytes + 5);
  });

  it.each(['long.async(x)', 'long(x)'])('runs on while its worker is terminated (%s)', call => {
    const { stdout, stderr, status } = run(`${LONG}
      import { Worker } from 'node:worker_threads';
      const code = ${JSON.stringify(`${LONG}
        import { parentPort } from 'node:worker_threads';
        long(x);
        parentPort.postMessage('running');
        for (;;) await ${call};`)}.replace("'tenon'", ${JSON.stringify(`'file://${root}/dist/node/index.js'`)});
      const sums = [];
      for (let i = 0; i < 3; i++) {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code)));
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await new Promise(resolve => setTimeout(resolve, 10 + 15 * i));
        await worker.terminate();
        sums.push(ones([300, 300]).matmul(ones([300, 300])).sum().item());
      }
      console.log(sums.join());`);
    expect({ stdout, status }, stderr).toEqual({ stdout: '27000000,27000000,27000000\n', status: 0 });
  });

  it.skipIf(process.platform !== 'linux')('takes its threads along when its worker ends, terminated or not', () => {
    const { stdout, stderr, status } = run(`${LONG}
      import { Worker } from 'node:worker_threads';
      import { readdirSync } from 'node:fs';
      const threads = () => readdirSync('/proc/self/task').length;
      const code = ${JSON.stringify(`${LONG}
        import { parentPort } from 'node:worker_threads';
        import { readdirSync } from 'node:fs';
        setNumThreads(3);
        long(x);
        parentPort.postMessage(readdirSync('/proc/self/task').length);
        if (ENDLESS) setInterval(() => {}, 1000);`)}.replace("'tenon'", ${JSON.stringify(`'file://${root}/dist/node/index.js'`)});
      const use = async endless => {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent('const ENDLESS = ' + endless + ';' + code)));
        const ended = new Promise(resolve => worker.once('exit', resolve));
        const most = await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        if (endless) await worker.terminate();
        await ended;
        return most;
      };
      long(x).sum().item();
      const atFirst = threads();
      // Once Node itself has all of its own threads.
      await use(true);
      const settled = async most => {
        for (let i = 0; i < 100 && threads() > most; i++) await new Promise(resolve => setTimeout(resolve, 50));
        return threads();
      };
      const before = await settled(atFirst);
      const most = [await use(false), await use(true), await use(true)];
      const left = await settled(before);
      long(x).sum().item();
      console.log(JSON.stringify({ more: most.map(n => n > before), gone: left <= before }));`);
    expect({ stdout: stdout.trim(), status }, stderr).toEqual({
      stdout: JSON.stringify({ more: [true, true, true], gone: true }),
      status: 0,
    });
  });

  it.skipIf(process.platform !== 'linux')(
    'is given back by workers that end, terminated or not (TENON_SOAK: how many)',
    () => {
      const workers = Number(process.env['TENON_SOAK'] ?? 20);
      const { stdout, stderr } = run(
        `import { ones } from 'tenon';
      import { Worker } from 'node:worker_threads';
      import { readFileSync } from 'node:fs';
      const code = ${JSON.stringify(`${LONG}
        import { parentPort } from 'node:worker_threads';
        long(x).sum().item();
        parentPort.postMessage('done');
        if (ENDLESS) setInterval(() => {}, 1000);`)}.replace("'tenon'", ${JSON.stringify(`'file://${root}/dist/node/index.js'`)}).replaceAll('1024', '256');
      const use = async endless => {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent('const ENDLESS = ' + endless + ';' + code)));
        const ended = new Promise(resolve => worker.once('exit', resolve));
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        if (endless) await worker.terminate();
        await ended;
      };
      ${CODE_PAGES}
      const held = () => {
        gc();
        return { pages: codePages(), megabytes: process.memoryUsage().rss / 1e6 };
      };
      ones([3]).sum().item();
      for (let i = 0; i < 5; i++) await use(true);
      const before = held();
      for (let i = 0; i < ${workers}; i++) await use(i % 2 === 0);
      console.log(JSON.stringify({ before, after: held() }));`,
        ['--expose-gc'],
      );
      expect(stdout, stderr).not.toBe('');
      const { before, after } = JSON.parse(stdout) as { before: Reading; after: Reading };
      expect(before.pages).toBeGreaterThan(3);
      expect(after.pages).toBeLessThanOrEqual(before.pages);
      // What else a worker of Node leaves varies by some MB.
      expect(after.megabytes).toBeLessThan(before.megabytes + 12);
    },
  );

  it('does not keep a process from ending, nor end it early', () => {
    const { status, signal, stderr } = run(`${LONG}
      await long.async(x);
      long.async(x); long.async(x);
      setTimeout(() => process.exit(7), 10);`);
    expect({ status, signal }, stderr).toEqual({ status: 7, signal: null });
  });
});
