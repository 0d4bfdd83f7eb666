/**
 * compile(fn) against the same function run eagerly, and the contracts around it: what is captured, what is drawn anew,
 * what is refused.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  backendNames,
  compile,
  F,
  manualSeed,
  Parameter,
  rand,
  randn,
  setBackend,
  setNumThreads,
  Tensor,
} from '../../src/index.ts';
import { BatchNorm1d, Dropout, Linear, Module, Sequential } from '../../src/nn/index.ts';
import { Adam, SGD, StepLR } from '../../src/optim/index.ts';
import { whyUnavailable } from '../../src/runtime/index.ts';

const available = backendNames().filter(name => whyUnavailable(name) === null);

describe.each(available)('%s', backend => {
  beforeAll(() => setBackend(backend));

  const problem = () => {
    manualSeed(3);
    const model = new Sequential(new Linear(6, 16), new BatchNorm1d(16), new Linear(16, 3));
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const x = randn([12, 6]);
    const y = Tensor.from(Int32Array.from({ length: 12 }, (_, i) => i % 3));
    const body = (inputs: Tensor, labels: Tensor): Tensor => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(model.forward(inputs), labels);
      loss.backward();
      optimizer.step();
      return loss;
    };
    return { model, optimizer, x, y, body };
  };

  it('reads what was assigned between two calls', () => {
    const state = new Parameter(Tensor.from([1]), { requiresGrad: false });
    const step = compile((x: Tensor) => {
      state.assign(state.add(x));
      return state.mul(1);
    });
    const one = Tensor.from([1]);
    expect(step(one).item()).toBe(2);
    state.assign(Tensor.from([10]));
    expect(step(one).item()).toBe(11);
  });

  it('sees weights change that several calls have left as they were', () => {
    manualSeed(5);
    const layers = [new Linear(64, 48), new Linear(64, 48)];
    const x = randn([5, 64]);
    const [first, second] = layers.map(layer => compile((y: Tensor) => layer.forward(y)));
    const expected = (layer: Linear): number[] => Array.from(layer.forward(x).data(), Number);
    const sameAsEager = (): void => {
      for (const [call, layer] of [
        [first!, layers[0]!],
        [second!, layers[1]!],
      ] as const) {
        const want = expected(layer);
        Array.from(call(x).data(), Number).forEach((v, i) => {
          expect(v).toBeCloseTo(want[i]!, 4);
        });
      }
    };
    for (let i = 0; i < 3; i++) sameAsEager();
    // Written from the host, by another program, and moved to another backend and back.
    layers[0]!.weight.assign(randn([48, 64]));
    sameAsEager();
    const twice = compile(() => layers[1]!.weight.assign(layers[1]!.weight.mul(2)));
    for (let i = 0; i < 3; i++) {
      twice();
      sameAsEager();
    }
    for (const other of available) {
      setBackend(other);
      layers[0]!.forward(x).data();
      setBackend(backend);
      sameAsEager();
    }
  });

  it('computes what the eager loop computes: losses, parameters and running statistics', () => {
    const eager = problem();
    const compiled = problem();
    const step = compile(compiled.body);
    for (let i = 0; i < 4; i++) {
      const a = eager.body(eager.x, eager.y).item() as number;
      const b = step(compiled.x, compiled.y).item() as number;
      expect(b).toBeCloseTo(a, 5);
    }
    const want = eager.model.stateDict();
    for (const [name, value] of Object.entries(compiled.model.stateDict())) {
      const got = Array.from(value.data(), Number);
      Array.from(want[name]!.data(), Number).forEach((v, i) => {
        expect(got[i], name).toBeCloseTo(v, 4);
      });
    }
  });

  it('sees a schedule change the learning rate between calls', () => {
    const weight = new Parameter(Tensor.from([1]));
    const optimizer = new SGD([weight], { lr: 1 });
    const schedule = new StepLR(optimizer, 1, { gamma: 0.1 });
    const step = compile(() => {
      optimizer.zeroGrad();
      weight.sum().backward();
      optimizer.step();
    });
    // dw = 1, so each step subtracts the learning rate: 1, then 0.1, then 0.01.
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) {
      step();
      schedule.step();
      seen.push(weight.data()[0] as number);
    }
    expect(seen[0]).toBeCloseTo(0, 6);
    expect(seen[1]).toBeCloseTo(-0.1, 6);
    expect(seen[2]).toBeCloseTo(-0.11, 6);
  });

  it('draws new random numbers in every call, the same ones after the same seed', () => {
    const draw = compile(() => ({ a: rand([4]), b: rand([4]) }));
    manualSeed(11);
    const first = [draw(), draw()].map(r => [...r.a.data(), ...r.b.data()]);
    expect(first[0]).not.toEqual(first[1]);
    expect(first[0]!.slice(0, 4)).not.toEqual(first[0]!.slice(4));
    manualSeed(11);
    expect([...draw().a.data()]).toEqual(first[0]!.slice(0, 4));
    manualSeed(11);
    expect([...rand([4]).data()]).toEqual(first[0]!.slice(0, 4));
  });

  it('records again after train() and eval(), and for other shapes and static arguments', () => {
    let traces = 0;
    const dropout = new Dropout(0.5);
    const f = compile((x: Tensor, scale: number) => {
      traces++;
      return dropout.forward(x).mul(scale);
    });
    const x = Tensor.from([1, 1, 1, 1]);
    manualSeed(1);
    f(x, 1);
    f(x, 1);
    expect(traces).toBe(1);
    expect(f(x, 3).data()[0]! as number).toSatisfy((v: number) => v === 0 || v === 6);
    expect(traces).toBe(2);
    dropout.eval();
    expect([...f(x, 3).data()]).toEqual([3, 3, 3, 3]);
    f(Tensor.from([1, 1]), 3);
    expect(traces).toBe(4);
  });

  it('refuses to read a value while it is traced, and recovers', () => {
    const weight = new Parameter(Tensor.from([2]));
    const bad = compile((x: Tensor) => {
      weight.assign(x);
      return x.mul(x.item() as number);
    });
    expect(() => bad(Tensor.from([1]))).toThrow(/read .* inside a compiled function/);
    expect(weight.item()).toBe(2);
  });

  it('reports an index out of range from inside, names it, and changes no parameter', () => {
    const table = new Parameter(Tensor.from([[1], [2], [3]]));
    const optimizer = new SGD([table], { lr: 1 });
    const step = compile((ids: Tensor) => {
      optimizer.zeroGrad();
      const loss = F.embedding(ids, table).sum();
      loss.backward();
      optimizer.step();
      return loss;
    });
    expect(step(Tensor.from(Int32Array.of(0, 2))).item()).toBe(4);
    expect(() => step(Tensor.from(Int32Array.of(0, 7)))).toThrow(/embedding.*index 7 is out of range for 3/);
    expect([...table.data()]).toEqual([0, 2, 2]);
    expect(step(Tensor.from(Int32Array.of(1, 1))).item()).toBe(4);
  });

  it('does not let a value read after an update be stale', () => {
    const weight = new Parameter(Tensor.from([3]));
    const optimizer = new SGD([weight], { lr: 1 });
    const doubled = weight.mul(2);
    const loss = doubled.sum();
    const read = weight.mul(5);
    expect(read.item()).toBe(15);
    loss.backward();
    optimizer.step();
    expect(loss.item()).toBe(6);
    expect(read.item()).toBe(15);
    expect(() => doubled.item()).toThrow(/before an update/);
  });

  it('lets two optimizers share one backward pass: the first step does not make the gradients of the second stale', () => {
    const a = new Parameter(Tensor.from([2]));
    const b = new Parameter(Tensor.from([3]));
    const first = new SGD([a], { lr: 1 });
    const second = new SGD([b], { lr: 1 });
    // d(ab)/da = b = 3, d(ab)/db = a = 2 (the old a)
    a.mul(b).sum().backward();
    first.step();
    second.step();
    expect([a.item(), b.item()]).toEqual([-1, 1]);
  });

  it('runs without blocking through .async', async () => {
    const f = compile((x: Tensor) => [x.mul(2), x.sum()] as const);
    const [twice, sum] = await f.async(Tensor.from([1, 2, 3]));
    expect([...twice.data()]).toEqual([2, 4, 6]);
    expect(sum.item()).toBe(6);
  });
});

it.each(available)('%s gives the same bits with one thread and with two', backend => {
  setBackend(backend);
  const run = (threads: number): string => {
    setNumThreads(threads);
    manualSeed(5);
    class Net extends Module {
      readonly fc1 = new Linear(50, 300);
      readonly dropout = new Dropout(0.2);
      readonly fc2 = new Linear(300, 10);
      forward(x: Tensor): Tensor {
        return this.fc2.forward(this.dropout.forward(F.gelu(this.fc1.forward(x))));
      }
    }
    const net = new Net();
    const optimizer = new Adam(net.parameters(), { lr: 0.01 });
    const x = randn([96, 50]);
    const y = Tensor.from(Int32Array.from({ length: 96 }, (_, i) => i % 10));
    const step = compile(() => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(net.forward(x), y);
      loss.backward();
      optimizer.step();
      return loss;
    });
    const losses = Array.from({ length: 5 }, () => step().data()[0]);
    return JSON.stringify([losses, ...net.parameters().map(p => [...p.data()])]);
  };
  const one = run(1);
  expect(run(2)).toBe(one);
  setNumThreads(1);
});
