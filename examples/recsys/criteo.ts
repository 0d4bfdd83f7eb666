/**
 * npm run example:recsys -- criteo --file train.txt
 *
 * Criteo's click log (45 million lines of the Kaggle contest, not part of ../shared): one pass of DeepFM over the file,
 * judged progressively, each batch before it is learnt from. Plain, gzip or zstd.
 */
import { manualSeed } from 'tenon';
import { StreamingAUC } from 'tenon/metrics';
import { BatchReader, buildModel, criteoFeatures, Features, SparseTrainer } from 'tenon/recsys';
import type { Finding } from './experiment.ts';

/** Examples between two lines of progress. */
const PROGRESS = 1_000_000;

export async function criteo(file: string): Promise<Finding[]> {
  manualSeed(1);
  const features = new Features(criteoFeatures());
  const reader = new BatchReader([file], { format: { type: 'criteo' }, features, batchSize: 1000 });
  const trainer = new SparseTrainer({ model: buildModel({ model: 'deepfm', dim: 10 }, features.schema) });
  const all = new StreamingAUC();
  let recent = new StreamingAUC();
  let seen = 0;
  let loss = 0;
  for await (const batch of reader) {
    const { predictions, loss: mean } = trainer.step(batch);
    const labels = batch.labels.subarray(0, batch.size);
    all.update(predictions, labels);
    recent.update(predictions, labels);
    loss += mean * batch.size;
    if (Math.floor(seen / PROGRESS) < Math.floor((seen + batch.size) / PROGRESS)) {
      console.log(
        `${seen + batch.size} examples, ${trainer.table.size} rows, AUC of the last million ${recent.compute().toFixed(4)}`,
      );
      recent = new StreamingAUC();
    }
    seen += batch.size;
  }
  const measured = { data: `Criteo, ${seen.toLocaleString('en')} lines`, model: 'DeepFM, one pass' };
  return [
    { ...measured, measure: 'progressive AUC', value: all.compute().toFixed(4) },
    { ...measured, measure: 'progressive log loss', value: (loss / seen).toFixed(4) },
  ];
}
