/**
 * The contraction kernel against plain JavaScript loops: role mixes, odd sizes, convolutions and their gradients,
 * dtypes, epilogues, prologues; and the same bits for any number of threads.
 */
import { describe, expect, it } from 'vitest';
import type { ContractSpec } from '../../../src/compiler/contract/index.ts';
import type { DType } from '../../../src/graph/dtype.ts';
import { bf16Value, f16Value } from '../../../src/graph/half.ts';
import { expected, type NamedBuffer, runContract } from './run.ts';
import { buffersOf, type Case, type Conv, convolution, matmul, Random } from './specs.ts';

/** Error allowed per sum of absolute products: rounding of the sum, and of the result's dtype. */
const TOLERANCE: Partial<Record<DType, number>> = {
  f32: 2e-6,
  f64: 1e-14,
  i32: 0,
  i64: 0,
  bf16: 2 ** -8,
  f16: 2 ** -11,
};

function compare(
  spec: ContractSpec,
  buffers: readonly NamedBuffer[],
  finish: (sum: number, index: number) => number,
): void {
  const out = buffers[spec.out.buffer]!.data;
  const { dtype } = spec.out;
  for (const [index, sum, size] of expected(spec, buffers[spec.a.buffer]!.data, buffers[spec.b.buffer]!.data)) {
    const bits = Number(out[index]);
    const got = dtype === 'bf16' ? bf16Value(bits) : dtype === 'f16' ? f16Value(bits) : bits;
    const want = finish(sum, index);
    if (!Number.isFinite(want)) {
      expect(got, `element ${index}`).toBe(want);
      continue;
    }
    if (!(Math.abs(got - want) <= TOLERANCE[dtype]! * (size + Math.abs(want))))
      expect(`element ${index} is ${got}`).toBe(`element ${index} is ${want}`);
  }
}

function check(of: Case, seed = 1): void {
  const buffers = buffersOf(of, new Random(seed));
  runContract(of.spec, buffers);
  compare(of.spec, buffers, x => x);
}

describe('matmul', () => {
  const shapes = [
    [1, 1, 1], [1, 7, 3], [5, 1, 9], [1, 64, 300], [64, 1, 300], [3, 12, 4], [4, 13, 5], [13, 17, 19],
    [64, 48, 33], [2, 100, 50], [100, 3, 50], [19, 30, 600], [12, 11, 1300],
  ] as const; // biome-ignore format: a table
  for (const [M, N, K] of shapes)
    it(`${M} x ${N} x ${K}, every transposition, 1 and 3 batches`, () => {
      for (const batch of [1, 3])
        for (const ta of [false, true])
          for (const tb of [false, true])
            for (const tout of [false, true]) check(matmul([M, N, K, batch], { ta, tb, tout }));
    });

  for (const dtype of ['f64', 'i32', 'i64', 'bf16', 'f16'] as const)
    it(`${dtype}`, () => {
      for (const shape of [
        [1, 1, 1, 1],
        [5, 7, 3, 2],
        [13, 17, 19, 1],
        [33, 8, 130, 1],
        [2, 40, 9, 3],
      ] as const)
        for (const tb of [false, true]) check(matmul(shape, { tb, dtype }));
    });
});

it('empty sums are 0, empty outputs nothing, products alone are products', () => {
  const zeros = matmul([3, 5, 0, 2]);
  const buffers = buffersOf(zeros, new Random(1));
  buffers[2]!.data.fill(7 as never);
  runContract(zeros.spec, buffers);
  expect([...(buffers[2]!.data as Float32Array)]).toEqual(Array(30).fill(0));
  check(matmul([0, 5, 4, 1]));
  check(matmul([3, 5, 4, 0]));
  for (const shape of [
    [9, 30, 1, 1],
    [1, 1, 1, 9],
    [40, 1, 1, 3],
  ] as const)
    check(matmul(shape));
});

it('panels of rows that share lines, packed some steps of k at a time', () => {
  // More panels than packing tasks, and neither rows nor steps come out even.
  for (const shape of [
    [203, 36, 75, 1],
    [47, 70, 33, 2],
  ] as const)
    check(matmul(shape, { ta: true }));
});

