/**
 * Whether a function is being run by a transform now. Some (vmap, loops) trace it: its tensors stand for no value in
 * particular, so nothing may be assigned to parameters, and `backward` has nowhere to put a gradient. Others (grad,
 * jvp) follow what it builds. In both, a compiled function must not compute its values but become part of the graph.
 * Knows no transform.
 */
import { changes } from '../graph/changes.ts';

let tracing: readonly string[] = [];
let followed = 0;

/** Runs `fn` as a function that `transform` (vmap, scan, ...) traces. */
export function traced<T>(transform: string, fn: () => T): T {
  const before = tracing;
  tracing = [...tracing, transform];
  changes.modes++;
  try {
    return fn();
  } finally {
    tracing = before;
  }
}

/** Runs `fn` as a function whose graph a transform (grad, jvp, ...) needs. */
export function followedBy<T>(fn: () => T): T {
  followed++;
  changes.modes++;
  try {
    return fn();
  } finally {
    followed--;
  }
}

/** Whether a transform needs the graph of what is computed now. */
export const isInsideTransform = (): boolean => tracing.length > 0 || followed > 0;

/** @throws Error where a function is being traced; `advice` says what to do instead */
export function refuseWhileTraced(op: string, advice: string): void {
  const transform = tracing.at(-1);
  if (transform) throw new Error(`${op}: not possible inside ${transform}: ${advice}`);
}
