/**
 * What shapes alone say of a reduction: whether it is summed in chunks, and whether the work before it should take its
 * loop order.
 */
/** Elements of the dims that `where` says. */
export const product = (shape: readonly number[], where: (d: number) => boolean): number =>
  shape.reduce((n, size, d) => (where(d) ? n * size : n), 1);

/**
 * A column of more elements is summed in parts whatever there is to do: one f32 accumulator of 2^18 numbers is off by
 * 2e-5 of their sum.
 */
const LONG = 2 ** 14;

/** Whether a reduction has too few results to keep threads busy, and many elements. Depends on shapes alone. */
export function shouldSplit(shape: readonly number[], kept: readonly boolean[]): boolean {
  const outer = product(shape, d => kept[d]!);
  const inner = product(shape, d => !kept[d]!);
  if (outer * inner <= 32_768) return false;
  let last = shape.length - 1;
  while (last > 0 && shape[last] === 1) last--;
  if (!kept[last]) return outer < 16 && inner >= 8192;
  const strips = Math.ceil(shape[last]! / 16) * (outer / shape[last]!);
  return (strips < 16 && inner >= 256) || inner > LONG;
}

/** Whether elementwise work should give up its own loop order to be summed on the spot. */
export function worthRows(shape: readonly number[], kept: readonly boolean[]): boolean {
  if (shouldSplit(shape, kept)) return false;
  const outer = product(shape, d => kept[d]!);
  const size = product(shape, () => true);
  if (size <= 16_384) return true;
  let last = shape.length - 1;
  while (last > 0 && shape[last] === 1) last--;
  return kept[last] ? outer >= 64 && size / outer <= 4096 : outer >= 8;
}
