/**
 * Memory without disposal: 20,000 training steps in one synchronous loop (no turn of the event loop, so no finalizer ever runs) must
 * not grow the process after the first 500. Run in a process of its own, on the built package.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const script = (compiled: boolean): string => `
  import { compile, F, manualSeed, randn, setBackend, setNumThreads, Tensor } from 'tenon';
  import { Linear, ReLU, Sequential } from 'tenon/nn';
  import { Adam } from 'tenon/optim';
  setBackend('wasm');
  setNumThreads(1);
  manualSeed(1);
  const model = new Sequential(new Linear(64, 64), new ReLU(), new Linear(64, 8));
  const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
  const body = (x, y) => {
    optimizer.zeroGrad();
    const loss = F.crossEntropy(model.forward(x), y);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const step = ${compiled} ? compile(body) : body;
  const y = Tensor.from(Int32Array.from({ length: 32 }, (_, i) => i % 8));
  const readings = [];
  let last = 0;
  for (let i = 0; i < ${compiled ? 20000 : 4000}; i++) {
    last = step(randn([32, 64]), y).item();
    if (i === 500 || (i > 500 && i % 250 === 0)) readings.push(process.memoryUsage.rss() / 2 ** 20);
  }
  console.log(JSON.stringify({ first: readings[0], highest: Math.max(...readings.slice(1)), last }));
`;

describe.each([
  ['compiled', true],
  ['eager', false],
])('%s steps in one synchronous loop', (_, compiled) => {
  it('keep resident memory within 10 % of what it was after 500', { timeout: 180_000 }, () => {
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script(compiled)], {
      cwd: path.resolve(import.meta.dirname, '../..'),
      encoding: 'utf8',
    });
    const { first, highest, last } = JSON.parse(out);
    expect(Number.isFinite(last)).toBe(true);
    expect(highest).toBeLessThan(first * 1.1);
  });
});
