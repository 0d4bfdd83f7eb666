/**
 * Several units at once, in an order that depends on the units alone: lane l reads units l, l + LANES, ..., and blocks
 * are taken from the lanes in turn. So any number of threads, also none, gives the same examples in the same order.
 */
import type { Features } from '../features/features.ts';
import type { FeatureSpec } from '../features/spec.ts';
import type { Format } from './format.ts';
import type { Block } from './lines.ts';
import { type FromThread, type ReaderThread, takeReaderThread } from './threads.ts';
import { readUnit, type Unit } from './unit.ts';

/** How many units are read at once. */
const LANES = 4;

/**
 * Examples of a block, about: enough to make a message cheap, few enough that a lane's blocks are small beside a
 * shuffle buffer.
 */
const BLOCK_ROWS = 4096;

/**
 * Examples of a block that is cut into batches: a whole number of them, so that few batches are put together out of two
 * blocks.
 */
const blockRows = (batchSize: number): number => batchSize * Math.max(1, Math.round(BLOCK_ROWS / batchSize));

/** Blocks that a thread makes ahead for each of its lanes. */
const AHEAD = 2;

/** What a lane reads; plain data, because threads get it. */
export interface LanePlan {
  readonly units: readonly Unit[];
  readonly format: Format;
  readonly features: FeatureSpec;
  readonly blockRows: number;
}

export async function* readLane({ units, format, blockRows }: LanePlan, features: Features): AsyncGenerator<Block> {
  for (const unit of units) yield* readUnit(unit, format, features, blockRows);
}

/**
 * The blocks of all units, to be cut into batches. @param threads how many; 0 reads in this thread
 * @throws Error naming the file that cannot be read
 */
export async function* readUnits(
  units: readonly Unit[],
  format: Format,
  features: Features,
  batchSize: number,
  threads: number,
): AsyncGenerator<Block, void, undefined> {
  const count = Math.min(LANES, units.length);
  const plans = Array.from({ length: count }, (_, lane) => ({
    units: units.filter((_, i) => i % LANES === lane),
    format,
    features: features.spec,
    blockRows: blockRows(batchSize),
  }));
  const pool = threads > 0 ? new LanePool(plans, Math.min(threads, count), features) : null;
  try {
    yield* inTurn(pool ? pool.lanes : plans.map(plan => readLane(plan, features)));
  } finally {
    pool?.close();
  }
}

async function* inTurn(lanes: readonly AsyncIterator<Block>[]): AsyncGenerator<Block, void, undefined> {
  let open = lanes;
  while (open.length > 0) {
    const still: AsyncIterator<Block>[] = [];
    for (const lane of open) {
      const next = await lane.next();
      if (next.done) continue;
      still.push(lane);
      yield next.value;
    }
    open = still;
  }
}

class LanePool {
  readonly lanes: readonly RemoteLane[];
  private readonly threads: readonly ReaderThread[];

  constructor(plans: readonly LanePlan[], count: number, features: Features) {
    this.threads = Array.from({ length: count }, (_, i) => {
      const own = plans.map((plan, lane) => ({ lane, plan })).filter(({ lane }) => lane % count === i);
      return takeReaderThread(own, message => this.lanes[message.lane]!.receive(message));
    });
    this.lanes = plans.map((_, lane) => new RemoteLane(features, blocks => this.threads[lane % count]!.ask(blocks)));
  }

  close(): void {
    for (const thread of this.threads) thread.release();
  }
}

/** A lane that another thread reads. */
class RemoteLane implements AsyncIterator<Block> {
  private readonly features: Features;
  private readonly ask: (blocks: number) => void;
  private readonly ready: FromThread[] = [];
  private wake: (() => void) | null = null;

  constructor(features: Features, ask: (blocks: number) => void) {
    this.features = features;
    this.ask = ask;
    ask(AHEAD);
  }

  receive(message: FromThread): void {
    this.ready.push(message);
    this.wake?.();
    this.wake = null;
  }

  async next(): Promise<IteratorResult<Block, undefined>> {
    while (this.ready.length === 0)
      await new Promise<void>(resolve => {
        this.wake = resolve;
      });
    const message = this.ready.shift()!;
    if ('failure' in message) throw new Error(message.failure);
    if ('done' in message) return { done: true, value: undefined };
    this.ask(1);
    const { block } = message;
    return { done: false, value: { ...block, batch: { ...block.batch, schema: this.features.schema } } };
  }
}
