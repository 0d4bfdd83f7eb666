/**
 * The workloads' models under PyTorch's parameter names: those of tenon/models where the architecture is a published one, and the
 * benchmark's own small ones. `build` returns the model and its loss over a batch.
 */
import { cat, F, Tensor } from 'tenon';
import { GPT, LeNet, MobileNetV2, ResNet18Cifar, ResNet50 } from 'tenon/models';
import { Embedding, Linear, LSTM, Module } from 'tenon/nn';
import type { WorkloadSpec } from './spec.ts';

export type Batch = Readonly<Record<string, Tensor>>;

class MLP extends Module {
  fc1 = new Linear(784, 512);
  fc2 = new Linear(512, 512);
  fc3 = new Linear(512, 10);

  forward(x: Tensor): Tensor {
    return this.fc3.forward(this.fc2.forward(this.fc1.forward(x).relu()).relu());
  }
}

const FIELDS = 26;
const VOCAB = 100_000;
const WIDTH = 16;

/** Row of each id in the one table that all fields share. */
const fieldOffsets = (): Tensor => Tensor.from(Int32Array.from({ length: FIELDS }, (_, f) => f * VOCAB));

class DeepFM extends Module {
  emb = new Embedding(FIELDS * VOCAB, WIDTH);
  emb1 = new Embedding(FIELDS * VOCAB, 1);
  dense1 = new Linear(13, 1);
  fc1 = new Linear(FIELDS * WIDTH + 13, 400);
  fc2 = new Linear(400, 400);
  fc3 = new Linear(400, 400);
  out = new Linear(400, 1);

  forward(dense: Tensor, ids: Tensor): Tensor {
    const rows = ids.add(fieldOffsets());
    const v = this.emb.forward(rows);
    const first = this.dense1
      .forward(dense)
      .squeeze(1)
      .add(this.emb1.forward(rows).sum([1, 2]));
    const s = v.sum(1);
    const second = s.mul(s).sub(v.mul(v).sum(1)).sum(1).mul(0.5);
    let h = cat([v.flatten(1), dense], 1);
    for (const layer of [this.fc1, this.fc2, this.fc3]) h = layer.forward(h).relu();
    return first.add(second).add(this.out.forward(h).squeeze(1));
  }
}

/** Flat positions of the strictly lower triangle of [n, n], row by row. */
const lowerTriangle = (n: number): Int32Array<ArrayBuffer> => {
  const positions: number[] = [];
  for (let i = 1; i < n; i++) for (let j = 0; j < i; j++) positions.push(i * n + j);
  return Int32Array.from(positions);
};

class DLRM extends Module {
  emb = new Embedding(FIELDS * VOCAB, WIDTH);
  bot1 = new Linear(13, 512);
  bot2 = new Linear(512, 256);
  bot3 = new Linear(256, 64);
  bot4 = new Linear(64, WIDTH);
  top1 = new Linear(WIDTH + 351, 512);
  top2 = new Linear(512, 256);
  top3 = new Linear(256, 1);

  forward(dense: Tensor, ids: Tensor): Tensor {
    let x = dense;
    for (const layer of [this.bot1, this.bot2, this.bot3, this.bot4]) x = layer.forward(x).relu();
    const t = cat([x.unsqueeze(1), this.emb.forward(ids.add(fieldOffsets()))], 1);
    const pairs = t.matmul(t.transpose(1, 2)).flatten(1);
    const z = pairs.indexSelect(1, Tensor.from(lowerTriangle(FIELDS + 1)));
    const h = this.top2.forward(this.top1.forward(cat([x, z], 1)).relu()).relu();
    return this.top3.forward(h).squeeze(1);
  }
}

class LSTMNet extends Module {
  lstm = new LSTM(128, 256, { batchFirst: true });
  head = new Linear(256, 10);

  forward(x: Tensor): Tensor {
    const [output] = this.lstm.forward(x);
    return this.head.forward(output.select(1, -1));
  }
}

class Tiny extends Module {
  fc = new Linear(4, 4);

  forward(x: Tensor): Tensor {
    return this.fc.forward(x);
  }
}

const classifier = <M extends Module & { forward(x: Tensor): Tensor }>(model: M) => ({
  model,
  loss: (b: Batch) => F.crossEntropy(model.forward(b['x']!), b['y']!),
});

const clicks = <M extends Module & { forward(dense: Tensor, ids: Tensor): Tensor }>(model: M) => ({
  model,
  loss: (b: Batch) => F.binaryCrossEntropyWithLogits(model.forward(b['dense']!, b['ids']!), b['y']!),
});

export interface TrainedModel {
  readonly model: Module;
  readonly loss: (batch: Batch) => Tensor;
}

const gpt = (spec: WorkloadSpec): TrainedModel => {
  const { block, layers, heads, d, vocab } = spec.model;
  const model = new GPT({ blockSize: block, layers, heads, width: d, vocabSize: vocab });
  return {
    model,
    loss: b => {
      const tokens = b['tok']!;
      const inputs = tokens.narrow(1, 0, block);
      const targets = tokens.narrow(1, 1, block);
      return F.crossEntropy(model.forward(inputs).reshape([-1, vocab]), targets.reshape([-1]));
    },
  };
};

export function buildTraining(name: string, spec: WorkloadSpec): TrainedModel {
  switch (name) {
    case 'mlp_train':
      return classifier(new MLP());
    case 'lenet_train':
      return classifier(new LeNet());
    case 'resnet18_cifar_train':
      return classifier(new ResNet18Cifar());
    case 'gpt_nano_train':
    case 'gpt_small_train':
      return gpt(spec);
    case 'deepfm_train':
      return clicks(new DeepFM());
    case 'dlrm_train':
      return clicks(new DLRM());
    case 'lstm_train':
      return classifier(new LSTMNet());
    case 'tiny_step_overhead': {
      const model = new Tiny();
      return { model, loss: b => F.mseLoss(model.forward(b['x']!), b['y']!) };
    }
    default:
      throw new Error(`bench: no training workload is named ${name}`);
  }
}

export function buildInference(name: string): Module & { forward(x: Tensor): Tensor } {
  switch (name) {
    case 'mobilenetv2_infer_b1':
      return new MobileNetV2();
    case 'resnet50_infer_b1':
      return new ResNet50();
    default:
      throw new Error(`bench: no inference workload is named ${name}`);
  }
}

export function buildDecoder(spec: WorkloadSpec): GPT {
  const { block, layers, heads, d, vocab } = spec.model;
  return new GPT({ blockSize: block, layers, heads, width: d, vocabSize: vocab });
}
