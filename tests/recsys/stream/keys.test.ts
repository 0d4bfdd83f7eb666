/**
 * Messages that a producer sent twice: which are passed over, whatever passes, restarts and reading ahead do; and
 * messages that hold no lines.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Broker, BrokerSource, Features, type Message, type SourcePosition } from '../../../src/recsys/index.ts';
import { clickConfig, clickLines } from '../../support/clickLog.ts';

/** A broker of messages that are all there; ids are their numbers from 1. */
function brokerOf(messages: readonly Omit<Message, 'id' | 'time'>[]): Broker {
  const all = messages.map((message, i) => ({ ...message, id: String(i + 1), time: 0 }));
  return {
    name: 'a list',
    read: async (after, count) => all.slice(Number(after ?? 0), Number(after ?? 0) + count),
    gap: async () => null,
    commit: async () => {},
    close: async () => {},
  };
}

const features = new Features(clickConfig.features);
const reading = { format: clickConfig.format, features, batchSize: 1000 } as const;
const line = (text: string): Uint8Array => new TextEncoder().encode(text);
const quiet = { signal: new AbortController().signal, onNotice: () => {} };

it('a key that comes again within the window is passed over, the same ones in any passes and after any restart', async () => {
  const data = line(clickLines(1)[0]!);
  const keys = fc.array(fc.option(fc.integer({ min: 0, max: 12 }).map(String), { nil: undefined }), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(
      keys,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.constantFrom('go on', 'checkpoint', 'restart'), { minLength: 60, maxLength: 60 }),
      async (keys, keyWindow, passMessages, events) => {
        // Which are taken: those whose key is not among the last `keyWindow` that were taken with one.
        const known: string[] = [];
        const wanted = keys.filter(key => {
          if (key === undefined) return true;
          if (known.slice(-keyWindow).includes(key)) return false;
          known.push(key);
          return true;
        }).length;
        const broker = brokerOf(keys.map(key => ({ key, data })));
        const open = (): BrokerSource => new BrokerSource(broker, { keyWindow, passMessages, follow: false });
        let source = open();
        let saved: { position: SourcePosition | null; memory: unknown; taken: number } | null = null;
        let position: SourcePosition | null = null;
        let taken = 0;
        for (const event of events) {
          const pass = await source.next(position, quiet);
          if (!pass) break;
          // The pass behind it is asked for ahead, as training does, and dropped by a restart.
          if (event === 'restart') {
            await source.next(pass.position, quiet);
            source = open();
            if (saved) source.remember(JSON.parse(JSON.stringify(saved.memory)));
            ({ position, taken } = saved ?? { position: null, taken: 0 });
            continue;
          }
          let size = 0;
          for await (const batch of pass.read(reading)) size += batch.size;
          taken += size;
          position = JSON.parse(JSON.stringify(pass.position)) as SourcePosition;
          if (event !== 'checkpoint') continue;
          saved = { position, memory: source.memory(position), taken };
          await source.commit(position);
        }
        for (let pass = await source.next(position, quiet); pass; pass = await source.next(position, quiet)) {
          for await (const batch of pass.read(reading)) taken += batch.size;
          position = pass.position;
        }
        expect(taken).toBe(wanted);
      },
    ),
    { numRuns: 200 },
  );
});

it('says how many came again, and counts messages without a line as bad lines', async () => {
  const [first, second] = clickLines(2).map(line) as [Uint8Array, Uint8Array];
  const fault = 'entry 3-0 has no field line';
  const source = new BrokerSource(
    brokerOf([{ data: first, key: 'a' }, { data: first, key: 'a' }, { data: line(''), fault }, { data: second }]),
    { follow: false },
  );
  const notices: string[] = [];
  const pass = (await source.next(null, { ...quiet, onNotice: sentence => notices.push(sentence) }))!;
  expect(notices).toEqual(['a list: passed over, because their keys came before: 1']);
  const batches = pass.read({ ...reading, badLines: { maxShare: 0.5 } });
  for await (const batch of batches) expect(batch.size).toBe(2);
  expect(batches.stats).toMatchObject({ lines: 3, bad: 1 });
  const strict = pass.read(reading)[Symbol.asyncIterator]();
  await expect(strict.next()).rejects.toThrow(
    `1 of 3 lines are bad, expected at most 5 %; the first is a list, line 2: ${fault}`,
  );
});
