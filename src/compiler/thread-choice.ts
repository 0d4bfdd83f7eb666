/**
 * How many threads a program runs on. Results have the same bits for any number, so this is found out by trying, again
 * and again: loops with bounds that are only known when they run make estimates wrong by a factor of a hundred either
 * way, and a machine may be busy for a while. Knows times only.
 */

/** Below this estimate a program is over before another thread would have woken: a few microseconds. */
const ALWAYS_ALONE = 20_000;
/** From this estimate on the first run takes all threads. */
const FIRST_TOGETHER = 20_000_000;
/**
 * So many runs in a row of at least so many milliseconds take all threads from then on, until one is over sooner than
 * half of that.
 */
const LONG_MS = 1;
const LONG_RUNS = 3;
/** The first runs compile code, so they decide nothing. */
const WARM_UP = 3;
/** Runs until the slower way is first tried again; each trial that finds it slower doubles them ... */
const FIRST_PAUSE = 32;
/** ... until trials cost no more than this share of all time. */
const TRIAL_SHARE = 1e-3;
/** Weight of a new time in the running average. */
const WEIGHT = 0.25;

/** How long runs take one way. */
class Way {
  /** Running average in milliseconds, infinite while untried. */
  time = Number.POSITIVE_INFINITY;
  private run = Number.NEGATIVE_INFINITY;

  /**
   * Run number `run` took so many milliseconds. What is known from long ago may hold no more; one run that was held up
   * counts as twice the average.
   */
  took(milliseconds: number, run: number): void {
    const isKnown = run - this.run < FIRST_PAUSE / 2;
    this.time = isKnown ? this.time + (Math.min(milliseconds, 2 * this.time) - this.time) * WEIGHT : milliseconds;
    this.run = run;
  }
}

export class ThreadChoice {
  /**
   * Whether a run is over before another thread would have woken: on one thread always, and nobody need ask how long it
   * takes.
   */
  readonly brief: boolean;
  /** Estimated work, see usage.ts. */
  private readonly estimate: number;
  private runs = 0;
  private longRuns = 0;
  private alone = new Way();
  private together = new Way();
  private pause = FIRST_PAUSE;
  /** The run that tries the slower way. */
  private trial = FIRST_PAUSE;

  constructor(estimate: number) {
    this.estimate = estimate;
    this.brief = estimate < ALWAYS_ALONE;
  }

  /** Threads for the next run, when `wanted` may be used. */
  next(wanted: number): number {
    if (wanted === 1 || this.brief) return 1;
    if (this.longRuns >= LONG_RUNS) return wanted;
    if (this.runs < WARM_UP) return this.estimate < FIRST_TOGETHER ? 1 : wanted;
    const alone = this.alone.time;
    const together = this.together.time;
    if (alone === Number.POSITIVE_INFINITY) return 1;
    if (together === Number.POSITIVE_INFINITY) return wanted;
    const isTrial = this.runs >= this.trial;
    if (isTrial) {
      const loss = Math.max(alone, together) / Math.min(alone, together) - 1;
      this.pause = Math.max(FIRST_PAUSE, Math.min(2 * this.pause, loss / TRIAL_SHARE));
      this.trial = this.runs + this.pause;
    }
    return alone < together !== isTrial ? 1 : wanted;
  }

  /** A run on `threads` threads took so many milliseconds. Not asked for where runs are brief. */
  took(threads: number, milliseconds: number): void {
    this.runs++;
    if (this.longRuns < LONG_RUNS) this.longRuns = milliseconds >= LONG_MS ? this.longRuns + 1 : 0;
    else if (milliseconds < LONG_MS / 2) {
      // The machine was busy, or the program has become shorter: what was known of it says nothing.
      this.longRuns = 0;
      this.alone = new Way();
      this.together = new Way();
      this.tryAgainSoon();
    }
    if (this.runs <= WARM_UP) return;
    const wasAlone = this.alone.time < this.together.time;
    (threads === 1 ? this.alone : this.together).took(milliseconds, this.runs);
    if (this.alone.time < this.together.time !== wasAlone) this.tryAgainSoon();
  }

  private tryAgainSoon(): void {
    this.pause = FIRST_PAUSE;
    this.trial = this.runs + FIRST_PAUSE;
  }
}
