/**
 * Properties over random shapes: broadcasting, views, reductions, indexing, einsum and convolution against plain loops,
 * and linear ops against their own adjoints.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import '../support/backend.ts';
import { cat, einsum, F, Parameter, Tensor } from '../../src/index.ts';

const RUNS = { numRuns: 40 };

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, n) => a * n, 1);

/** Distinct, exactly summable values. */
const filled = (shape: readonly number[], seed = 1): Tensor =>
  Tensor.from(
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 37 + seed * 11) % 64) - 31),
    { dtype: 'f64', shape },
  );

const at = (x: Tensor, index: readonly number[]): number => {
  let offset = 0;
  index.forEach((i, d) => {
    offset = offset * x.shape[d]! + i;
  });
  return (x.data() as Float64Array)[offset]!;
};

/** Every position of a shape, in order. */
function* positions(shape: readonly number[]): Generator<number[]> {
  const count = sizeOf(shape);
  for (let i = 0; i < count; i++) {
    const index = new Array<number>(shape.length);
    let rest = i;
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d] = rest % shape[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    yield index;
  }
}

const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });

test('binary ops broadcast as loops over the common shape do', () => {
  const pairs = shapes.chain(shape =>
    fc.tuple(
      fc.constant(shape),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      fc.nat(shape.length),
    ),
  );
  fc.assert(
    fc.property(pairs, ([shape, keepA, keepB, drop]) => {
      const a = filled(shape.map((n, d) => (keepA[d] ? n : 1)));
      const b = filled(shape.map((n, d) => (keepB[d] ? n : 1)).slice(drop), 2);
      const y = a.mul(2).sub(b);
      const want = shape.map((_, d) => Math.max(a.shape[d]!, d >= drop ? b.shape[d - drop]! : 1));
      expect(y.shape).toEqual(want);
      for (const index of positions(want)) {
        const inA = index.map((i, d) => (a.shape[d] === 1 ? 0 : i));
        const inB = index.slice(drop).map((i, d) => (b.shape[d] === 1 ? 0 : i));
        expect(at(y, index)).toBe(2 * at(a, inA) - at(b, inB));
      }
    }),
    RUNS,
  );
});

test('chains of views read the element that the maps compose to', () => {
  const cases = fc.tuple(
    fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
    fc.array(fc.nat(1000), { minLength: 4, maxLength: 4 }),
  );
  fc.assert(
    fc.property(cases, ([shape, choices]) => {
      const x = filled(shape);
      let view = x;
      let source = (index: readonly number[]): readonly number[] => index;
      for (const choice of choices) {
        const before = source;
        const d = choice % view.ndim;
        const n = view.shape[d]!;
        const replaced = (index: readonly number[], value: number): number[] =>
          index.map((i, k) => (k === d ? value : i));
        switch (Math.floor(choice / 7) % 4) {
          case 0: {
            view = view.flip(d);
            source = index => before(replaced(index, n - 1 - index[d]!));
            break;
          }
          case 1: {
            const start = choice % n;
            const step = 1 + (choice % 2);
            view = view.slice(d, start, null, step);
            source = index => before(replaced(index, start + step * index[d]!));
            break;
          }
          case 2: {
            const e = (d + 1) % view.ndim;
            view = view.transpose(d, e);
            source = index => before(index.map((_, k) => index[k === d ? e : k === e ? d : k]!));
            break;
          }
          default: {
            const by = choice % n;
            view = view.roll(by, d);
            source = index => before(replaced(index, (index[d]! - by + n) % n));
          }
        }
      }
      for (const index of positions(view.shape)) expect(at(view, index)).toBe(at(x, source(index)));
    }),
    RUNS,
  );
});

test('reductions over any dims equal loops', () => {
  const cases = shapes.chain(shape =>
    fc.tuple(
      fc.constant(shape),
      fc.subarray(
        shape.map((_, d) => d),
        { minLength: Math.min(1, shape.length) },
      ),
      fc.boolean(),
    ),
  );
  fc.assert(
    fc.property(cases, ([shape, dims, keepdim]) => {
      const x = filled(shape);
      const kept = shape.map((n, d) => (dims.includes(d) ? 1 : n));
      const sums = new Float64Array(sizeOf(kept));
      const largest = new Float64Array(sizeOf(kept)).fill(Number.NEGATIVE_INFINITY);
      for (const index of positions(shape)) {
        let to = 0;
        index.forEach((i, d) => {
          to = to * kept[d]! + (dims.includes(d) ? 0 : i);
        });
        sums[to]! += at(x, index);
        largest[to] = Math.max(largest[to]!, at(x, index));
      }
      const options = { keepdim };
      expect(x.sum(dims, options).shape).toEqual(keepdim ? kept : shape.filter((_, d) => !dims.includes(d)));
      expect([...(x.sum(dims, options).data() as Float64Array)]).toEqual([...sums]);
      expect([...(x.amax(dims, options).data() as Float64Array)]).toEqual([...largest]);
    }),
    RUNS,
  );
});

