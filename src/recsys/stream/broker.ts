/**
 * Passes out of a broker's messages: so many messages make a pass, a new day begins another. A broker that does not
 * answer is waited for. What the brokers differ in is three calls.
 */
import { checkOptions } from '../../tensor/options.ts';
import type { SparseBatch } from '../batch.ts';
import { rebatch } from '../read/batches.ts';
import { OPEN } from '../read/format.ts';
import { LineExamples } from '../read/lines.ts';
import { Quarantine } from '../read/quarantine.ts';
import type { ReaderStats } from '../read/reader.ts';
import { shuffled } from '../read/shuffle.ts';
import { type KeysState, RecentKeys } from './keys.ts';
import {
  type Asking,
  type Pass,
  type PassBatches,
  type PassReading,
  pause,
  type SourcePosition,
  type StreamSource,
} from './source.ts';

export interface Message {
  /** The broker's own number of it: later messages have later ones. */
  readonly id: string;
  /** Milliseconds since 1970, when the broker took it. */
  readonly time: number;
  /** One line, or several. */
  readonly data: Uint8Array;
  /** What tells it apart from others, where the broker was asked for it and the message has it. */
  readonly key?: string;
  /** Why it holds no lines: it counts as a bad one. */
  readonly fault?: string;
}

/** What is asked of a broker. Every call fails when the broker does not answer, and may be made again. */
export interface Broker {
  /** What it is called in notices. */
  readonly name: string;
  /**
   * At most `count` messages after `id` (null: from the first that is there), in order; waits up to `wait` milliseconds
   * for the first.
   */
  read(after: string | null, count: number, wait: number): Promise<Message[]>;
  /**
   * What is known to be gone, or may be, of the messages after `id`, as a sentence; null where nothing is.
   * @throws BrokerRefusal where what comes next cannot be what came after `id`
   */
  gap(id: string): Promise<string | null>;
  /** Messages up to this one are in a checkpoint. */
  commit(id: string): Promise<void>;
  /** Ends the connection. */
  close(): Promise<void>;
}

/** What the broker will never answer otherwise, however often it is asked: no such stream, wrong credentials. */
export class BrokerRefusal extends Error {}

export interface BrokerPassOptions {
  /** Messages of a pass; 100,000 by default. A day's last pass has fewer. */
  readonly passMessages?: number;
  /**
   * Seconds after which a pass that has messages ends in any case; never by default, so that passes depend on the
   * messages alone.
   */
  readonly passSeconds?: number;
  /** Whether to wait for more when all messages are read; true by default. */
  readonly follow?: boolean;
  /** How many messages a key is remembered for: one that comes again within them is passed over. 100,000 by default. */
  readonly keyWindow?: number;
}

/** Messages asked for at once. */
const CHUNK = 5000;
/**
 * Milliseconds: of one wait for messages, and the shortest and longest between two tries of a broker that does not
 * answer.
 */
const WAIT = 1000;
const RETRY = { first: 250, last: 5000 };

const DAY = 24 * 3600 * 1000;
const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10).replaceAll('-', '');

/** Behind the message `id`, which `keys` messages with a key came up to; none where messages have no keys. */
interface Position {
  readonly id: string;
  readonly keys?: number;
}

/**
 * Passes made of a broker's messages: so many messages each, and a new pass with each new day (UTC). A message whose
 * key was there before is none.
 */
export class BrokerSource implements StreamSource {
  private readonly broker: Broker;
  private readonly options: BrokerPassOptions;
  /** Messages that were read beyond the last pass: those of the next day. */
  private ahead: Message[] = [];
  private readonly keys: RecentKeys;

