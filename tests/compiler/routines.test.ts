/**
 * Routines in loop IR, run as WebAssembly, against plain JavaScript; 1 and 3 threads must give the same bytes.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import type { KernelBuffer } from '../../src/compiler/loops.ts';
import {
  type ArgReduceSpec,
  type ArgSortSpec,
  argReduceScratch,
  argSortScratch,
  lowerArgReduce,
  lowerArgSort,
  lowerRandom,
  lowerScan,
  lowerScatter,
  type ScanSpec,
  type ScatterSpec,
  type Scratch,
  scanScratch,
} from '../../src/compiler/routines/index.ts';
import type { Target } from '../../src/compiler/target.ts';
import { verifyKernel } from '../../src/compiler/verify/index.ts';
import { type DType, type HostArray, hostArray } from '../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';
import { runKernel } from '../support/run-kernel.ts';
import { interpret } from './routines-interpret.ts';

const targetOf = (vectorBytes: number): Target => ({
  name: 'test',
  vectorBytes,
  vectorRegisters: 16,
  fusedMultiplyAdd: false,
  l1Bytes: 32768,
  l2Bytes: 1 << 20,
  pointerBytes: 4,
});

/** 16 bytes run as WebAssembly, longer vectors in the interpreter; scalars (4 bytes) as WebAssembly again. */
const WIDTHS = [16, 4, 32, 64] as const;
let target = targetOf(16);

interface Run {
  readonly inputs: readonly { readonly dtype: DType; readonly value: HostArray }[];
  readonly output: { readonly dtype: DType; readonly elements: number };
  readonly scratch?: readonly Scratch[];
  readonly lower: (b: LoopBuilder, output: number, scratch: readonly number[]) => void;
  readonly threads?: number;
}

/** Runs one routine; its buffers are the inputs, the output, then scratch. */
function run({ inputs, output, scratch = [], lower, threads = 1 }: Run) {
  const b = new LoopBuilder();
  const out = inputs.length;
  lower(
    b,
    out,
    scratch.map((_, i) => out + 1 + i),
  );
  const buffers: KernelBuffer[] = [
    ...inputs.map((input, i) => ({
      name: `in${i}`,
      dtype: input.dtype,
      elements: input.value.length,
      access: 'read' as const,
    })),
    { name: 'out', dtype: output.dtype, elements: output.elements, access: 'write' },
    ...scratch.map((s, i) => ({ name: `scratch${i}`, ...s, access: 'scratch' as const })),
  ];
  const result = hostArray(output.dtype, output.elements);
  const arrays = [...inputs.map(input => input.value), result, ...scratch.map(s => hostArray(s.dtype, s.elements))];
  const kernel = { name: 'routine', buffers, body: b.instructions };
  verifyKernel(kernel);
  if (target.vectorBytes <= 16) return { result, failed: runKernel(kernel, arrays, { threads }).failed };
  let failed: { site: number; value: bigint } | null = null;
  for (let thread = 0; thread < threads; thread++) failed = interpret(kernel, arrays, thread, threads).failed ?? failed;
  return { result, failed };
}

/** The same bytes; element by element only when it fails, because that is slow. */
function expectSame(result: HostArray, expected: HostArray, message: string): void {
  const bytes = (a: HostArray): Buffer => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
  if (!bytes(result).equals(bytes(expected))) expect(result, message).toEqual(expected);
}