test('einsum equals nested loops over its labels', () => {
  const terms = fc.tuple(
    fc.array(fc.constantFrom('i', 'j', 'k'), { minLength: 1, maxLength: 3 }),
    fc.uniqueArray(fc.constantFrom('i', 'j', 'k', 'l'), { minLength: 1, maxLength: 3 }),
    fc.uniqueArray(fc.constantFrom('i', 'j', 'k', 'l'), { maxLength: 3 }),
  );
  const sizes: { readonly [label: string]: number } = { i: 2, j: 3, k: 4, l: 2 };
  fc.assert(
    fc.property(terms, ([left, right, wanted]) => {
      const all: string[] = [...new Set([...left, ...right])];
      const out = wanted.filter(label => all.includes(label));
      const [a, b] = [
        filled(left.map(l => sizes[l]!)),
        filled(
          right.map(l => sizes[l]!),
          3,
        ),
      ];
      const result = einsum(`${left.join('')},${right.join('')}->${out.join('')}`, a, b);
      const want = new Float64Array(sizeOf(out.map(l => sizes[l]!)));
      for (const index of positions(all.map(l => sizes[l]!))) {
        const value = (labels: readonly string[]): number[] => labels.map(l => index[all.indexOf(l)]!);
        let to = 0;
        for (const l of out) to = to * sizes[l]! + index[all.indexOf(l)]!;
        want[to]! += at(a, value(left)) * at(b, value(right));
      }
      // The loops start from +0, so none of theirs is -0.
      expect(Array.from(result.data() as Float64Array, value => value + 0)).toEqual([...want]);
    }),
    RUNS,
  );
});

const geometry = fc.record({
  size: fc.integer({ min: 3, max: 7 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.integer({ min: 0, max: 2 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  groups: fc.integer({ min: 1, max: 2 }),
});

test('conv1d equals its sum, and its gradients are its adjoints', () => {
  fc.assert(
    fc.property(geometry, ({ size, kernel, stride, padding, dilation, groups }) => {
      fc.pre(size + 2 * padding >= dilation * (kernel - 1) + 1);
      const x = new Parameter(filled([2, 2 * groups, size]));
      const w = new Parameter(filled([2 * groups, 2, kernel], 5));
      const y = F.conv1d(x, w, null, { stride, padding, dilation, groups });
      const u = filled(y.shape, 7);
      // <conv(x, w), u> is linear in x and in w, so each gradient times its argument gives it back.
      y.backward(u);
      const inner = y.mul(u).sum().item();
      expect(x.grad!.mul(x).sum().item()).toBe(inner);
      expect(w.grad!.mul(w).sum().item()).toBe(inner);
      for (const [n, o, p] of positions(y.shape) as Iterable<[number, number, number]>) {
        let want = 0;
        const first = Math.floor(o / 2) * 2;
        for (let c = 0; c < 2; c++)
          for (let k = 0; k < kernel; k++) {
            const place = p * stride + k * dilation - padding;
            if (place >= 0 && place < size) want += at(x, [n, first + c, place]) * at(w, [o, c, k]);
          }
        expect(at(y, [n, o, p])).toBe(want);
      }
    }),
    RUNS,
  );
});

test('max pooling gives the largest of each window, and sends its gradient to the first such element', () => {
  fc.assert(
    fc.property(geometry, ({ size, kernel, stride, dilation }) => {
      fc.pre(size >= dilation * (kernel - 1) + 1);
      // Few distinct values, so that windows hold ties.
      const x = new Parameter(filled([1, 1, size]).remainder(3));
      const { values, indices } = F.maxPool1d(x, kernel, { stride, dilation, returnIndices: true });
      const want = new Float64Array(size);
      for (let p = 0; p < values.shape[2]!; p++) {
        let best = p * stride;
        for (let k = 1; k < kernel; k++) {
          const place = p * stride + k * dilation;
          if (at(x, [0, 0, place]) > at(x, [0, 0, best])) best = place;
        }
        expect(Number((indices.data() as BigInt64Array)[p])).toBe(best);
        want[best]!++;
      }
      F.maxPool1d(x, kernel, { stride, dilation }).sum().backward();
      expect([...(x.grad!.data() as Float64Array)]).toEqual([...want]);
    }),
    RUNS,
  );
});

test('split and cat undo each other, forwards and backwards, for few parts and many', () => {
  const cases = fc.tuple(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 7 }), fc.nat(1));
  fc.assert(
    fc.property(cases, ([sizes, dim]) => {
      const total = sizes.reduce((a, n) => a + n, 0);
      const x = new Parameter(filled(dim === 0 ? [total, 2] : [2, total]));
      const parts = x.split(sizes, dim);
      const y = cat(parts, dim);
      expect([...(y.data() as Float64Array)]).toEqual([...(x.data() as Float64Array)]);
      if (total === 0) return;
      const u = filled(x.shape, 9);
      cat(x.split(sizes, dim), dim).backward(u);
      expect([...(x.grad!.data() as Float64Array)]).toEqual([...(u.data() as Float64Array)]);
    }),
    RUNS,
  );
});

test('gather and scatterAdd are adjoint', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { minLength: 6, maxLength: 6 }), places => {
      const x = filled([2, 5]);
      const index = Tensor.from(places, { dtype: 'i64', shape: [2, 3] });
      const u = filled([2, 3], 4);
      const left = x.gather(1, index).mul(u).sum().item();
      const right = filled([2, 5]).mul(0).scatterAdd(1, index, u).mul(x).sum().item();
      expect(left).toBe(right);
    }),
    RUNS,
  );
});
