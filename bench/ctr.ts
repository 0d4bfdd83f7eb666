/**
 * node build/bench/ctr.js [--threads N] [--examples N] [--backend NAME] [--readers N] [--file F]
 *
 * CTR-DNN in PaddlePaddle's published shape (26 sparse slots x 10, 13 dense, 400-400-400-2, lazy Adam, batch 1000),
 * from Criteo-like text on disk to updated weights: reading, parsing, hashing, pull, forward, backward, push. Prints
 * one JSON line with examples a second.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { F, manualSeed, setBackend, setNumThreads, type Tensor } from 'tenon';
import { Tower } from 'tenon/models';
import { Linear } from 'tenon/nn';
import {
  BatchReader,
  type BatchSchema,
  criteoFeatures,
  Features,
  flatInput,
  type SparseBatch,
  type SparseInput,
  SparseModel,
  SparseTrainer,
} from 'tenon/recsys';
import { writeCriteoLines } from './criteoLines.ts';

class CtrDnn extends SparseModel {
  readonly tower: Tower;
  readonly out: Linear;

  constructor(schema: BatchSchema) {
    super(schema, { dim: 10, wide: false });
    this.tower = new Tower(26 * 10 + 13, [400, 400, 400]);
    this.out = new Linear(400, 2);
  }

  forward(input: SparseInput): Tensor {
    return this.out.call(this.tower.call(flatInput(input)));
  }

  override probabilities(output: Tensor): Tensor {
    return output.softmax(1).narrow(1, 1, 1);
  }

  override loss(output: Tensor, labels: Tensor, { weights }: SparseInput): Tensor {
    const losses = F.crossEntropy(output, labels.squeeze(1).to('i64'), { reduction: 'none' });
    return losses.mul(weights).sum().div(weights.sum());
  }
}

const options = new Command('ctr')
  .option('--threads <n>', 'compute threads', '2')
  .option('--readers <n>', 'reading threads', '1')
  .option('--examples <n>', 'examples', '200000')
  .option('--backend <name>', 'backend', 'x86')
  .option('--pipeline', 'pull, compute and push beside one another')
  .option('--autocast', 'products of the dense part in bf16')
  .option('--passes <n>', 'times the file is read; the last one is timed', '2')
  .option('--file <path>', 'Criteo lines to read; made when absent')
  .parse()
  .opts<{
    threads: string;
    readers: string;
    examples: string;
    backend: string;
    autocast?: boolean;
    pipeline?: boolean;
    passes: string;
    file?: string;
  }>();
setBackend(options.backend);
setNumThreads(Number(options.threads));
manualSeed(1);

const folder = mkdtempSync(path.join(tmpdir(), 'tenon-ctr-'));
try {
  const file = options.file ?? path.join(folder, 'lines.tsv');
  if (!existsSync(file)) writeCriteoLines(file, Number(options.examples));
  const features = new Features(criteoFeatures());
  const reader = new BatchReader([file], {
    format: { type: 'criteo' },
    features,
    batchSize: 1000,
    threads: Number(options.readers),
  });
  const trainer = new SparseTrainer({
    model: new CtrDnn(features.schema),
    table: { optimizer: { type: 'adam' } },
    autocast: options.autocast ? 'bf16' : undefined,
  });
  /** Examples a second of each pass: the first one creates the rows and compiles the program. */
  const speeds: number[] = [];
  let loss = 0;
  let examples = 0;
  for (let pass = 0; pass < Number(options.passes); pass++) {
    const start = performance.now();
    examples = 0;
    const counted = async function* (): AsyncGenerator<SparseBatch> {
      for await (const batch of reader) {
        examples += batch.size;
        yield batch;
      }
    };
    if (options.pipeline) for await (const result of trainer.train(counted())) ({ loss } = result);
    else for await (const batch of counted()) ({ loss } = trainer.step(batch));
    speeds.push(Math.round((examples / (performance.now() - start)) * 1000));
  }
  const { size } = trainer.table;
  console.log(
    JSON.stringify({
      bench: 'ctr_dnn',
      backend: options.backend,
      threads: Number(options.threads),
      autocast: options.autocast ?? false,
      pipeline: options.pipeline ?? false,
      examples,
      examples_per_s: speeds.at(-1),
      examples_per_s_by_pass: speeds,
      rows: size,
      loss,
    }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
