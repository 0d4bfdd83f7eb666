/**
 * The training loop: it learns what a hand-written loop learns, to the bit; resumes to the bit; stops, logs and
 * complains as it says.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataLoader, TensorDataset } from '../../src/data/index.ts';
import { Accuracy } from '../../src/metrics/index.ts';
import * as nn from '../../src/nn/index.ts';
import { Adam, CosineAnnealingLR, clipGradNorm, ReduceLROnPlateau, SGD } from '../../src/optim/index.ts';
import { F, manualSeed, randn, type Tensor } from '../../src/tensor/index.ts';
import * as train from '../../src/train/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const newFolder = (): string => temporaryFolder().path;

/** 40 points in two classes, split by a line. */
function points(): TensorDataset {
  manualSeed(11);
  const x = randn([40, 2]);
  return new TensorDataset(x, x.sum(1).gt(0).to('i64'));
}

const loaderOf = (dataset = points()): DataLoader<readonly Tensor[], readonly Tensor[]> =>
  new DataLoader<readonly Tensor[], readonly Tensor[]>(dataset, { batchSize: 8, shuffle: true, seed: 5 });

/** A net with dropout and batch norm, so that random numbers and buffers matter. */
function net(): nn.Sequential {
  manualSeed(12);
  return new nn.Sequential(
    new nn.Linear(2, 8),
    new nn.BatchNorm1d(8),
    new nn.ReLU(),
    new nn.Dropout(0.2),
    new nn.Linear(8, 2),
  );
}

const weights = (model: nn.AnyModule): unknown[] =>
  Object.entries(model.stateDict()).map(([key, tensor]) => [key, Array.from(tensor.data() as Float32Array, Number)]);

const crossEntropy = (output: Tensor, target: Tensor): Tensor => F.crossEntropy(output, target);

describe('fit', () => {
  it('calls the model with its hooks', async () => {
    const model = net();
    let calls = 0;
    model.registerForwardHook(() => {
      calls++;
      return undefined;
    });
    const optimizer = new SGD(model.parameters(), { lr: 0.01 });
    await train.fit(model, loaderOf(), { loss: crossEntropy, optimizer, epochs: 2, compile: false });
    expect(calls).toBe(10);
  });

  it.each([true, false])('equals the loop written by hand, to the bit (compiled: %s)', async compile => {
    const model = net();
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const scheduler = new CosineAnnealingLR(optimizer, 3);
    await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer,
      scheduler,
      epochs: 3,
      compile,
      clipGradNorm: 1,
    });

    const twin = net();
    const twinOptimizer = new Adam(twin.parameters(), { lr: 0.01 });
    const twinScheduler = new CosineAnnealingLR(twinOptimizer, 3);
    const loader = loaderOf();
    for (let epoch = 0; epoch < 3; epoch++) {
      for (const [x, y] of loader) {
        twinOptimizer.zeroGrad();
        crossEntropy(twin.call(x!), y!).backward();
        clipGradNorm(twin.parameters(), 1);
        twinOptimizer.step();
      }
      twinScheduler.step();
    }
    expect(weights(model).length).toBe(9);
    expect(weights(twin).length).toBe(9);
    expect(weights(model)).toEqual(weights(twin));
  });

  it('learns, and reports losses and metrics of every epoch', async () => {
    const model = net();
    const { history, steps, stopped } = await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer: new Adam(model.parameters(), { lr: 0.03 }),
      epochs: 12,
      validation: loaderOf(),
      metrics: { accuracy: new Accuracy() },
    });
    expect([history.length, steps, stopped]).toEqual([12, 60, null]);
    expect(Object.keys(history[0]!.metrics)).toEqual(['train_loss', 'val_loss', 'val_accuracy']);
    expect(history.at(-1)!.metrics['val_accuracy']).toBeGreaterThan(0.9);
    expect(history.at(-1)!.metrics['val_loss']).toBeLessThan(history[0]!.metrics['val_loss']!);
  });

  it('drives several optimizers and a plateau schedule', async () => {
    const model = net();
    const [first, last] = [model.at(0)!, model.at(-1)!];
    const sgd = new SGD(first.parameters(), { lr: 0 });
    const adam = new Adam(last.parameters());
    const before = weights(first);
    await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer: [sgd, adam],
      scheduler: new ReduceLROnPlateau(adam, { patience: 0, threshold: 1e9 }),
      epochs: 3,
    });
    expect(weights(first)).toEqual(before);
    // The second and third epoch cannot improve by that threshold: 1e-3 * 0.1 * 0.1.
    expect(adam.lr).toBeCloseTo(1e-5, 12);
  });

  it('names the step of a loss that is not finite', async () => {
    const model = new nn.Linear(2, 2);
    const optimizer = new SGD(model.parameters(), { lr: 1e38 });
    const squares = (output: Tensor): Tensor => output.mul(output).mean();
    await expect(train.fit(model, loaderOf(), { loss: squares, optimizer, epochs: 2 })).rejects.toThrow(
      /^fit: the loss is (NaN|Infinity) at step 2 \(epoch 1, batch 2\)/,
    );
  });

  it('says how batches must look', async () => {
    const model = new nn.Linear(2, 2);
    const optimizer = new SGD(model.parameters(), { lr: 1 });
    const loader = [{ x: randn([4, 2]) }];
    await expect(train.fit(model, loader, { loss: crossEntropy, optimizer, epochs: 1 })).rejects.toThrow(
      'fit: batches are not arrays [input, target] of tensors; say with the option `forward` how to read them',
    );
    await expect(train.fit(model, [], { loss: crossEntropy, optimizer, epochs: 1 })).rejects.toThrow(
      'fit: the loader gave no batches',
    );
  });
});

