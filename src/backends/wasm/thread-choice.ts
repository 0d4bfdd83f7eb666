/**
 * How many threads a program runs on. Results have the same bits for any number, so this may be found out by trying: loops with bounds that are only
 * known when they run make estimates wrong by a factor of a hundred either way. Knows times only.
 */

/** Below this estimate a program is over before another thread would have woken: a few microseconds. */
const ALWAYS_ALONE = 20_000;
/** From this estimate on the first run takes all threads. */
const FIRST_TOGETHER = 20_000_000;
/** A run of this many milliseconds is worth all threads, whatever else. */
const ALWAYS_TOGETHER = 5;
/** The first runs compile code, so they decide nothing; then runs alone and together alternate. */
const WARM_UP = 3;
const TRIALS = 10;

export class ThreadChoice {
  /** Estimated work, see usage.ts. */
  private readonly estimate: number;
  private runs = 0;
  private alone = Number.POSITIVE_INFINITY;
  private together = Number.POSITIVE_INFINITY;
  private decision: 'alone' | 'together' | null;

  constructor(estimate: number) {
    this.estimate = estimate;
    this.decision = estimate < ALWAYS_ALONE ? 'alone' : null;
  }

  /** Whether `took` should be told how long runs take. */
  get undecided(): boolean {
    return this.decision === null;
  }

  /** Threads for the next run, when `wanted` may be used. */
  next(wanted: number): number {
    if (wanted === 1 || this.decision === 'alone') return 1;
    if (this.decision === 'together') return wanted;
    if (this.runs < WARM_UP) return this.estimate < FIRST_TOGETHER ? 1 : wanted;
    return this.runs % 2 === 0 ? 1 : wanted;
  }

  /** A run on `threads` threads took so many milliseconds. */
  took(threads: number, milliseconds: number): void {
    this.runs++;
    if (this.runs <= WARM_UP) {
      if (this.runs > 1 && milliseconds > ALWAYS_TOGETHER) this.decision = 'together';
      return;
    }
    if (threads === 1) this.alone = Math.min(this.alone, milliseconds);
    else this.together = Math.min(this.together, milliseconds);
    if (this.runs < WARM_UP + TRIALS) return;
    // Not enough threads were up to try them: later, then.
    if (this.together === Number.POSITIVE_INFINITY) this.runs = WARM_UP;
    else this.decision = this.alone < this.together ? 'alone' : 'together';
  }
}
