/**
 * What the training commands must reach on real data with their own defaults. The text model needs minutes and is
 * measured by hand: `tenon train text --data ../shared/data/text/tinyshakespeare.txt` ended at a validation loss of
 * 1.909 after 237 s on two shared cores.
 */
import { expect, test } from 'vitest';
import { tenon } from '../support/runTenon.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

testWithData(
  'digits: at least 98.0 % of MNIST after five epochs on 10,000 images',
  'mnist',
  async () => {
    const { events } = await tenon(
      'train',
      'digits',
      '--data',
      sharedData('mnist'),
      '--epochs',
      '5',
      '--seed',
      '1',
      '--out',
      folder.file('digits'),
      '--json',
    );
    expect(events.at(-1)!['test_accuracy']).toBeGreaterThanOrEqual(0.98);
  },
  300_000,
);

testWithData(
  'table: DeepFM on Adult reaches a test AUC of 0.910 and more than logistic regression in the same run',
  'recsys/adult',
  async () => {
    const { events } = await tenon(
      'train',
      'table',
      '--preset',
      'adult',
      '--data',
      sharedData('recsys/adult'),
      '--compare',
      'lr',
      '--out',
      folder.file('adult'),
      '--json',
    );
    const { test_auc, lr_test_auc } = events.at(-1)! as Record<string, number>;
    expect(test_auc).toBeGreaterThanOrEqual(0.91);
    expect(test_auc).toBeGreaterThan(lr_test_auc!);
    // The yardstick of scikit-learn's logistic regression is 0.9056.
    expect(lr_test_auc).toBeGreaterThan(0.9);
  },
  300_000,
);

test('table: on generated clicks, factorisation pays and nothing passes the teacher', {
  timeout: 300_000,
}, async () => {
  const { events } = await tenon('train', 'table', '--compare', 'lr', '--out', folder.file('clicks'), '--json');
  const { test_auc, lr_test_auc } = events.at(-1)! as Record<string, number>;
  expect(test_auc).toBeGreaterThan(lr_test_auc! + 0.04);
  expect(test_auc).toBeLessThan((events[0]!['teacher_auc'] as number) + 0.01);
});
