/**
 * Whole programs as users write them, beside PyTorch 1.13, step by step, compiled and not; and one that is interrupted
 * and goes on to the same bits. Figures: python3 tests/support/torch_programs.py
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  arrayDataset,
  compose,
  DataLoader,
  MappedDataset,
  randomCrop,
  randomHorizontalFlip,
} from '../../src/data/index.ts';
import { loadSafetensors, saveSafetensors } from '../../src/formats/index.ts';
import {
  arange,
  autocast,
  compile,
  defaultGenerator,
  F,
  full,
  manualSeed,
  ones,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import * as nn from '../../src/nn/index.ts';
import * as optim from '../../src/optim/index.ts';
import { formula, setFormulaState } from '../support/formula.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const FIGURES = JSON.parse(readFileSync(new URL('../fixtures/programs.json', import.meta.url), 'utf8')) as Record<
  string,
  number[]
>;

/** `compile`, or what leaves a function as it is. */
type Compile = <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R;

function made<M extends nn.AnyModule>(model: M): M {
  model.to('f64');
  setFormulaState(model);
  return model;
}
const item = (x: Tensor): number => Number(x.item());

const PROGRAMS: Readonly<Record<string, (compiled: Compile) => number[]>> = {
  'transfer learning'(compiled) {
    const backbone = made(
      new nn.Sequential(
        new nn.Conv2d(3, 8, 3, { padding: 1, bias: false }),
        new nn.BatchNorm2d(8),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Conv2d(8, 16, 3, { stride: 2, padding: 1 }),
        new nn.BatchNorm2d(16),
        new nn.SiLU(),
        new nn.AdaptiveAvgPool2d(1),
        new nn.Flatten(),
      ),
    );
    const head = made(
      new nn.Sequential(new nn.Linear(16, 32), new nn.GELU(), new nn.LayerNorm(32), new nn.Linear(32, 5)),
    );
    const [x, y] = [formula(1, [6, 3, 14, 14], 1), arange(6).remainder(5).to('i64')];
    backbone.eval().requiresGrad_(false);
    const optimizer = new optim.AdamW(head.parameters(), { lr: 1e-2, weightDecay: 0.05 });
    const schedule = new optim.StepLR(optimizer, 3, { gamma: 0.5 });
    const step = compiled((images: Tensor, labels: Tensor) => {
      optimizer.zeroGrad();
      const loss = F.crossEntropy(head.forward(backbone.forward(images)), labels, { labelSmoothing: 0.1 });
      loss.backward();
      const norm = optim.clipGradNorm([...backbone.parameters(), ...head.parameters()], 0.5);
      optimizer.step();
      return [loss, norm] as const;
    });
    const seen: number[] = [];
    for (let i = 0; i < 10; i++) {
      if (i === 4) {
        backbone.train().requiresGrad_(true);
        optimizer.addParamGroup({ params: backbone.parameters(), lr: 1e-3, weightDecay: 0 });
      }
      seen.push(...step(x, y).map(item));
      schedule.step();
    }
    return [...seen, item(head.forward(backbone.eval().forward(x)).abs().sum())];
  },

  adversaries(compiled) {
    const generator = made(
      new nn.Sequential(
        new nn.Linear(8, 32),
        new nn.LeakyReLU({ negativeSlope: 0.2 }),
        new nn.BatchNorm1d(32),
        new nn.Linear(32, 4),
        new nn.Tanh(),
      ),
    );
    const critic = made(
      new nn.Sequential(new nn.Linear(4, 32), new nn.LeakyReLU({ negativeSlope: 0.2 }), new nn.Linear(32, 1)),
    );
    const generates = new optim.Adam(generator.parameters(), { lr: 2e-3, betas: [0.5, 0.999] });
    const judges = new optim.RMSprop(critic.parameters(), { lr: 2e-3, momentum: 0.5, centered: true });
    const lossOf = (x: Tensor, value: number): Tensor =>
      F.binaryCrossEntropyWithLogits(x, full(x.shape, value, { dtype: 'f64' }));
    const step = compiled((z: Tensor, real: Tensor) => {
      judges.zeroGrad();
      const fake = generator.forward(z);
      const judged = lossOf(critic.forward(real), 1).add(lossOf(critic.forward(fake.detach()), 0));
      judged.backward();
      judges.step();
      generates.zeroGrad();
      const fooled = lossOf(critic.forward(fake), 1);
      fooled.backward();
      generates.step();
      return [judged, fooled] as const;
    });
    const [noise, real] = [formula(1, [8, 16, 8], 2), formula(2, [8, 16, 4], 1).add(0.3)];
    return Array.from({ length: 8 }, (_, i) => step(noise.select(0, i), real.select(0, i)).map(item)).flat();
  },

  twins(compiled) {
    const encoder = made(new nn.Sequential(new nn.Linear(10, 24), new nn.ReLU(), new nn.Linear(24, 6)));
    const settings = { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 1e-3 };
    const sgd = new optim.SGD(encoder.parameters(), settings);
    const averaged = new optim.AveragedModel(encoder, { avgFn: optim.getEmaAvgFn(0.9) });
    const pass = compiled((anchor: Tensor, change: Tensor, other: Tensor) => {
      const [a, p, n] = [anchor, anchor.add(change), other].map(x => encoder.forward(x));
      const apart = F.tripletMarginLoss(a!, p!, n!, { margin: 0.7, swap: true }).div(4);
      const loss = apart.add(F.cosineEmbeddingLoss(a!, p!, ones([8], { dtype: 'f64' })).mul(0.1));
      loss.backward();
      return loss;
    });
    const [anchors, others, changes] = [1, 2, 3].map(seed => formula(seed, [6, 4, 8, 10], seed === 3 ? 0.5 : 1));
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      sgd.zeroGrad();
      let total = 0;
      for (let k = 0; k < 4; k++) {
        const of = (x: Tensor): Tensor => x.select(0, i).select(0, k);
        total += item(pass(of(anchors!), of(changes!), of(others!)));
      }
      optim.clipGradValue(encoder.parameters(), 0.05);
      sgd.step();
      averaged.updateParameters();
      seen.push(total);
    }
    return [...seen, item(averaged.forward(anchors!.select(0, 0).select(0, 0)).sum())];
  },

  'language model'(compiled) {
    class Model extends nn.Module {
      readonly embed = new nn.Embedding(20, 16, { paddingIdx: 0 });
      readonly layer = new nn.TransformerEncoderLayer(16, 4, {
        dimFeedforward: 32,
        dropout: 0,
        activation: 'gelu',
        batchFirst: true,
        normFirst: true,
      });
      readonly head = new nn.Linear(16, 20);

      constructor() {
        super();
        Object.assign(this.head, { weight: this.embed.weight });
      }

      forward(tokens: Tensor): Tensor {
        const mask = full([7, 7], Number.NEGATIVE_INFINITY, { dtype: 'f64' }).triu(1);
        return this.head.forward(
          this.layer.forward(this.embed.forward(tokens), { mask, srcKeyPaddingMask: tokens.eq(0) }),
        );
      }
    }
    const model = made(new Model());
    const { weight } = model.embed;
    weight.assign(weight.detach().mul(arange(20).ne(0).unsqueeze(1)));
    const adam = new optim.Adam(model.parameters(), { lr: 3e-3, amsgrad: true });
    const lengths = tensor([8, 5, 3, 7, 8]).unsqueeze(1);
    const tokens = arange(40).mul(7).remainder(19).add(1).reshape([5, 8]).mul(arange(8).lt(lengths)).to('i64');
    const step = compiled((ids: Tensor) => {
      adam.zeroGrad();
      const [logits, next] = [model.forward(ids.narrow(1, 0, 7)), ids.narrow(1, 1, 7)];
      const loss = F.crossEntropy(logits.reshape([-1, 20]), next.reshape([-1]), { ignoreIndex: 0 });
      loss.backward();
      adam.step();
      return loss;
    });
    return Array.from({ length: 6 }, () => item(step(tokens)));
  },
};

