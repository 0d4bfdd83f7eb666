import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { tenon } from '../support/runTenon.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const quick = ['--model', 'lr', '--limit', '1200', '--epochs', '2'];

/** 60 rows whose label is 1 where x > 30 or the colour is red; the last column is noise. */
const rows = Array.from({ length: 60 }, (_, i) => {
  const colour = ['red', 'green', 'blue'][(i * 7) % 3]!;
  const x = (i * 37) % 60;
  return `${x > 30 || colour === 'red' ? 'yes' : 'no'};${x};${colour};${i % 11 === 0 ? '' : i % 5}`;
});

describe('train table', () => {
  test('on generated clicks: a run folder that eval and the end event agree on', async () => {
    const out = folder.file('clicks');
    const { code, events, stderr } = await tenon('train', 'table', ...quick, '--compare', 'fm', '--out', out, '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(events.map(e => e['event'])).toEqual(['start', 'epoch', 'epoch', 'end']);
    const end = events.at(-1)!;
    for (const name of ['test_auc', 'test_logloss', 'fm_test_auc', 'fm_test_logloss'])
      expect(end[name]).toBeTypeOf('number');
    const lines = readFileSync(`${out}/metrics.jsonl`, 'utf8').trimEnd().split('\n');
    expect(lines.map(line => JSON.parse(line).test_auc)).toEqual(events.slice(1, 3).map(e => e['test_auc']));
    expect(JSON.parse(readFileSync(`${out}/config.json`, 'utf8'))).toMatchObject({
      task: 'train table',
      options: { seed: 1, model: 'lr' },
    });
    const evaluated = await tenon('eval', out, '--json');
    expect(evaluated.events.at(-1)).toEqual({
      event: 'end',
      test_auc: end['test_auc'],
      test_logloss: end['test_logloss'],
    });
  });

  test('a file without a header, its own test file, and predictions', async () => {
    const data = folder.write('train.csv', rows.slice(0, 45).join('\n'));
    const held = folder.write('test.csv', rows.slice(45).join('\n'));
    const out = folder.file('colours');
    const args = [
      '--data',
      data,
      '--test',
      held,
      '--label',
      '0',
      '--ignore',
      '3',
      '--model',
      'lr',
      '--lr',
      '0.05',
      '--epochs',
      '60',
      '--batch',
      '15',
    ];
    const trained = await tenon('train', 'table', ...args, '--out', out, '--json');
    expect(trained.stderr).toBe('');
    expect(trained.events.at(-1)!['test_auc']).toBeGreaterThan(0.9);
    // Columns by index, an unseen colour and a missing number: all have a place.
    const asked = folder.write('ask.csv', 'no;59;red;1\nno;1;green;1\nno;;violet;1\n');
    const { events } = await tenon('predict', out, asked, '--json');
    const [sure, unlikely, unknown] = events
      .filter(e => e['event'] === 'prediction')
      .map(e => e['probability'] as number);
    expect(sure).toBeGreaterThan(0.8);
    expect(unlikely).toBeLessThan(0.4);
    expect(unknown).toBeGreaterThan(unlikely!);
  });

  test('wrong columns and labels are named', async () => {
    const data = folder.write('bad.csv', rows.join('\n'));
    const fails = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await tenon(
        'train',
        'table',
        '--data',
        data,
        '--out',
        folder.file(`bad${Math.random()}`),
        ...args,
      );
      expect(code).toBeGreaterThan(0);
      return stderr;
    };
    expect(await fails()).toContain('--label is needed');
    expect(await fails('--label', 'income')).toContain('no column "income"; its columns are 0, 1, 2, 3');
    expect(await fails('--label', '2')).toContain('has 3 values ("red", "green", "blue")');
    expect(await fails('--label', '2', '--positive', 'pink')).toContain('never holds "pink"');
    expect(await fails('--label', '0', '--test', folder.write('short.csv', '1;2\n'))).toContain('no column "2"');
  });

  testWithData('preset adult', 'recsys/adult', async () => {
    const out = folder.file('adult');
    const { code, events } = await tenon(
      'train',
      'table',
      '--preset',
      'adult',
      '--data',
      sharedData('recsys/adult'),
      ...quick,
      '--out',
      out,
      '--json',
    );
    expect(code).toBe(0);
    expect(events[0]).toMatchObject({ train: 1200, test: 1200 });
    const { events: evaluated } = await tenon(
      'eval',
      out,
      '--data',
      sharedData('recsys/adult/adult.test.gz'),
      '--json',
    );
    expect(evaluated.at(-1)!['test_auc']).toBeTypeOf('number');
    expect(evaluated.at(-1)).not.toEqual({ event: 'end', test_auc: events.at(-1)!['test_auc'] });
  });
});

