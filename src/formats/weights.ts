/**
 * What every file of weights is to its readers: tensors by name, each read from the file when it is asked for. Opening
 * reads names, shapes and types only, so a file larger than memory can be looked at and converted tensor by tensor.
 */

import type { DType } from '../graph/dtype.ts';
import { sizeOf } from '../graph/shape.ts';
import { shapeText } from '../tensor/convert.ts';
import { Tensor } from '../tensor/index.ts';
import { decodeElements, dtypeFor, type FileType, fileBytesOf } from './elements.ts';

export interface StoredTensor {
  readonly name: string;
  /**
   * The dtype it is read into (16-bit and unsigned integers are widened, quantised blocks become f32); null where Tenon
   * has none for it.
   */
  readonly dtype: DType | null;
  /** Its type in the file's own words: BF16, I16, q4_K. */
  readonly storedAs: string;
  readonly shape: readonly number[];
  /** Bytes it takes in the file. */
  readonly bytes: number;
  /** @throws Error naming file and tensor where its elements cannot be read. */
  read(): Tensor;
}

/** One kind of operator of a file that holds a program. */
export interface OperatorCount {
  readonly name: string;
  readonly count: number;
  /** Whether Tenon can run it. */
  readonly runs: boolean;
}

/** A value that goes into or comes out of a program; a dim that is free is its name, or null. */
export interface Port {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string | null)[];
}

/** What a file computes, where it holds more than weights. */
export interface ProgramSummary {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly operators: readonly OperatorCount[];
}

export interface WeightsFile {
  readonly path: string;
  /** safetensors, PyTorch (zip), GGUF v3, ... */
  readonly format: string;
  /** In the file's order. */
  readonly tensors: readonly StoredTensor[];
  /** What else the file says: strings, numbers, lists. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of files that can be run. */
  readonly program?: ProgramSummary;
  /** Closes the file; its tensors can no longer be read. */
  close(): void;
}

/**
 * A tensor read from a file may take this many times the file's bytes (repeated elements, quantised blocks), or a
 * megabyte.
 */
const MAX_EXPANSION = 32;

/** @throws Error where a tensor of the size would be out of proportion to its file. */
export function checkProportion(where: string, tensorBytes: number, fileBytes: number): void {
  if (tensorBytes > Math.max(1 << 20, MAX_EXPANSION * fileBytes))
    throw new Error(
      `${where} would take ${tensorBytes} bytes, over ${MAX_EXPANSION} times the ${fileBytes} bytes of its file`,
    );
}

/** A tensor of elements that lie in a row, little-endian unless said. */
export function tensorOf(
  bytes: Uint8Array<ArrayBuffer>,
  type: FileType,
  shape: readonly number[],
  where: string,
  littleEndian = true,
): Tensor {
  const expected = sizeOf(shape) * fileBytesOf(type);
  if (bytes.length !== expected)
    throw new Error(`${where}: ${type} ${shapeText(shape)} needs ${expected} bytes, and there are ${bytes.length}`);
  return Tensor.from(decodeElements(bytes, type, where, littleEndian), { dtype: dtypeFor(type), shape: [...shape] });
}

/** Strides of elements that lie in a row, the last dim fastest. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d]!;
  }
  return strides;
}

/** Strides of elements of which the first dim runs fastest (Fortran order). */
export function columnMajor(shape: readonly number[]): number[] {
  let step = 1;
  return shape.map(n => {
    const stride = step;
    step *= n;
    return stride;
  });
}

/** Elements of `size` bytes at `strides` (in elements, from the start of `bytes`) put in a row. */
export function gathered(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
  shape: readonly number[],
  strides: readonly number[],
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(sizeOf(shape) * size);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let b = 0; b < size; b++) out[to + b] = bytes[from * size + b]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]!++;
      from += strides[d]!;
      if (index[d]! < shape[d]!) break;
      from -= strides[d]! * shape[d]!;
      index[d] = 0;
    }
  }
  return out;
}

/** All tensors of a file, by name. @throws Error where two have one name. */
export function readAll(file: WeightsFile): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = Object.create(null);
  for (const tensor of file.tensors) {
    if (tensor.name in tensors) throw new Error(`${file.path}: two tensors are named ${JSON.stringify(tensor.name)}`);
    tensors[tensor.name] = tensor.read();
  }
  return tensors;
}
