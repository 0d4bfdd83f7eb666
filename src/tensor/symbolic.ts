/**
 * While a transform traces a function, its tensors stand for no value in particular: nothing may be assigned to parameters, and
 * `backward` has nowhere to put a gradient. This file knows whether that is so now. Imports nothing.
 */

let inside: readonly string[] = [];

/** Runs `fn` as a function that `transform` (vmap, scan, ...) traces. */
export function traced<T>(transform: string, fn: () => T): T {
  const before = inside;
  inside = [...inside, transform];
  try {
    return fn();
  } finally {
    inside = before;
  }
}

/** @throws Error where a function is being traced; `advice` says what to do instead */
export function refuseWhileTraced(op: string, advice: string): void {
  const transform = inside.at(-1);
  if (transform) throw new Error(`${op}: not possible inside ${transform}: ${advice}`);
}