describe('run folders', () => {
  test('the same seed gives the same bytes, another seed others', async () => {
    const bytes = async (name: string, seed: string): Promise<Buffer> => {
      await tenon('train', 'table', ...quick, '--seed', seed, '--out', folder.file(name));
      return readFileSync(folder.file(`${name}/model.safetensors`));
    };
    const first = await bytes('s1', '5');
    expect((await bytes('s2', '5')).equals(first)).toBe(true);
    expect((await bytes('s3', '6')).equals(first)).toBe(false);
  });

  test('a second run does not overwrite the first, and --resume holds to its settings', async () => {
    const out = folder.file('once');
    await tenon('train', 'table', ...quick, '--out', out);
    const again = await tenon('train', 'table', ...quick, '--out', out);
    expect([again.code, again.stderr]).toEqual([
      2,
      `tenon: ${out} already holds a run: add --resume to go on with it, or choose another --out\n`,
    ]);
    const other = await tenon('train', 'table', '--seed', '9', '--out', out, '--resume');
    expect([other.code, other.stderr]).toEqual([
      2,
      `tenon: --resume: --seed is 9, and the run in ${out} was started with 1\n`,
    ]);
    const task = await tenon('train', 'digits', '--out', out, '--resume');
    expect(task.stderr).toContain('holds a run of "train table", not of "train digits"');
    expect((await tenon('train', 'table', '--out', folder.file('none'), '--resume')).stderr).toContain('holds no run');
    const before = readFileSync(`${out}/model.safetensors`);
    const resumed = await tenon('train', 'table', '--out', out, '--resume', '--json');
    expect([resumed.code, resumed.events.map(e => e['event'])]).toEqual([0, ['start', 'end']]);
    expect(readFileSync(`${out}/model.safetensors`).equals(before)).toBe(true);
  });

  test('a loss that is not finite is named with its step', async () => {
    const out = folder.file('nan');
    const { code, stderr } = await tenon('train', 'table', ...quick, '--model', 'fm', '--lr', '1e30', '--out', out);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^tenon: fit: the loss is \S+ at step \d+ \(epoch 1, batch \d+\); try a lower learning rate[^\n]*\n$/,
    );
  });

  test('a model that is damaged or no model is named', async () => {
    const out = folder.file('broken');
    await tenon('train', 'table', ...quick, '--out', out);
    const weights = readFileSync(`${out}/model.safetensors`);
    writeFileSync(`${out}/model.safetensors`, weights.subarray(0, weights.length - 1));
    expect((await tenon('eval', out)).stderr).toContain(`${out}/model.safetensors: not a valid safetensors file`);
    writeFileSync(`${out}/model.json`, '{"format":"other"}');
    expect((await tenon('eval', out)).stderr).toBe(`tenon: ${out}/model.json does not describe a Tenon model\n`);
    writeFileSync(`${out}/model.json`, '{');
    expect((await tenon('eval', out)).stderr).toContain(`cannot read ${out}/model.json: it is not JSON`);
  });

  test.runIf(existsSync('/dev/full'))('a full disk is one sentence, and what was saved stays', async () => {
    const out = folder.file('full');
    mkdirSync(out);
    symlinkSync('/dev/full', `${out}/model.safetensors.${process.pid}.tmp`);
    const { code, stderr } = await tenon('train', 'table', ...quick, '--out', out);
    expect([code, stderr]).toEqual([1, `tenon: cannot write ${out}/model.safetensors: no space left on the disk\n`]);
    const resumed = await tenon('train', 'table', '--out', out, '--resume', '--json');
    expect([resumed.code, resumed.events.map(e => e['event'])]).toEqual([0, ['start', 'end']]);
  });
});
