/**
 * GradScaler: the factor's way, steps that are left out, and that a step with it is the step without it.
 */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { autocast, compile, F, manualSeed, Parameter, randn, Tensor, tensor } from '../../src/index.ts';
import { Linear } from '../../src/nn/index.ts';
import { Adam, clipGradNorm, GradScaler, SGD } from '../../src/optim/index.ts';

describe('GradScaler', () => {
  it('leaves parameters and optimizer state alone when a gradient overflows, and halves the factor', () => {
    const p = new Parameter(tensor([1, 2]));
    const optimizer = new Adam([p], { lr: 0.1 });
    const scaler = new GradScaler({ initScale: 8, growthInterval: 2 });
    const step = (factor: number): void => {
      optimizer.zeroGrad();
      scaler.scale(p.mul(factor).sum()).backward();
      scaler.step(optimizer);
      scaler.update();
    };
    step(Number.POSITIVE_INFINITY);
    expect(scaler.getScale()).toBe(4);
    expect(p.toArray()).toEqual([1, 2]);
    expect(Object.values(optimizer.stateDict().tensors).map(t => [...t.data()].every(x => Number(x) === 0))).toEqual([
      true,
      true,
      true,
    ]);
    step(1);
    expect(scaler.stateDict()).toEqual({ scale: 4, growthTracker: 1 });
    // The first step of Adam goes lr along the sign.
    for (const [i, x] of (p.toArray() as number[]).entries()) expect(x).toBeCloseTo(i + 0.9, 6);
    step(1);
    expect(scaler.stateDict()).toEqual({ scale: 8, growthTracker: 0 });
  });

  it.each([true, false])('steps as the optimizer does alone, compiled: %s', compiled => {
    const run = (scaled: boolean): number[] => {
      manualSeed(3);
      const model = new Linear(5, 3);
      const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
      const scaler = new GradScaler({ initScale: 1024, enabled: scaled });
      const [x, y] = [randn([8, 5]), Tensor.from(BigInt64Array.from({ length: 8 }, (_, i) => BigInt(i % 3)))];
      const body = (): Tensor => {
        optimizer.zeroGrad();
        const loss = F.crossEntropy(model.forward(x), y);
        scaler.scale(loss).backward();
        scaler.unscale(optimizer);
        clipGradNorm(model.parameters(), 0.5);
        scaler.step(optimizer);
        scaler.update();
        return loss;
      };
      const step = compiled ? compile(body) : body;
      return Array.from({ length: 5 }, () => Number(step().item()));
    };
    const [with_, without] = [run(true), run(false)];
    for (const [i, loss] of with_.entries()) expect(loss).toBeCloseTo(without[i]!, 6);
  });

  it('does not grow beyond f32, which nothing would bring back', () => {
    const p = new Parameter(tensor([1]));
    const optimizer = new SGD([p], { lr: 0 });
    const scaler = new GradScaler({ initScale: 2 ** 120, growthFactor: 16, growthInterval: 1 });
    for (let i = 0; i < 5; i++) {
      optimizer.zeroGrad();
      scaler.scale(p.mul(0).sum()).backward();
      scaler.step(optimizer);
      scaler.update();
    }
    // As torch's kernel amp_update_scale does: the factor stays, and counting begins again.
    expect(scaler.stateDict()).toEqual({ scale: 2 ** 124, growthTracker: 0 });
  });

  it('keeps small f16 gradients from vanishing', () => {
    const gradient = (scaler: GradScaler): number => {
      const p = new Parameter(tensor([[1]]));
      // 2e-8 is below half of the smallest f16.
      const loss = autocast({ dtype: 'f16' }, () => tensor([[1]]).matmul(p))
        .to('f32')
        .mul(2e-8)
        .sum();
      scaler.scale(loss).backward();
      scaler.unscale(new SGD([p], { lr: 1 }));
      return Number(p.grad!.item());
    };
    expect(gradient(new GradScaler())).toBeCloseTo(2e-8, 10);
    expect(gradient(new GradScaler({ initScale: 1 }))).toBe(0);
  });

  it('says what is wrong', () => {
    const p = new Parameter(tensor([1]));
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new GradScaler();
    expect(() => scaler.update()).toThrow('nothing was stepped');
    expect(() => scaler.step(optimizer)).toThrow('no gradients');
    scaler.scale(p.sum()).backward();
    scaler.unscale(optimizer);
    expect(() => scaler.unscale(optimizer)).toThrow('have been unscaled');
    expect(() => new GradScaler({ growthFactor: 1 })).toThrow('growthFactor 1 came');
  });
});