describe('early stopping', () => {
  it('waits as long as it is told, and gives the best weights back', async () => {
    const model = new nn.Linear(2, 2);
    // Steps that overshoot: the loss only grows after the first epoch.
    const optimizer = new SGD(model.parameters(), { lr: 0.01 });
    const stopping = new train.EarlyStopping({ patience: 2, restoreBest: true });
    const seen: unknown[] = [];
    const grow: train.Callback = {
      name: 'grow',
      onEpoch() {
        seen.push(weights(model));
        optimizer.lr = 50;
      },
    };
    const result = await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer,
      epochs: 50,
      validation: loaderOf(),
      callbacks: [stopping, grow],
    });
    const best = stopping.best!.epoch;
    expect(result.history.length).toBe(best + 2);
    expect(result.stopped).toBe(`val_loss has not improved since epoch ${best}`);
    expect(weights(model)).toEqual(seen[best - 1]);
  });

  it('leaves an interrupted run the weights it had', async () => {
    const model = new nn.Linear(2, 2);
    const optimizer = new SGD(model.parameters(), { lr: 0.01 });
    const abort = new AbortController();
    let last: unknown;
    const interrupt: train.Callback = {
      name: 'interrupt',
      onEpoch: () => {
        optimizer.lr = 50;
      },
      onStep: (_, { step }) => {
        if (step !== 8) return;
        last = weights(model);
        abort.abort();
      },
    };
    const callbacks = [new train.EarlyStopping({ restoreBest: true }), interrupt];
    const { stopped } = await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer,
      epochs: 50,
      callbacks,
      signal: abort.signal,
    });
    expect(stopped).toBe('interrupted');
    expect(weights(model)).toEqual(last);
  });

  it('names the metrics there are', async () => {
    const model = new nn.Linear(2, 2);
    const options = { loss: crossEntropy, optimizer: new SGD(model.parameters(), { lr: 0 }), epochs: 1 };
    const callbacks = [new train.EarlyStopping({ monitor: 'val_auc' })];
    await expect(train.fit(model, loaderOf(), { ...options, callbacks })).rejects.toThrow(
      'EarlyStopping: there is no metric "val_auc"; the run has train_loss',
    );
  });
});

/** A run of `epochs` epochs that is interrupted after `stopAt` steps, or not. */
async function checkpointed(folder: string, { stopAt = Number.POSITIVE_INFINITY, resume = false, epochs = 3 }) {
  const model = net();
  const optimizer = new Adam(model.parameters(), { lr: 0.01 });
  const notices: string[] = [];
  const abort = new AbortController();
  const stopper: train.Callback = {
    name: 'stopper',
    onStep: (_, { step }) => {
      if (step === stopAt) abort.abort();
    },
  };
  const stopping = new train.EarlyStopping({ patience: 100, restoreBest: true });
  const checkpoint = new train.Checkpoint({ folder, resume, everySteps: 2, onNotice: notice => notices.push(notice) });
  const result = await train.fit(model, loaderOf(), {
    loss: crossEntropy,
    optimizer,
    scheduler: new CosineAnnealingLR(optimizer, 15),
    scheduleBy: 'step',
    epochs,
    validation: loaderOf(),
    callbacks: [stopper, checkpoint, stopping, new train.CsvLog(path.join(folder, 'log.csv'))],
    signal: abort.signal,
  });
  const metrics = result.history.map(({ epoch, step, metrics: values }) => ({ epoch, step, ...values }));
  return { weights: weights(model), lr: optimizer.lr, metrics, notices, stopped: result.stopped, best: stopping.best };
}

const checkpoints = (folder: string): string[] => readdirSync(folder).filter(name => name.startsWith('checkpoint'));

