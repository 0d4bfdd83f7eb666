/**
 * Bounds: random graphs, and contractions of every kind, with every buffer between pages that nobody may touch. An
 * access out of bounds kills the process that runs this file, as it kills those that make one on purpose.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import type { Node } from '../../../src/graph/node.ts';
import { F, manualSeed, randn, type Tensor, vjp } from '../../../src/index.ts';
import { programOf } from '../../compiler/support.ts';
import { randomGraph } from '../../fuzz/graph.ts';
import { isas } from './available.ts';

const GRAPHS = Number(process.env['TENON_FUZZ'] ?? 60);

describe.each(isas)('%s', isa => {
  const backends = [false, true].map(guards => createX86Backend({ isa, allThreads: true, guards }));
  for (const backend of backends) backend.threads = 2;

  /** The program between guard pages gives what it gives without, with its buffers at the one end and at the other. */
  function check(outputs: readonly Node[], lasting = false): void {
    const plain = programOf(outputs);
    const graph = lasting ? { ...plain, lasting: plain.leaves.map(() => true) } : plain;
    const bindings = graph.leaves.map(leaf => leaf.value!);
    const [usual, guarded] = backends.map(backend => backend.compile(graph));
    const want = usual!.run(bindings);
    for (let run = 0; run < 4; run++) expect(guarded!.run(bindings)).toEqual(want);
    usual!.free();
    guarded!.free();
  }

  it(`random graphs (${GRAPHS})`, () => {
    for (let seed = 1000; seed < 1000 + GRAPHS; seed++)
      check(
        randomGraph(seed).map(value => value.node),
        seed % 4 === 0,
      );
  });

  it.each(['f32', 'bf16'] as const)('products and convolutions of %s, with gradients', dtype => {
    manualSeed(9);
    const leaf = (shape: readonly number[]): Tensor => {
      const x = randn(shape).to(dtype);
      x.data();
      return x;
    };
    for (const [m, n, k] of [
      [1, 40, 65],
      [13, 31, 33],
      [33, 17, 47],
      [64, 49, 130],
      [129, 5, 1100],
    ] as const) {
      check([leaf([m, k]).matmul(leaf([k, n])).node]);
      const turned = leaf([k, m])
        .t()
        .matmul(leaf([n, k]).t()).node;
      // Prepared operands lie in memory that outlasts the run.
      for (const lasting of [false, true]) check([turned], lasting);
    }
    for (const [channels, size, kernel, stride] of [
      [3, 15, 7, 2],
      [16, 9, 3, 1],
      [8, 8, 1, 1],
      [17, 5, 3, 2],
    ] as const) {
      const padding = kernel >> 1;
      const [y, pullback] = vjp(
        (x: Tensor, w: Tensor) => F.conv2d(x, w, null, { stride, padding }),
        leaf([2, channels, size, size]),
        leaf([10, channels, kernel, kernel]),
      );
      check([y, ...pullback(leaf(y.shape))].map(t => t.node));
    }
  });
});

const root = path.resolve(import.meta.dirname, '../../..');

/** A kernel that copies `count` words, of buffers of 1000 words or of those that addresses in its buffers lead to. */
const COPY = `
import { Machine } from '#tenon/backends/x86/machine.js';
import { Native } from '#tenon/backends/x86/memory/native.js';
import { LoopBuilder } from '#tenon/compiler/loop-builder.js';
const [first, count, followed] = process.argv.slice(-3).map(Number);
const machine = new Machine(new Native(), 'avx2');
const b = new LoopBuilder();
const at = buffer => { const p = b.addr(buffer, b.i32(0)); return followed ? b.follow(p) : p; };
const [from, to] = [at(0), at(1)];
b.for(first, first + count, 1, i => b.store('i32', b.advance(to, i, 4), b.load('i32', b.advance(from, i, 4))));
const buffers = ['from', 'to'].map(name => ({ name, dtype: followed ? 'i64' : 'i32', elements: 2 ** 31 - 1, access: 'readwrite' }));
const kernel = machine.loadAlone({ name: 'copy', buffers, body: b.instructions });
const words = [Int32Array.from({ length: 1000 }, (_, i) => i), new Int32Array(1000)];
const given = followed ? words.map(array => BigInt64Array.of(BigInt(machine.guard.addressOf(array)))) : words;
for (let run = 0; run < 8; run++) kernel.run(given, true);
console.log(words[1][999]);`;

describe.skipIf(isas.length === 0 || !existsSync(path.join(root, 'build/src')))(
  'kernels over arrays of the host',
  () => {
    const run = (first: number, count: number, followed: number) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', COPY, '--', `${first}`, `${count}`, `${followed}`], {
        cwd: root,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], TENON_DEBUG: 'guard' },
      });

    it.each([0, 1])('stay inside, or end the process there (addresses followed: %i)', followed => {
      expect(run(0, 1000, followed)).toMatchObject({ status: 0, stdout: '999\n' });
      expect(run(0, 1001, followed)).toMatchObject({ signal: 'SIGSEGV' });
      expect(run(-1, 1001, followed)).toMatchObject({ signal: 'SIGSEGV' });
    });
  },
);
