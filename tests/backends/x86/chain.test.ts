/**
 * Attention as chains: scores that are never stored give what the reference gives, with gradients, masks and dropout,
 * at sizes that fill no block, with every ISA, for any number of threads, and in bounds.
 */
import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../../../src/backends/reference/index.ts';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { compileGraph, compileSteps } from '../../../src/compiler/compile.ts';
import type { GraphProgram } from '../../../src/compiler/program.ts';
import type { Target } from '../../../src/compiler/target.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { autocast, F, manualSeed, rand, randn, type Tensor, tensor, vjp, where } from '../../../src/index.ts';
import { programOf, runLoops, TARGET } from '../../compiler/support.ts';
import { isas } from './available.ts';

type Attention = (q: Tensor, k: Tensor, v: Tensor) => Tensor;

const leaf = (shape: readonly number[], of: (x: Tensor) => Tensor = x => x): Tensor => {
  const x = of(randn(shape));
  x.data();
  return x;
};

/** Attention and its gradients by q, k and v, which bf16 represents; what flows back depends on the result. */
function program(f: Attention, [b, h, l, s, e, v]: readonly number[], dtype: 'f32' | 'bf16' = 'f32'): GraphProgram {
  manualSeed(3);
  const round = (x: Tensor): Tensor => x.to('bf16').to('f32');
  const inputs = [leaf([b!, h!, l!, e!], round), leaf([b!, h!, s!, e!], round), leaf([b!, h!, s!, v!], round)] as const;
  const attention = (...args: readonly Tensor[]): Tensor =>
    autocast({ dtype: 'bf16', enabled: dtype === 'bf16' }, () => f(args[0]!, args[1]!, args[2]!));
  const [out, pull] = vjp(attention, ...inputs);
  return programOf([out, ...pull(out.mul(out))].map(t => t.to('f32').node));
}

const chainsOf = (graph: GraphProgram, target: Target): number =>
  compileSteps(graph, target).filter(step => step.kernel.kind === 'chain').length;

function near(actual: readonly HostArray[], expected: readonly HostArray[]): void {
  expected.forEach((want, i) => {
    let scale = 0;
    let worst = 0;
    want.forEach((x, j) => {
      scale = Math.max(scale, Math.abs(Number(x)));
      worst = Math.max(worst, Math.abs(Number(x) - Number(actual[i]![j]!)));
    });
    expect(worst / scale).toBeLessThan(2e-6);
  });
}

/** Root of the mean square of what two results differ by. */
function distance(x: HostArray, y: HostArray): number {
  let sum = 0;
  x.forEach((value, i) => {
    sum += (Number(value) - Number(y[i]!)) ** 2;
  });
  return Math.sqrt(sum / x.length);
}

const causal: Attention = (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true });
const CASES: readonly (readonly [string, readonly number[], Attention])[] = [
  ['causal', [2, 4, 100, 100, 32, 32], causal],
  ['causal, more keys than queries', [2, 4, 70, 133, 20, 16], causal],
  ['unmasked, odd sizes', [3, 5, 61, 97, 24, 40], (q, k, v) => F.scaledDotProductAttention(q, k, v)],
  [
    'a mask that is added, and a softmax written out',
    [1, 6, 96, 120, 16, 33],
    (q, k, v) => {
      const mask = rand([96, 120]).tril().mul(2).sub(1);
      return q.matmul(k.transpose(-2, -1)).mul(0.3).add(mask.detach()).softmax(-1).matmul(v);
    },
  ],
  [
    'a mask of truths',
    [2, 4, 100, 100, 16, 16],
    (q, k, v) => F.scaledDotProductAttention(q, k, v, { attnMask: rand([100, 100]).gt(0.3).detach() }),
  ],
  ['dropout', [2, 6, 65, 96, 16, 16], (q, k, v) => F.scaledDotProductAttention(q, k, v, { dropoutP: 0.2 })],
  [
    // The gradient of a key sums over heads too, which no chain does: scores are kept.
    'keys that heads share',
    [2, 6, 80, 80, 16, 16],
    (q, k, v) => causal(q, k.narrow(1, 0, 1).expand([2, 6, 80, 16]), v.narrow(1, 0, 1).expand([2, 6, 80, 16])),
  ],
];

describe.each(isas)('%s', isa => {
  const target = targetOf(isa, queryCpu(new Native()));
  const backend = createX86Backend({ isa, allThreads: true, guards: true });
  it.each(CASES)('%s', (name, sizes, f) => {
    const graph = program(f, sizes);
    const bindings = graph.leaves.map(x => (x.is('variable') ? x.attrs.variable.read() : x.value!));
    expect(chainsOf(graph, target)).toBe(name.startsWith('keys') ? 0 : 2);
    const want = referenceBackend.compile(graph).run(bindings);
    const executable = backend.compile(graph);
    const [one, three] = [1, 3].map(threads => {
      backend.threads = threads;
      return executable.run(bindings);
    });
    near(one!, want);
    expect(three).toEqual(one);
  });
});

