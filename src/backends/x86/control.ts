/**
 * Words through which threads and generated code talk, by byte offset in a block of native memory. Words that one side
 * writes while another reads stand in cache lines of their own.
 */
export const CONTROL = {
  /** 0 until something failed; then the site and the value of the first failure. */
  failed: 0,
  failSite: 4,
  failValue: 8,
  /** `failed` as it was when the last barrier opened: the same for all threads until the next one. */
  failedAtBarrier: 64,
  /** Threads that have arrived at the barrier; how often it has opened; threads asleep in front of it. */
  arrived: 128,
  opened: 192,
  sleepers: 256,
  /** Counts runs on several threads; workers wait for it to move. Then what to run, and on how many threads. */
  runs: 320,
  program: 384,
  args: 392,
  threads: 400,
  /** Workers that are done with the run, taking part or not; workers asleep. */
  done: 448,
  asleep: 512,
  /** Workers there are. */
  workers: 576,
  /** How far the run has come that is led by a thread of the event loop's pool, see LED. */
  led: 640,
  /** 1 once the thread that hands out runs has ended: the next run that workers see is none, and they end too. */
  over: 644,
  /** What `Platform.atThreadEnd` gave. */
  endKey: 648,
  forgetEnd: 656,
  join: 664,
  unmap: 672,
  /** The page of this code. */
  poolCode: 680,
  /** On Windows: functions, a handle of the thread that hands out runs, and the code that gives back what it held. */
  startThread: 688,
  closeHandle: 696,
  thisThread: 728,
  reap: 736,
  /** Functions of system-code.ts, which never change. */
  wait: 704,
  wake: 712,
  yield: 720,
  /** The run to lead, and on how many threads; calls of the pool that have come for one. */
  ledProgram: 768,
  ledArgs: 776,
  ledThreads: 784,
  came: 788,
  /**
   * Steps whose code is there while a program is written, -1 where no further one is to begin; who follows waits for it
   * to move.
   */
  ready: 832,
  /** Of a run that follows: steps begun, all there will be, and threads for each. */
  begun: 896,
  steps: 900,
  stepThreads: 904,
  /** A handle for each worker. */
  handles: 960,
} as const;

/** What `led` says: there is none, it waits for a thread, a thread runs it. */
export const LED = { none: 0, offered: 1, begun: 2 } as const;

export const HANDLE_BYTES = 8;
/** Threads of a machine at most. */
export const MAX_THREADS = 256;
export const CONTROL_BYTES = CONTROL.handles + HANDLE_BYTES * MAX_THREADS;
