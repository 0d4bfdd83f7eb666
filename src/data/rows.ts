/**
 * Batches on the host: rows gathered out of columns, and samples collated into tensors.
 */

import { type DType, type HostArray, hostArray } from '../graph/dtype.ts';
import { shapeText } from '../tensor/convert.ts';
import { Tensor } from '../tensor/index.ts';
import type { Collated } from './dataset.ts';
import { isImage } from './image.ts';

/** One array of rows: shape[0] rows of the other sizes' product. */
export interface Column {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

export type Columns = readonly Column[];

/** Rows `indices` of each column, as tensors [indices, ...row shape]. */
export function gatherRows(columns: Columns, indices: ArrayLike<number>): Tensor[] {
  return columns.map(({ dtype, shape, data }) => {
    const width = shape.slice(1).reduce((a, n) => a * n, 1);
    const rows = hostArray(dtype, indices.length * width);
    for (let i = 0; i < indices.length; i++) {
      const from = indices[i]! * width;
      copy(rows, i * width, data, from, width);
    }
    return Tensor.from(rows, { dtype, shape: [indices.length, ...shape.slice(1)] });
  });
}

function copy(to: HostArray, at: number, from: HostArray, start: number, length: number): void {
  if (to instanceof BigInt64Array) to.set((from as BigInt64Array).subarray(start, start + length), at);
  else to.set((from as Exclude<HostArray, BigInt64Array>).subarray(start, start + length), at);
}

const TYPED: readonly (readonly [new (n: number) => HostArray, DType])[] = [
  [Float32Array, 'f32'],
  [Float64Array, 'f64'],
  [Int32Array, 'i32'],
  [BigInt64Array, 'i64'],
  [Uint8Array, 'u8'],
  [Int8Array, 'i8'],
];

/**
 * Samples of one structure into one batch of that structure: tensors are stacked, typed arrays and images become rows
 * of a tensor, numbers a f32 [n], bigints an i64 [n], booleans a bool [n], strings stay an array; tuples and objects
 * are collated field by field.
 * @throws Error when shapes or structures differ between samples.
 */
export function collate(samples: readonly unknown[]): Collated {
  const first = samples[0];
  const kind = kindOf(first);
  const other = samples.find(sample => kindOf(sample) !== kind);
  if (other !== undefined || samples.includes(undefined))
    throw new Error(`collate: samples differ: ${kindOf(other)} and ${kind}`);
  if (first instanceof Tensor) return stackRows(samples as Tensor[]);
  if (typeof first === 'number') return Tensor.from(Float32Array.from(samples as number[]));
  if (typeof first === 'bigint') return Tensor.from(BigInt64Array.from(samples as bigint[]));
  if (typeof first === 'boolean') return Tensor.from(samples as boolean[]);
  if (typeof first === 'string') return samples as string[];
  const typed = TYPED.find(([type]) => first instanceof type);
  if (typed) return packRows(samples as HostArray[], typed[1], [(first as HostArray).length]);
  if (isImage(first)) {
    const { channels, height, width, data } = first;
    const images = samples.map(sample => {
      if (!isImage(sample) || sample.channels !== channels || sample.height !== height || sample.width !== width)
        throw new Error(`collate: images differ in size: ${describe(sample)} and ${describe(first)}`);
      return sample.data;
    });
    return packRows(images, data instanceof Uint8Array ? 'u8' : 'f32', [channels, height, width]);
  }
  if (Array.isArray(first)) return first.map((_, field) => collate(samples.map(s => (s as unknown[])[field])));
  if (typeof first === 'object' && first !== null)
    return Object.fromEntries(
      Object.keys(first).map(key => [key, collate(samples.map(s => (s as Record<string, unknown>)[key]))]),
    );
  throw new Error(
    `collate: samples are ${describe(first)}, expected tensors, arrays, images, numbers, strings or objects of them`,
  );
}

function stackRows(tensors: readonly Tensor[]): Tensor {
  const { dtype, shape } = tensors[0]!;
  for (const tensor of tensors)
    if (tensor.dtype !== dtype || tensor.shape.length !== shape.length || tensor.shape.some((n, d) => n !== shape[d]))
      throw new Error(
        `collate: tensors differ: ${tensor.dtype} ${shapeText(tensor.shape)} and ${dtype} ${shapeText(shape)}`,
      );
  return packRows(
    tensors.map(tensor => tensor.data()),
    dtype,
    shape,
  );
}

function packRows(rows: readonly HostArray[], dtype: DType, shape: readonly number[]): Tensor {
  const width = shape.reduce((a, n) => a * n, 1);
  const batch = hostArray(dtype, rows.length * width);
  rows.forEach((row, i) => {
    if (row.length !== width || row.constructor !== rows[0]!.constructor)
      throw new Error(`collate: sample ${i} has ${row.length} elements, the first ${width}`);
    copy(batch, i * width, row, 0, width);
  });
  return Tensor.from(batch, { dtype, shape: [rows.length, ...shape] });
}

/** What must be the same in all samples of a batch. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Tensor) return 'a tensor';
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  if (ArrayBuffer.isView(value)) return value.constructor.name;
  return isImage(value) ? 'an image' : `an object of ${Object.keys(value).sort().join(', ') || 'nothing'}`;
}

const describe = (value: unknown): string =>
  isImage(value) ? `${value.channels}x${value.height}x${value.width}` : value === null ? 'null' : typeof value;
