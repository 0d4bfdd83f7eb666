/**
 * Checks of the sizes that layers are made with. Imports nothing.
 */

/** @throws RangeError naming the first of `sizes` that is no whole number of at least 0 */
export function checkSizes(what: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes))
    if (!Number.isSafeInteger(size) || size < 0)
      throw new RangeError(`${what}: ${name} ${String(size)} came, expected a whole number of at least 0`);
}
