/**
 * Programs that the built package keeps for later processes: used again with the same bits, replaced when they do not
 * hold, told apart by what they depend on.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitProgram } from '../../../src/backends/x86/program-code.ts';
import { whyUnavailable } from '../../../src/runtime/backends.ts';
import { gatherUpdateProgram } from '../../support/loop-programs.ts';
import { isas } from './available.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const usable = existsSync(path.join(root, 'dist/node/index.js')) && whyUnavailable('x86') === null;

/**
 * Trains a network, on threads and with a failing index; tells the losses and whether it was lowered here. Its layers
 * take 55 ms to compile: from 20 ms on a program is kept, and a smaller network took just that.
 */
const PROGRAM = `
import { compile, F, manualSeed, profile, randn, Tensor, numThreads } from 'tenon';
import { Conv2d, Embedding, Linear } from 'tenon/nn';
import { Adam } from 'tenon/optim';
manualSeed(3);
const width = Number(process.argv.at(-1));
const convs = [3, 4, 5, 6, 7, 8].map((n, i) => new Conv2d(i === 0 ? 3 : n + width - 1, n + width, 3, { padding: 1 }));
const table = new Embedding(7, width + 8), head = new Linear(width + 8, 5);
const optimizer = new Adam([...convs, table, head].flatMap(m => [...m.parameters()]), { lr: 0.01 });
const x = randn([6, 3, 9, 9]);
const step = compile((image, index) => {
  optimizer.zeroGrad();
  const features = convs.reduce((x, conv) => conv.forward(x).relu(), image).mean([2, 3]).add(table.forward(index));
  const loss = F.crossEntropy(head.forward(features), index.remainder(5));
  loss.backward();
  optimizer.step();
  return loss;
});
const losses = [];
const { traceEvents } = profile(() => {
  for (let i = 0; i < 4; i++) losses.push(step(x, Tensor.from([0, 1, 2, 3, 4, 6], { dtype: 'i64' })).item());
});
let error = '';
try { step(x, Tensor.from([0, 1, 2, 3, 4, 7], { dtype: 'i64' })).item(); } catch (e) { error = e.message; }
console.log(JSON.stringify({ losses, error, lowered: traceEvents.filter(e => e.name === 'lower').length }));`;

interface Told {
  readonly losses: readonly number[];
  readonly error: string;
  readonly lowered: number;
}

it('code has one address in it, that of the control words', () => {
  const { kernels } = gatherUpdateProgram(5, 3);
  const [low, high] = [0x7f00_1111_2000, 0x7f22_3333_4000].map(control => emitProgram(kernels, control, 'avx2'));
  const differing = [...low!.bytes.keys()].filter(i => low!.bytes[i] !== high!.bytes[i]);
  expect(differing.length).toBeGreaterThan(0);
  expect(differing.every(i => i >= low!.control && i < low!.control + 8)).toBe(true);
});

describe.skipIf(!usable)('kept programs', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tenon-kept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (cache: string, width = 8, env: NodeJS.ProcessEnv = {}): Told => {
    const { NODE_ENV: _, ...outer } = process.env;
    const args = ['--input-type=module', '-e', PROGRAM, '--', String(width)];
    const options = {
      cwd: root,
      encoding: 'utf8',
      env: { ...outer, TENON_CACHE: cache, TENON_BACKEND: 'x86', ...env },
    };
    return JSON.parse(execFileSync(process.execPath, args, options as { encoding: 'utf8' })) as Told;
  };
  const files = (): string[] => readdirSync(folder).filter(name => name.startsWith('x86-'));

  it('are used by the next process, with the same bits, for any number of threads', () => {
    const off = run('off');
    const first = run(folder);
    expect(first).toEqual(off);
    expect(first.lowered).toBeGreaterThan(0);
    expect(first.error).toMatch(/index 7 is out of range for 7 elements/);
    const kept = files();
    expect(kept.length).toBeGreaterThan(0);
    const again = run(folder);
    expect(again.lowered).toBeLessThan(first.lowered);
    expect({ ...again, lowered: first.lowered }).toEqual(first);
    expect(files()).toEqual(kept);
    expect(run(folder, 8, { TENON_NUM_THREADS: '2' }).losses).toEqual(first.losses);
  });

  it('are not used where shapes, instruction set or anything else differs', () => {
    const before = files().length;
    expect(run(folder, 9)).toEqual(run('off', 9));
    expect(files().length).toBeGreaterThan(before);
    const other = { TENON_ISA: process.env['TENON_ISA'] === 'avx2' ? isas.at(-1)! : 'avx2' };
    expect(run(folder, 8, other)).toEqual(run('off', 8, other));
    // Whoever looks at code is shown what is made of his program.
    expect(run(folder, 8, { TENON_DEBUG: 'none' }).lowered).toBeGreaterThan(0);
  });

  it('are replaced when a byte has changed', () => {
    const expected = run(folder);
    const inodes = new Map(files().map(name => [name, statSync(path.join(folder, name)).ino]));
    for (const name of inodes.keys()) {
      const bytes = readFileSync(path.join(folder, name));
      bytes[bytes.length - 100]! ^= 0xff;
      writeFileSync(path.join(folder, name), bytes);
    }
    const repaired = run(folder);
    expect(repaired.losses).toEqual(expected.losses);
    expect(repaired.lowered).toBeGreaterThan(expected.lowered);
    expect([...inodes].some(([name, ino]) => statSync(path.join(folder, name)).ino !== ino)).toBe(true);
  });

  it('are replaced when they are cut short, or another program lies under their name', () => {
    const expected = run(folder);
    const names = files();
    const contents = names.map(name => readFileSync(path.join(folder, name)));
    for (const [i, name] of names.entries())
      writeFileSync(path.join(folder, name), contents[i]!.subarray(0, contents[i]!.length >> 1));
    expect(run(folder).losses).toEqual(expected.losses);
    // Each in the place of the next: whole, of this user, and of another program.
    const fresh = names.map(name => readFileSync(path.join(folder, name)));
    for (const [i, name] of names.entries()) writeFileSync(path.join(folder, name), fresh[(i + 1) % fresh.length]!);
    expect(run(folder).losses).toEqual(expected.losses);
  });
});
