/**
 * tenon stream on the real brokers: killed in a pass, and with the broker gone for a while, it ends with the bits of an
 * undisturbed run.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers as natsHeaders } from '@nats-io/transport-node';
import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import { BrokerSource, EmbeddingTable, Features, natsBroker, redisBroker } from '../../../src/recsys/index.ts';
import { brokerMissing, testBroker } from '../../support/brokers.ts';
import { clickConfig, clickLines } from '../../support/clickLog.ts';
import { finalBits, metricsOf, startStream } from '../../support/streamRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const config = folder.write('stream.json', JSON.stringify(clickConfig));
const PASSES = 5;
const PER_PASS = 600;
const LINES = PASSES * PER_PASS;

/** What a kind of broker needs beside the server. */
interface Kind {
  readonly server: 'redis-server' | 'nats-server';
  /** Puts lines into the stream 'clicks', and makes it before the first. */
  publish(url: string, lines: readonly string[]): Promise<void>;
  /** How far the broker knows training to be. */
  progress(url: string): Promise<unknown>;
}

const redis: Kind = {
  server: 'redis-server',
  publish: async (url, lines) => {
    const client = createClient({ url });
    await client.connect();
    await Promise.all(lines.map(line => client.xAdd('clicks', '*', { line })));
    await client.close();
  },
  progress: async url => {
    const client = createClient({ url });
    await client.connect();
    const [group] = await client.xInfoGroups('clicks');
    const read = await client.xRange('clicks', '-', String(group!['last-delivered-id']));
    await client.close();
    return read!.length;
  },
};

const nats: Kind = {
  server: 'nats-server',
  publish: async (url, lines) => {
    const connection = await connect({ servers: url.slice(7) });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'clicks', subjects: ['log.click'] });
    const stream = jetstream(connection);
    for (const line of lines) await stream.publish('log.click', line);
    await connection.close();
  },
  progress: async url => {
    const connection = await connect({ servers: url.slice(7) });
    const { ack_floor } = await (await jetstreamManager(connection)).consumers.info('clicks', 'tenon');
    await connection.close();
    return ack_floor.stream_seq;
  },
};

