import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { HostArray } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { both } from './support.ts';

const f32 = (shape: number[], seed = 1): Node => {
  const n = shape.reduce((a, b) => a * b, 1);
  const x = new Float32Array(n);
  let s = seed * 7919;
  for (let i = 0; i < n; i++) {
    s = (Math.imul(s, 1664525) + 1013904223) | 0;
    x[i] = (s >>> 8) / 2 ** 23 - 1;
  }
  return g.data(x, shape, 'f32');
};

const close = (a: HostArray, b: HostArray, tol = 1e-5): void => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    if (Object.is(x, y) || x === y) continue;
    if (!(Math.abs(x - y) <= tol * Math.max(1, Math.abs(y)))) throw new Error(`element ${i}: ${x}, expected ${y}`);
  }
};

const check = (...outputs: Node[]): ReturnType<typeof both> => {
  const result = both(outputs);
  result.compiled.forEach((x, i) => {
    close(x, result.reference[i]!);
  });
  return result;
};

const keep = (x: Node, d: number): Node =>
  g.broadcastTo(g.reshape(x, x.shape.toSpliced(d, 0, 1)), x.shape.toSpliced(d, 0, 1));
const softmax = (x: Node): Node => {
  const d = x.shape.length - 1;
  const m = g.broadcastTo(keep(g.reduce('max', x, [d]), d), x.shape);
  const e = g.unary('exp', g.binary('sub', x, m));
  return g.binary('div', e, g.broadcastTo(keep(g.reduce('sum', e, [d]), d), x.shape));
};

describe('compiled graphs equal the reference', () => {
  it('adds', () => {
    check(g.binary('add', f32([3, 5]), f32([3, 5], 2)));
  });
  it('adds a row', () => {
    check(g.binary('add', f32([300, 50]), g.broadcastTo(f32([50], 2), [300, 50])));
  });
  it('transposes', () => {
    check(g.permute(f32([37, 50]), [1, 0]));
  });
  it('reduces rows, columns and everything', () => {
    const x = f32([67, 129]);
    check(g.reduce('sum', x, [1]), g.reduce('sum', x, [0]), g.reduce('max', x, [0, 1]));
  });
  it('softmax', () => {
    const { program } = check(softmax(f32([33, 70])));
    expect(program.kernels.length).toBe(1);
  });
  it('reshapes and pads', () => {
    const x = f32([4, 6, 10]);
    const y = g.permute(g.reshape(x, [4, 6, 2, 5]), [0, 2, 1, 3]);
    check(g.pad(y, [0, 1, 1, 2], [1, 0, 2, 1], 3), g.reshape(g.unary('neg', y), [8, 30]));
  });
  it('matmul with bias and relu', () => {
    const c = g.contract(f32([20, 30]), f32([30, 17], 2), [0, 1], [1, 2], [0, 2]);
    const y = g.binary('max', g.binary('add', c, g.broadcastTo(f32([17], 3), [20, 17])), g.full(0, [20, 17], 'f32'));
    const { program } = check(y);
    expect(program.kernels.length).toBe(1);
  });
  it('gathers rows', () => {
    const index = g.data(new BigInt64Array([3n, 0n, 9n, 3n]), [4], 'i64');
    check(g.gather(f32([10, 6]), index, 0), g.gather(f32([6, 10]), index, 1));
    const bad = g.data(new BigInt64Array([3n, 10n]), [2], 'i64');
    expect(() => both([g.gather(f32([10, 6]), bad, 0, 'embedding')])).toThrow(
      'embedding: index 10 is out of range for 10 elements',
    );
  });
  it('max pooling', () => {
    const x = f32([2, 3, 8, 10]);
    const windows = g.reindex(
      x,
      [2, 3, 4, 5, 2, 2],
      [
        { terms: [[0, 1]], offset: 0, div: 1 },
        { terms: [[1, 1]], offset: 0, div: 1 },
        {
          terms: [
            [2, 2],
            [4, 1],
          ],
          offset: 0,
          div: 1,
        },
        {
          terms: [
            [3, 2],
            [5, 1],
          ],
          offset: 0,
          div: 1,
        },
      ],
    );
    check(g.reduce('max', windows, [4, 5]));
  });
  it('slices of two values, in kernels that are otherwise the same', () => {
    // The slices start where a cache line does, so they are memory of their own; other readers keep the values in
    // memory.
    const rows = [1, 2].map(() => g.reduce('sum', f32([32, 5]), [1]));
    const spread = rows.map(x => g.broadcastTo(g.slice(x, [16], [1]), [17, 16]));
    check(...spread, ...rows.map(x => g.argSort(x, 0)));
  });
});
