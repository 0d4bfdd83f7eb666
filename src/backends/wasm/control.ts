/**
 * The first page of the linear memory: words through which threads and generated code talk to each other. Each group of
 * words that one side writes while another reads stands in a cache line of its own. Addresses only.
 */
export const CONTROL = {
  /** 0 until something failed; the first failure takes it to 1. */
  failed: 0,
  /** The site and the offending value (64 bits) of the first failure. */
  failSite: 4,
  failValue: 8,
  /** `failed` as it was when the last barrier opened: the same for all threads until the next one. */
  failedAtBarrier: 64,
  /** Threads that have arrived at the barrier; how often it has opened; threads asleep in front of it. */
  arrived: 128,
  opened: 192,
  sleepers: 256,
  /**
   * How often a waiting thread looks before it sleeps; whether thread 0 may sleep at all (browsers forbid it on the
   * main thread).
   */
  spins: 320,
  mainMaySleep: 324,
  /**
   * Workers sleep on `runs`, which counts up twice per command: odd while the words after it are being written.
   * `asleep` counts the workers that have to be woken.
   */
  runs: 384,
  program: 388,
  args: 392,
  threads: 396,
  /** Kernel to run alone, or -1 for the whole program. */
  step: 400,
  /** 1 when worker 0 plays thread 0 instead of the main thread. */
  led: 404,
  asleep: 448,
  /** Worker 0 counts here the programs it has led. */
  ledRuns: 512,
  /** Workers that met an exception, which is a bug in generated code. */
  crashed: 576,
  /** One word per worker, 1 once it is up. */
  ready: 4096,
} as const;

/** Words of `ready`. */
export const MAX_THREADS = 1023;
/**
 * Where generated code and its data may begin: far enough up that an address a little before a buffer does not wrap
 * around.
 */
export const HEAP_START = 1 << 20;
export const PAGE = 1 << 16;
/** Pages of a 32-bit memory. */
export const MAX_PAGES = 1 << 16;