describe.each([
  ['redis', redis],
  ['nats', nats],
] as const)('%s', (name, kind) => {
  const missing = brokerMissing(kind.server);
  it.skipIf(missing !== '')(
    missing || 'kill -9 in a pass, and the broker stops and comes back: nothing is lost or trained twice',
    { timeout: 120_000 },
    async () => {
      const broker = await testBroker(kind.server, folder.file(name));
      const lines = clickLines(LINES);
      await kind.publish(broker.url, lines);
      const args = [
        `--${name}`,
        broker.url,
        '--stream',
        'clicks',
        '--pass-messages',
        String(PER_PASS),
        '--batch',
        '10',
      ];
      const run = (out: string, ...more: string[]) =>
        startStream(...args, '--out', folder.file(out), '--passes', String(PASSES), ...more);

      const whole = run(`${name}-whole`, '--config', config);
      expect(await whole.exit, whole.stderr()).toEqual([0, null]);
      const passes = whole.events.filter(({ event }) => event === 'pass');
      expect(passes.map(pass => pass['examples'])).toEqual(Array(PASSES).fill(PER_PASS));
      // Each message once: the user slot was shown as often as there are lines.
      const table = new EmbeddingTable({
        dim: 4,
        wide: true,
        optimizer: { type: 'adagrad', lr: 0.05, initialAccumulator: 0.1 },
      });
      table.load(
        `${folder.file(`${name}-whole`)}/checkpoints/${passes.at(-1)!['day']}-${passes.at(-1)!['pass']}/table`,
      );
      const shows = Array.from({ length: 300 }, (_, user) => table.row(2n ** 60n + BigInt(user))?.show ?? 0);
      expect(shows.reduce((a, b) => a + b)).toBe(LINES);
      expect(await kind.progress(broker.url)).toBe(LINES);

      // Killed after the second pass's checkpoint, in the middle of the third.
      const killed = run(`${name}-killed`, '--config', config);
      await killed.until(({ event, number }) => event === 'pass' && number === 2);
      await killed.until(({ event }) => event === 'checkpoint');
      await sleep(60);
      killed.kill('SIGKILL');
      expect(await killed.exit).toEqual([null, 'SIGKILL']);

      // The broker is away when it starts again, and once more while it waits for messages that come late.
      await broker.stop();
      const resumed = startStream(...args, '--out', folder.file(`${name}-killed`), '--resume', '--follow');
      const away = await resumed.until(({ event }) => event === 'waiting');
      expect(away['message']).toMatch(/at 127\.0\.0\.1:\d+ does not answer \(.+\): waiting for it$/);
      await broker.start();
      await resumed.until(({ event, number }) => event === 'pass' && number === PASSES);
      await resumed.until(
        ({ event, message }) => event === 'waiting' && String(message).includes('waiting for messages of'),
      );
      await broker.stop();
      const failures = (): number =>
        resumed.events.filter(({ message }) => String(message).includes('does not answer')).length;
      await resumed.until(() => failures() === 2);
      await broker.start();
      await kind.publish(broker.url, clickLines(PER_PASS, LINES));
      await resumed.until(({ event, number }) => event === 'pass' && number === PASSES + 1);
      await resumed.until(
        ({ event, pass }) =>
          event === 'checkpoint' && pass === resumed.events.findLast(e => e.event === 'pass')!['pass'],
      );
      resumed.kill('SIGINT');
      expect(await resumed.exit, resumed.stderr()).toEqual([130, null]);
      expect(resumed.stderr()).toContain('is back');

      const undisturbed = startStream(...args, '--out', folder.file(`${name}-whole`), '--resume', '--passes', '1');
      expect(await undisturbed.exit, undisturbed.stderr()).toEqual([0, null]);
      expect(finalBits(folder.file(`${name}-killed`))).toEqual(finalBits(folder.file(`${name}-whole`)));
      expect(metricsOf(folder.file(`${name}-killed`))).toEqual(metricsOf(folder.file(`${name}-whole`)));
      expect(await kind.progress(broker.url)).toBe(LINES + PER_PASS);
    },
  );

  it.skipIf(missing !== '')('what no waiting will mend is an error in one sentence', { timeout: 60_000 }, async () => {
    const server = await testBroker(kind.server, folder.file(`${name}-errors`));
    if (name === 'redis') {
      const client = createClient({ url: server.url });
      await client.connect();
      await client.set('text', 'no stream');
      await client.close();
      const broker = await redisBroker({ url: server.url, stream: 'text' });
      await expect(broker.read(null, 1, 100)).rejects.toThrow(/^redis stream text at .*: WRONGTYPE/);
      await broker.close();
    } else {
      const connection = await connect({ servers: server.url.slice(7) });
      const manager = await jetstreamManager(connection);
      await manager.streams.add({ name: 'queue', subjects: ['q'], retention: 'workqueue' });
      await connection.close();
      const absent = await natsBroker({ url: server.url, stream: 'absent' });
      await expect(absent.read(null, 1, 1000)).rejects.toThrow(/^NATS stream absent at .*: stream not found/);
      const queue = await natsBroker({ url: server.url, stream: 'queue' });
      await expect(queue.read(null, 1, 1000)).rejects.toThrow('has retention workqueue, expected limits');
      const guarded = await testBroker(kind.server, folder.file('nats-token'), '--auth', 's3 cret');
      const without = await natsBroker({ url: guarded.url, stream: 'absent' });
      await expect(without.read(null, 1, 1000)).rejects.toThrow(/^NATS stream absent at .*: .*authorization/i);
      const url = guarded.url.replace('//', '//s3%20cret@');
      const within = await natsBroker({ url, stream: 'absent' });
      await expect(within.read(null, 1, 1000)).rejects.toThrow(/: stream not found/);
    }
  });

  it.skipIf(missing !== '')('what its producer sent twice is trained on once', { timeout: 60_000 }, async () => {
    const server = await testBroker(kind.server, folder.file(`${name}-keys`));
    const keys = ['a', 'b', 'a', 'c', 'b', 'd'];
    const naming = { url: server.url, stream: 'clicks', key: 'event' };
    if (name === 'redis') {
      const client = createClient({ url: server.url });
      await client.connect();
      for (const key of keys) await client.xAdd('clicks', '*', { event: key, line: key });
      await client.xAdd('clicks', '*', { event: 'e' });
      await client.close();
    } else {
      const connection = await connect({ servers: server.url.slice(7) });
      const manager = await jetstreamManager(connection);
      await manager.streams.add({ name: 'clicks', subjects: ['log.click'] });
      const stream = jetstream(connection);
      for (const key of keys) {
        const headers = natsHeaders();
        headers.set('event', key);
        await stream.publish('log.click', key, { headers });
      }
      // The server's own: a message id within the stream's duplicate window.
      for (let i = 0; i < 2; i++) await stream.publish('log.click', 'e', { msgID: 'e' });
      expect((await manager.streams.info('clicks')).state.messages).toBe(keys.length + 1);
      await connection.close();
    }
    const broker = await (name === 'redis' ? redisBroker({ ...naming, field: 'line' }) : natsBroker(naming));
    const source = new BrokerSource(broker, { follow: false });
    const notices: string[] = [];
    const asking = { signal: new AbortController().signal, onNotice: (sentence: string) => notices.push(sentence) };
    const pass = (await source.next(null, asking))!;
    expect(notices).toEqual([`${broker.name}: passed over, because their keys came before: 2`]);
    const features = new Features({ slots: ['word'] });
    const format = { type: 'csv', columns: ['word'] } as const;
    const batches = pass.read({ format, features, batchSize: 10, badLines: { maxShare: 1 } });
    for await (const batch of batches) expect(batch.size).toBe(name === 'redis' ? 4 : 5);
    // An entry without the field is a bad line, not the end of the run.
    expect(batches.stats).toMatchObject({ lines: 5, bad: name === 'redis' ? 1 : 0 });
    await source.close();
  });

  it.skipIf(missing !== '' || name !== 'nats')(
    'what is delivered twice is trained on once',
    { timeout: 60_000 },
    async () => {
      const server = await testBroker(kind.server, folder.file(`${name}-twice`));
      await kind.publish(server.url, clickLines(10));
      const broker = await natsBroker({ url: server.url, stream: 'clicks' });
      const ids = async (after: string | null, count: number): Promise<string[]> =>
        (await broker.read(after, count, 1000)).map(({ id }) => id);
      expect(await ids(null, 4)).toEqual(['1', '2', '3', '4']);
      // As after a day without a checkpoint.
      const connection = await connect({ servers: server.url.slice(7) });
      const manager = await jetstreamManager(connection);
      await manager.consumers.update('clicks', 'tenon', { ack_wait: 2e8 });
      await sleep(1000);
      expect((await manager.consumers.info('clicks', 'tenon')).num_ack_pending).toBe(4);
      const next = await ids('4', 8);
      expect([...next, ...(await ids(next.at(-1) ?? '4', 8))]).toEqual(['5', '6', '7', '8', '9', '10']);
      expect((await manager.consumers.info('clicks', 'tenon')).num_redelivered).toBeGreaterThan(0);
      await broker.commit('10');
      expect(await kind.progress(server.url)).toBe(10);
      await broker.close();
      await connection.close();
    },
  );

  it.skipIf(missing !== '')('says what is gone of the messages behind a checkpoint', { timeout: 60_000 }, async () => {
    const server = await testBroker(kind.server, folder.file(`${name}-gaps`));
    await kind.publish(server.url, clickLines(10));
    const options = { url: server.url, stream: 'clicks' };
    if (name === 'redis') {
      const client = createClient({ url: server.url });
      await client.connect();
      const ids = (await client.xRange('clicks', '-', '+'))!.map(({ id }) => id);
      const broker = await redisBroker(options);
      const at = ids[3]!;
      expect(await broker.gap(at)).toBeNull();
      expect(await broker.gap(ids[9]!)).toBeNull();
      await client.xTrim('clicks', 'MINID', ids[3] as never);
      expect(await broker.gap(at)).toBeNull();
      await client.xTrim('clicks', 'MAXLEN', 4);
      expect(await broker.gap(at)).toBe(
        `entries between ${at}, the last that was trained on, and ${ids[6]} may have been deleted untrained`,
      );
      await client.xTrim('clicks', 'MAXLEN', 0);
      expect(await broker.gap(at)).toBe(`entries up to ${ids[9]} were deleted before they were trained on`);
      expect(await broker.gap(ids[9]!)).toBeNull();
      await client.del('clicks');
      expect(await broker.gap(at)).toBe(`it is not there any more, and training has come to entry ${at}`);
      await client.xAdd('clicks', '1-1', { line: 'x' });
      expect(await broker.gap(at)).toBe(`its newest entry is 1-1, and training has come to ${at}: it lost entries`);
      await broker.close();
      await client.close();
    } else {
      const connection = await connect({ servers: server.url.slice(7) });
      const manager = await jetstreamManager(connection);
      const broker = await natsBroker(options);
      expect(await broker.gap('4')).toBeNull();
      expect(await broker.gap('10')).toBeNull();
      await manager.streams.purge('clicks', { seq: 5 });
      expect(await broker.gap('4')).toBeNull();
      await manager.streams.purge('clicks', { keep: 4 });
      expect(await broker.gap('4')).toBe('messages 5 to 6 were deleted before they were trained on');
      await broker.close();
      await manager.streams.delete('clicks');
      await manager.streams.add({ name: 'clicks', subjects: ['log.click'] });
      await jetstream(connection).publish('log.click', 'x');
      await expect(broker.gap('4')).rejects.toThrow(
        / ends at message 1, and training has come to 4: it was made anew, and its messages would be taken for old ones; restore it/,
      );
      await broker.close();
      await connection.close();
    }
  });
});
