/**
 * Little- and big-endian element bytes of files to host arrays of our dtypes, and back. 16-bit and unsigned integers
 * that have no dtype of ours are widened without loss.
 */
import { bytesOf, type DType, type HostArray, hostView } from '../graph/dtype.ts';

/** An element type as files have it. */
export type FileType = DType | 'i16' | 'u16' | 'u32' | 'u64';

const EXTRA_BYTES = { i16: 2, u16: 2, u32: 4, u64: 8 } as const;
const WIDENED = { i16: 'i32', u16: 'i32', u32: 'i64', u64: 'i64' } as const;

const isExtra = (type: FileType): type is keyof typeof WIDENED => type in WIDENED;

export const fileBytesOf = (type: FileType): number => (isExtra(type) ? EXTRA_BYTES[type] : bytesOf(type));

/** The dtype elements of `type` are read into: i16 and u16 into i32, u32 and u64 into i64. */
export const dtypeFor = (type: FileType): DType => (isExtra(type) ? WIDENED[type] : type);

/** Whether this machine stores the least significant byte first (every one Node runs on but s390x). */
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Elements from their bytes (the buffer is kept, not copied, when nothing needs converting).
 * @throws Error for a bool byte other than 0 and 1, and for a u64 of 2^63 or more; `where` names the tensor.
 */
export function decodeElements(
  bytes: Uint8Array<ArrayBuffer>,
  type: FileType,
  where: string,
  littleEndian = true,
): HostArray {
  const size = fileBytesOf(type);
  if (size > 1 && littleEndian !== LITTLE) swapBytes(bytes, size);
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const length = aligned.length / size;
  switch (type) {
    case 'i16':
      return Int32Array.from(new Int16Array(aligned.buffer, aligned.byteOffset, length));
    case 'u16':
      return Int32Array.from(new Uint16Array(aligned.buffer, aligned.byteOffset, length));
    case 'u32':
      return BigInt64Array.from(new Uint32Array(aligned.buffer, aligned.byteOffset, length), BigInt);
    case 'u64': {
      const values = new BigInt64Array(aligned.buffer, aligned.byteOffset, length);
      const tooLarge = values.findIndex(value => value < 0n);
      if (tooLarge >= 0)
        throw new Error(`${where}: element ${tooLarge} is ${BigInt.asUintN(64, values[tooLarge]!)}, too large for i64`);
      return values;
    }
    case 'bool': {
      const odd = aligned.findIndex(byte => byte > 1);
      if (odd >= 0) throw new Error(`${where}: bool element ${odd} is the byte ${aligned[odd]}, expected 0 or 1`);
      return aligned;
    }
    default:
      return hostView(type, aligned.buffer, aligned.byteOffset, length);
  }
}

/** The little-endian bytes of `data`; a view of it where the machine is little-endian. */
export function encodeElements(data: HostArray): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (LITTLE || data.BYTES_PER_ELEMENT === 1) return bytes;
  const copy = new Uint8Array(bytes);
  swapBytes(copy, data.BYTES_PER_ELEMENT);
  return copy;
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}
