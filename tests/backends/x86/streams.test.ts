/**
 * Long arrays (decision 115): results that go past the caches, alone and beside rows that wait for their last pass,
 * have the bits of those that do not, on any number of threads; and the instructions that only they need.
 */
import { describe, expect, it } from 'vitest';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { compileGraph } from '../../../src/compiler/compile.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import { printKernel } from '../../../src/compiler/print-loops.ts';
import { placeholder, variable } from '../../../src/graph/build.ts';
import { Variable } from '../../../src/graph/storage.ts';
import { F, Tensor } from '../../../src/index.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas } from './available.ts';

const CASES: { readonly [name: string]: { readonly shape: number[]; of(x: Tensor): Tensor } } = {
  gelu: { shape: [70_001], of: x => F.gelu(x, { approximate: 'tanh' }) },
  softmax: { shape: [130, 512], of: x => x.softmax(-1) },
  'softmax of rows that are no whole vectors': { shape: [130, 511], of: x => x.softmax(-1) },
  'softmax of rows in turn': { shape: [300, 512], of: x => x.softmax(-1) },
  'softmax of rows in turn, their last vector not whole': { shape: [257, 1040], of: x => x.softmax(-1).mul(x) },
  logSoftmax: { shape: [70, 1024], of: x => x.logSoftmax(-1) },
  layerNorm: { shape: [129, 768], of: x => F.layerNorm(x, [768]) },
  'sum beside the rows': {
    shape: [64, 1024],
    of: x =>
      x
        .sub(x.amax(-1, { keepdim: true }))
        .exp()
        .mul(x.sum(-1, { keepdim: true })),
  },
  transposed: { shape: [256, 320], of: x => x.t().contiguous().mul(2).exp() },
  'columns of channels': { shape: [8, 64, 256], of: x => x.sub(x.mean([0, 2], { keepdim: true })) },
};

describe.each(isas.filter(isa => isa !== 'amx'))('%s', isa => {
  const native = new Native();
  const machine = new Machine(native, isa, { allThreads: true });
  const target = targetOf(isa, queryCpu(native));
  const short = { ...target, streamedBytes: 1 << 16, l2Bytes: 1 << 14 };
  const { streamedBytes: _, ...plain } = { ...target, l2Bytes: 2 ** 40 };

  it.each(Object.entries(CASES))('%s', (name, { shape, of }) => {
    const x = placeholder('x', shape, 'f32');
    const result = of(new Tensor(x));
    const compiled = (how: typeof plain) => {
      const home = new Variable(result.shape, 'f32', new Float32Array(result.numel()));
      const program = compileGraph(
        { leaves: [x, variable(home)], outputs: [], updates: [{ leaf: 1, node: result.node }] },
        how,
      );
      const text = program.kernels.map(({ kernel }) => printKernel(kernel)).join('\n');
      const loaded = machine.load(program);
      return {
        text,
        run(threads: number): Buffer {
          machine.threads = threads;
          const values = Float32Array.from({ length: x.size }, (_, i) => Math.sin(i * 12.9898) * 5);
          loaded.run([values, home]);
          return Buffer.from(home.read().slice().buffer);
        },
      };
    };
    const [streamed, kept] = [compiled(short), compiled(plain)];
    if (!name.includes('no whole')) expect(streamed.text).toContain('past the caches');
    if (name.includes('in turn') && isa === 'avx512')
      expect(streamed.text).toContain(`scratch row0: f32[${2 * 64 * shape[1]!}]`);
    expect(streamed.text).toContain('prefetch');
    expect(kept.text).not.toContain('past the caches');
    const want = kept.run(1);
    for (const threads of [1, 2, 3]) expect(streamed.run(threads).equals(want), `${threads} threads`).toBe(true);
  });
});

it.skipIf(!isas.includes('avx512')).each(['f32', 'f64'] as const)('scales by powers of two and inverts: %s', dtype => {
  const lanes = dtype === 'f32' ? 16 : 8;
  const b = new LoopBuilder();
  b.parallel(1, () => {
    const [x, n] = [b.load(dtype, b.addr(0), 0, lanes), b.load(dtype, b.addr(1), 0, lanes)];
    b.store(dtype, b.addr(2), b.bin('scale', x, n));
    b.store(dtype, b.addr(3), b.un('nearInverse', x));
  });
  const buffers = ['x', 'n', 'scaled', 'inverse'].map((name, i) => ({
    name,
    dtype,
    elements: lanes,
    access: i < 2 ? ('read' as const) : ('write' as const),
  }));
  const array = (of: readonly number[]) => (dtype === 'f32' ? Float32Array.from(of) : Float64Array.from(of));
  const x = array([1, -3, 1.5, 0.75, -0, 7, 1.25, 2].concat(Array(lanes - 8).fill(5)));
  const n = array([3, -2, 1.75, -1.25, 9, 0, -140, 127].concat(Array(lanes - 8).fill(-4)));
  const [scaled, inverse] = [array(Array(lanes).fill(0)), array(Array(lanes).fill(0))];
  runX86Kernel({ name: 'scale', buffers, body: b.instructions }, [x, n, scaled, inverse], { isa: 'avx512' });
  expect(scaled).toEqual(array([...x].map((v, i) => v * 2 ** Math.floor(n[i]!))));
  x.forEach((v, i) => {
    if (v !== 0) expect(Math.abs(inverse[i]! * v - 1)).toBeLessThan(2 ** -14);
  });
});