describe.each(Object.entries(PROGRAMS))('%s', (name, program) => {
  it.each<[string, Compile]>([
    ['compiled', compile],
    ['in a plain loop', fn => fn],
  ])('%s', (_, compiled) => {
    const seen = program(compiled);
    expect(seen).toHaveLength(FIGURES[name]!.length);
    for (const [i, x] of FIGURES[name]!.entries())
      expect(Math.abs(seen[i]! - x), `figure ${i}: ${seen[i]} instead of ${x}`).toBeLessThan(1e-8 * (1 + Math.abs(x)));
  });
});

/**
 * A classifier with everything that has a state of its own: dropout, statistics, f16 with its factor, a schedule, an
 * average, augmented batches in a drawn order.
 */
function classifier() {
  const pictures = Array.from({ length: 70 }, (_, i) => ({
    image: {
      channels: 1,
      height: 12,
      width: 12,
      data: Float32Array.from({ length: 144 }, (_, j) => Math.sin(i * 7 + j * (1 + (i % 3)))),
    },
    label: BigInt(i % 3),
  }));
  const augment = compose(randomCrop(10, 10, 1), randomHorizontalFlip());
  const samples = new MappedDataset(
    arrayDataset(pictures),
    ({ image, label }, random) => [augment(image, random), label] as const,
  );
  const model = new nn.Sequential(
    new nn.Conv2d(1, 8, 3),
    new nn.BatchNorm2d(8),
    new nn.ReLU(),
    new nn.Dropout(0.3),
    new nn.Flatten(),
    new nn.Linear(8 * 64, 3),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3 });
  const schedule = new optim.OneCycleLR(optimizer, { maxLr: 1e-2, totalSteps: 40 });
  const scaler = new optim.GradScaler({ growthInterval: 3, initScale: 2 ** 14 });
  const averaged = new optim.AveragedModel(model, { avgFn: optim.getEmaAvgFn(0.9) });
  const loader = new DataLoader(samples, { batchSize: 16, shuffle: true, seed: 3, dropLast: true });
  const step = compile((x: Tensor, y: Tensor) => {
    optimizer.zeroGrad();
    const loss = autocast({ dtype: 'f16' }, () => F.crossEntropy(model.forward(x), y));
    scaler.scale(loss).backward();
    scaler.unscale(optimizer);
    optim.clipGradNorm(model.parameters(), 1);
    scaler.step(optimizer);
    scaler.update();
    averaged.updateParameters();
    return loss;
  });
  /** Losses of so many steps, over as many epochs as they take. */
  const run = (steps: number): number[] => {
    const losses: number[] = [];
    for (;;)
      for (const [x, y] of loader) {
        losses.push(item(step(x, y)));
        schedule.step();
        if (losses.length < steps) continue;
        loader.loadState(loader.state());
        return losses;
      }
  };
  const bits = (): unknown[] => [model, averaged].map(m => Object.values(m.stateDict()).map(t => Array.from(t.data() as Float32Array))); // biome-ignore format: a list
  return { model, optimizer, schedule, scaler, averaged, loader, run, bits };
}

