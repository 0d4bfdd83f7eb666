/**
 * The streaming loop on folders: what it writes, what it publishes, what it refuses, and that it can be stopped
 * anywhere.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { manualSeed } from '../../../src/index.ts';
import { AUC } from '../../../src/metrics/index.ts';
import {
  DirectorySource,
  Features,
  learnerOf,
  PublishedModel,
  readDone,
  type SparseBatch,
  type StreamEvent,
  type StreamOptions,
  streamTrain,
} from '../../../src/recsys/index.ts';
import { clickConfig, clickLines, writeClickLog } from '../../support/clickLog.ts';
import { finalBits, metricsOf, startStream, startStreamUntil } from '../../support/streamRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const DAYS = ['20260101', '20260102'];
const TIMES = ['0000', '0800', '1600'];
const logs = folder.file('logs');
writeClickLog(logs, DAYS, TIMES, 1000);
const config = folder.write('stream.json', JSON.stringify(clickConfig));

interface Asked extends Partial<StreamOptions> {
  readonly data?: string;
  readonly perPass?: number;
}

async function train(out: string, { data = logs, perPass, ...options }: Asked = {}) {
  manualSeed(1);
  const features = new Features(clickConfig.features);
  const learner = learnerOf(clickConfig, features);
  const events: StreamEvent[] = [];
  mkdirSync(folder.file(out), { recursive: true });
  const result = await streamTrain({
    learner,
    source: new DirectorySource({ folder: data, perPass, poll: 20 }),
    reading: { format: clickConfig.format, features, batchSize: 100, threads: 0 },
    seed: 1,
    folder: folder.file(out),
    card: clickConfig,
    onEvent: event => events.push(event),
    ...options,
  });
  return { learner, features, events, result, out: folder.file(out) };
}

describe('a run over two days', () => {
  it('of several tasks reports every one', async () => {
    const { labels = [] } = clickConfig.features;
    const column = labels[0] as string | { readonly name: string; readonly from?: string };
    const from = typeof column === 'string' ? column : (column.from ?? column.name);
    const features = new Features({ ...clickConfig.features, labels: [column, { name: 'again', from }] as never });
    const config = { ...clickConfig, model: { model: 'mmoe', dim: 4 } } as const;
    const { events, result } = await train('tasks', {
      learner: learnerOf(config, features),
      reading: { format: clickConfig.format, features, batchSize: 100, threads: 0 },
      maxPasses: 2,
    });
    const pass = events.find(event => event.event === 'pass')!;
    expect(Object.keys(pass.tasks!)).toEqual(features.schema.labels);
    const [first, second] = Object.values(pass.tasks!) as [typeof pass, typeof pass];
    expect(pass).toMatchObject({ auc: first.auc, logLoss: first.logLoss });
    // The same label, learned by another tower.
    expect([second.ctr, second.examples]).toEqual([first.ctr, first.examples]);
    expect(second.logLoss).not.toBe(first.logLoss);
    expect(result.passes).toBe(2);
  });

  it('of one of several labels, some not known, is measured by the examples that have it', async () => {
    const data = folder.file('labelled');
    const file = path.join(data, '20260101', '0000', 'part-0.txt');
    mkdirSync(path.dirname(file), { recursive: true });
    // Without `click` in every fifth line; `buy` in those that were clicked.
    const lines = clickLines(500).map((line, i) => {
      const label = line.startsWith('1') ? `0.5:buy ${line}` : line;
      return i % 5 === 0 ? label.replace(/\d:click /, '') : label;
    });
    writeFileSync(file, `${lines.join('\n')}\n`);
    writeFileSync(path.join(path.dirname(file), '_SUCCESS'), '');
    const unknown = (name: string) => ({ name, missing: 'unknown' }) as const;
    for (const validate of ['pass', 'progressive'] as const) {
      for (const model of ['deepfm', 'esmm'] as const) {
        const spec = { ...clickConfig.features, labels: [unknown('click'), unknown('buy')] };
        const features = new Features(spec);
        const { events } = await train(`labelled-${model}-${validate}`, {
          data,
          validate,
          learner: learnerOf({ model: { model, dim: 4, hidden: [8] } }, features),
          reading: { format: clickConfig.format, features, batchSize: 100, threads: 0 },
        });
        const day = events.find(event => event.event === 'day')!;
        expect(day.examples).toBe(400);
        expect(day.importance.map(({ name }) => name).sort()).toEqual(['item', 'q', 'user']);
        for (const { auc } of day.importance) expect(auc).toBeGreaterThan(0);
        expect(day.tasks?.['buy']?.ctr).toBe(model === 'esmm' ? 0.5 : undefined);
      }
    }
  });

  it('measures each pass before it learns from it, writes done-files, publishes what a server can load', async () => {
    const { learner, features, events, result, out } = await train('whole');
    expect(events.map(({ event, ...of }) => [event, of.day, 'pass' in of ? of.pass : ''].join(' '))).toEqual([
      ...DAYS.flatMap(day => [
        ...TIMES.flatMap(time => ['pass', 'delta', 'checkpoint'].map(event => `${event} ${day} ${time}`)),
        `day ${day} `,
      ]),
      'checkpoint 20260102 end',
    ]);
    expect([result.passes, result.total]).toEqual([6, 6000]);
    const passes = events.filter(event => event.event === 'pass');
    expect(passes.map(({ number, total, lines, bad }) => [number, total, lines, bad])).toEqual(
      [1, 2, 3, 4, 5, 6].map(i => [i, 1000 * i, 1000, 0]),
    );
    // An untrained model knows nothing, a trained one something.
    expect(passes[0]!.auc).toBeLessThan(0.58);
    expect(passes[5]!.auc).toBeGreaterThan(passes[0]!.auc + 0.05);

    // The last checkpoint is the learner.
    const [line] = readDone(path.join(out, 'checkpoint.done')).slice(-1);
    expect(line).toMatchObject({ day: '20260102', pass: 'end', path: 'checkpoints/20260102-end' });
    expect(existsSync(path.join(out, 'checkpoints/20260101-0000'))).toBe(false);

    // The published base answers as the learner does: rows worth serving as they are, others not at all.
    const published = new PublishedModel(path.join(out, 'publish'));
    expect(published.version).toEqual({ day: '20260102', pass: 'end' });
    const records = [1, 2, 3, 4, 5].map(i => ({ user: 2n ** 60n + BigInt(i), item: i, q: i / 10 }));
    const want = learner.predict(features.extractAll(records));
    published.predict(records).forEach((p, i) => {
      expect(p).toBeCloseTo(want[i]!, 6);
    });
    const day = events.findLast(event => event.event === 'day')!;
    expect(day.importance.map(({ name }) => name).sort()).toEqual(['item', 'q', 'user']);
    expect(metricsOf(out)).toHaveLength(8);
  });

  it('deltas bring a server that has the base to where training is', async () => {
    const { learner, features, out } = await train('deltas', { maxPasses: 5 });
    const published = new PublishedModel(path.join(out, 'publish'));
    expect(published.version).toEqual({ day: '20260102', pass: '0800' });
    const batch = features.extractAll(
      clickLines(500, 5000).map(line => Object.fromEntries(line.split(' ').map(pair => pair.split(':').reverse()))),
    );
    const auc = (p: Float32Array): number =>
      new AUC()
        .update(
          p,
          clickLines(500, 5000).map(line => Number(line[0])),
        )
        .compute();
    expect(auc(published.predictBatch(batch))).toBeCloseTo(auc(learner.predict(batch)), 1);
    expect(published.update()).toBe(false);
    await train('deltas', { maxPasses: 1, resume: true });
    expect(published.update()).toBe(true);
    expect(published.version).toEqual({ day: '20260102', pass: '1600' });
  });

  it('retrieval learns from data without labels, and a server has its vectors', async () => {
    const features = new Features({ slots: clickConfig.features.slots });
    const config = {
      ...clickConfig,
      features: features.spec,
      model: { model: 'twotower', dim: 4, items: ['item'] },
    } as const;
    const { out, events } = await train('retrieval', {
      learner: learnerOf(config, features),
      reading: { format: clickConfig.format, features, batchSize: 100, threads: 0 },
      card: config,
      maxPasses: 4,
    });
    // Every example is a click, so a row shown once is worth keeping.
    expect(events.findLast(event => event.event === 'day')).toMatchObject({ deleted: 0 });
    const published = new PublishedModel(path.join(out, 'publish'));
    const items = published.vectors([{ item: 1 }, { item: 2 }, { item: 3 }], 'item');
    const users = published.vectors([{ user: 2n ** 60n }], 'user');
    expect([items.length, users.length]).toEqual([12, 4]);
    for (let i = 0; i < 12; i += 4) expect(Math.hypot(...items.subarray(i, i + 4))).toBeCloseTo(1, 5);
    expect(() => new PublishedModel(path.join(folder.file('whole'), 'publish')).vectors([{}], 'user')).toThrow(
      'vectors: deepfm has none, expected a model of retrieval (twotower, mind)',
    );
  });

  it('several folders make a pass, and checkpoints may be rarer than passes', async () => {
    const { events } = await train('pairs', { perPass: 2, checkpointEvery: 3, deltaEvery: 0, validate: 'progressive' });
    expect(events.map(({ event, day, ...of }) => [event, day, 'pass' in of ? of.pass : ''].join(' '))).toEqual([
      'pass 20260101 0800',
      'pass 20260101 1600',
      'day 20260101 ',
      'pass 20260102 0800',
      'checkpoint 20260102 0800',
      'pass 20260102 1600',
      'day 20260102 ',
      'checkpoint 20260102 end',
    ]);
  });
});

describe('stopped and gone on with: the same bits', () => {
  it('after any pass', async () => {
    const whole = await train('a');
    for (let stop = 1; stop < 6; stop += 2) {
      const name = `a${stop}`;
      await train(name, { maxPasses: stop });
      const { result } = await train(name, { resume: true });
      expect(result.passes).toBe(6 - stop);
      expect(finalBits(folder.file(name))).toEqual(finalBits(whole.out));
      expect(metricsOf(folder.file(name))).toEqual(metricsOf(whole.out));
    }
  });

  it('in the middle of a pass, measured before or on the way', async () => {
    for (const validate of ['pass', 'progressive'] as const) {
      const whole = await train(`b-${validate}`, { validate });
      const out = `b-${validate}-stopped`;
      const abort = new AbortController();
      const { result, events } = await train(out, {
        validate,
        signal: abort.signal,
        onProgress: ({ doing, pass, examples }) => {
          if (doing === 'training' && pass === '0800' && examples === 300) abort.abort();
        },
      });
      expect(result.stopped).toBe(true);
      expect(events.at(-1)).toMatchObject({ event: 'checkpoint', day: '20260101', pass: '0800', batches: 3 });
      await train(out, { validate, resume: true });
      expect(finalBits(folder.file(out))).toEqual(finalBits(whole.out));
      expect(metricsOf(folder.file(out))).toEqual(metricsOf(whole.out));
    }
  });

  it('in the middle of a pass that is learned from in a pipeline', async () => {
    const reading = {
      format: clickConfig.format,
      features: new Features(clickConfig.features),
      batchSize: 5,
      threads: 0,
    };
    const asked = { reading, pipeline: true, validate: 'progressive', maxPasses: 2 } as const;
    const whole = await train('pipeline', asked);
    const abort = new AbortController();
    const { events } = await train('pipeline-stopped', {
      ...asked,
      signal: abort.signal,
      onProgress: ({ pass, examples }) => {
        if (pass === '0800' && examples === 400) abort.abort();
      },
    });
    // The first batch is measured slot by slot, on its own; the second emptying of the pipeline is the first after the
    // signal.
    expect(events.at(-1)).toMatchObject({ event: 'checkpoint', pass: '0800', batches: 129 });
    await train('pipeline-stopped', { ...asked, resume: true, maxPasses: 1 });
    expect(finalBits(folder.file('pipeline-stopped'))).toEqual(finalBits(whole.out));
    expect(metricsOf(folder.file('pipeline-stopped'))).toEqual(metricsOf(whole.out));
  });

  it('while measuring, with nothing lost that was not in a checkpoint yet', async () => {
    const whole = await train('c', { checkpointEvery: 4 });
    const abort = new AbortController();
    await train('c-stopped', {
      checkpointEvery: 4,
      signal: abort.signal,
      onProgress: ({ doing, day, pass, examples }) => {
        if (doing === 'measuring' && day === '20260102' && pass === '0000' && examples === 300) abort.abort();
      },
    });
    await train('c-stopped', { checkpointEvery: 4, resume: true });
    expect(finalBits(folder.file('c-stopped'))).toEqual(finalBits(whole.out));
    expect(metricsOf(folder.file('c-stopped'))).toEqual(metricsOf(whole.out));
  });
});

describe('the program', () => {
  const run = (out: string, ...more: string[]) =>
    startStream('--data', logs, '--out', folder.file(out), '--batch', '5', ...more);

  it('kill -9 in the middle of a pass, then --resume: the bits of a run that was never stopped', {
    timeout: 60_000,
  }, async () => {
    const whole = run('p-whole', '--config', config);
    expect(await whole.exit, whole.stderr()).toEqual([0, null]);
    const killed = run('p-killed', '--config', config);
    await killed.until(({ event, day, pass }) => event === 'checkpoint' && day === '20260101' && pass === '0800');
    await new Promise(resolve => setTimeout(resolve, 100));
    killed.kill('SIGKILL');
    expect(await killed.exit).toEqual([null, 'SIGKILL']);
    const resumed = run('p-killed', '--resume');
    expect(await resumed.exit, resumed.stderr()).toEqual([0, null]);
    expect(resumed.events[1]).toMatchObject({ event: 'resume', day: '20260101' });
    expect(finalBits(folder.file('p-killed'))).toEqual(finalBits(folder.file('p-whole')));
    expect(metricsOf(folder.file('p-killed'))).toEqual(metricsOf(folder.file('p-whole')));
    const done = (out: string, name: string) =>
      readDone(path.join(folder.file(out), 'publish', name)).map(({ path }) => path);
    for (const name of ['base.done', 'delta.done']) expect(done('p-killed', name)).toEqual(done('p-whole', name));
  });

  it('kill -9 while it publishes, ends a day and writes a checkpoint, one after the other: the same bits', {
    timeout: 120_000,
  }, async () => {
    const args = ['--data', logs, '--out', folder.file('p-steps'), '--batch', '50'];
    const whole = startStream(...args.with(3, folder.file('p-steps-whole')), '--config', config);
    expect(await whole.exit, whole.stderr()).toEqual([0, null]);
    // Each dies later than the one before, at what its name says is about to happen.
    for (const [i, operation] of [
      'rename publish/20260101/delta-0000',
      'rename publish/delta.done',
      'rename checkpoints/20260101-0000.tmp.tmp/table',
      'rename checkpoints/20260101-0000',
      'rename checkpoint.done',
      'remove checkpoints/20260101-0000',
      'rename publish/20260101/base.tmp/table',
      'rename publish/20260101/base',
      'rename publish/base.done',
      'rename batch/batch.done',
    ].entries()) {
      const killed = startStreamUntil(operation, ...args, ...(i === 0 ? ['--config', config] : ['--resume']));
      expect(await killed.exit, `${operation}: ${killed.stderr()}`).toEqual([null, 'SIGKILL']);
      // A server that looks in now finds a model or none.
      const published = path.join(folder.file('p-steps'), 'publish');
      if (readDone(path.join(published, 'base.done')).length > 0)
        expect(new PublishedModel(published).predict([{ user: String(2n ** 60n), item: '1', q: 0.5 }])).toHaveLength(1);
    }
    const resumed = startStream(...args, '--resume');
    expect(await resumed.exit, resumed.stderr()).toEqual([0, null]);
    expect(finalBits(folder.file('p-steps'))).toEqual(finalBits(folder.file('p-steps-whole')));
    expect(metricsOf(folder.file('p-steps'))).toEqual(metricsOf(folder.file('p-steps-whole')));
    const served = (out: string): Float32Array =>
      new PublishedModel(path.join(folder.file(out), 'publish')).predict(
        Array.from({ length: 100 }, (_, i) => ({ user: String(2n ** 60n + BigInt(i)), item: String(i + 1), q: 0.5 })),
      );
    expect(served('p-steps')).toEqual(served('p-steps-whole'));
  });

  it('outside a terminal, a line of progress every so many seconds', { timeout: 60_000 }, async () => {
    const progress = run('progress', '--config', config, '--passes', '1', '--progress-every', '0.01');
    expect(await progress.exit, progress.stderr()).toEqual([0, null]);
    const shown = progress.events.filter(({ event }) => event === 'progress');
    expect(shown.length).toBeGreaterThan(2);
    expect(shown.at(-1)).toMatchObject({ day: '20260101', pass: '0000', doing: 'training' });
  });

  it('Ctrl-C: a checkpoint, exit code 130, and --resume goes on; it waits for folders that are not there yet, and says so', {
    timeout: 60_000,
  }, async () => {
    const data = folder.file('growing');
    writeClickLog(data, ['20260101'], ['0000', '0800'], 200);
    rmSync(path.join(data, '20260101/0800/_SUCCESS'));
    const waiting = startStream(
      '--data',
      data,
      '--out',
      folder.file('q'),
      '--config',
      config,
      '--days',
      '20260101',
      '--interval',
      '480',
    );
    const { message } = await waiting.until(({ event }) => event === 'waiting');
    expect(message).toBe(`waiting for ${data}/20260101/0800/_SUCCESS`);
    waiting.kill('SIGINT');
    expect(await waiting.exit).toEqual([130, null]);
    expect(waiting.stderr()).toContain(
      `tenon: stopped at 20260101 0000; go on with --resume --out ${folder.file('q')}\n`,
    );
    writeFileSync(path.join(data, '20260101/0800/_SUCCESS'), '');
    const resumed = startStream('--data', data, '--out', folder.file('q'), '--resume');
    await resumed.until(({ event, pass }) => event === 'checkpoint' && pass === '0800');
    resumed.kill('SIGTERM');
    expect(await resumed.exit).toEqual([143, null]);
  });
});

describe('bad input', () => {
  test('a done-file for a pass whose data is not there', async () => {
    const data = folder.file('empty');
    mkdirSync(path.join(data, '20260101/0000'), { recursive: true });
    writeFileSync(path.join(data, '20260101/0000/_SUCCESS'), '');
    await expect(train('d', { data })).rejects.toThrow(
      `${data}/20260101/0000/_SUCCESS says that the pass is complete, and ${data}/20260101/0000 holds no data`,
    );
  });

  test('logs may be links; one that leads nowhere is named, folders are passed over', async () => {
    const data = folder.file('linked');
    const pass = path.join(data, '20260101', '0000');
    mkdirSync(path.join(pass, 'folder'), { recursive: true });
    symlinkSync(path.join(logs, '20260101', '0000', 'part-0.txt'), path.join(pass, 'part-0.txt'));
    writeFileSync(path.join(pass, '_SUCCESS'), '');
    const { events } = await train('linked', { data });
    expect(events[0]).toMatchObject({ event: 'pass', examples: 500 });
    symlinkSync(folder.file('nowhere'), path.join(pass, 'part-1.txt'));
    await expect(train('linked-nowhere', { data })).rejects.toThrow(
      `cannot read ${path.join(pass, 'part-1.txt')}: no such`,
    );
  });

  test('training that diverges stops and says so; the checkpoint before stays loadable', async () => {
    const out = 'diverged';
    const { events } = await train(out, { maxPasses: 1, checkpointEvery: 1 });
    expect(events.at(-1)).toMatchObject({ event: 'checkpoint', day: '20260101', pass: '0000' });
    const features = new Features(clickConfig.features);
    const hot = { ...clickConfig, optimizer: { type: 'sgd', lr: 1e30 } } as const;
    await expect(train(`${out}-hot`, { learner: learnerOf(hot, features) })).rejects.toThrow(
      /^20260101 0000: the loss of batch \d is (NaN|Infinity): training has diverged, and the last checkpoint stays as it is/,
    );
    expect(readDone(path.join(folder.file(`${out}-hot`), 'checkpoint.done'))).toEqual([]);
    const learner = learnerOf(clickConfig, features);
    const predict = ({ size }: SparseBatch): Float32Array => new Float32Array(size).fill(Number.NaN);
    const nan: typeof learner = Object.assign(Object.create(learner), { predict });
    await expect(train(out, { learner: nan, resume: true })).rejects.toThrow(
      `20260101 0800: predictions are NaN, so what was trained before has diverged: take the last line of ${path.join(folder.file(out), 'checkpoint.done')} away`,
    );
    expect((await train(out, { resume: true })).result.passes).toBe(5);
  });

  test("a checkpoint's done-file whose folder is not there: says so; with it back, training goes on", async () => {
    const { out } = await train('e', { maxPasses: 2 });
    const checkpoint = path.join(out, 'checkpoints/20260101-0800');
    renameSync(checkpoint, `${checkpoint}.moved`);
    await expect(train('e', { resume: true })).rejects.toThrow(
      `${out}/checkpoint.done names checkpoints/20260101-0800 (day 20260101, pass 0800), and ${checkpoint} is not there: restore it, or take the line away to go on from the one before`,
    );
    renameSync(`${checkpoint}.moved`, checkpoint);
    expect((await train('e', { resume: true })).result.passes).toBe(4);
  });

  test('a damaged checkpoint: says so; without its line, training goes on from the one before', async () => {
    const { out } = await train('damaged', { maxPasses: 2 });
    const [before, last] = readDone(path.join(out, 'checkpoint.done'));
    const table = path.join(out, last!.path, 'table');
    const bytes = readFileSync(table);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(table, bytes);
    await expect(train('damaged', { resume: true })).rejects.toThrow(
      `${table}: damaged: its checksum does not fit: restore it, or take the last line of ${out}/checkpoint.done away to go on from the one before`,
    );
    writeFileSync(path.join(out, 'checkpoint.done'), `${JSON.stringify(before)}\n`);
    expect((await train('damaged', { resume: true })).result.passes).toBe(5);
  });

  test('a done-file that is none, a published folder that is none', async () => {
    const { out } = await train('f', { maxPasses: 1 });
    const file = path.join(out, 'checkpoint.done');
    writeFileSync(file, `${readFileSync(file, 'utf8')}20260101\t0000\n`);
    await expect(train('f', { resume: true })).rejects.toThrow(
      `${file}, line 2: expected an object with day, pass and path`,
    );
    expect(() => new PublishedModel(out)).toThrow(
      `${out} holds no published model: it has neither base.done nor delta.done`,
    );
  });

  test('bad lines are kept per pass, once; too many stop the run, and what was saved before stays loadable', async () => {
    const data = folder.file('spoilt');
    writeClickLog(data, ['20260101'], ['0000', '0800'], 200);
    const spoil = (time: string, lines: readonly string[]): void => {
      const file = path.join(data, '20260101', time, 'part-0.txt');
      writeFileSync(file, `${readFileSync(file, 'utf8')}${lines.join('\n')}\n`);
    };
    spoil('0000', ['1:click 18446744073709551616:user 3:item']);
    spoil(
      '0800',
      Array.from({ length: 20 }, () => '5:user'),
    );
    await expect(train('g', { data })).rejects.toThrow(
      /^20 of 220 lines are bad, expected at most 5 %; the first is \S+\/0800\/part-0.txt, line 101: label click is missing; they are kept in \S+\/quarantine\/20260101-0800.jsonl$/,
    );
    const kept = readFileSync(folder.file('g/quarantine/20260101-0000.jsonl'), 'utf8').trimEnd().split('\n');
    expect(kept.map(line => JSON.parse(line).reason)).toEqual([
      'slot user: sign 18446744073709551616 is over 64 bits (18446744073709551615 is the largest sign)',
    ]);
    writeFileSync(path.join(data, '20260101/0800/part-0.txt'), `${clickLines(100, 200).join('\n')}\n`);
    expect((await train('g', { data, resume: true })).result.passes).toBe(1);
  });

  test.runIf(existsSync('/dev/full'))(
    'no space left: one sentence; the checkpoint before stays, and training goes on from it',
    async () => {
      const { out } = await train('h', { maxPasses: 2 });
      // Every write to /dev/full fails as on a full disk.
      symlinkSync('/dev/full', path.join(out, `checkpoint.done.${process.pid}.tmp`));
      await expect(train('h', { resume: true })).rejects.toThrow(
        `cannot write ${out}/checkpoint.done: no space left on the disk`,
      );
      expect((await train('h', { resume: true })).result.passes).toBe(4);
    },
  );

  test('a folder that comes late is passed over, and said so', async () => {
    const data = folder.file('late');
    writeClickLog(data, ['20260101'], ['0000', '0800', '1600'], 200);
    const late = path.join(data, '20260101/0800');
    renameSync(late, `${late}.late`);
    const notices: string[] = [];
    const source = new DirectorySource({ folder: data });
    const asking = { signal: new AbortController().signal, onNotice: (sentence: string) => notices.push(sentence) };
    const first = await source.next(null, asking);
    const second = await source.next(first!.position, asking);
    renameSync(`${late}.late`, late);
    expect(await source.next(second!.position, asking)).toBeNull();
    expect(notices).toEqual([`${late} came after 20260101/1600 was trained on, and is passed over`]);
  });

  test('so are folders and whole days that came while no process ran, once', async () => {
    const data = folder.file('down');
    writeClickLog(data, ['20260101', '20260102', '20260103', '20260104'], ['0000', '0800'], 200);
    const [day, late] = [path.join(data, '20260102'), path.join(data, '20260104/0000')];
    for (const name of [day, late]) renameSync(name, `${name}.late`);
    const notices: string[] = [];
    const onNotice = (sentence: string) => notices.push(sentence);
    expect((await train('down', { data, onNotice })).result.passes).toBe(5);
    expect(notices).toEqual([]);
    for (const name of [day, late]) renameSync(`${name}.late`, name);
    writeClickLog(data, ['20260105'], ['0000'], 200);
    expect((await train('down', { data, resume: true, onNotice })).result.passes).toBe(1);
    const passedOver = [day, late].map(name => `${name} came after 20260104/0800 was trained on, and is passed over`);
    expect(notices).toEqual(passedOver);
    await train('down', { data, resume: true, onNotice });
    expect(notices).toEqual(passedOver);
  });

  test('a second process in the same folder; one that was killed keeps nobody out', async () => {
    const out = folder.file('shared');
    const holder = startStream('--data', logs, '--out', out, '--config', config, '--follow');
    await holder.until(({ event }) => event === 'pass');
    const second = startStream('--data', logs, '--out', out, '--resume');
    expect(await second.exit).toEqual([1, null]);
    expect(second.stderr()).toMatch(/shared is in use by process \d+: two cannot train into one folder\n$/);
    holder.kill('SIGKILL');
    await holder.exit;
    expect(existsSync(path.join(out, 'run.lock'))).toBe(true);
    expect((await train('shared', { resume: true })).result.stopped).toBe(false);
    expect(existsSync(path.join(out, 'run.lock'))).toBe(false);
  });

  const empty = folder.file('nothing');
  mkdirSync(empty);
  test.each([
    [['--data', 'DATA'], 'stream: give --config FILE, or --preset NAME'],
    [['--config', 'CONFIG'], 'stream: give one source: --data FOLDER, --redis URL or --nats URL'],
    [['--config', 'CONFIG', '--redis', 'redis://127.0.0.1:1'], 'stream: --redis needs --stream NAME'],
    [['--config', 'CONFIG', '--nats', '127.0.0.1', '--stream', 's'], 'is not a URL like nats://'],
    [
      ['--config', 'WRONG', '--data', 'DATA'],
      '"colour" came, expected one of format, features, model, table, pooling, optimizer, l2, autocast',
    ],
    [['--config', 'CONFIG', '--data', 'DATA', '--days', 'today'], 'days: "today" came, expected YYYYMMDD'],
    [['--config', 'CONFIG', '--data', 'DATA', '--days', '20260231'], 'days: "20260231" came, expected YYYYMMDD'],
    [
      ['--config', 'CONFIG', '--data', 'DATA', '--days', '20260102,20260101'],
      'days: 20260101 came after 20260102, expected days in order',
    ],
    [['--config', 'CONFIG', '--data', 'EMPTY'], 'holds no data: expected folders YYYYMMDD/HHMM'],
    [['--config', 'DEEP', '--data', 'DATA'], 'model deepfm: "hiden" came, expected one of dim, hidden, dropout'],
    [['--config', 'TABLE', '--data', 'DATA'], 'table: optimizer: "rate" came, expected one of type, lr'],
    [['--config', 'CONFIG', '--data', 'ABSENT'], 'no such file or folder'],
  ])('%j: one sentence', async (args, sentence) => {
    const files: Record<string, string> = {
      DATA: logs,
      CONFIG: config,
      WRONG: folder.write('wrong.json', JSON.stringify({ ...clickConfig, colour: 'red' })),
      DEEP: folder.write('deep.json', JSON.stringify({ ...clickConfig, model: { model: 'deepfm', hiden: [8] } })),
      TABLE: folder.write(
        'table.json',
        JSON.stringify({ ...clickConfig, table: { optimizer: { type: 'sgd', rate: 1 } } }),
      ),
      EMPTY: empty,
      ABSENT: folder.file('absent'),
    };
    const { exit, stderr } = startStream(...args.map(arg => files[arg] ?? arg), '--out', folder.file('never'));
    expect((await exit)[0]).toBeGreaterThan(0);
    expect(stderr()).toContain(sentence);
    expect(stderr()).toMatch(/^tenon: [^\n]+\n$/);
    rmSync(folder.file('never'), { recursive: true, force: true });
  });

  test('a folder of data that is not there leaves no run behind', async () => {
    await startStream('--config', config, '--data', folder.file('absent'), '--out', folder.file('unbegun')).exit;
    expect(existsSync(folder.file('unbegun'))).toBe(false);
  });
});