/** Where words of bf16 are multiplied; Intel's dot products are slower than multiply-adds, so that is where tiles are. */
const inWords = isas.filter(isa => targetOf(isa, queryCpu(new Native())).packedProducts?.bf16);

describe.each(inWords)('bf16 over words, %s', isa => {
  const target = targetOf(isa, queryCpu(new Native()));
  const backend = createX86Backend({ isa, allThreads: true, guards: true });
  it.each([...CASES, ['heads of 128, rows that fill no block', [2, 2, 333, 333, 128, 128], causal] as const])(
    '%s',
    (name, sizes, f) => {
      const graph = program(f, sizes, 'bf16');
      expect(chainsOf(graph, target)).toBe(name.startsWith('keys') ? 0 : 2);
      expect(chainsOf(graph, targetOf('avx2', queryCpu(new Native())))).toBe(0);
      const bindings = graph.leaves.map(x => (x.is('variable') ? x.attrs.variable.read() : x.value!));
      const executable = backend.compile(graph);
      const [one, three] = [1, 3].map(threads => {
        backend.threads = threads;
        return executable.run(bindings);
      });
      expect(three).toEqual(one);
      // Nowhere farther from f32 than scores that are stored as bf16.
      const exact = program(f, sizes);
      const floats = exact.leaves.map(x => (x.is('variable') ? x.attrs.variable.read() : x.value!));
      const want = referenceBackend.compile(exact).run(floats);
      const stored = createX86Backend({ isa: 'avx2' }).compile(graph).run(bindings);
      for (const [i, x] of want.entries())
        expect(distance(one![i]!, x) / distance(stored[i]!, x)).toBeLessThan(name.startsWith('keys') ? 1.1 : 1.02);
    },
  );

  it('scores that are infinite or NaN stay within their rows', () => {
    manualSeed(5);
    const [l, e] = [70, 32];
    const values = Array.from({ length: 3 }, () => (randn([8, l, e]).data() as Float32Array).slice());
    // Row 3 of the first batch is infinite, row 40 NaN.
    values[0]!.fill(Number.POSITIVE_INFINITY, 3 * e, 3 * e + 1);
    values[0]!.fill(Number.NaN, 40 * e, 41 * e);
    const [q, k, v] = values.map(x => tensor(x, { shape: [8, l, e] }).to('bf16'));
    const graph = programOf([
      q!.matmul(k!.transpose(-2, -1)).to('f32').softmax(-1).to('bf16').matmul(v!).to('f32').node,
    ]);
    expect(chainsOf(graph, target)).toBe(1);
    const bindings = graph.leaves.map(x => (x.is('variable') ? x.attrs.variable.read() : x.value!));
    const [out] = backend.compile(graph).run(bindings);
    const rows = Array.from({ length: 8 * l }, (_, r) => (out as Float32Array).slice(r * e, r * e + e));
    expect(rows.flatMap((row, r) => (row.some(x => !Number.isFinite(x)) ? [r] : []))).toEqual([3, 40]);
  });
});

it.each(CASES.slice(0, 4))('WebAssembly: %s', (_, sizes, f) => {
  const graph = program(f, sizes);
  const bindings = graph.leaves.map(x => (x.is('variable') ? x.attrs.variable.read() : x.value!));
  expect(chainsOf(graph, TARGET)).toBe(2);
  near(runLoops(compileGraph(graph, TARGET), bindings).outputs, referenceBackend.compile(graph).run(bindings));
});

it('scores that somebody else wants are stored', () => {
  const graph = (f: (p: Tensor, v: Tensor) => Tensor[]): GraphProgram => {
    const [q, k, v] = [leaf([8, 80, 16]), leaf([8, 80, 16]), leaf([8, 80, 16])];
    return programOf(f(q.matmul(k.transpose(-2, -1)).softmax(-1), v).map(t => t.node));
  };
  expect(
    chainsOf(
      graph((p, v) => [p.matmul(v)]),
      TARGET,
    ),
  ).toBe(1);
  expect(
    chainsOf(
      graph((p, v) => [p.matmul(v), p]),
      TARGET,
    ),
  ).toBe(0);
  expect(
    chainsOf(
      graph((p, v) => [p.matmul(v), p.sum(0)]),
      TARGET,
    ),
  ).toBe(0);
  expect(
    chainsOf(
      graph((p, v) => [where(p.gt(0.1), p, 0).matmul(v)]),
      TARGET,
    ),
  ).toBe(1);
});