it('a loop by hand that was interrupted within an epoch goes on from its files to the same bits', () => {
  const folder = temporaryFolder().path;
  const file = (name: string): string => path.join(folder, `${name}.safetensors`);
  manualSeed(5);
  const first = classifier();
  first.run(7);
  const { tensors, ...settings } = first.optimizer.stateDict();
  saveSafetensors(file('model'), first.model.stateDict());
  saveSafetensors(file('average'), first.averaged.stateDict());
  saveSafetensors(file('optimizer'), tensors);
  const saved = JSON.stringify({
    settings,
    schedule: first.schedule.stateDict(),
    scaler: first.scaler.stateDict(),
    loader: first.loader.state(),
    generator: defaultGenerator.state(),
  });
  const losses = first.run(9);

  manualSeed(99);
  const second = classifier();
  const state = JSON.parse(saved);
  const read = (name: string): Readonly<Record<string, Tensor>> => loadSafetensors(file(name)).tensors;
  second.model.loadStateDict(read('model'));
  second.averaged.loadStateDict(read('average'));
  second.optimizer.loadStateDict({ ...state.settings, tensors: read('optimizer') });
  second.schedule.loadStateDict(state.schedule);
  second.scaler.loadStateDict(state.scaler);
  second.loader.loadState(state.loader);
  defaultGenerator.setState(state.generator);
  expect(second.run(9)).toEqual(losses);
  expect(second.bits()).toEqual(first.bits());
  expect(second.scaler.stateDict()).toEqual(first.scaler.stateDict());
});
