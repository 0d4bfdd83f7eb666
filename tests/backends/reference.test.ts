import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../../src/backends/reference/index.ts';
import { philox } from '../../src/backends/reference/random.ts';
import { digamma, erf, lgamma } from '../../src/backends/reference/special.ts';
import * as g from '../../src/graph/build.ts';
import type { DType } from '../../src/graph/dtype.ts';
import type { Binary, Unary } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { leaf, numbers, run } from '../graph/evaluate.ts';

/**
 * Figures of Python's math and of torch.digamma in float64: `/usr/bin/python3 -c "import math; print(math.erf(0.1))"`.
 */
describe('special functions', () => {
  const near = (actual: number, expected: number): void =>
    expect(Math.abs(actual - expected)).toBeLessThanOrEqual(4e-16 * Math.max(1, 4 * Math.abs(expected)));

  it.each([
    [0.1, 0.1124629160182849],
    [1.9, 0.9927904292352575],
    [2.1, 0.997020533343667],
    [3, 0.9999779095030014],
    [5.5, 0.9999999999999927],
    [-0.3, -0.3286267594591274],
    [Number.POSITIVE_INFINITY, 1],
  ])('erf(%f)', (x, expected) => near(erf(x), expected));

  it.each([
    [0.1, 2.2527126517342055],
    [-0.3, 1.4648400508576032],
    [1, 0],
    [1.2, -0.08537409000331608],
    [2, 0],
    [2.4, 0.21685932244884176],
    [7, 6.579251212010102],
    [50, 144.5657439463449],
    [-3.7, -1.3797399049658248],
    [1e-10, 23.025850929882736],
    [11.9, 17.25847745059552],
    [12.1, 17.74700727079874],
  ])('lgamma(%f)', (x, expected) => near(lgamma(x), expected));

  it('lgamma keeps its relative accuracy by its zeros', () => {
    // lgamma(1 + z) = -gamma z + pi^2 z^2 / 12 - ...
    const z = 2 ** -30;
    expect(lgamma(1 + z) / (-0.5772156649015329 * z + (Math.PI * z) ** 2 / 12)).toBeCloseTo(1, 14);
    expect(lgamma(-2)).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([
    [0.1, -10.423754940411076],
    [-0.3, 2.113309779635399],
    [1, -0.5772156649015329],
    [1.2, -0.2890398965921884],
    [2.4, 0.6529011697005981],
    [50, 3.901989673427892],
    [-3.7, -0.8450768588704194],
    [1e10, 23.025850929890456],
  ])('digamma(%f)', (x, expected) => near(digamma(x), expected));

  it('digamma by its root and its poles', () => {
    expect(Math.abs(digamma(1.4616321449683622))).toBeLessThan(1e-15);
    expect(digamma(0)).toBe(Number.NEGATIVE_INFINITY);
    expect(digamma(-1)).toBeNaN();
  });
});

describe('Philox 4x32-10', () => {
  // Known answers of Random123 (kat_vectors, "philox4x32 10").
  it.each([
    ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('counter %s, key %s', (counter, key, expected) => {
    const words = (text: string): bigint[] => text.split(' ').map(word => BigInt(`0x${word}`));
    expect(philox(words(counter), words(key))).toEqual(words(expected));
  });

  it('fills a shape block by block, the counter running in 64 bits', () => {
    const at = (counter: bigint, n: number): number[] =>
      numbers(g.random(leaf([0x299f31d0a4093822n, counter], [2], 'i64'), [n]));
    expect(at(0n, 9).slice(4)).toEqual(at(1n, 5));
    expect(at(0xffffffffn, 8).slice(4)).toEqual(at(0x100000000n, 4));
    const [zero] = run([g.random(leaf([0n, 0n], [2], 'i64'), [2])]);
    expect(Array.from(zero as Int32Array, word => word >>> 0)).toEqual([0x6627e8d5, 0xe169c58d]);
  });
});

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;

describe('elementwise', () => {
  const unary = (fn: Unary, x: (number | bigint)[], dtype: DType): number[] =>
    numbers(g.unary(fn, leaf(x, [x.length], dtype)));
  const binary = (fn: Binary, x: (number | bigint)[], y: (number | bigint)[], dtype: DType): number[] =>
    numbers(g.binary(fn, leaf(x, [x.length], dtype), leaf(y, [y.length], dtype)));

  it.each<[Unary, number[], number[]]>([
    ['round', [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6, 3.5], [0, 2, 2, -0, -2, 2, -3, 4]],
    ['sign', [-3, 0, -0, 2, NAN], [-1, 0, -0, 1, NAN]],
    ['sqrt', [4, -1, 0, -0], [2, NAN, 0, -0]],
    ['sigmoid', [0, 800, -800], [0.5, 1, 0]],
    ['expm1', [1e-12, 0], [Math.expm1(1e-12), 0]],
    ['log1p', [1e-12, -1], [Math.log1p(1e-12), -INF]],
    ['trunc', [1.7, -1.7], [1, -1]],
  ])('%s on f64', (fn, x, expected) => expect(unary(fn, x, 'f64')).toEqual(expected));

  it('rounds f32, f16 and bf16 after every operation', () => {
    expect(unary('exp', [1], 'f32')).toEqual([Math.fround(Math.E)]);
    // 2048 + 1 is no binary16 number; 256 + 1 is no bfloat16 number; both ties go to even.
    expect(binary('add', [2048, 2048], [1, 3], 'f16')).toEqual([2048, 2052]);
    expect(binary('add', [256, 256], [1, 3], 'bf16')).toEqual([256, 260]);
    expect(binary('mul', [300], [300], 'f16')).toEqual([INF]);
  });

  it.each<[Binary, number[], number[], number[]]>([
    ['max', [1, NAN, 3, -0], [2, 1, NAN, 0], [2, NAN, NAN, 0]],
    ['min', [1, NAN, 3, 0], [2, 1, NAN, -0], [1, NAN, NAN, -0]],
    // Figures of torch.floor_divide and torch.remainder.
    ['floorDiv', [5, -5, 5, 0, 5], [0, 3, -3, 0, INF], [INF, -2, -2, NAN, 0]],
    ['mod', [5, -5, 5, INF, -5], [0, 3, -3, 2, INF], [NAN, 1, -1, NAN, INF]],
    ['pow', [1, -1, NAN, 2, -8], [NAN, INF, 0, -1, 1 / 3], [1, 1, 1, 0.5, NAN]],
    ['atan2', [0, -0, 1], [-1, -1, 0], [Math.PI, -Math.PI, Math.PI / 2]],
  ])('%s on f64', (fn, x, y, expected) => expect(binary(fn, x, y, 'f64')).toEqual(expected));

  it.each<DType>(['i32', 'i64', 'i8'])('integer division of %s', dtype => {
    const x = [7, -7, 7, -7, 7, -8];
    const y = [2, 2, -2, -2, 0, 4];
    expect(binary('div', x, y, dtype).map(v => v + 0)).toEqual([3, -3, -3, 3, 0, -2]);
    expect(binary('floorDiv', x, y, dtype)).toEqual([3, -4, -4, 3, 0, -2]);
    expect(binary('mod', x, y, dtype)).toEqual([1, 1, -1, -1, 0, 0]);
  });

  it('integers wrap', () => {
    expect(binary('add', [2 ** 31 - 1], [1], 'i32')).toEqual([-(2 ** 31)]);
    expect(binary('mul', [123456789], [987654321], 'i32')).toEqual([Math.imul(123456789, 987654321)]);
    expect(binary('div', [-(2 ** 31)], [-1], 'i32')).toEqual([-(2 ** 31)]);
    expect(binary('add', [200], [100], 'u8')).toEqual([44]);
    expect(binary('sub', [-100], [100], 'i8')).toEqual([56]);
    expect(unary('neg', [1], 'u8')).toEqual([255]);
    expect(unary('abs', [-128], 'i8')).toEqual([-128]);
    const big = run([g.binary('mul', leaf([2n ** 62n], [1], 'i64'), leaf([3], [1], 'i64'))])[0];
    expect(big).toEqual(BigInt64Array.of(BigInt.asIntN(64, 3n * 2n ** 62n)));
  });

  it.each<DType>(['i32', 'i64'])('powers and shifts of %s', dtype => {
    const width = dtype === 'i32' ? 32 : 64;
    expect(binary('pow', [3, -2, 2, 1, -1, 0], [4, 3, -1, -5, -3, 0], dtype)).toEqual([81, -8, 0, 1, -1, 1]);
    expect(binary('shl', [3, 3, 3], [2, width, -1], dtype)).toEqual([12, 0, 0]);
    expect(binary('shr', [-8, -8, 8], [2, width, width], dtype)).toEqual([-2, -1, 0]);
    expect(unary('not', [5], dtype)).toEqual([-6]);
  });

  it('bool is logical', () => {
    const x = [0, 0, 1, 1];
    const y = [0, 1, 0, 1];
    expect(unary('not', x, 'bool')).toEqual([1, 1, 0, 0]);
    expect(binary('and', x, y, 'bool')).toEqual([0, 0, 0, 1]);
    expect(binary('add', x, y, 'bool')).toEqual([0, 1, 1, 1]);
    expect(binary('xor', x, y, 'bool')).toEqual([0, 1, 1, 0]);
  });

  it('compares and selects', () => {
    const a = leaf([1, 2, NAN], [3]);
    const b = leaf([2, 2, NAN], [3]);
    expect(numbers(g.compare('lt', a, b))).toEqual([1, 0, 0]);
    expect(numbers(g.compare('le', a, b))).toEqual([1, 1, 0]);
    expect(numbers(g.compare('eq', a, b))).toEqual([0, 1, 0]);
    expect(numbers(g.where(leaf([1, 0, 0], [3], 'bool'), a, b))).toEqual([1, 2, NAN]);
  });

  it('converts between all kinds', () => {
    const to = (x: (number | bigint)[], from: DType, dtype: DType): number[] =>
      numbers(g.cast(leaf(x, [x.length], from), dtype));
    expect(to([1.9, -1.9, NAN, 1e20, -1e20], 'f64', 'i32')).toEqual([1, -1, 0, 2 ** 31 - 1, -(2 ** 31)]);
    expect(to([300, -1], 'f32', 'u8')).toEqual([44, 255]);
    expect(to([2n ** 32n + 5n, -1n], 'i64', 'i32')).toEqual([5, -1]);
    expect(to([-1, 0], 'i32', 'bool')).toEqual([1, 0]);
    expect(to([NAN, 0.2], 'f32', 'bool')).toEqual([1, 1]);
    expect(to([1, 0], 'bool', 'f16')).toEqual([1, 0]);
    expect(to([0.1], 'f64', 'f32')).toEqual([Math.fround(0.1)]);
    expect(run([g.cast(leaf([-3, INF], [2]), 'i64')])[0]).toEqual(BigInt64Array.of(-3n, 2n ** 63n - 1n));
    expect(numbers(g.bitcast(leaf([1], [1], 'f32'), 'i32'))).toEqual([0x3f800000]);
    expect(numbers(g.bitcast(leaf([0x3ff0000000000000n], [1], 'i64'), 'f64'))).toEqual([1]);
  });
});

describe('moves and folds', () => {
  const x = leaf([1, 2, 3, 4, 5, 6], [2, 3]);

  it('reindexes: permute, broadcast, flip, pad, dilate, windows', () => {
    expect(numbers(g.permute(x, [1, 0]))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(numbers(g.broadcastTo(leaf([1, 2], [2, 1]), [2, 2]))).toEqual([1, 1, 2, 2]);
    expect(numbers(g.slice(x, [1, 2], [1, 3], [1, -1]))).toEqual([6, 5, 4]);
    expect(numbers(g.pad(x, [0, 1], [1, -1], 9))).toEqual([9, 1, 2, 9, 4, 5, 9, 9, 9]);
    const line = leaf([1, 2, 3], [3]);
    const dilated = g.reindex(line, [5], [{ terms: [[0, 1]], offset: 0, div: 2 }], 7);
    expect(numbers(dilated)).toEqual([1, 7, 2, 7, 3]);
    const windows = g.reindex(line, [3, 2], [{ terms: [[0, 1], [1, 1]], offset: -1, div: 1 }]); // biome-ignore format: a map
    expect(numbers(windows)).toEqual([0, 1, 1, 2, 2, 3]);
    expect(numbers(g.reindex(leaf([5n], [1], 'i64'), [2], [{ terms: [[0, 1]], offset: 0, div: 1 }], -1))).toEqual([
      5, -1,
    ]);
  });

  it('gathers and scatters along any axis, by any integer type', () => {
    expect(numbers(g.gather(x, leaf([2, 0], [2], 'u8'), 1))).toEqual([3, 1, 6, 4]);
    expect(numbers(g.gather(x, leaf([1, 1], [2, 1], 'i64'), 0))).toEqual([4, 5, 6, 4, 5, 6]);
    const base = leaf([10, 20, 30], [3]);
    const index = leaf([1, 1, 2], [3], 'i32');
    const updates = leaf([2, 3, 4], [3]);
    const into = (kind: 'set' | 'add' | 'mul' | 'max' | 'min'): number[] =>
      numbers(g.scatter(kind, base, index, updates, 0));
    expect(into('set')).toEqual([10, 3, 4]);
    expect(into('add')).toEqual([10, 25, 34]);
    expect(into('mul')).toEqual([10, 120, 120]);
    expect(into('max')).toEqual([10, 20, 30]);
    expect(into('min')).toEqual([10, 2, 4]);
    expect(numbers(g.scatter('add', leaf([1], [1], 'i64'), leaf([0], [1], 'i64'), leaf([5], [1], 'i64'), 0))).toEqual([
      6,
    ]);
  });

  it('names the operation, the index and the size where an index is out of range', () => {
    const bad = leaf([3], [1], 'i64');
    expect(() => run([g.gather(x, bad, 1, 'embedding')])).toThrow('embedding: index 3 is out of range for 3 elements');
    expect(() => run([g.scatter('add', x, bad, leaf([0, 0], [2, 1]), 1)])).toThrow(
      'scatter: index 3 is out of range for 3 elements',
    );
    expect(() => run([g.checkIndex(leaf([-4], [1], 'i32'), 3, 'take')])).toThrow(
      'take: index -4 is out of range for 3 elements',
    );
    expect(numbers(g.checkIndex(leaf([-3, 2], [2], 'i64'), 3, 'take'))).toEqual([0, 2]);
  });

  it('reduces and scans', () => {
    expect(numbers(g.reduce('sum', x, [0]))).toEqual([5, 7, 9]);
    expect(numbers(g.reduce('prod', x, [1]))).toEqual([6, 120]);
    expect(numbers(g.reduce('max', x, [0, 1]))).toEqual([6]);
    expect(numbers(g.reduce('min', leaf([2, NAN, 1], [3]), [0]))).toEqual([NAN]);
    expect(numbers(g.reduce('max', leaf([], [0, 2]), [0]))).toEqual([-INF, -INF]);
    expect(numbers(g.reduce('max', leaf([], [0], 'i32'), [0]))).toEqual([-(2 ** 31)]);
    expect(numbers(g.reduce('sum', leaf([200, 100], [2], 'u8'), [0]))).toEqual([44]);
    expect(numbers(g.reduce('max', leaf([0, 1], [2], 'bool'), [0]))).toEqual([1]);
    // 1e8 + 1 is no f32 number, but the sum is taken in f64 and rounded once.
    expect(numbers(g.reduce('sum', leaf([1e8, 1, -1e8], [3], 'f32'), [0]))).toEqual([1]);
    expect(numbers(g.scan('sum', x, 1))).toEqual([1, 3, 6, 4, 9, 15]);
    expect(numbers(g.scan('prod', x, 0, true))).toEqual([4, 10, 18, 4, 5, 6]);
    expect(numbers(g.scan('max', leaf([1, 3, NAN, 5], [4]), 0))).toEqual([1, 3, NAN, NAN]);
    expect(numbers(g.scan('min', leaf([4, 2, 3], [3], 'i64'), 0))).toEqual([4, 2, 2]);
  });

  it('finds and sorts', () => {
    expect(numbers(g.argReduce('max', leaf([3, 5, 5, 1], [4]), 0))).toEqual([1]);
    expect(numbers(g.argReduce('max', leaf([3, NAN, NAN, 7], [4]), 0))).toEqual([1]);
    expect(numbers(g.argReduce('min', x, 0))).toEqual([0, 0, 0]);
    const values = leaf([2, NAN, 1, 2, -INF], [5]);
    expect(numbers(g.argSort(values, 0))).toEqual([4, 2, 0, 3, 1]);
    expect(numbers(g.argSort(values, 0, true))).toEqual([1, 0, 3, 2, 4]);
  });

  it('contracts: matmul, batches, outer products, labels of one operand', () => {
    const y = leaf([1, 0, 2, 1, 0, 3], [3, 2]);
    expect(numbers(g.contract(x, y, [0, 1], [1, 2], [0, 2]))).toEqual([5, 11, 14, 23]);
    expect(numbers(g.contract(x, x, [0, 1], [0, 1], [0]))).toEqual([14, 77]);
    expect(numbers(g.contract(leaf([1, 2], [2]), leaf([3, 4], [2]), [0], [1], [1, 0]))).toEqual([3, 6, 4, 8]);
    expect(numbers(g.contract(leaf([3, 2n ** 40n], [2], 'i64'), leaf([5, 2], [2], 'i64'), [0], [0], []))).toEqual([
      15 + 2 ** 41,
    ]);
    expect(numbers(g.contract(leaf([2 ** 20], [1], 'i32'), leaf([2 ** 12 + 1], [1], 'i32'), [0], [0], []))).toEqual([
      2 ** 20,
    ]);
  });

  it('makes iotas and constants of every type', () => {
    for (const dtype of ['f32', 'i64', 'u8', 'bf16'] as const) {
      expect(numbers(g.iota(4, dtype))).toEqual([0, 1, 2, 3]);
      expect(numbers(g.full(3, [2], dtype))).toEqual([3, 3]);
    }
  });
});

describe('programs', () => {
  it('writes variables only when all went well, from the values they had before', () => {
    const a = new Variable([2], 'f32', Float32Array.of(1, 2), 'a');
    const b = new Variable([2], 'f32', Float32Array.of(10, 20), 'b');
    const la = g.variable(a);
    const lb = g.variable(b);
    const index = g.placeholder('index', [2], 'i32');
    // Swaps the two; b also goes through a gather that may fail.
    const executable = referenceBackend.compile({
      leaves: [la, lb, index],
      outputs: [g.binary('add', la, lb), la],
      updates: [
        { leaf: 0, node: g.gather(lb, index, 0) },
        { leaf: 1, node: la },
      ],
    });
    expect(() => executable.run([a, b, Int32Array.of(0, 2)])).toThrow('out of range');
    expect([...a.read(), ...b.read(), a.version]).toEqual([1, 2, 10, 20, 0]);
    const outputs = executable.run([a, b, Int32Array.of(1, 0)]);
    expect(outputs).toEqual([Float32Array.of(11, 22), Float32Array.of(1, 2)]);
    expect([...a.read(), ...b.read(), a.version, b.version]).toEqual([20, 10, 1, 2, 1, 1]);
    expect(executable.run([a, b, Int32Array.of(0, 1)])[0]).toEqual(Float32Array.of(21, 12));
  });

  it('runs graphs far deeper than the stack', () => {
    const x = leaf([1], [1]);
    let y = x;
    for (let i = 0; i < 50_000; i++) y = g.binary('add', y, x);
    expect(numbers(y)).toEqual([50_001]);
  });
});
