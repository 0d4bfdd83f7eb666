/**
 * Reader threads: they outlive the loop over a reader, because a thread takes 0.1 s to start and as much until its code
 * is optimised, and passes may be shorter than that. A thread reads for one owner at a time; idle ones keep no process
 * alive, and end after a while.
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { LanePlan } from './lanes.ts';
import type { Block } from './lines.ts';

/** From a thread: a block of a lane, its end, or why it failed. Blocks travel without their schema. */
export type FromThread = { readonly lane: number } & (
  | { readonly block: Block }
  | { readonly done: true }
  | { readonly failure: string }
);

/** The lanes of one owner on one thread. */
export type OwnLanes = readonly { readonly lane: number; readonly plan: LanePlan }[];

/** To a thread, about the owner of a number: these are its lanes; it takes `blocks` more; it wants no more. */
export type ToThread = { readonly owner: number } & (
  | { readonly lanes: OwnLanes }
  | { readonly blocks: number }
  | { readonly end: true }
);

/** What a thread sends, and for whom. */
export interface Reply {
  readonly owner: number;
  readonly message: FromThread;
}

export interface ReaderThread {
  /** It may make `blocks` more: of its lanes in turn. */
  ask(blocks: number): void;
  /** Nothing more is wanted. */
  release(): void;
}

/** Milliseconds after which an idle thread ends. */
const IDLE_MS = 30_000;

/** A thread runs from the built files, wherever this one is: package.json knows where. */
const threadFile = (): string => createRequire(import.meta.url).resolve('#reader');

let owners = 0;
const idle: Thread[] = [];

/** A thread that reads these lanes and tells `receive`. */
export function takeReaderThread(lanes: OwnLanes, receive: (message: FromThread) => void): ReaderThread {
  const thread = idle.pop() ?? new Thread();
  thread.begin(lanes, receive);
  return thread;
}

class Thread implements ReaderThread {
  private readonly worker = new Worker(threadFile(), { name: 'tenon-reader' });
  private owner = 0;
  private lanes: OwnLanes = [];
  private receive: ((message: FromThread) => void) | null = null;
  private ending: NodeJS.Timeout | undefined;

  constructor() {
    this.worker.on('message', ({ owner, message }: Reply) => {
      // What was on its way to an owner that has gone is nobody's.
      if (owner === this.owner) this.receive?.(message);
    });
    this.worker.on('error', error => this.fail(`a reader thread failed: ${(error as Error).message}`));
    this.worker.on('exit', code => this.fail(`a reader thread ended with code ${code}`));
  }

  begin(lanes: OwnLanes, receive: (message: FromThread) => void): void {
    clearTimeout(this.ending);
    this.worker.ref();
    this.owner = ++owners;
    this.lanes = lanes;
    this.receive = receive;
    this.send({ owner: this.owner, lanes });
  }

  ask(blocks: number): void {
    this.send({ owner: this.owner, blocks });
  }

  release(): void {
    if (!this.receive) return;
    this.receive = null;
    this.send({ owner: this.owner, end: true });
    this.worker.unref();
    this.ending = setTimeout(() => {
      idle.splice(idle.indexOf(this), 1);
      void this.worker.terminate();
    }, IDLE_MS).unref();
    idle.push(this);
  }

  private send(message: ToThread): void {
    this.worker.postMessage(message);
  }

  /** The thread is gone. */
  private fail(failure: string): void {
    const { receive } = this;
    this.receive = null;
    clearTimeout(this.ending);
    const at = idle.indexOf(this);
    if (at >= 0) idle.splice(at, 1);
    for (const { lane } of this.lanes) receive?.({ lane, failure });
  }
}
