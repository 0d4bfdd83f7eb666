/**
 * Who has the cores. A thread that reads takes one from a program that computes on all of them, and the others then wait at a barrier for who does not run: two of
 * the 15 ms of CTR-DNN's step. So reader threads pause while such a program runs, unless what they are to bring would be waited for. Knows neither readers nor
 * programs.
 */
import { availableProcessors } from '../compiler/processors.ts';

/** Shared by a reader's threads and whoever takes their blocks: whether they pause, and the blocks that are made and not taken yet. */
export type Turns = Int32Array<SharedArrayBuffer>;

const PAUSED = 0;
const BLOCKS = 1;

/** Of the readers that are read from. */
const open = new Set<Turns>();
const processors = availableProcessors();

/** For a reader that begins. */
export function beginTurns(): Turns {
  const turns = new Int32Array(new SharedArrayBuffer(8));
  open.add(turns);
  return turns;
}

/** Nothing more is read for these. */
export function endTurns(turns: Turns): void {
  open.delete(turns);
  resume(turns);
}

/** One of the blocks is taken. */
export function blockTaken(turns: Turns): void {
  Atomics.sub(turns, BLOCKS, 1);
}

/** Runs `compute`, which takes `threads` processors; readers that have something ready pause meanwhile, where that is all there are. */
export function takeTurn<R>(threads: number, compute: () => R): R {
  if (threads < processors || open.size === 0) return compute();
  for (const turns of open) if (Atomics.load(turns, BLOCKS) > 0) Atomics.store(turns, PAUSED, 1);
  try {
    return compute();
  } finally {
    for (const turns of open) resume(turns);
  }
}

function resume(turns: Turns): void {
  if (Atomics.exchange(turns, PAUSED, 0) === 1) Atomics.notify(turns, PAUSED);
}

/** Of the reader that this thread reads for; null where it reads for itself. */
let own: Turns | null = null;

/** This thread pauses as these say. */
export function followTurns(turns: Turns): void {
  own = turns;
}

/** This thread has made a block. */
export function blockMade(): void {
  if (own !== null) Atomics.add(own, BLOCKS, 1);
}

/** Between lines: sleeps while this thread is to pause. */
export function giveWay(): void {
  if (own !== null) while (Atomics.load(own, PAUSED) === 1) Atomics.wait(own, PAUSED, 1);
}
