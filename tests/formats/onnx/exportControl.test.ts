/**
 * Exported control flow (If, Loop, Scan) and random numbers in onnxruntime and in our own reader.
 */
import { bernoulli, checkpoint, cond, F, full, grad, manualSeed, multinomial, normal, Parameter, rand, randint, randn, randperm, scan, type Tensor, tensor, whileLoop, zeros } from 'tenon'; // biome-ignore format: one list
import { onnx } from 'tenon/formats';
import * as nn from 'tenon/nn';
import { describe, expect, it } from 'vitest';
import { compare, runInOrt } from './agreement.ts';

type Function = (x: Tensor, weight: Tensor) => Tensor | readonly Tensor[];

/** A module of one function with a weight. */
class Applied extends nn.Module<Tensor[], Tensor | readonly Tensor[]> {
  readonly weight = new Parameter(randn([3, 3]).mul(0.3));
  readonly fn: Function;

  constructor(fn: Function) {
    super();
    this.fn = fn;
  }

  override forward(x: Tensor): Tensor | readonly Tensor[] {
    return this.fn(x, this.weight);
  }
}

const large = (x: Tensor): Tensor => x.abs().sum().gt(8);

/** x is [2, 4, 3] here and [5, 6, 3] when its axes are free. */
const FLOWS: Readonly<Record<string, Function>> = {
  'a choice': (x, w) => cond(large(x), y => y.matmul(w).relu(), y => y.sub(1), x),
  'a choice of several results': x => cond(large(x), y => [y.exp(), y.sum(0)], y => [y, y.amax(0)], x),
  'a choice in a choice': (x, w) => cond(large(x), y => cond(y.mean().gt(0), z => z.matmul(w), z => z.neg(), y), y => y, x),
  'a loop that ends by its condition': (x, w) =>
    whileLoop(({ y }) => y.abs().amax().gt(0.1), ({ y, i }) => ({ y: y.matmul(w).tanh(), i: i.add(1) }), { y: x, i: zeros([], { dtype: 'i64' }) }).y,
  'the number of its steps': x => whileLoop(([y]) => y!.sum().lt(100), ([y, i]) => [y!.abs().add(1), i!.add(1)], [x, zeros([])])[1]!,
  'a scan': (x, w) => scan((h: Tensor, row: Tensor) => { const next = h.add(row).matmul(w).tanh(); return [next, next.mul(2)]; }, x.select(1, 0), x.transpose(0, 1)),
  'a scan from the end': (x, w) => scan((h: Tensor, row: Tensor) => [h.matmul(w).add(row), h], x.select(1, 0), x.transpose(0, 1), { reverse: true })[1],
  'a scan over nothing but its length': x => scan((h: Tensor) => [h.mul(0.5), h.sum()], x, null, { length: 5 }),
  'a scan with softmax and a linear map': (x, w) => scan((h: Tensor, row: Tensor) => [F.softmax(F.linear(h, w), -1), F.gelu(row.add(h))], x.select(1, 0), x.transpose(0, 1)),
  'a loop in a scan': (x, w) => scan((h: Tensor, row: Tensor) => [whileLoop(y => y.abs().sum().gt(1), y => y.mul(0.5).matmul(w), h).add(row), null], x.select(1, 0), x.transpose(0, 1))[0],
  'a choice in a loop': x => whileLoop(y => y.sum().lt(50), y => cond(y.mean().gt(1), z => z.mul(2), z => z.abs().add(1), y), x),
  'a running maximum': x => x.cummax(1).values,
  'a running minimum': x => x.cummin(2).values,
  'a running product': x => x.cumprod(1),
  'a running logarithm of sums': x => x.logcumsumexp(2),
  'positions of running extremes': x => x.cummax(1).indices.to('f32').add(x.cummin(1).indices.to('f32').mul(10)),
  'a part that gradients recompute': (x, w) => checkpoint((y: Tensor) => y.matmul(w).exp())(x),
  'a gradient through a scan': (x, w) => grad((y: Tensor) => scan((h: Tensor, row: Tensor) => [h.add(row).matmul(w).tanh(), null], zeros([x.shape[0]!, 3]), y.transpose(0, 1))[0].sum())(x),
  'a gradient through a loop of at most ten steps': (x, w) =>
    grad((y: Tensor) => whileLoop(z => z.abs().sum().gt(2), z => z.matmul(w).tanh(), y, { maxSteps: 10 }).sum())(x),
}; // biome-ignore format: a table

