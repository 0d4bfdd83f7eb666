/**
 * The workloads' models (those of tenon/models, whose parameters have PyTorch's names) and their losses over a batch.
 */
import { F, type Tensor } from 'tenon';
import { DeepFM, DLRM, GPT, LeNet, LSTMNet, MLP, MobileNetV2, resnet18Cifar, resnet50 } from 'tenon/models';
import { type AnyModule, Linear, Module } from 'tenon/nn';
import type { WorkloadSpec } from './spec.ts';

export type Batch = Readonly<Record<string, Tensor>>;

class Tiny extends Module {
  readonly fc = new Linear(4, 4);

  forward(x: Tensor): Tensor {
    return this.fc.call(x);
  }
}

/** 26 fields of 100,000 ids and 13 numbers. */
const CLICK_TABLE = { dense: 13, vocabularies: Array.from({ length: 26 }, () => 100_000), embedding: 16 };

export interface TrainedModel {
  readonly model: AnyModule;
  readonly loss: (batch: Batch) => Tensor;
}

const classifier = (model: Module): TrainedModel => ({
  model,
  loss: b => F.crossEntropy(model.call(b['x']!), b['y']!),
});

const clicks = (model: Module<[dense: Tensor, ids: Tensor]>): TrainedModel => ({
  model,
  loss: b => F.binaryCrossEntropyWithLogits(model.call(b['dense']!, b['ids']!), b['y']!),
});

export function buildTraining(name: string, spec: WorkloadSpec): TrainedModel {
  switch (name) {
    case 'mlp_train':
      return classifier(new MLP());
    case 'lenet_train':
      return classifier(new LeNet());
    case 'resnet18_cifar_train':
      return classifier(resnet18Cifar());
    case 'gpt_nano_train':
    case 'gpt_small_train': {
      const model = new GPT(spec.model);
      return { model, loss: b => model.loss(b['tok']!) };
    }
    case 'deepfm_train':
      return clicks(new DeepFM(CLICK_TABLE));
    case 'dlrm_train':
      return clicks(new DLRM(CLICK_TABLE));
    case 'lstm_train':
      return classifier(new LSTMNet());
    case 'tiny_step_overhead': {
      const model = new Tiny();
      return { model, loss: b => F.mseLoss(model.call(b['x']!), b['y']!) };
    }
    default:
      throw new Error(`bench: no training workload is named ${name}`);
  }
}

export function buildInference(name: string): Module {
  switch (name) {
    case 'mobilenetv2_infer_b1':
      return new MobileNetV2();
    case 'resnet50_infer_b1':
    case 'resnet50_int8_infer_b1':
      return resnet50();
    default:
      throw new Error(`bench: no inference workload is named ${name}`);
  }
}
