/**
 * How many threads a program runs on. Results have the same bits for any number, so this is found out by trying, again and again: loops with
 * bounds that are only known when they run make estimates wrong by a factor of a hundred either way, and a machine may be busy for a while.
 * Knows times only.
 */

/** Below this estimate a program is over before another thread would have woken: a few microseconds. */
const ALWAYS_ALONE = 20_000;
/** From this estimate on the first run takes all threads. */
const FIRST_TOGETHER = 20_000_000;
/** So many runs in a row of at least so many milliseconds: worth all threads, whatever else. */
const LONG_MS = 1;
const LONG_RUNS = 3;
/** The first runs compile code, so they decide nothing. */
const WARM_UP = 3;
/** Every so many runs the other way is tried. */
const PROBE_EVERY = 32;
/** Weight of a new time in the running average. */
const WEIGHT = 0.25;

export class ThreadChoice {
  /** Estimated work, see usage.ts. */
  private readonly estimate: number;
  private runs = 0;
  private longRuns = 0;
  /** Running averages in milliseconds, null while untried. */
  private alone: number | null = null;
  private together: number | null = null;
  private decision: 'alone' | 'together' | null;

  constructor(estimate: number) {
    this.estimate = estimate;
    this.decision = estimate < ALWAYS_ALONE ? 'alone' : null;
  }

  /** Whether `took` should be told how long runs take. */
  get undecided(): boolean {
    return this.decision === null;
  }

  /** Whether a run is over before another thread would have woken. */
  get brief(): boolean {
    return this.decision === 'alone';
  }

  /** Threads for the next run, when `wanted` may be used. */
  next(wanted: number): number {
    if (wanted === 1 || this.decision === 'alone') return 1;
    if (this.decision === 'together') return wanted;
    if (this.runs < WARM_UP) return this.estimate < FIRST_TOGETHER ? 1 : wanted;
    if (this.alone === null) return 1;
    if (this.together === null) return wanted;
    const better = this.alone < this.together ? 1 : wanted;
    if (this.runs % PROBE_EVERY !== 0) return better;
    return better === 1 ? wanted : 1;
  }

  /** A run on `threads` threads took so many milliseconds. */
  took(threads: number, milliseconds: number): void {
    this.runs++;
    this.longRuns = milliseconds >= LONG_MS ? this.longRuns + 1 : 0;
    if (this.longRuns >= LONG_RUNS) this.decision = 'together';
    if (this.runs <= WARM_UP) return;
    const blend = (old: number | null): number => (old === null ? milliseconds : old + (milliseconds - old) * WEIGHT);
    if (threads === 1) this.alone = blend(this.alone);
    else this.together = blend(this.together);
  }
}
