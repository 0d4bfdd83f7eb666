/**
 * Sequences of different lengths without their padding (torch.nn.utils.rnn): the steps of all sequences one after
 * another, each step with those sequences that are long enough. Recurrent layers take and give them.
 */
import { shapeText } from '../tensor/convert.ts';
import { cat, full, Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';

/** Sequences sorted by falling length, step by step. */
export class PackedSequence {
  /** `[sum of batchSizes, ...]`: rows of step 0, then of step 1, ... */
  readonly data: Tensor;
  /** How many sequences have each step; never rises. */
  readonly batchSizes: readonly number[];
  /** Which sequence of the batch stands at each place of the sorted order; null where it came sorted. */
  readonly sortedIndices: readonly number[] | null;

  constructor(data: Tensor, batchSizes: readonly number[], sortedIndices: readonly number[] | null = null) {
    const rows = batchSizes.reduce((sum, n) => sum + n, 0);
    if (data.shape[0] !== rows)
      throw new RangeError(`PackedSequence: data ${shapeText(data.shape)} came, expected ${rows} rows for batchSizes ${shapeText(batchSizes)}`);
    this.data = data;
    this.batchSizes = batchSizes;
    this.sortedIndices = sortedIndices;
  }

  /** The place in the sorted order of each sequence of the batch. */
  get unsortedIndices(): readonly number[] | null {
    if (!this.sortedIndices) return null;
    const places = new Array<number>(this.sortedIndices.length);
    for (const [place, index] of this.sortedIndices.entries()) places[index] = place;
    return places;
  }

  /** Steps of each sequence, in the batch's order. */
  get lengths(): readonly number[] {
    const batch = this.batchSizes[0] ?? 0;
    const sorted = Array.from({ length: batch }, (_, i) => this.batchSizes.filter(n => n > i).length);
    return this.unsortedIndices?.map(place => sorted[place]!) ?? sorted;
  }

  /** The same sequences with other data for every step. */
  with(data: Tensor): PackedSequence {
    return new PackedSequence(data, this.batchSizes, this.sortedIndices);
  }
} // biome-ignore format: one sentence

/** Rows or columns of `x` along `dim` in the order of `indices`; x where there are none. */
export const reordered = (x: Tensor, dim: number, indices: readonly number[] | null): Tensor =>
  indices ? x.indexSelect(dim, Tensor.from(BigInt64Array.from(indices, BigInt))) : x;

export interface PackOptions {
  /** Whether the batch is the first dim; false by default. */
  readonly batchFirst?: boolean;
  /**
   * Whether the sequences must come sorted by falling length (true by default); otherwise they are sorted, and results
   * come in the given order.
   */
  readonly enforceSorted?: boolean;
}

/**
 * Takes the padding out of [T, N, ...] ([N, T, ...] with `batchFirst`).
 *
 * @param lengths steps of each of the N sequences, 1 to T
 * @throws RangeError where lengths do not fit the input, or rise although they must be sorted
 */
export function packPaddedSequence(input: Tensor, lengths: readonly number[] | Tensor, options: PackOptions = {}): PackedSequence {
  const { batchFirst = false, enforceSorted = true } = checkOptions('packPaddedSequence', options, ['batchFirst', 'enforceSorted']);
  const steps = lengths instanceof Tensor ? Array.from(lengths.data(), Number) : lengths;
  if (input.ndim < 2) throw new RangeError(`packPaddedSequence: input: expected at least 2 dims, got ${shapeText(input.shape)}`);
  const x = batchFirst ? input.transpose(0, 1) : input;
  const [longest, batch] = x.shape as [number, number];
  if (steps.length !== batch)
    throw new RangeError(`packPaddedSequence: lengths: expected ${batch}, one for each sequence, got ${steps.length}`);
  for (const n of steps)
    if (!Number.isInteger(n) || n < 1 || n > longest)
      throw new RangeError(`packPaddedSequence: lengths: expected whole numbers from 1 to ${longest}, got ${n}`);
  const order = steps.map((_, i) => i).sort((a, b) => steps[b]! - steps[a]!);
  const isSorted = order.every((index, i) => index === i);
  if (enforceSorted && !isSorted)
    throw new RangeError('packPaddedSequence: lengths: expected to fall; { enforceSorted: false } sorts them');
  const sorted = reordered(x, 1, isSorted ? null : order);
  const most = steps[order[0]!]!;
  const sizes = Array.from({ length: most }, (_, t) => steps.filter(n => n > t).length);
  const rows = sizes.map((n, t) => sorted.select(0, t).narrow(0, 0, n));
  return new PackedSequence(cat(rows, 0), sizes, enforceSorted ? null : order);
} // biome-ignore format: a signature

export interface PadOptions {
  readonly batchFirst?: boolean;
  /** What fills steps that a sequence has not; 0 by default. */
  readonly paddingValue?: number;
  /** Steps of the result; those of the longest sequence by default. */
  readonly totalLength?: number;
}

/** The inverse: [T, N, ...] ([N, T, ...] with `batchFirst`) with padding, and the lengths in the batch's order. */
export function padPackedSequence(packed: PackedSequence, options: PadOptions = {}): [padded: Tensor, lengths: readonly number[]] {
  const { batchFirst = false, paddingValue = 0, totalLength = packed.batchSizes.length } = checkOptions('padPackedSequence', options, ['batchFirst', 'paddingValue', 'totalLength']);
  const { data, batchSizes } = packed;
  if (!Number.isInteger(totalLength) || totalLength < batchSizes.length)
    throw new RangeError(`padPackedSequence: totalLength: expected at least the ${batchSizes.length} steps there are, got ${totalLength}`);
  const [batch = 0] = batchSizes;
  const rest = data.shape.slice(1);
  // Row t * batch + i of the padded result is row i of step t; the row behind the last is padding.
  const starts = [0];
  for (const n of batchSizes) starts.push(starts.at(-1)! + n);
  const places = Array.from({ length: totalLength * batch }, (_, k) => {
    const [t, i] = [Math.floor(k / batch), k % batch];
    return i < (batchSizes[t] ?? 0) ? starts[t]! + i : data.shape[0]!;
  });
  const filled = cat([data, full([1, ...rest], paddingValue, { dtype: data.dtype })], 0);
  const padded = reordered(reordered(filled, 0, places).reshape([totalLength, batch, ...rest]), 1, packed.unsortedIndices);
  return [batchFirst ? padded.transpose(0, 1) : padded, packed.lengths];
} // biome-ignore format: signatures and sentences

/**
 * Sequences [length, ...] of any lengths stacked to [T, N, ...] ([N, T, ...] with `batchFirst`), filled up at their
 * ends.
 */
export function padSequence(sequences: readonly Tensor[], options: Omit<PadOptions, 'totalLength'> = {}): Tensor {
  checkOptions('padSequence', options, ['batchFirst', 'paddingValue']);
  if (sequences.length === 0) throw new RangeError('padSequence: sequences: expected at least one');
  const { batchFirst = false, paddingValue = 0 } = options;
  const longest = Math.max(...sequences.map(({ shape }) => shape[0] ?? 0));
  const rows = sequences.map(sequence => {
    const missing = longest - sequence.shape[0]!;
    if (missing === 0) return sequence.unsqueeze(0);
    const padding = full([missing, ...sequence.shape.slice(1)], paddingValue, { dtype: sequence.dtype });
    return cat([sequence, padding], 0).unsqueeze(0);
  });
  const stacked = cat(rows, 0);
  return batchFirst ? stacked : stacked.transpose(0, 1);
}

/** The sequences of a padded batch, each of its own length. */
export function unpadSequence(padded: Tensor, lengths: readonly number[], options: { readonly batchFirst?: boolean } = {}): Tensor[] {
  const { batchFirst = false } = checkOptions('unpadSequence', options, ['batchFirst']);
const x = batchFirst ? padded : padded.transpose(0, 1);
  if (lengths.length !== x.shape[0])
    throw new RangeError(`unpadSequence: lengths: expected ${x.shape[0]}, one for each sequence, got ${lengths.length}`);
  return lengths.map((n, i) => x.select(0, i).narrow(0, 0, n));
} // biome-ignore format: a signature

/** packPaddedSequence of sequences [length, ...] as they are. */
export function packSequence(sequences: readonly Tensor[], options: Omit<PackOptions, 'batchFirst'> = {}): PackedSequence {
  const lengths = sequences.map(({ shape }) => shape[0] ?? 0);
  return packPaddedSequence(padSequence(sequences), lengths, options);
} // biome-ignore format: a signature

/** The sequences of a packed batch, in the batch's order. */
export function unpackSequence(packed: PackedSequence): Tensor[] {
  return unpadSequence(...padPackedSequence(packed));
}