it('maps that divide in ways no schedule knows', () => {
  // Two summed dims meet in one divided axis: out[i] = sum over j, k of a[(i + j + k) / 2] * b[j, k].
  const sizes = [7, 3, 4];
  const spec: ContractSpec = {
    dims: [
      { size: 7, role: 'm' },
      { size: 3, role: 'k' },
      { size: 4, role: 'k' },
    ],
    a: {
      buffer: 0,
      dtype: 'f32',
      axes: [
        {
          map: {
            terms: [
              [0, 1],
              [1, 1],
              [2, 1],
            ],
            offset: 0,
            div: 2,
          },
          size: 5,
          stride: 1,
        },
      ],
    },
    b: {
      buffer: 1,
      dtype: 'f32',
      axes: [1, 2].map(d => ({
        map: { terms: [[d, 1] as const], offset: 0, div: 1 },
        size: sizes[d]!,
        stride: d === 1 ? 4 : 1,
      })),
    },
    out: { buffer: 2, dtype: 'f32', strides: [1, 0, 0] },
  };
  check({ spec, sizes: [5, 12, 7] });
  // A stride of 5 in two dims has 25 phases, more than are worth their code.
  check(
    convolution({
      kind: 'inputGradient',
      images: 1,
      groups: 1,
      inputs: 2,
      outputs: 3,
      height: 11,
      width: 12,
      kernel: [3, 3],
      stride: 5,
      padding: 1,
      dilation: 1,
    })!,
  );
});

function randomConv(random: Random): Conv {
  const kernel = random.pick([
    [1, 1],
    [3, 3],
    [5, 2],
    [1, 4],
    [2, 2],
  ] as const);
  return {
    kind: random.pick(['forward', 'inputGradient', 'weightGradient']),
    images: random.pick([1, 2, 3, 5]),
    groups: random.pick([1, 1, 1, 2, 5]),
    inputs: random.pick([1, 2, 3, 4, 9]),
    outputs: random.pick([1, 2, 6, 13]),
    height: random.int(1, 13),
    width: random.pick([1, 3, 4, 7, 8, 11, 14, 16, 19]),
    kernel,
    stride: random.pick([1, 1, 2, 3]),
    padding: random.pick([0, 1, 1, 2]),
    dilation: random.pick([1, 1, 2]),
    dtype: random.pick(['f32', 'f32', 'f32', 'f64']),
  };
}

describe('convolution', () => {
  for (let part = 0; part < 12; part++)
    it(`random shapes, part ${part}`, () => {
      for (let i = 0; i < 20; i++) {
        const seed = part * 1000 + i;
        const conv = randomConv(new Random(seed));
        const of = convolution(conv);
        if (!of) continue;
        try {
          check(of, seed);
        } catch (error) {
          throw new Error(`${JSON.stringify(conv)}: ${(error as Error).message}`);
        }
      }
    });

  it('stride 2 as networks have it', () => {
    const base = {
      images: 2,
      groups: 1,
      inputs: 8,
      outputs: 6,
      height: 16,
      width: 16,
      stride: 2,
      dilation: 1,
    } as const;
    for (const kind of ['forward', 'inputGradient', 'weightGradient'] as const) {
      check(convolution({ ...base, kind, kernel: [3, 3], padding: 1 })!);
      check(convolution({ ...base, kind, kernel: [1, 1], padding: 0 })!);
      check(convolution({ ...base, kind, kernel: [7, 7], padding: 3, inputs: 3 })!);
    }
  });
});

