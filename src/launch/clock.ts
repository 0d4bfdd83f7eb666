/**
 * Milliseconds that only grow. Node makes its `performance` of eleven modules when it is first asked for, which is 2 ms
 * of a process that has one result to compute; browsers have no other clock. Imports nothing.
 */
export const clock = (): number =>
  typeof globalThis.process?.uptime === 'function' ? process.uptime() * 1e3 : performance.now();
