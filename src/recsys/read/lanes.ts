/**
 * Several units at once, in an order that depends on the units alone: lane l reads units l, l + LANES, ..., and blocks are taken from the lanes in turn.
 * So any number of threads, also none, gives the same examples in the same order.
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { Features } from '../features/features.ts';
import type { FeatureSpec } from '../features/spec.ts';
import type { Format } from './format.ts';
import type { Block } from './lines.ts';
import { readUnit, type Unit } from './unit.ts';

/** How many units are read at once. */
const LANES = 4;

/** Examples of a block, about: enough to make a message cheap, few enough that a lane's blocks are small beside a shuffle buffer. */
const BLOCK_ROWS = 4096;

/** Examples of a block that is cut into batches: a whole number of them, so that few batches are put together out of two blocks. */
const blockRows = (batchSize: number): number => batchSize * Math.max(1, Math.round(BLOCK_ROWS / batchSize));

/** Blocks that a worker makes ahead per lane. */
const AHEAD = 2;

/** What a lane reads; plain data, because workers get it. */
export interface LanePlan {
  readonly units: readonly Unit[];
  readonly format: Format;
  readonly features: FeatureSpec;
  readonly blockRows: number;
}

export async function* readLane({ units, format, blockRows }: LanePlan, features: Features): AsyncGenerator<Block> {
  for (const unit of units) yield* readUnit(unit, format, features, blockRows);
}

/** From a worker: a block of a lane, its end, or why it failed. Blocks travel without their schema. */
export type FromWorker = { readonly lane: number } & (
  | { readonly block: Block }
  | { readonly done: true }
  | { readonly failure: string }
);

/** To a worker: it may make `blocks` more of a lane. */
export interface ToWorker {
  readonly lane: number;
  readonly blocks: number;
}

/**
 * The blocks of all units, to be cut into batches. @param threads workers; 0 reads in this thread
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
    await pool?.close();
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

/** A worker runs from the built files, wherever this one is: package.json knows where. */
const workerFile = (): string => createRequire(import.meta.url).resolve('#reader');

class LanePool {
  readonly lanes: readonly RemoteLane[];
  private readonly workers: readonly Worker[];

  constructor(plans: readonly LanePlan[], count: number, features: Features) {
    this.workers = Array.from({ length: count }, (_, i) => {
      const own = plans.map((plan, lane) => ({ lane, plan })).filter(({ lane }) => lane % count === i);
      return new Worker(workerFile(), { workerData: own, name: 'tenon-reader' });
    });
    this.lanes = plans.map((_, lane) => {
      const worker = this.workers[lane % count];
      return new RemoteLane(features, blocks => worker.postMessage({ lane, blocks } satisfies ToWorker));
    });
    for (const worker of this.workers) {
      worker.on('message', (message: FromWorker) => this.lanes[message.lane].receive(message));
      const fail = (reason: string): void => {
        for (const [lane, remote] of this.lanes.entries())
          if (this.workers[lane % count] === worker) remote.receive({ lane, failure: reason });
      };
      worker.on('error', error => fail(`a reader thread failed: ${(error as Error).message}`));
      worker.on('exit', code => fail(`a reader thread ended with code ${code}`));
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map(worker => worker.terminate()));
  }
}

/** A lane that a worker reads. */
class RemoteLane implements AsyncIterator<Block> {
  private readonly features: Features;
  private readonly ask: (blocks: number) => void;
  private readonly ready: FromWorker[] = [];
  private wake: (() => void) | null = null;

  constructor(features: Features, ask: (blocks: number) => void) {
    this.features = features;
    this.ask = ask;
    ask(AHEAD);
  }

  receive(message: FromWorker): void {
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