it('infinities reach exactly the sums they belong to', () => {
  const base = {
    images: 2,
    groups: 1,
    height: 9,
    width: 10,
    kernel: [3, 3],
    stride: 1,
    padding: 1,
    dilation: 1,
  } as const;
  const cases = [
    convolution({ ...base, kind: 'forward', inputs: 2, outputs: 5 })!,
    convolution({ ...base, kind: 'weightGradient', inputs: 2, outputs: 5, padding: 0 })!,
    convolution({ ...base, kind: 'inputGradient', inputs: 2, outputs: 5 })!,
    matmul([5, 7, 11, 1], { tb: true }),
    matmul([17, 30, 11, 1]),
  ];
  for (const of of cases)
    for (const operand of [0, 1] as const) {
      const buffers = buffersOf(of, new Random(2));
      buffers[operand]!.data[of.sizes[operand] >> 1] = Number.POSITIVE_INFINITY;
      runContract(of.spec, buffers);
      compare(of.spec, buffers, x => x);
    }
});

describe('epilogue and prologue', () => {
  const cases: readonly [string, Case][] = [
    ['matmul', matmul([13, 18, 7, 2])],
    ['matmul with vectors throughout', matmul([9, 24, 40, 1])],
    ['matmul of many blocks', matmul([5, 12, 2500, 1])],
    ['convolution', convolution({ kind: 'forward', images: 2, groups: 1, inputs: 3, outputs: 5, height: 9, width: 7, kernel: [3, 3], stride: 1, padding: 1, dilation: 1 })!],
    ['convolution of whole rows', convolution({ kind: 'forward', images: 2, groups: 2, inputs: 2, outputs: 4, height: 5, width: 8, kernel: [3, 3], stride: 1, padding: 1, dilation: 1 })!],
    ['depthwise convolution', convolution({ kind: 'forward', images: 2, groups: 4, inputs: 1, outputs: 1, height: 9, width: 9, kernel: [3, 3], stride: 1, padding: 1, dilation: 1 })!],
    ['strided input gradient', convolution({ kind: 'inputGradient', images: 2, groups: 1, inputs: 3, outputs: 5, height: 9, width: 8, kernel: [1, 2], stride: 2, padding: 1, dilation: 1 })!],
  ]; // biome-ignore format: a table
  for (const [name, of] of cases)
    for (const mergeable of [false, true])
      it(`${name}: bias by coordinates and a residual by index${mergeable ? ', rows merged' : ''}`, () => {
        const random = new Random(5);
        const buffers = buffersOf(of, random);
        const dims = of.spec.dims;
        const outDims = dims.flatMap((dim, d) => (dim.role === 'k' ? [] : [d]));
        // weights[d] * coordinate d summed over all output dims pins down every coordinate. Multiples of the output's
        // strides merge.
        const weights = dims.map((_, d) => (mergeable ? of.spec.out.strides[d]! / 64 : (d + 1) / 8));
        buffers.push({ name: 'residual', dtype: of.spec.out.dtype, data: random.values('f32', of.sizes[2]) });
        const spec: ContractSpec = {
          ...of.spec,
          a: { ...of.spec.a, prologue: (b, x) => b.add(x, b.const('f32', 1, x.type.lanes)) },
          b: {
            ...of.spec.b,
            // b * (itself read again by index): the site's index is the element's.
            prologue: (b, x, site) => b.mul(x, b.load('f32', b.addr(1, site.index), 0, site.lanes)),
          },
          epilogue: (b, acc, site) => {
            expect(acc.type.lanes).toBe(site.lanes);
            const lanes = site.lanes;
            let sum = b.add(acc, b.load('f32', b.addr(3, site.index), 0, lanes));
            for (const d of outDims) {
              const x = b.mul(b.cvt('f32', site.coords[d]!), b.const('f32', weights[d]!));
              sum = b.add(sum, b.splat(x, lanes));
            }
            if (site.vectorDim !== null) {
              let steps = b.const('f32', 0, lanes);
              for (let i = 1; i < lanes; i++) steps = b.insert(steps, i, b.const('f32', i * weights[site.vectorDim]!));
              sum = b.add(sum, steps);
            }
            return sum;
          },
          ...(mergeable ? { mergeable: () => true } : {}),
        };
        runContract(spec, buffers);
        const plus = buffers.map(({ data, ...rest }, i) => ({
          ...rest,
          data:
            i === 0
              ? Float64Array.from(data as Float32Array, x => x + 1)
              : i === 1
                ? Float64Array.from(data as Float32Array, x => x * x)
                : data,
        }));
        const located = new Map<number, number>();
        const coords = dims.map(() => 0);
        const visit = (i: number, index: number, weight: number): void => {
          const d = outDims[i];
          if (d === undefined) located.set(index, weight);
          else
            for (coords[d] = 0; coords[d]! < dims[d]!.size; coords[d]!++)
              visit(i + 1, index + coords[d]! * spec.out.strides[d]!, weight + coords[d]! * weights[d]!);
        };
        visit(0, 0, 0);
        compare(
          { ...spec, a: { ...spec.a, dtype: 'f64' }, b: { ...spec.b, dtype: 'f64' } },
          plus,
          (sum, index) => sum + Number(plus[3]!.data[index]) + located.get(index)!,
        );
      });

  it('an epilogue too long for registers, tiles that begin behind the last column', () => {
    for (const n of [4, 8, 12, 16, 20, 28, 32, 64])
      for (const m of [1, 2, 5, 8, 9])
        for (const k of [1, 2, 3]) {
          const of = matmul([m, n, k, 1]);
          const buffers = buffersOf(of, new Random(4));
          const doubled: ContractSpec['epilogue'] = (b, acc) => {
            const half = b.const('f32', 0.5, acc.type.lanes);
            return Array.from({ length: 30 }).reduce<typeof acc>(sum => b.add(b.mul(sum, half), acc), acc);
          };
          runContract({ ...of.spec, epilogue: doubled }, buffers);
          compare(of.spec, buffers, x => 2 * x);
        }
  });

  it('an epilogue may store elsewhere, and narrow', () => {
    const of = matmul([7, 20, 11, 1]);
    const buffers = buffersOf(of, new Random(3));
    buffers.push({ name: 'narrow', dtype: 'bf16', data: new Uint16Array(140) });
    const spec: ContractSpec = {
      ...of.spec,
      epilogue: (b, acc, site) => {
        b.store('bf16', b.addr(3, site.index), acc);
        return null;
      },
    };
    runContract(spec, buffers);
    expect(buffers[2]!.data.every(x => x === 0)).toBe(true);
    compare({ ...spec, out: { ...spec.out, buffer: 3, dtype: 'bf16' } }, buffers, x => x);
  });
});