describe('checkpoints', () => {
  it.each([1, 4, 5, 7, 10, 14])('a run interrupted after step %i resumes to the same bits', async stopAt => {
    const [whole, parts] = [newFolder(), newFolder()];
    const expected = await checkpointed(whole, {});
    const interrupted = await checkpointed(parts, { stopAt });
    expect(interrupted.stopped).toBe('interrupted');
    // The process that resumes has drawn other random numbers before.
    randn([17]).data();
    const resumed = await checkpointed(parts, { resume: true });
    expect(resumed.notices).toEqual([`resumed from ${parts}/checkpoint-${stopAt}.safetensors at step ${stopAt}`]);
    expect(resumed.weights).toEqual(expected.weights);
    expect([resumed.lr, resumed.metrics, resumed.best]).toEqual([expected.lr, expected.metrics, expected.best]);
    const column = (folder: string): (string | undefined)[] =>
      readFileSync(path.join(folder, 'log.csv'), 'utf8')
        .trim()
        .split('\n')
        .map(line => line.split(',')[0]);
    expect(column(parts)).toEqual(['epoch', '1', '2', '3']);
    expect(column(whole)).toEqual(column(parts));
  });

  it('a killed run resumes from its last checkpoint', async () => {
    const [whole, parts] = [newFolder(), newFolder()];
    const expected = await checkpointed(whole, {});
    await checkpointed(parts, { stopAt: 9 });
    // As after kill -9 between steps 8 and 9: what was written on the way out is not there.
    writeFileSync(path.join(parts, 'checkpoint-9.safetensors'), 'half a fi');
    const resumed = await checkpointed(parts, { resume: true });
    expect(resumed.notices).toEqual([
      expect.stringContaining(`checkpoint refused: ${parts}/checkpoint-9.safetensors`),
      `resumed from ${parts}/checkpoint-8.safetensors at step 8`,
    ]);
    expect(resumed.weights).toEqual(expected.weights);
  });

  it('any damaged byte is noticed', async () => {
    const folder = newFolder();
    await checkpointed(folder, { epochs: 1 });
    const file = path.join(folder, checkpoints(folder)[0]!);
    const bytes = readFileSync(file);
    for (const at of [12, Math.floor(bytes.length / 2), bytes.length - 3]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x10;
      writeFileSync(file, damaged);
      expect(() => train.readCheckpoint(file), `byte ${at}`).toThrow(path.basename(file));
    }
    writeFileSync(file, bytes);
    expect(Object.keys(train.readCheckpoint(file).tensors)).toContain('model.0.weight');
  });

  it('keeps the newest two and the best', async () => {
    const folder = newFolder();
    const { best } = await checkpointed(folder, {});
    expect(checkpoints(folder).sort()).toEqual(['checkpoint-14.safetensors', 'checkpoint-15.safetensors']);
    const kept = train.readCheckpoint(path.join(folder, 'best.safetensors')).state as { position: train.Position };
    expect(kept.position.epoch).toBe(best!.epoch);
  });

  it('refuses a folder of another run, and folders where nothing can be read', async () => {
    const folder = newFolder();
    await checkpointed(folder, { epochs: 1 });
    await expect(checkpointed(folder, {})).rejects.toThrow(
      'holds checkpoints of an earlier run: resume it, or choose another folder',
    );
    for (const name of checkpoints(folder)) writeFileSync(path.join(folder, name), '');
    await expect(checkpointed(folder, { resume: true })).rejects.toThrow('can be read');
  });

  it('a resume without any checkpoint starts from the beginning', async () => {
    const { metrics, notices } = await checkpointed(newFolder(), { resume: true, epochs: 1 });
    expect([metrics.length, notices]).toEqual([1, []]);
  });
});

describe('progress', () => {
  const lines = async (isTTY: boolean): Promise<string> => {
    let text = '';
    const stream = { isTTY, columns: 100, write: (part: string) => (text += part) };
    const model = net();
    const options = { loss: crossEntropy, optimizer: new Adam(model.parameters()), epochs: 2 };
    await train.fit(model, loaderOf(), { ...options, callbacks: [new train.ProgressBar(stream)] });
    return text;
  };

  it('is one line per epoch where there is no terminal', async () => {
    const text = await lines(false);
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^epoch 1\/2 {2}train_loss 0\.\d+ {2}[\d.]+\/s {2}0:0\d$/),
      expect.stringMatching(/^epoch 2\/2 /),
      '',
    ]);
  });

  it('is a bar with time left on a terminal', async () => {
    const text = await lines(true);
    expect(text.startsWith('\r\x1b[K')).toBe(true);
    expect(text).toMatch(/epoch 1\/2 \[=*>? *\] \d\/5 loss \d/);
    expect(text).toContain('left');
  });

  it('clocks are minutes and seconds', () => {
    expect([0, 75, 3700].map(train.clock)).toEqual(['0:00', '1:15', '1:01:40']);
  });
});

describe('a long synchronous run', () => {
  it('lets timers in, so that it can be aborted from outside', async () => {
    const model = new nn.Linear(2, 2);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    const { stopped } = await train.fit(model, loaderOf(), {
      loss: crossEntropy,
      optimizer: new SGD(model.parameters(), { lr: 0.01 }),
      epochs: 1_000_000,
      signal: abort.signal,
    });
    expect(stopped).toBe('interrupted');
  });
});