/** Small deterministic numbers. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 8) % 4096) / 4096 - 0.5;
  };
}

const decode = (dtype: DType, raw: number | bigint): number =>
  dtype === 'f16' ? f16Value(Number(raw)) : dtype === 'bf16' ? bf16Value(Number(raw)) : Number(raw);

function encode(dtype: DType, value: number): number | bigint {
  if (dtype === 'f16') return f16Bits(value);
  if (dtype === 'bf16') return bf16Bits(value);
  if (dtype === 'i64') return BigInt(Math.trunc(value));
  return value;
}

function filled(dtype: DType, values: readonly number[]): HostArray {
  const array = hostArray(dtype, values.length);
  values.forEach((value, i) => {
    array[i] = encode(dtype, value) as never;
  });
  return array;
}

const listOf = (array: HostArray): (number | bigint)[] => Array.from(array as ArrayLike<number | bigint>);
const valuesOf = (dtype: DType, array: HostArray): number[] => listOf(array).map(raw => decode(dtype, raw));

describe.each(WIDTHS)('scan, vectors of %i bytes', width => {
  beforeEach(() => {
    target = targetOf(width);
  });

  const shapes = [
    [3, 7, 1],
    [2, 5, 4],
    [1, 9, 37],
    [2, 3, 16],
    [40, 2, 1],
  ] as const;
  for (const dtype of ['f32', 'f64', 'f16', 'i32', 'i64', 'u8'] as const)
    it(`${dtype}: sum, prod, max and min, both directions`, () => {
      const next = numbers(1);
      for (const [outer, n, inner] of shapes)
        for (const kind of ['sum', 'prod', 'max', 'min'] as const)
          for (const reverse of [false, true]) {
            const isInteger = dtype[0] !== 'f';
            const values = Array.from({ length: outer * n * inner }, () =>
              isInteger ? Math.abs(Math.round(next() * 8)) : next() * 4,
            );
            const input = filled(dtype, values);
            const expected = filled(dtype, values);
            for (let o = 0; o < outer; o++)
              for (let j = 0; j < inner; j++) {
                let acc = 0;
                for (let k = 0; k < n; k++) {
                  const at = (o * n + (reverse ? n - 1 - k : k)) * inner + j;
                  const x = decode(dtype, input[at]!);
                  if (k === 0) acc = x;
                  else if (kind === 'sum') acc += x;
                  else if (kind === 'prod') acc *= x;
                  else acc = kind === 'max' ? Math.max(acc, x) : Math.min(acc, x);
                  expected[at] = encode(dtype, acc) as never;
                }
              }
            const spec: ScanSpec = { kind, dtype, outer, n, inner, reverse, input: 0, output: 1 };
            for (const threads of [1, 3]) {
              const { result } = run({
                inputs: [{ dtype, value: input }],
                output: { dtype, elements: values.length },
                lower: b => lowerScan(b, spec, target, []),
                threads,
              });
              expectSame(result, expected, `${kind} ${[outer, n, inner]} reverse ${reverse}`);
            }
          }
    });

  it('cuts a long row into blocks: the sum of 1..n, and NaN from where it stands', () => {
    const n = 20_001;
    for (const reverse of [false, true]) {
      const input = Float64Array.from({ length: n }, (_, i) => (reverse ? n - i : i + 1));
      const spec: ScanSpec = { kind: 'sum', dtype: 'f64', outer: 1, n, inner: 1, reverse, input: 0, output: 1 };
      const job = {
        inputs: [{ dtype: 'f64' as const, value: input }],
        output: { dtype: 'f64' as const, elements: n },
        scratch: scanScratch(spec, target),
        lower: (b: LoopBuilder, _out: number, scratch: readonly number[]) => lowerScan(b, spec, target, scratch),
      };
      expect(job.scratch.length).toBe(1);
      const { result } = run(job);
      for (let i = 0; i < n; i++) {
        const count = reverse ? n - i : i + 1;
        if (result[i] !== (count * (count + 1)) / 2) throw new Error(`element ${i} is ${result[i]}`);
      }
    }
    const withNaN = new Float32Array(n).fill(1);
    withNaN[5000] = Number.NaN;
    const spec: ScanSpec = { kind: 'max', dtype: 'f32', outer: 1, n, inner: 1, reverse: false, input: 0, output: 1 };
    const { result } = run({
      inputs: [{ dtype: 'f32', value: withNaN }],
      output: { dtype: 'f32', elements: n },
      scratch: scanScratch(spec, target),
      lower: (b, _out, scratch) => lowerScan(b, spec, target, scratch),
    });
    expect(result[4999]).toBe(1);
    expect(valuesOf('f32', result).slice(5000).every(Number.isNaN)).toBe(true);
  });
});

describe.each(WIDTHS)('arg reduce, vectors of %i bytes', width => {
  beforeEach(() => {
    target = targetOf(width);
  });

  for (const dtype of ['f32', 'f64', 'bf16', 'i32', 'i64', 'i8', 'bool'] as const)
    it(`${dtype}: the first extreme`, () => {
      const next = numbers(2);
      const shapes = [
        [5, 3, 1],
        [3, 41, 1],
        [2, 6, 4],
        [1, 7, 23],
        [9, 1, 1],
      ] as const;
      for (const [outer, n, inner] of shapes)
        for (const kind of ['max', 'min'] as const) {
          const draw = (): number => (dtype === 'bool' ? Number(next() > 0) : Math.round(next() * 9));
          const values = Array.from({ length: outer * n * inner }, draw);
          const value = filled(dtype, values);
          const expected: bigint[] = [];
          for (let o = 0; o < outer; o++)
            for (let j = 0; j < inner; j++) {
              const column = Array.from({ length: n }, (_, k) => values[(o * n + k) * inner + j]!);
              expected.push(BigInt(column.indexOf(kind === 'max' ? Math.max(...column) : Math.min(...column))));
            }
          const spec: ArgReduceSpec = { kind, dtype, outer, n, inner, input: 0, output: 1 };
          for (const threads of [1, 2]) {
            const { result } = run({
              inputs: [{ dtype, value }],
              output: { dtype: 'i64', elements: outer * inner },
              scratch: argReduceScratch(spec, target),
              lower: b => lowerArgReduce(b, spec, target, []),
              threads,
            });
            expect(listOf(result), `${kind} ${[outer, n, inner]}`).toEqual(expected);
          }
        }
    });

  it('the first NaN is the extreme, wherever it falls among the lanes', () => {
    const n = 19;
    for (const inner of [1, 4])
      for (const [first, second] of [
        [0, 3],
        [2, 1],
        [18, 18],
        [6, 9],
        [9, 6],
      ] as const) {
        const value = new Float32Array(n * inner).fill(5);
        for (const k of [first, second]) value.fill(Number.NaN, k * inner, (k + 1) * inner);
        for (const kind of ['max', 'min'] as const) {
          const spec: ArgReduceSpec = { kind, dtype: 'f32', outer: 1, n, inner, input: 0, output: 1 };
          const { result } = run({
            inputs: [{ dtype: 'f32', value }],
            output: { dtype: 'i64', elements: inner },
            lower: b => lowerArgReduce(b, spec, target, []),
          });
          expect(listOf(result)).toEqual(Array(inner).fill(BigInt(Math.min(first, second))));
        }
      }
  });
});

describe.each([16, 64])('arg sort, vectors of %i bytes', width => {
  beforeEach(() => {
    target = targetOf(width);
  });

  const special = [Number.NaN, 0, -0, 1, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-40, -1e-40];
  for (const dtype of ['f32', 'f64', 'f16', 'i32', 'i64', 'u8', 'bool'] as const)
    it(`${dtype}: stable both ways`, () => {
      const next = numbers(3);
      const shapes = [
        [2, 5, 1],
        [1, 12, 3],
        [2, 13, 1],
        [1, 257, 2],
        [1, 1, 4],
        // Long rows of 4-byte keys are sorted by their digits.
        [2, 2100, 1],
      ] as const;
      for (const [outer, n, inner] of shapes)
        for (const descending of [false, true]) {
          const isFloating = dtype[0] === 'f';
          const values = Array.from({ length: outer * n * inner }, (_, i) => {
            if (isFloating) return i % 3 === 0 ? special[(i / 3) % special.length]! : Math.round(next() * 20) / 4;
            return dtype === 'bool' ? Number(next() > 0) : Math.abs(Math.round(next() * 40));
          });
          const value = filled(dtype, values);
          const held = valuesOf(dtype, value);
          // NaN is largest, and zeros are equal.
          const order = (x: number, y: number): number =>
            Number.isNaN(x) ? (Number.isNaN(y) ? 0 : 1) : Number.isNaN(y) ? -1 : x < y ? -1 : x > y ? 1 : 0;
          const expected = new BigInt64Array(values.length);
          for (let o = 0; o < outer; o++)
            for (let j = 0; j < inner; j++) {
              const at = (k: number): number => (o * n + k) * inner + j;
              const permutation = Array.from({ length: n }, (_, k) => k);
              permutation.sort((p, q) => (descending ? -1 : 1) * order(held[at(p)]!, held[at(q)]!));
              permutation.forEach((from, k) => {
                expected[at(k)] = BigInt(from);
              });
            }
          const spec: ArgSortSpec = { dtype, outer, n, inner, descending, input: 0, output: 1 };
          for (const threads of [1, 2]) {
            const { result } = run({
              inputs: [{ dtype, value }],
              output: { dtype: 'i64', elements: values.length },
              scratch: argSortScratch(spec, target),
              lower: (b, _out, scratch) => lowerArgSort(b, spec, target, scratch),
              threads,
            });
            expectSame(result, expected, `${[outer, n, inner]} descending ${descending}`);
          }
        }
    });
});

describe.each(WIDTHS)('random, vectors of %i bytes', width => {
  beforeEach(() => {
    target = targetOf(width);
  });

  /** Philox 4x32-10 in bigints, straight from the paper. */
  function philox(counter: readonly bigint[], key: readonly bigint[]): bigint[] {
    const mask = 0xffffffffn;
    let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
    let [k0, k1] = key as [bigint, bigint];
    for (let round = 0; round < 10; round++) {
      const p0 = 0xd2511f53n * c0;
      const p1 = 0xcd9e8d57n * c2;
      [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
      k0 = (k0 + 0x9e3779b9n) & mask;
      k1 = (k1 + 0xbb67ae85n) & mask;
    }
    return [c0, c1, c2, c3];
  }

  it('the bigint twin gives the vectors published with Random123 (kat_vectors)', () => {
    const hex = (words: bigint[]): string => words.map(w => w.toString(16).padStart(8, '0')).join(' ');
    expect(hex(philox([0n, 0n, 0n, 0n], [0n, 0n]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const f = 0xffffffffn;
    expect(hex(philox([f, f, f, f], [f, f]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
  });

  for (const [seed, counter] of [
    [0n, 0n],
    [0x123456789abcdefn, 7n],
    // The carry into the second word of the counter happens inside a vector.
    [-5n, 0x3fffffffen],
  ] as const)
    it(`seed ${seed}, counter ${counter}`, () => {
      for (const size of [1, 3, 4, 15, 16, 17, width <= 16 ? 16 * 300 + 9 : 64 * 4 + 9]) {
        const key = BigInt64Array.of(seed, counter);
        const expected = new Int32Array(size);
        const word = (value: bigint, which: bigint): bigint =>
          (BigInt.asUintN(64, value) >> (32n * which)) & 0xffffffffn;
        for (let i = 0; i < size; i++) {
          const block = counter + BigInt(i >> 2);
          const words = philox([word(block, 0n), word(block, 1n), 0n, 0n], [word(seed, 0n), word(seed, 1n)]);
          expected[i] = Number(BigInt.asIntN(32, words[i & 3]!));
        }
        for (const threads of [1, 3]) {
          const { result } = run({
            inputs: [{ dtype: 'i64', value: key }],
            output: { dtype: 'i32', elements: size },
            lower: b => lowerRandom(b, { size, key: 0, output: 1 }, target, []),
            threads,
          });
          expectSame(result, expected, `size ${size}`);
        }
      }
    });
});

describe.each(WIDTHS)('scatter, vectors of %i bytes', width => {
  beforeEach(() => {
    target = targetOf(width);
  });

  const shapes = [
    // pre, n, count, post: by index range, by slices, by columns
    [1, 10, 25, 16],
    [2, 7, 9, 3],
    [20, 4, 6, 5],
    [1, 2, 3, 4099],
    [1, 6, 4, 1],
  ] as const;
  // The interpreter is slow, and one dtype of each register type shows what it is there for.
  const dtypes = width <= 16 ? (['f32', 'f64', 'f16', 'i32', 'i64', 'u8', 'bool'] as const) : (['f32', 'i64'] as const);
  for (const dtype of dtypes)
    for (const kind of ['set', 'add', 'mul', 'max', 'min'] as const)
      it(`${kind} into ${dtype}`, () => {
        const next = numbers(4);
        for (const [pre, n, count, post] of shapes)
          for (const uniform of [false, true])
            for (const indexDtype of post > 100 ? (['i32'] as const) : (['i32', 'i64', 'u8'] as const)) {
              const isFloating = dtype[0] === 'f';
              const draw = (): number => {
                if (dtype === 'bool') return Number(next() > 0);
                return isFloating ? next() * 4 : Math.abs(Math.round(next() * 6));
              };
              const base = filled(
                dtype,
                Array.from({ length: pre * n * post }, () => (uniform ? 0 : draw())),
              );
              const updates = filled(dtype, Array.from({ length: pre * count * post }, draw));
              const positions = Array.from({ length: count }, () => Math.floor((next() + 0.5) * n));
              const expected = base.slice();
              for (let p = 0; p < pre; p++)
                for (let k = 0; k < count; k++)
                  for (let j = 0; j < post; j++) {
                    const at = (p * n + positions[k]!) * post + j;
                    const x = decode(dtype, expected[at]!);
                    const y = decode(dtype, updates[(p * count + k) * post + j]!);
                    let value = y;
                    if (kind === 'add') value = dtype === 'bool' ? Math.max(x, y) : x + y;
                    if (kind === 'mul') value = x * y;
                    if (kind === 'max') value = Math.max(x, y);
                    if (kind === 'min') value = Math.min(x, y);
                    expected[at] = encode(dtype, value) as never;
                  }
              const spec: ScatterSpec = {
                ...{ kind, dtype, indexDtype, pre, n, count, post, site: 3 },
                ...{ base: uniform ? { value: 0 } : { buffer: 0 }, index: 1, updates: 2, output: 3 },
              };
              for (const threads of [1, 3]) {
                const { result, failed } = run({
                  inputs: [
                    { dtype, value: base },
                    { dtype: indexDtype, value: filled(indexDtype, positions) },
                    { dtype, value: updates },
                  ],
                  output: { dtype, elements: base.length },
                  lower: b => lowerScatter(b, spec, target, []),
                  threads,
                });
                expect(failed).toBeNull();
                expectSame(result, expected, `${[pre, n, count, post]} uniform ${uniform}`);
              }
            }
      });

  it('names the first index out of range, skips its updates and writes nowhere else', () => {
    for (const [bad, indexDtype] of [
      [3n, 'i64'],
      [-1n, 'i64'],
      [1n << 32n, 'i64'],
      [-7n, 'i32'],
    ] as const)
      for (const [pre, post] of [
        [1, 2],
        [20, 2],
        [1, 5000],
      ] as const) {
        const n = 3;
        const index = indexDtype === 'i64' ? BigInt64Array.of(0n, bad, 2n) : Int32Array.of(0, Number(bad), 2);
        const spec: ScatterSpec = {
          ...{ kind: 'add', dtype: 'f32', indexDtype, pre, n, count: 3, post, site: 9 },
          ...{ base: { value: 1 }, index: 0, updates: 1, output: 2 },
        };
        const { result, failed } = run({
          inputs: [
            { dtype: indexDtype, value: index },
            { dtype: 'f32', value: new Float32Array(pre * 3 * post).fill(1) },
          ],
          output: { dtype: 'f32', elements: pre * n * post },
          lower: b => lowerScatter(b, spec, target, []),
          threads: 2,
        });
        expect(failed).toEqual({ site: 9, value: bad });
        const rows = [2, 1, 2].flatMap(value => Array<number>(post).fill(value));
        expect(Array.from(result as Float32Array)).toEqual(Array.from({ length: pre }, () => rows).flat());
      }
  });
});
