import { describe, expect, it } from 'vitest';
import { compileGraph } from '../../src/compiler/compile.ts';
import { verifyProgram } from '../../src/compiler/verify/index.ts';
import * as g from '../../src/graph/build.ts';
import type { DType } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { values } from './graphs.ts';
import { both, programOf, TARGET } from './support.ts';

const same = (...outputs: Node[]): ReturnType<typeof both> => {
  const result = both(outputs);
  expect(result.compiled).toEqual(result.reference);
  return result;
};

describe('sizes', () => {
  it('empty tensors', () => {
    const empty = g.data(new Float32Array(0), [0, 3], 'f32');
    same(g.unary('neg', empty), g.reduce('sum', empty, [0]), g.reduce('prod', empty, [0]), g.reduce('sum', empty, [1]));
    same(g.contract(g.permute(empty, [1, 0]), empty, [0, 1], [1, 2], [0, 2]));
    same(g.pad(empty, [2, 0], [0, 1], 7), g.reduce('max', g.pad(empty, [1, 0], [0, 0], 7), [0]));
    const none = g.data(new BigInt64Array(0), [0], 'i64');
    same(g.gather(values([4, 3]), none, 0));
  });

  it('scalars', () => {
    const x = g.data(new Float32Array([2]), [], 'f32');
    same(
      g.unary('neg', x),
      g.binary('add', x, x),
      g.broadcastTo(x, [2, 1, 3]),
      g.reduce('sum', g.broadcastTo(x, [5]), [0]),
    );
  });

  it('more elements than code counts in 32 bits are summed by more loops than one, and neither stored nor laid along one dim', () => {
    const side = 2 ** 16;
    const square = g.broadcastTo(g.data(BigInt64Array.of(1n), [1], 'i64'), [side, side]);
    // Constants beyond 32 bits are refused here.
    verifyProgram(compileGraph(programOf([g.reduce('sum', square, [0, 1])]), TARGET));
    expect(() => compileGraph(programOf([g.unary('neg', square)]), TARGET)).toThrow(
      'a result of [65536, 65536] has to be stored, and has more than 2^31 - 2^16 elements',
    );
    expect(() => g.reshape(square, [side * side])).toThrow('a dim has 2^31 - 2^16 elements at most');
  });

  it('graphs far deeper than the stack', () => {
    let x = values([40]);
    for (let i = 0; i < 6000; i++) x = i % 3 === 0 ? g.unary('abs', x) : g.unary('neg', x);
    let y = values([40], 2);
    for (let i = 0; i < 4000; i++) y = g.binary('sub', g.unary('neg', y), x);
    let z = values([4, 10], 3);
    for (let i = 0; i < 2000; i++)
      z = i % 2 ? g.reshape(g.unary('floor', z), [4, 10]) : g.reshape(g.permute(z, [1, 0]), [5, 8]);
    // reshape of a permute of a reshape ... never collapses
    same(x, y, g.reshape(z, [40]));
  });
});

describe('results', () => {
  it('that are leaves, literals, views, or each other', () => {
    const x = values([3, 4]);
    const y = g.unary('neg', x);
    same(
      x,
      g.reshape(x, [12]),
      g.full(3, [2, 2], 'i64'),
      y,
      g.reshape(y, [4, 3]),
      y,
      g.permute(x, [1, 0]),
      g.iota(5, 'i32'),
    );
  });
});

describe('indices', () => {
  const index = (xs: number[], dtype: 'i32' | 'i64' = 'i64'): Node =>
    g.data(dtype === 'i64' ? BigInt64Array.from(xs.map(BigInt)) : Int32Array.from(xs), [xs.length], dtype);

  it('wrap where they are said to, and are checked once', () => {
    const at = g.checkIndex(index([-1, 0, 4, -5]), 5, 'take');
    same(g.gather(values([5, 6]), at, 0), at);
    expect(() => both([g.gather(values([5, 6]), g.checkIndex(index([-6]), 5, 'take'), 0)])).toThrow(
      'take: index -6 is out of range for 5 elements',
    );
  });

  it('along the lanes, of either width, through views', () => {
    const x = values([70, 9]);
    const at = Array.from({ length: 33 }, (_, i) => (i * 37) % 70);
    for (const dtype of ['i32', 'i64'] as const) {
      same(
        g.gather(g.permute(x, [1, 0]), index(at, dtype), 1),
        g.gather(g.pad(x, [1, 0], [1, 0]), index(at, dtype), 0),
        g.reduce('max', g.gather(x, index(at, dtype), 0), [0]),
      );
    }
  });

  it('that a reduction of the same kernel computes', () => {
    for (const width of [2, 16, 33]) {
      const parts = g.data(
        BigInt64Array.from({ length: 3 * width }, (_, i) => BigInt(i % 3)),
        [3, width],
        'i64',
      );
      same(g.gather(values([70, width]), g.reduce('sum', parts, [1]), 0, 'take'));
    }
  });

  it('too large for 32 bits do not wrap into range', () => {
    const at = g.data(new BigInt64Array([2n ** 32n + 1n]), [1], 'i64');
    expect(() => both([g.gather(values([5]), at, 0, 'take')])).toThrow('take: index 4294967297 is out of range');
  });
});

describe('dtypes', () => {
  const DTYPES: DType[] = ['f32', 'f64', 'f16', 'bf16', 'i32', 'i64', 'u8', 'i8'];
  it('chains, casts, reductions and contractions agree to the bit', () => {
    for (const dtype of DTYPES) {
      // Small integers: every sum and product below is exact in every type.
      const x = g.cast(g.unary('floor', g.binary('mul', values([6, 21]), g.full(3, [6, 21], 'f32'))), dtype);
      const y = g.cast(g.unary('floor', g.binary('mul', values([21, 6], 2), g.full(3, [21, 6], 'f32'))), dtype);
      const z = g.binary('mul', g.binary('add', x, g.permute(y, [1, 0])), x);
      const mask = g.compare('lt', x, z);
      same(
        z,
        mask,
        g.where(mask, x, z),
        g.reduce('sum', x, [1]),
        g.reduce('max', z, [0]),
        g.reduce('min', mask, [0]),
        g.reduce('max', mask, [0, 1]),
        g.contract(x, y, [0, 1], [1, 2], [0, 2]),
        ...DTYPES.map(to => g.cast(x, to)),
        g.cast(mask, dtype),
      );
    }
  });
});