describe('control flow', () => {
  for (const [name, fn] of Object.entries(FLOWS))
    it(`exports ${name}`, async () => {
      manualSeed(3);
      const model = new Applied(fn).eval();
      const x = randn([2, 4, 3]);
      for (const opset of [17, 21]) await compare(onnx.export(model, [x], { opset }), model, [x], [x.mul(0.01)]);
      const free = onnx.export(model, [x], { dynamicAxes: { input: { 0: 'batch', 1: 'steps' } } });
      await compare(free, model, [x], [randn([5, 6, 3])]);
    });

  it('writes the operators of their names', () => {
    const operators = (fn: Function) => onnx.parse(onnx.export(new Applied(fn), [randn([2, 4, 3])]), 'exported').operators;
    expect(operators(FLOWS['a choice in a loop']!)).toEqual(expect.arrayContaining(['If', 'Loop']));
    expect(operators(FLOWS['a scan with softmax and a linear map']!)).toEqual(expect.arrayContaining(['Gemm', 'Scan', 'Softmax']));
  }); // biome-ignore format: calls in one line
});

/** What is drawn for an input [1000, 4] of ones, and what its mean and standard deviation are. */
const DRAWS: Readonly<Record<string, readonly [fn: Function, mean: number, deviation: number]>> = {
  'uniform numbers': [x => rand(x.shape).mul(x), 0.5, Math.sqrt(1 / 12)],
  'uniform numbers of 64 bits': [x => rand(x.shape, { dtype: 'f64' }).to('f32'), 0.5, Math.sqrt(1 / 12)],
  'normal numbers': [x => randn(x.shape).mul(x), 0, 1],
  'normal numbers of a mean and deviation': [x => normal(x.mul(3), x.mul(2)), 3, 2],
  'whole numbers': [x => randint(0, 10, x.shape).to('f32'), 4.5, Math.sqrt(99 / 12)],
  'a random order': [x => randperm(x.numel()).to('f32').div(x.numel()), 0.5, Math.sqrt(1 / 12)],
  'coins': [x => bernoulli(x.mul(0.3)), 0.3, Math.sqrt(0.21)],
  'classes': [x => multinomial(tensor([[1, 2, 1]]).expand([x.shape[0]!, 3]), 4, { replacement: true }).to('f32'), 1, Math.sqrt(0.5)],
  'dropout': [x => F.dropout(x, { p: 0.2 }), 1, 0.5],
  'dropout of channels': [x => F.dropout1d(x.unsqueeze(2).expand([...x.shape, 3]), { p: 0.2 }), 1, 0.5],
  'dropout in a scan': [x => scan((h: Tensor, row: Tensor) => [h, F.dropout(row, { p: 0.5 })], zeros([]), x.reshape([5, -1]))[1], 1, 1],
  'numbers drawn in a loop': [x => whileLoop(([n]) => n!.lt(3), ([n, y]) => [n!.add(1), y!.add(randn(x.shape))], [full([], 0), x.sub(1)])[1]!, 0, Math.sqrt(3)],
}; // biome-ignore format: a table

/** Mean and standard deviation of elements, and how many different ones there are. */
function moments(values: ArrayLike<number | bigint>) {
  const list = Array.from(values, Number);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  const variance = list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length;
  return { mean, deviation: Math.sqrt(variance) };
}

describe('random numbers', () => {
  for (const [name, [fn, mean, deviation]] of Object.entries(DRAWS))
    it(`exports ${name}`, async () => {
      manualSeed(4);
      const model = new Applied(fn);
      const x = full([1000, 4], 1);
      for (const options of [{}, { dynamicAxes: { input: { 0: 'rows' } } }]) {
        const file = onnx.export(model, [full([10, 4], 1)], options);
        const given = Object.keys(options).length > 0 ? x : full([10, 4], 1);
        const own = onnx.parse(file, 'exported');
        const ours = own.run(Object.fromEntries(own.inputs.map(({ name: input }) => [input, given])))[
          'output'
        ] as Tensor;
        const inputs = own.inputs.length > 0 ? [given] : [];
        const { output } = await runInOrt(file, inputs);
        if (given !== x) continue;
        for (const drawn of [output!.data as Float32Array, ours.data()]) {
          const found = moments(drawn);
          // Five standard errors of the mean of 1000 draws, and as much for the deviation.
          expect(Math.abs(found.mean - mean)).toBeLessThan((5 * deviation) / Math.sqrt(1000));
          expect(Math.abs(found.deviation - deviation)).toBeLessThan(0.1 * deviation);
        }
      }
    });

  it('leaves a module in training as it was, and its running statistics', async () => {
    manualSeed(5);
    const model = new nn.Sequential(new nn.Linear(4, 8), new nn.BatchNorm1d(8), new nn.Linear(8, 3));
    const x = randn([6, 4]);
    const before = model.stateDict();
    const file = onnx.export(model, [x]);
    expect(model.training).toBe(true);
    expect(model.stateDict()).toEqual(before);
    const { output } = await runInOrt(file, [x]);
    const want = model.forward(x).data();
    want.forEach((value, i) => void expect(Number(output!.data[i])).toBeCloseTo(Number(value), 4));
  });
});