describe('threads', () => {
  const cases: readonly [string, Case][] = [
    ['matmul', matmul([65, 70, 300, 1], { tb: true })],
    ['tall matmul', matmul([300, 20, 64, 1])],
    ['batched matmul', matmul([16, 16, 8, 70])],
    ['weight gradient', convolution({ kind: 'weightGradient', images: 8, groups: 1, inputs: 2, outputs: 3, height: 16, width: 16, kernel: [3, 3], stride: 1, padding: 1, dilation: 1 })!],
    ['strided input gradient', convolution({ kind: 'inputGradient', images: 8, groups: 1, inputs: 8, outputs: 3, height: 16, width: 16, kernel: [3, 3], stride: 2, padding: 1, dilation: 1 })!],
    ['matrix by vector', matmul([1, 300, 500, 1], { tb: true })],
    ['panels packed together', matmul([203, 36, 75, 1], { ta: true })],
    ['columns packed by the first of two tasks', matmul([300, 200, 30, 1], { tb: true })],
    ['rows packed by the first of five tasks', matmul([240, 60, 40, 1], { ta: true })],
  ]; // biome-ignore format: a table
  for (const [name, of] of cases)
    it(`${name}: the same bits for 1, 2, 3 and 7`, () => {
      const bits = [1, 2, 3, 7].map(threads => {
        const buffers = buffersOf(of, new Random(9));
        runContract(of.spec, buffers, threads);
        if (threads === 1) compare(of.spec, buffers, x => x);
        return Buffer.from(buffers[2]!.data.buffer);
      });
      for (const other of bits.slice(1)) expect(other.equals(bits[0]!)).toBe(true);
    });
});
