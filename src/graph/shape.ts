/**
 * Shapes: lists of sizes, outermost first.
 */

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, size) => n * size, 1);

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
