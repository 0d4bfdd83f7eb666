/**
 * Several users of machine code in one process: models that take turns, and worker_threads that each import Tenon. On
 * the built package, because workers import files.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { machineCode } from './available.ts';

const root = path.resolve(import.meta.dirname, '../../..');

/** Trains a little model and posts its losses. */
const TRAIN = `
  import { compile, F, manualSeed, randn, Tensor, setNumThreads } from 'tenon';
  import { Linear, ReLU, Sequential } from 'tenon/nn';
  import { Adam } from 'tenon/optim';
  export function trainer(seed, threads) {
    setNumThreads(threads);
    manualSeed(seed);
    const model = new Sequential(new Linear(64, 256), new ReLU(), new Linear(256, 10));
    const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
    const x = randn([128, 64]);
    const y = Tensor.from(BigInt64Array.from({ length: 128 }, (_, i) => BigInt(i % 10)));
    const step = compile((inputs, labels) => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(model.forward(inputs), labels);
      loss.backward();
      optimizer.step();
      return loss;
    });
    return () => step(x, y).item();
  }`;

function script(body: string): unknown {
  const out = execFileSync(
    process.execPath,
    ['--input-type=module', '-e', `${TRAIN.replace('export ', '')}\n${body}`],
    {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], TENON_BACKEND: 'x86' },
    },
  );
  return JSON.parse(out);
}

describe.skipIf(!machineCode)('side by side', () => {
  it('two models take turns, each as if it were alone', () => {
    const [turns, alone] = script(`
      const [a, b] = [trainer(1, 2), trainer(2, 2)];
      const turns = [[], []];
      for (let i = 0; i < 10; i++) { turns[0].push(a()); turns[1].push(b()); }
      const [c, d] = [trainer(1, 2), trainer(2, 2)];
      const run = f => Array.from({ length: 10 }, f);
      console.log(JSON.stringify([turns, [run(c), run(d)]]));`) as [number[][], number[][]];
    expect(turns).toEqual(alone);
  });

  it('worker_threads and the main thread compute at once, on two threads each, to the same bits', () => {
    const losses = script(`
      import { Worker } from 'node:worker_threads';
      const code = ${JSON.stringify(TRAIN.replace('export ', ''))} + \`
        import { parentPort } from 'node:worker_threads';
        const step = trainer(3, 2);
        parentPort.postMessage(Array.from({ length: 200 }, step));\`;
      const start = () => new Promise((resolve, reject) => {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code.replaceAll("'tenon", "'${`file://${root}/dist`}").replaceAll("dist'", "dist/index.js'").replaceAll("dist/nn'", "dist/nn/index.js'").replaceAll("dist/optim'", "dist/optim/index.js'"))));
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      const workers = [start(), start(), start()];
      const step = trainer(3, 2);
      const here = Array.from({ length: 200 }, step);
      console.log(JSON.stringify([here, ...await Promise.all(workers)]));`) as number[][];
    expect(losses).toHaveLength(4);
    for (const each of losses) expect(each).toEqual(losses[0]);
    expect(losses[0]!.at(-1)).toBeLessThan(losses[0]![0]! / 2);
  });

  it('workers have settings of their own', () => {
    const settings = [
      {},
      { TENON_ISA: 'avx2', TENON_NUM_THREADS: '1' },
      { TENON_BACKEND: 'wasm' },
      { TENON_DEBUG: 'guard', TENON_NUM_THREADS: '3' },
      { TENON_ISA: 'none' },
    ];
    const answers = script(`
      import { Worker } from 'node:worker_threads';
      const code = \`
        import { parentPort } from 'node:worker_threads';
        import { backendName, numThreads, ones } from 'file://${root}/dist/node/index.js';
        const answer = () => [ones([300, 300]).matmul(ones([300, 300])).sum().item(), backendName(), numThreads()];
        try { parentPort.postMessage(answer()); } catch (error) { parentPort.postMessage(error.message); }\`;
      const answer = env => new Promise((resolve, reject) => {
        const url = new URL('data:text/javascript,' + encodeURIComponent(code));
        const worker = new Worker(url, { env: { ...process.env, ...env } });
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      console.log(JSON.stringify(await Promise.all(${JSON.stringify(settings)}.map(answer))));`) as unknown[];
    const sum = 27_000_000;
    expect(answers).toEqual([
      [sum, 'x86', expect.any(Number)],
      [sum, 'x86', 1],
      [sum, 'wasm', expect.any(Number)],
      [sum, 'x86', 3],
      expect.stringMatching(/^x86: TENON_ISA is none, expected one of .* on this processor$/),
    ]);
  });
});
