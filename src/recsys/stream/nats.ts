/**
 * NATS JetStream through @nats-io/transport-node and @nats-io/jetstream. The position is the sequence number of the
 * last message in a checkpoint. A durable consumer starts behind it, and its acknowledgement floor follows the
 * checkpoints.
 */
import type { Consumer, JetStreamManager, JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { checkOptions } from '../../tensor/options.ts';
import { type Broker, BrokerRefusal, type Message } from './broker.ts';
import { optionalModule } from './optional.ts';

export interface NatsOptions {
  /** nats://user:password@host:port, or nats://token@host:port */
  readonly url: string;
  /** The stream's name. */
  readonly stream: string;
  /** Only messages of this subject; all by default. */
  readonly subject?: string;
  /**
   * The header that tells messages apart: one whose value came lately is passed over. None by default, as the server
   * does the same for the header Nats-Msg-Id within the stream's duplicate window (two minutes unless set).
   */
  readonly key?: string;
  /** The durable consumer that shows how far training has come; 'tenon' by default. */
  readonly consumer?: string;
}

type Modules = typeof import('@nats-io/transport-node') & typeof import('@nats-io/jetstream');

const PACKAGES = '@nats-io/transport-node @nats-io/jetstream';

/** A NATS JetStream consumer as a broker. @throws Error when the packages are not installed */
export async function natsBroker(options: NatsOptions): Promise<Broker> {
  checkOptions('natsBroker', options, ['url', 'stream', 'subject', 'key', 'consumer']);
  const load = async (): Promise<Modules> => ({
    ...(await import('@nats-io/transport-node')),
    ...(await import('@nats-io/jetstream')),
  });
  return new NatsBroker(options, await optionalModule(load, 'a NATS stream', PACKAGES));
}

/** A connection, and a consumer that has delivered everything up to `delivered`. */
interface Link {
  readonly connection: NatsConnection;
  readonly consumer: Consumer;
  delivered: number;
}

class NatsBroker implements Broker {
  readonly name: string;
  private readonly options: NatsOptions;
  private readonly modules: Modules;
  private link: Link | null = null;
  /** Delivered and not in a checkpoint yet. */
  private readonly open = new Map<string, JsMsg>();

  constructor(options: NatsOptions, modules: Modules) {
    const { host } = new URL(options.url);
    this.name = `NATS stream ${options.stream} at ${host}`;
    this.options = options;
    this.modules = modules;
  }

  async read(after: string | null, count: number, wait: number): Promise<Message[]> {
    const last = Number(after ?? 0);
    return this.guarded(async () => {
      if (this.link && (this.link.connection.isClosed() || this.link.delivered !== last)) await this.close();
      this.link ??= await this.connect(last);
      const messages: Message[] = [];
      // The server takes no shorter wait than a second.
      for await (const message of await this.link.consumer.fetch({
        max_messages: count,
        expires: Math.max(1000, wait),
      })) {
        // Delivered again, because it waited longer than that for its checkpoint.
        if (message.seq <= this.link.delivered) continue;
        this.link.delivered = message.seq;
        this.open.set(String(message.seq), message);
        messages.push(this.message(message));
      }
      if (messages.length === 0 && this.link.connection.isClosed()) throw new Error('the connection was closed');
      return messages;
    });
  }

  private message({ seq, time, data, headers }: JsMsg): Message {
    const { key } = this.options;
    // A header that is not there is ''.
    return { id: String(seq), time: time.getTime(), data, key: (key && headers?.get(key)) || undefined };
  }

  async gap(id: string): Promise<string | null> {
    const last = Number(id);
    return this.guarded(async () => {
      this.link ??= await this.connect(last);
      const { state } = await (await this.modules.jetstreamManager(this.link.connection)).streams.info(
        this.options.stream,
      );
      if (state.first_seq <= last + 1) return null;
      return `messages ${last + 1} to ${state.first_seq - 1} were deleted before they were trained on`;
    });
  }

  async commit(id: string): Promise<void> {
    // All policy: the messages before it are acknowledged with it.
    this.open.get(id)?.ack();
    for (const seq of this.open.keys()) if (Number(seq) <= Number(id)) this.open.delete(seq);
    await this.link?.connection.flush();
  }

  async close(): Promise<void> {
    const link = this.link;
    this.link = null;
    await link?.connection.close().catch(() => {});
  }

  private async guarded<T>(use: () => Promise<T>): Promise<T> {
    try {
      return await use();
    } catch (error) {
      await this.close();
      if (error instanceof BrokerRefusal) throw error;
      const { message } = error as Error;
      // 503: JetStream is not up yet.
      const refused = error instanceof this.modules.JetStreamApiError && error.status !== 503;
      if (refused || /authorization/i.test(message))
        throw new BrokerRefusal(`${this.name}: ${message}`, { cause: error });
      throw error;
    }
  }

  private async connect(last: number): Promise<Link> {
    const { connect, jetstream, jetstreamManager } = this.modules;
    const { url, stream, consumer = 'tenon' } = this.options;
    const { username, password, host } = new URL(url);
    const [user, pass] = [username, password].map(decodeURIComponent);
    const connection = await connect({
      servers: host,
      reconnect: false,
      timeout: 5000,
      ...(pass ? { user, pass } : user && { token: user }),
    });
    try {
      const manager = await jetstreamManager(connection);
      await this.checkStream(manager, last);
      await this.placeConsumer(manager, last);
      return { connection, consumer: await jetstream(connection).consumers.get(stream, consumer), delivered: last };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** A restart reads again what is behind the last checkpoint, so it must still be there, under the numbers it had. */
  private async checkStream(manager: JetStreamManager, last: number): Promise<void> {
    const { config, state } = await manager.streams.info(this.options.stream);
    if (config.retention !== 'limits')
      throw new BrokerRefusal(
        `${this.name} has retention ${config.retention}, expected limits: a restart reads again what is behind the last checkpoint`,
      );
    if (state.last_seq < last)
      throw new BrokerRefusal(
        `${this.name} ends at message ${state.last_seq}, and training has come to ${last}: it was made anew, and its messages would be taken for old ones; restore it, or train into another folder`,
      );
  }

  private async placeConsumer(manager: JetStreamManager, last: number): Promise<void> {
    const { AckPolicy, DeliverPolicy } = this.modules;
    const { stream, subject, consumer = 'tenon' } = this.options;
    // What it delivered before and nobody trained on is delivered again from here on.
    await manager.consumers.delete(stream, consumer).catch(() => {});
    await manager.consumers.add(stream, {
      durable_name: consumer,
      ack_policy: AckPolicy.All,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: last + 1,
      // Messages wait for their checkpoint: few are delivered twice, none holds up the next.
      ack_wait: 24 * 3600 * 1e9,
      max_ack_pending: -1,
      ...(subject && { filter_subject: subject }),
    });
  }
}
