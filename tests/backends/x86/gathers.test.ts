/**
 * Rows that loaded indices name are asked for ahead, at the places that the indices behind them say, up to the end of
 * all indices; values stay the same.
 */
import { describe, expect, it } from 'vitest';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { compileGraph } from '../../../src/compiler/compile.ts';
import { printKernel } from '../../../src/compiler/print-loops.ts';
import { placeholder, variable } from '../../../src/graph/build.ts';
import { Variable } from '../../../src/graph/storage.ts';
import { F, Tensor } from '../../../src/index.ts';
import { isas } from './available.ts';

const ROWS = 500;
const DIM = 24;

interface Case {
  readonly ids: number[];
  readonly dtype: 'i32' | 'i64';
  of(table: Tensor, ids: Tensor): Tensor;
}

const CASES: { readonly [name: string]: Case } = {
  'rows of one list': { ids: [313], dtype: 'i32', of: (table, ids) => F.embedding(ids, table).mul(2) },
  'rows of several lists': { ids: [37, 9], dtype: 'i64', of: (table, ids) => F.embedding(ids, table).exp() },
  'sums of rows': { ids: [50, 7], dtype: 'i32', of: (table, ids) => F.embedding(ids, table).sum(1) },
  'fewer than are asked for ahead': { ids: [3], dtype: 'i32', of: (table, ids) => F.embedding(ids, table) },
  'indices put inside of the range': {
    ids: [200],
    dtype: 'i32',
    of: (table, ids) => F.embedding(ids.lt(400).where(ids, ids.mul(0)), table),
  },
};

describe.each(isas.filter(isa => isa !== 'amx'))('%s', isa => {
  const native = new Native();
  const machine = new Machine(native, isa, { allThreads: true });
  const target = { ...targetOf(isa, queryCpu(native)), l2Bytes: 1 << 30 };

  it.each(Object.entries(CASES))('%s', (_, { ids: shape, dtype, of }) => {
    const table = placeholder('table', [ROWS, DIM], 'f32');
    const ids = placeholder('ids', shape, dtype);
    const result = of(new Tensor(table), new Tensor(ids));
    const values = Float32Array.from({ length: ROWS * DIM }, (_, i) => Math.sin(i * 12.9898));
    const some = Array.from({ length: ids.size }, (_, i) => (i * 7919) % ROWS);
    const compiled = (l2Bytes: number) => {
      const home = new Variable(result.shape, 'f32', new Float32Array(result.numel()));
      const leaves = [table, ids, variable(home)];
      const program = compileGraph(
        { leaves, outputs: [], updates: [{ leaf: 2, node: result.node }] },
        { ...target, l2Bytes },
      );
      const loaded = machine.load(program);
      return {
        text: program.kernels.map(({ kernel }) => printKernel(kernel)).join('\n'),
        run(threads: number): Buffer {
          machine.threads = threads;
          loaded.run([values, dtype === 'i64' ? BigInt64Array.from(some, BigInt) : Int32Array.from(some), home]);
          return Buffer.from(home.read().slice().buffer);
        },
      };
    };
    const [asked, plain] = [compiled(1 << 12), compiled(target.l2Bytes)];
    expect(asked.text).toContain('prefetch');
    expect(plain.text).not.toContain('prefetch');
    const want = plain.run(1);
    for (const threads of [1, 2, 3]) expect(asked.run(threads).equals(want), `${threads} threads`).toBe(true);
  });
});
