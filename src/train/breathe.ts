/**
 * Letting the event loop turn during synchronous work, without which no signal, timer or abort is ever seen. Imports
 * nothing.
 */

/** Milliseconds of work between two turns. */
const INTERVAL = 50;

/** A macrotask where there is one without delay, a timer elsewhere (browsers). */
const turn = (): Promise<void> =>
  new Promise(resolve => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve);
  });

/** A function to await between steps: it lets the event loop turn once in a while, and otherwise costs nothing. */
export function breather(): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < INTERVAL) return undefined;
    return turn().then(() => {
      last = performance.now();
    });
  };
}
