/**
 * Where machine code cannot run, one line on stderr says why and the work goes on on WebAssembly. In processes of their
 * own, on the built package, with something taken away from koffi.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { machineCode } from './available.ts';

const root = path.resolve(import.meta.dirname, '../../..');

const THREE = `
  import { backendName, ones } from 'tenon';
  console.log(backendName(), ones([3]).sum().item(), backendName());`;

function run(
  without: string | null,
  env: Record<string, string> = {},
  script = THREE,
): { stdout: string; stderr: string } {
  const preload = without ? ['--require', path.join(root, 'tests/support/koffi-without.cjs')] : [];
  const result = spawnSync(process.execPath, [...preload, '--input-type=module', '-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...(without ? { TENON_TEST_WITHOUT: without } : {}), ...env },
  });
  return { stdout: result.stdout.trim(), stderr: result.stderr.trim() };
}

describe.skipIf(!machineCode)('the default backend', () => {
  it('is machine code, and says nothing', () => {
    expect(run(null)).toEqual({ stdout: 'x86 3 x86', stderr: '' });
  });

  it.each([
    ['koffi', 'koffi, which calls machine code, could not be loaded'],
    ['library', 'koffi, which calls machine code, could not be loaded: .*invalid ELF header'],
    ['memory', 'the system refuses \\d+ bytes of memory for machine code'],
    ['pages', 'the system refuses to make memory executable'],
    ['cpu', 'this processor has no AVX2 with FMA'],
  ])('without %s is WebAssembly', (without, reason) => {
    const { stdout, stderr } = run(without);
    expect(stdout).toBe('wasm 3 wasm');
    expect(stderr).toMatch(new RegExp(`^tenon: computing on wasm: x86: ${reason}.*$`));
  });

  it.each(['koffi', 'pages', 'cpu'])('without %s a worker says so and computes on WebAssembly, too', without => {
    const { stdout, stderr } = run(
      without,
      {},
      `
      import { Worker } from 'node:worker_threads';
      const code = ${JSON.stringify(THREE.replace("'tenon'", `'file://${root}/dist/node/index.js'`))};
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code)));
      await new Promise(resolve => worker.once('exit', resolve));`,
    );
    expect(stdout).toBe('wasm 3 wasm');
    expect(stderr).toMatch(/^tenon: computing on wasm: x86: .*$/);
  });

  it.each([0, 1, 2, 3, 8])(
    'executable memory that is refused later, after %i more pages: training goes on on WebAssembly',
    left => {
      const script = `
      import { backendName, compile, F, manualSeed, randn } from 'tenon';
      import { LeNet } from 'tenon/models';
      import { Adam } from 'tenon/optim';
      manualSeed(1);
      const [x, y] = [randn([4, 1, 28, 28]), randn([4, 10]).argmax(1)];
      const model = new LeNet();
      const optimizer = new Adam(model.parameters(), { lr: 0.01 });
      const step = () => {
        const loss = F.crossEntropy(model.forward(x), y);
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.item();
      };
      const losses = [step(), step()];
      const norm = compile(a => a.square().sum().sqrt());
      norm(x);
      globalThis.pagesLeft = ${left};
      const compiled = compile(() => { const loss = F.crossEntropy(model.forward(x), y).mul(2); loss.backward(); optimizer.step(); optimizer.zeroGrad(); return loss; });
      losses.push(compiled().item() / 2, compiled().item() / 2, (await compiled.async()).item() / 2, step());
      console.log(losses.map(loss => loss.toFixed(3)).join(' '), norm(x).item().toFixed(3), backendName());`;
      const { stdout, stderr } = run('later', {}, script);
      const never = run(null, {}, script.replace('globalThis.pagesLeft', 'globalThis.unused'));
      expect(stdout).toBe(never.stdout.replace('x86', 'wasm'));
      expect(stderr).toBe('tenon: computing on wasm from now on: x86: the system refuses to make memory executable');
    },
  );

  it('goes on with the threads it has where the system refuses more', () => {
    const script = `
      import { backendName, compile, ones, setNumThreads } from 'tenon';
      setNumThreads(3);
      const product = compile(a => a.matmul(a).sum());
      console.log(product(ones([1024, 1024])).item(), (await product.async(ones([1024, 1024]))).item(), backendName());`;
    const { stdout, stderr } = run('threads', {}, script);
    expect(stdout).toBe('1073741824 1073741824 x86');
    expect(stderr).toBe('tenon: computing on one thread: x86: the system refuses more');
  });

  it('asked for by name it is not replaced', () => {
    expect(run('koffi', { TENON_BACKEND: 'x86' }).stderr).toContain(
      'TENON_BACKEND: x86: koffi, which calls machine code',
    );
  });
});
