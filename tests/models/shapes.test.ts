/**
 * The parameter names of the shared workloads. Evaluates nothing, so large models cost nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, test } from 'vitest';
import * as models from '../../src/models/index.ts';
import type { AnyModule } from '../../src/nn/index.ts';

const WORKLOADS: Readonly<Record<string, () => AnyModule>> = {
  mlp_train: () => new models.MLP(),
  lenet_train: () => new models.LeNet(),
  resnet18_cifar_train: () => models.resnet18Cifar(),
  gpt_nano_train: () => new models.GPT({ block: 64, layers: 4, heads: 4, d: 128 }),
  lstm_train: () => new models.LSTMNet(),
  mobilenetv2_infer_b1: () => new models.MobileNetV2(),
  resnet50_infer_b1: () => models.resnet50(),
  // One entry per field instead of 100,000: the tables' first sizes are left out of the comparison.
  deepfm_train: () => new models.DeepFM({ dense: 13, vocabularies: Array.from({ length: 26 }, () => 1) }),
  dlrm_train: () => new models.DLRM({ dense: 13, vocabularies: Array.from({ length: 26 }, () => 1) }),
};

interface Row {
  readonly name: string;
  readonly shape: readonly number[];
}

describe('parameter names of the shared workloads', () => {
  const shared = process.env['TENON_SHARED'] ?? path.resolve(import.meta.dirname, '../../../shared');
  const file = path.join(shared, 'peers/spec.json');
  if (!existsSync(file)) {
    test.skip(`skipped: ${file} is not there`, () => {});
    return;
  }
  const { workloads } = JSON.parse(readFileSync(file, 'utf8')) as { workloads: Record<string, { params: Row[] }> };
  it.each(Object.keys(WORKLOADS))('%s', name => {
    // The workload's MobileNetV2 has a bare classifier, torchvision's a dropout before it.
    const shapeOf = ({ name: key, shape }: Row): unknown => [
      key.replace('classifier.1.', 'classifier.'),
      key.startsWith('emb') ? shape.slice(1) : [...shape],
    ];
    const state = Object.entries(WORKLOADS[name]!().stateDict()).map(([key, { shape }]) => ({ name: key, shape }));
    const own = state.filter(row => !/running_|num_batches/.test(row.name)).map(shapeOf);
    const expected = workloads[name]!.params.filter(row => !/running_/.test(row.name)).map(shapeOf);
    expect(own).toEqual(expected);
  });
});
