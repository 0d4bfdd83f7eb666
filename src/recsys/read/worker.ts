/**
 * A reader thread: reads its lanes as far ahead as it is asked, and hands the blocks over without copying them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Features } from '../features/features.ts';
import { type FromWorker, type LanePlan, readLane, type ToWorker } from './lanes.ts';

const lanes = new Map<number, { credit: number; wake: (() => void) | null }>();
const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => parentPort!.postMessage(message, transfer);

async function run(lane: number, plan: LanePlan): Promise<void> {
  const state = lanes.get(lane)!;
  const features = new Features(plan.features);
  for await (const block of readLane(plan, features)) {
    while (state.credit === 0)
      await new Promise<void>(resolve => {
        state.wake = resolve;
      });
    state.credit--;
    const { hi, lo, offsets, dense, labels } = block.batch;
    const schema = { slots: [], dense: [], labels: [] };
    const arrays = [hi, lo, offsets, dense, labels].map(array => array.buffer as ArrayBuffer);
    send({ lane, block: { ...block, batch: { ...block.batch, schema } } }, arrays);
  }
  send({ lane, done: true });
}

parentPort!.on('message', ({ lane, blocks }: ToWorker) => {
  const state = lanes.get(lane)!;
  state.credit += blocks;
  state.wake?.();
  state.wake = null;
});

for (const { lane, plan } of workerData as { lane: number; plan: LanePlan }[]) {
  lanes.set(lane, { credit: 0, wake: null });
  run(lane, plan).catch(error => send({ lane, failure: error instanceof Error ? error.message : String(error) }));
}
