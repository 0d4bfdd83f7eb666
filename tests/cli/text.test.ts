import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tenon } from '../support/runTenon.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

test('train text, eval, sample', async () => {
  const data = folder.write('abc.txt', 'abcdefgh'.repeat(120));
  const out = folder.file('run');
  const shape = ['--block', '8', '--layers', '1', '--heads', '2', '--width', '16', '--batch', '8', '--lr', '0.03'];
  const trained = await tenon(
    'train',
    'text',
    '--data',
    data,
    ...shape,
    '--steps',
    '40',
    '--sample',
    '4',
    '--out',
    out,
    '--json',
  );
  expect([trained.code, trained.stderr]).toEqual([0, '']);
  const end = trained.events.at(-1)!;
  // The text repeats: what follows is certain, against ln 8 = 2.08 for guessing.
  expect(end['val_loss']).toBeLessThan(0.5);
  expect(trained.events[0]).toMatchObject({ characters: 8 });
  expect(JSON.parse(readFileSync(`${out}/model.json`, 'utf8')).characters).toEqual([...'abcdefgh']);
  const evaluated = await tenon('eval', out, '--json');
  expect(evaluated.events.at(-1)!['val_loss']).toBe(end['val_loss']);

  const sampled = await tenon('sample', out, '--prompt', 'abc', '--tokens', '12', '--temperature', '0', '--json');
  expect(sampled.events.at(-1)).toEqual({ event: 'end', prompt: 'abc', text: 'defghabcdefg' });
  const same = await tenon('sample', out, '--prompt', 'h', '--tokens', '9', '--seed', '3', '--json');
  expect((await tenon('sample', out, '--prompt', 'h', '--tokens', '9', '--seed', '3', '--json')).stdout).toBe(
    same.stdout,
  );
  const refused = await tenon('sample', out, '--prompt', 'xyz');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    'tenon: character "x" is not among the 8 that the model was trained on\n',
  ]);
  expect((await tenon('predict', out, data)).stderr).toContain('use `tenon sample`');
});

test('texts that cannot be used are named', async () => {
  const short = folder.write('short.txt', 'ab');
  const { code, stderr } = await tenon('train', 'text', '--data', short, '--out', folder.file('short'));
  expect([code, stderr]).toEqual([1, expect.stringContaining('expected at least 65 each for --block 64')]);
  const heads = await tenon('train', 'text', '--data', short, '--heads', '3', '--out', folder.file('heads'));
  expect(heads.stderr).toContain('128 features do not split into 3 heads');
});
