/**
 * Ctrl-C and SIGTERM (how schedulers end a job) as an abort signal: work stops where it can be gone on with.
 */

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

interface Interruption {
  readonly signal: AbortSignal;
  /** Which one came. */
  readonly heard: () => NodeJS.Signals;
}

/** Runs `work` with a signal that aborts on the first Ctrl-C; a second one ends the process at once. */
export async function interruptible<T>(work: (interruption: Interruption) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  let heard: NodeJS.Signals = 'SIGINT';
  const onSignal = (signal: NodeJS.Signals): void => {
    if (abort.signal.aborted) process.exit(130);
    heard = signal;
    abort.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work({ signal: abort.signal, heard: () => heard });
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
