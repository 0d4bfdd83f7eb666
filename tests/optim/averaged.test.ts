/** Averages of weights: plain and moving, their state, and statistics of batch normalisation. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { BatchNorm1d, Linear, Sequential } from '../../src/nn/index.ts';
import { AveragedModel, getEmaAvgFn, SGD, updateBn } from '../../src/optim/index.ts';
import { compile, manualSeed, randn, type Tensor, tensor } from '../../src/tensor/index.ts';

const line = (): Linear => {
  const model = new Linear(1, 1, { bias: false });
  model.weight.assign(tensor([[1]]));
  return model;
};

describe('AveragedModel', () => {
  it('keeps the mean of all weights it was shown', () => {
    const model = line();
    const averaged = new AveragedModel(model);
    for (const value of [1, 2, 6]) {
      model.weight.assign(tensor([[value]]));
      averaged.updateParameters();
    }
    expect(averaged.forward(tensor([[2]])).item()).toBe(6);
    expect(model.forward(tensor([[2]])).item()).toBe(12);
    expect(averaged.nAveraged.item()).toBe(3);
  });

  it('a copy has averages of its own, of the same model', () => {
    const model = line();
    const averaged = new AveragedModel(model);
    averaged.updateParameters();
    const copy = averaged.clone();
    model.weight.assign(tensor([[5]]));
    averaged.updateParameters();
    expect([averaged, copy].map(one => one.forward(tensor([[2]])).item())).toEqual([6, 2]);
    copy.updateParameters();
    expect([copy.forward(tensor([[2]])).item(), copy.nAveraged.item()]).toEqual([6, 2]);
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(averaged.stateDict()));
  });

  it('keeps a moving average', () => {
    const model = line();
    const averaged = new AveragedModel(model, { avgFn: getEmaAvgFn(0.75) });
    for (const value of [4, 8, 0]) {
      model.weight.assign(tensor([[value]]));
      averaged.updateParameters();
    }
    // 4, then 0.75 * 4 + 0.25 * 8 = 5, then 0.75 * 5 = 3.75
    expect(averaged.stateDict()['module.weight']!.item()).toBe(3.75);
    expect(() => getEmaAvgFn(2)).toThrow('getEmaAvgFn: decay 2 came');
  });

  it('takes the weights of another model of the same kind', () => {
    const averaged = new AveragedModel(line());
    const other = line();
    other.weight.assign(tensor([[5]]));
    averaged.updateParameters(other);
    expect(averaged.forward(tensor([[1]])).item()).toBe(5);
    expect(() => averaged.updateParameters(new Sequential(line()) as never)).toThrow('the model has no "weight"');
  });

  it('follows a compiled step, and its state comes back', () => {
    manualSeed(2);
    const model = new Sequential(new Linear(2, 3), new Linear(3, 1));
    const averaged = new AveragedModel(model, { avgFn: getEmaAvgFn(0.5) });
    const sgd = new SGD(model.parameters(), { lr: 0.1 });
    const step = compile((x: Tensor) => {
      sgd.zeroGrad();
      const loss = model.forward(x).square().mean();
      loss.backward();
      sgd.step();
      averaged.updateParameters();
      return loss;
    });
    const plain: number[] = [];
    let expected = 0;
    for (let i = 0; i < 4; i++) {
      step(randn([4, 2]));
      const now = model.getParameter('1.bias').item();
      expected = i === 0 ? now : (expected + now) / 2;
      plain.push(now);
    }
    const key = 'module.1.bias';
    expect(averaged.stateDict()[key]!.item()).toBeCloseTo(expected, 6);
    expect(Object.keys(averaged.stateDict())).toEqual([
      'n_averaged',
      ...Object.keys(model.stateDict()).map(k => `module.${k}`),
    ]);
    const other = new AveragedModel(new Sequential(new Linear(2, 3), new Linear(3, 1)));
    other.loadStateDict(averaged.stateDict());
    expect(other.nAveraged.item()).toBe(4);
    const x = randn([3, 2]);
    expect(other.forward(x).toArray()).toEqual(averaged.forward(x).toArray());
  });

  it('buffers follow the model, or are averaged too', () => {
    for (const useBuffers of [false, true]) {
      const model = new BatchNorm1d(1);
      const averaged = new AveragedModel(model, { useBuffers });
      for (const value of [2, 4]) {
        model.runningMean!.assign(tensor([value]));
        averaged.updateParameters();
      }
      expect(averaged.stateDict()['module.running_mean']!.item()).toBe(useBuffers ? 3 : 4);
    }
  });
});

describe('updateBn', () => {
  const batches = [tensor([[1], [3]]), tensor([[5], [7]]), tensor([[9], [11]])];

  it('takes plain averages over all batches, and leaves modes and momentum as they were', () => {
    const model = new Sequential(new BatchNorm1d(1)).eval();
    const norm = model.getSubmodule('0') as unknown as BatchNorm1d;
    norm.runningMean!.assign(tensor([100]));
    updateBn(
      batches.map(batch => [batch, 'a label']),
      model,
    );
    expect([norm.runningMean!.item(), norm.runningVar!.item(), norm.numBatchesTracked!.item()]).toEqual([6, 2, 3]);
    expect([norm.momentum, norm.training]).toEqual([0.1, false]);
  });

  it('of an averaged model changes its own statistics only', () => {
    const model = new Sequential(new BatchNorm1d(1));
    const averaged = new AveragedModel(model);
    averaged.updateParameters();
    updateBn(batches, averaged);
    const state = averaged.stateDict();
    expect(state['module.0.running_mean']!.item()).toBe(6);
    expect(model.stateDict()['0.running_mean']!.item()).toBe(0);
    averaged.eval();
    expect(averaged.forward(tensor([[6]])).item()).toBeCloseTo(0, 6);
    expect(model.training).toBe(true);
  });
});
