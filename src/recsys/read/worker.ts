/**
 * A reader thread: reads the lanes of its present owner as far ahead as it is asked, in the order in which their blocks
 * are wanted, and hands the blocks over without copying them.
 */
import { parentPort } from 'node:worker_threads';
import { Features } from '../features/features.ts';
import { readLane } from './lanes.ts';
import type { Block } from './lines.ts';
import type { FromThread, OwnLanes, Reply, ToThread } from './threads.ts';

let present = 0;
/** How many blocks the present owner takes, and what to call when it takes more, or has gone. */
let credit = 0;
let wake: (() => void) | null = null;

function wakeUp(): void {
  wake?.();
  wake = null;
}

/** Reads lanes in turn, until they end or their owner has gone. */
async function run(owner: number, lanes: OwnLanes): Promise<void> {
  let open = lanes.map(({ lane, plan }) => ({ lane, blocks: readLane(plan, new Features(plan.features)) }));
  while (open.length > 0) {
    const still: typeof open = [];
    for (const own of open) {
      const message = await nextOf(own);
      while (credit === 0 && owner === present && 'block' in message)
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      if (owner !== present) {
        for (const { blocks } of open) await blocks.return(undefined);
        return;
      }
      send(owner, message);
      if ('block' in message) still.push(own);
    }
    open = still;
  }
}

async function nextOf({ lane, blocks }: { lane: number; blocks: AsyncGenerator<Block> }): Promise<FromThread> {
  try {
    const { done, value } = await blocks.next();
    return done ? { lane, done } : { lane, block: value };
  } catch (error) {
    return { lane, failure: error instanceof Error ? error.message : String(error) };
  }
}

function send(owner: number, message: FromThread): void {
  if (!('block' in message)) {
    parentPort!.postMessage({ owner, message } satisfies Reply);
    return;
  }
  const { lane, block } = message;
  const { hi, lo, offsets, dense, labels } = block.batch;
  const schema = { slots: [], dense: [], labels: [] };
  const arrays = [hi, lo, offsets, dense, labels].map(array => array.buffer as ArrayBuffer);
  const reply = { owner, message: { lane, block: { ...block, batch: { ...block.batch, schema } } } } satisfies Reply;
  credit--;
  parentPort!.postMessage(reply, arrays);
}

/** Ends what is being read, and begins with other lanes. */
function become(owner: number, lanes: OwnLanes): void {
  present = owner;
  credit = 0;
  wakeUp();
  void run(owner, lanes);
}

parentPort!.on('message', (message: ToThread) => {
  if ('lanes' in message) become(message.owner, message.lanes);
  else if ('end' in message) become(0, []);
  else if (message.owner === present) {
    credit += message.blocks;
    wakeUp();
  }
});