  constructor(broker: Broker, options: BrokerPassOptions = {}) {
    const { passMessages = 1, keyWindow = 100_000 } = checkOptions('BrokerSource', options, [
      'passMessages',
      'passSeconds',
      'follow',
      'keyWindow',
    ]);
    for (const [name, value] of Object.entries({ passMessages, keyWindow }))
      if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: ${value} came, expected at least 1`);
    this.broker = broker;
    this.options = options;
    this.keys = new RecentKeys(keyWindow);
  }

  async next(after: SourcePosition | null, asking: Asking): Promise<Pass | null> {
    const { passMessages = 100_000, passSeconds = Number.POSITIVE_INFINITY, follow = true } = this.options;
    const end = (asking.again as Position | undefined)?.id;
    const messages = this.ahead;
    this.ahead = [];
    const begun = performance.now();
    let said = false;
    let full = false;
    let again = 0;
    // The last message that was read, also where it was passed over.
    let last = messages.at(-1)?.id ?? (after as Position | null)?.id ?? null;
    const from = last;
    const gap = from === null ? null : await this.patiently(() => this.broker.gap(from), asking);
    if (gap) asking.onNotice(`${this.broker.name}: ${gap}`);
    while (!asking.signal.aborted && !full) {
      // A pass that was begun before ends where it ended then.
      const cut =
        end === undefined ? passMessages : messages.findIndex(({ id }) => id === end) + 1 || CHUNK + messages.length;
      const otherDay = messages.findIndex(({ time }) => Math.floor(time / DAY) !== Math.floor(messages[0].time / DAY));
      const size = otherDay > 0 ? Math.min(otherDay, cut) : cut;
      full = messages.length >= size || (messages.length > 0 && performance.now() - begun > passSeconds * 1000);
      if (full) {
        this.ahead = messages.splice(size);
        break;
      }
      const count = end === undefined ? Math.min(CHUNK, passMessages - messages.length) : CHUNK;
      const before = last;
      const more = await this.patiently(() => this.broker.read(before, count, WAIT), asking);
      if (more === null) break;
      const fresh = more.filter(({ key }) => key === undefined || this.keys.take(key));
      messages.push(...fresh);
      again += more.length - fresh.length;
      last = more.at(-1)?.id ?? last;
      if (more.length > 0) said = false;
      else if (!follow && end === undefined) break;
      else if (!said) {
        said = true;
        asking.onNotice(
          `waiting for messages of ${this.broker.name} (${messages.length} of ${passMessages} for the next pass)`,
        );
      }
    }
    if (again > 0) asking.onNotice(`${this.broker.name}: passed over, because their keys came before: ${again}`);
    if (asking.signal.aborted || messages.length === 0) return null;
    const { id } = messages.at(-1)!;
    const day = dayOf(messages[0].time);
    return {
      day,
      name: id,
      position: { id, keys: this.keys.count - this.ahead.filter(({ key }) => key !== undefined).length || undefined },
      read: reading => new MessageBatches(this.broker.name, messages, reading),
    };
  }

  memory(position: SourcePosition | null): unknown {
    return this.keys.at((position as Position | null)?.keys ?? 0);
  }

  remember(memory: unknown): void {
    this.keys.restore(memory as KeysState);
  }

  async commit(position: SourcePosition): Promise<void> {
    const { keys = 0 } = position as unknown as Position;
    this.keys.forgetBefore(keys);
    try {
      await this.broker.commit(position['id'] as string);
    } catch (error) {
      // The position stands in the done-file; what the broker knows of it is for its operators.
      if (error instanceof BrokerRefusal) throw error;
    }
  }

  close(): Promise<void> {
    return this.broker.close();
  }

  /** Calls again until the broker answers; null when the waiting was stopped. */
  private async patiently<T>(call: () => Promise<T>, { signal, onNotice }: Asking): Promise<T | null> {
    for (let wait = RETRY.first, failed = false; !signal.aborted; wait = Math.min(2 * wait, RETRY.last)) {
      try {
        const answer = await call();
        if (failed) onNotice(`${this.broker.name} is back`);
        return answer;
      } catch (error) {
        if (error instanceof BrokerRefusal) throw error;
        if (!failed) onNotice(`${this.broker.name} does not answer (${(error as Error).message}): waiting for it`);
        failed = true;
        await pause(wait, signal);
      }
    }
    return null;
  }
}

const BLOCK_ROWS = 4096;

/** The lines of messages as batches. */
class MessageBatches implements PassBatches {
  private readonly name: string;
  private readonly messages: readonly Message[];
  private readonly reading: PassReading;
  private quarantine = new Quarantine();
  private bytes = 0;

  constructor(name: string, messages: readonly Message[], reading: PassReading) {
    this.name = name;
    this.messages = messages;
    this.reading = reading;
  }

  get stats(): ReaderStats {
    return { lines: this.quarantine.lines, bad: this.quarantine.bad, bytes: this.bytes };
  }

  [Symbol.asyncIterator](): AsyncIterator<SparseBatch> {
    const { features, shuffle, batchSize, badLines } = this.reading;
    this.quarantine = new Quarantine(badLines).begin();
    this.bytes = 0;
    const blocks = this.blocks();
    return rebatch(shuffle ? shuffled(blocks, features.schema, shuffle) : blocks, features.schema, batchSize, false);
  }

  private async *blocks(): AsyncGenerator<SparseBatch, void, undefined> {
    const { format, features } = this.reading;
    if (format.type === 'parquet') throw new Error(`${this.name}: messages are lines, and the format is parquet`);
    const examples = new LineExamples(this.name, features, format, null, BLOCK_ROWS);
    const take = (): SparseBatch => {
      const { batch, lines, bytes, bad } = examples.take();
      this.bytes += bytes;
      this.quarantine.add(lines, bad);
      return batch;
    };
    let line = 0;
    for (const { data, fault } of this.messages) {
      if (fault !== undefined) {
        examples.reject(data, 0, data.length, ++line, fault);
        continue;
      }
      // A copy, because a parser may change what it reads.
      const bytes = data.slice();
      for (let at = 0; at < bytes.length; ) {
        const found = examples.parser.lineEnd(bytes, at, bytes.length);
        const end = found < 0 ? bytes.length : found;
        line++;
        if (!examples.line(bytes, at, end, line)) examples.reject(bytes, at, end, line, OPEN);
        at = end + 1;
        if (examples.full) yield take();
      }
    }
    if (examples.some) yield take();
    this.quarantine.end();
  }
}
