/**
 * What tests/backends/wasm/browser.test.ts runs inside a browser: prints one JSON object into the page.
 */
import { Machine } from '../../src/backends/wasm/machine.ts';
import { mirrored, mirrorProgram } from './loop-programs.ts';

const ELEMENTS = 1 << 15;
const STEPS = 65;

async function check(): Promise<Record<string, unknown>> {
  const x = Float32Array.from({ length: ELEMENTS }, (_, i) => i);
  const want = mirrored(x, STEPS);
  const right = (got: ArrayLike<unknown> | undefined): boolean => want.every((v, i) => got?.[i] === v);
  const machine = new Machine();
  if (machine.pool) machine.threads = 2;
  const program = machine.load(mirrorProgram(ELEMENTS, STEPS));
  const first = right(program.run([x])[0]);
  while (machine.pool && machine.pool.available(2) < 2) await new Promise(resolve => setTimeout(resolve, 5));
  let runs = true;
  for (let i = 0; i < 20; i++) runs &&= right(program.run([x])[0]);
  // The first asynchronous run starts the worker that leads the later ones.
  const before = right((await program.runAsync([x]))[0]);
  await new Promise(resolve => setTimeout(resolve, 300));
  const pending = program.runAsync([x]);
  const between = right(program.run([x])[0]);
  return {
    isolated: globalThis.crossOriginIsolated,
    shared: machine.memory.shared,
    threads: machine.pool?.available(2) ?? 1,
    right: first && runs && before && between && right((await pending)[0]),
  };
}

check().then(
  result => document.body.append(`RESULT${JSON.stringify(result)}`),
  error => document.body.append(`RESULT${JSON.stringify(String(error))}`),
);
