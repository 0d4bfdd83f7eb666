/**
 * A reader thread: reads the lanes of its present owner as far ahead as it is asked, and hands the blocks over without copying them.
 */
import { parentPort } from 'node:worker_threads';
import { Features } from '../features/features.ts';
import { blockMade, followTurns } from '../turns.ts';
import { type LanePlan, readLane } from './lanes.ts';
import type { FromThread, Reply, ToThread } from './threads.ts';

/** A lane of an owner: how many blocks it may make, and what to call when it may again. */
interface Lane {
  credit: number;
  wake: (() => void) | null;
}

/** Lanes of the present owner; those of one that has gone find themselves not among them, and end. */
let lanes = new Map<number, Lane>();
let present = 0;

/** Reads a lane; calls `begun` once its first block is sent, or that there is none. */
async function run(owner: number, lane: number, state: Lane, plan: LanePlan, begun: () => void): Promise<void> {
  const send = (message: FromThread, transfer: ArrayBuffer[] = []): void =>
    parentPort!.postMessage({ owner, message } satisfies Reply, transfer);
  try {
    const features = new Features(plan.features);
    for await (const block of readLane(plan, features)) {
      while (state.credit === 0 && owner === present)
        await new Promise<void>(resolve => {
          state.wake = resolve;
        });
      if (owner !== present) return;
      state.credit--;
      const { hi, lo, offsets, dense, labels } = block.batch;
      const schema = { slots: [], dense: [], labels: [] };
      const arrays = [hi, lo, offsets, dense, labels].map(array => array.buffer as ArrayBuffer);
      blockMade();
      send({ lane, block: { ...block, batch: { ...block.batch, schema } } }, arrays);
      begun();
    }
    send({ lane, done: true });
  } catch (error) {
    send({ lane, failure: error instanceof Error ? error.message : String(error) });
  } finally {
    begun();
  }
}

/** Begins lanes one after the other: their blocks are wanted in turn, and the first of all while everybody waits for it. */
async function runAll(owner: number, plans: ReadonlyMap<number, LanePlan>): Promise<void> {
  const states = lanes;
  for (const [lane, plan] of plans)
    await new Promise<void>(begun => {
      void run(owner, lane, states.get(lane)!, plan, begun);
    });
}

function wake(state: Lane): void {
  state.wake?.();
  state.wake = null;
}

/** Ends what is being read, and begins with other lanes. */
function become(owner: number, own: ReadonlyMap<number, LanePlan>): void {
  const before = lanes;
  present = owner;
  lanes = new Map([...own.keys()].map(lane => [lane, { credit: 0, wake: null }]));
  for (const state of before.values()) wake(state);
  void runAll(owner, own);
}

parentPort!.on('message', (message: ToThread) => {
  if ('lanes' in message) {
    followTurns(message.turns);
    become(message.owner, new Map(message.lanes.map(({ lane, plan }) => [lane, plan])));
  } else if ('end' in message) become(0, new Map());
  else {
    const state = lanes.get(message.lane)!;
    state.credit += message.blocks;
    wake(state);
  }
});
