/**
 * Redis Streams through the package `redis`. The position is the id of the last entry in a checkpoint, so entries are
 * read with XREAD and nothing is pending anywhere; a consumer group's last-delivered id follows the checkpoints, for
 * XINFO GROUPS and whoever trims the stream.
 */
import { checkOptions } from '../../tensor/options.ts';
import { type Broker, BrokerRefusal, type Message } from './broker.ts';
import { optionalModule } from './optional.ts';

export interface RedisOptions {
  /** redis://user:password@host:port/database, rediss:// for TLS. */
  readonly url: string;
  /** The stream's key. */
  readonly stream: string;
  /**
   * The entry's field that holds the line or lines; the first one by default. An entry without it counts as a bad line.
   */
  readonly field?: string;
  /** The entry's field that tells it apart from others: one whose value came lately is passed over. None by default. */
  readonly key?: string;
  /** The group that shows how far training has come; 'tenon' by default. */
  readonly group?: string;
}

/** What is used of the client. */
interface Client {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  sendCommand<T>(command: readonly string[], options?: { readonly typeMapping: object }): Promise<T>;
}

/** Of bulk strings as they came: 36 is '$', RESP's mark of them. */
const AS_BYTES = { typeMapping: { 36: Buffer } };

type Entry = readonly [id: Buffer, fields: readonly Buffer[] | null];
type XRead = readonly (readonly [key: Buffer, entries: readonly Entry[]])[] | null;

/** Whether an entry's id MILLISECONDS-NUMBER comes before another. */
function isBefore(a: string, b: string): boolean {
  const [timeA, timeB] = [a, b].map(id => BigInt(id.split('-')[0]!)) as [bigint, bigint];
  const [numberA, numberB] = [a, b].map(id => BigInt(id.split('-')[1] ?? 0)) as [bigint, bigint];
  return timeA === timeB ? numberA < numberB : timeA < timeB;
}

/** Errors that another try would meet again. */
const REFUSALS = /^(WRONGTYPE|WRONGPASS|NOAUTH|NOPERM|ERR)\b/;

/** A group of a Redis stream as a broker. @throws Error when the package is not installed */
export async function redisBroker(options: RedisOptions): Promise<Broker> {
  checkOptions('redisBroker', options, ['url', 'stream', 'field', 'key', 'group']);
  const { createClient } = await optionalModule(() => import('redis'), 'a Redis stream', 'redis');
  const make = (): Client =>
    createClient({
      url: options.url,
      RESP: 2,
      disableOfflineQueue: true,
      socket: { reconnectStrategy: false, connectTimeout: 5000 },
    }) as unknown as Client;
  return new RedisBroker(options, make);
}

class RedisBroker implements Broker {
  readonly name: string;
  private readonly options: RedisOptions;
  private readonly make: () => Client;
  private client: Client | null = null;

  constructor(options: RedisOptions, make: () => Client) {
    const { host } = new URL(options.url);
    this.name = `redis stream ${options.stream} at ${host}`;
    this.options = options;
    this.make = make;
  }

  async read(after: string | null, count: number, wait: number): Promise<Message[]> {
    const { stream } = this.options;
    const ask = ['XREAD', 'COUNT', String(count), 'BLOCK', String(wait), 'STREAMS', stream, after ?? '0'];
    const answer = await this.call(client => client.sendCommand<XRead>(ask, AS_BYTES));
    // An entry that was deleted has no fields.
    const entries = (answer?.[0]?.[1] ?? []).filter(([, fields]) => fields !== null);
    return entries.map(([id, fields]) => this.message(id.toString(), fields!));
  }

  async gap(id: string): Promise<string | null> {
    const { stream } = this.options;
    return this.call(async client => {
      const there = await client.sendCommand<number>(['EXISTS', stream]);
      if (there === 0) return `it is not there any more, and training has come to entry ${id}`;
      const facts = await client.sendCommand<readonly unknown[]>(['XINFO', 'STREAM', stream]);
      const fact = (name: string): unknown =>
        facts[facts.findIndex((word, i) => i % 2 === 0 && String(word) === name) + 1];
      const newest = String(fact('last-generated-id'));
      if (isBefore(newest, id)) return `its newest entry is ${newest}, and training has come to ${id}: it lost entries`;
      const first = (fact('first-entry') as Entry | null)?.[0].toString();
      if (first === undefined)
        return isBefore(id, newest) ? `entries up to ${newest} were deleted before they were trained on` : null;
      if (!isBefore(id, first)) return null;
      const own = await client.sendCommand<readonly unknown[]>(['XRANGE', stream, id, id]);
      if (own.length > 0) return null;
      return `entries between ${id}, the last that was trained on, and ${first} may have been deleted untrained`;
    });
  }

  async commit(id: string): Promise<void> {
    const { stream, group = 'tenon' } = this.options;
    await this.call(async client => {
      try {
        await client.sendCommand(['XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM']);
      } catch (error) {
        if (!(error as Error).message.startsWith('BUSYGROUP')) throw error;
      }
      await client.sendCommand(['XGROUP', 'SETID', stream, group, id]);
    });
  }

  async close(): Promise<void> {
    this.client?.destroy();
    this.client = null;
  }

  private message(id: string, fields: readonly Buffer[]): Message {
    const { field, key } = this.options;
    const value = (name: string): Buffer | undefined => {
      const at = fields.findIndex((other, i) => i % 2 === 0 && other.toString() === name);
      return at < 0 ? undefined : fields[at + 1];
    };
    const data = field === undefined ? fields[1] : value(field);
    return {
      id,
      time: Number(id.split('-')[0]),
      data: data ?? new Uint8Array(0),
      key: key === undefined ? undefined : value(key)?.toString(),
      fault: data ? undefined : `entry ${id} has no field ${field}`,
    };
  }

  /** With a connection of its own after every failure. */
  private async call<T>(use: (client: Client) => Promise<T>): Promise<T> {
    try {
      this.client ??= await this.connect();
      return await use(this.client);
    } catch (error) {
      await this.close();
      const { message } = error as Error;
      if (REFUSALS.test(message)) throw new BrokerRefusal(`${this.name}: ${message}`, { cause: error });
      throw error;
    }
  }

  private async connect(): Promise<Client> {
    const client = this.make();
    // The call that meets it fails, too.
    client.on('error', () => {});
    await client.connect();
    return client;
  }
}
