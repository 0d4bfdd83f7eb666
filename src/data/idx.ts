/**
 * IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist/): two zero bytes, a type byte, the number of dimensions,
 * their sizes as big-endian u32, then the elements big-endian. Gzipped or not, told by content.
 */

import { decodeElements, dtypeFor, type FileType, fileBytesOf } from '../formats/elements.ts';
import type { DType, HostArray } from '../graph/dtype.ts';
import { shapeText } from '../tensor/convert.ts';
import { gunzip, isGzip, readWhole } from './gzip.ts';

const TYPES: Readonly<Record<number, FileType>> = { 8: 'u8', 9: 'i8', 11: 'i16', 12: 'i32', 13: 'f32', 14: 'f64' };

/** The array of one IDX file. */
export interface IdxArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** How much of a gzipped file is unpacked to see its header: far more than 255 dimensions take. */
const PEEK_BYTES = 4096;

/**
 * Reads an IDX file. Elements of type i16 come as i32.
 * @throws Error naming the file when it is missing, not IDX, damaged, or its length is not what its header says.
 */
export function readIdx(path: string): IdxArray {
  const file = readWhole(path);
  if (!isGzip(file)) return parseIdx(file, path);
  // The header says how long the whole is, so that a gzip bomb is not unpacked.
  const start = gunzip(file.subarray(0, PEEK_BYTES), path, PEEK_BYTES * 1032, { partial: true });
  const { headerBytes, dataBytes } = parseHeader(start, path);
  return parseIdx(gunzip(file, path, headerBytes + dataBytes + 1), path);
}

/** The same from unpacked bytes in memory; `name` is what errors call them. */
export function parseIdx(bytes: Uint8Array, name = 'idx'): IdxArray {
  const { type, shape, headerBytes, dataBytes } = parseHeader(bytes, name);
  const actual = bytes.length - headerBytes;
  if (actual !== dataBytes)
    throw new Error(
      `${name}: ${type} of shape ${shapeText(shape)} needs ${dataBytes} bytes, and ${actual} follow the header`,
    );
  const data = decodeElements(new Uint8Array(bytes.subarray(headerBytes)), type, name, false);
  return { dtype: dtypeFor(type), shape, data };
}

interface IdxHeader {
  readonly type: FileType;
  readonly shape: readonly number[];
  readonly headerBytes: number;
  readonly dataBytes: number;
}

function parseHeader(bytes: Uint8Array, name: string): IdxHeader {
  const fail = (what: string): never => {
    throw new Error(`${name}: not a valid IDX file: ${what}`);
  };
  if (bytes.length < 4) fail(`it has ${bytes.length} bytes, and the header takes at least 4`);
  const type = TYPES[bytes[2]!];
  if (bytes[0] !== 0 || bytes[1] !== 0 || !type)
    return fail(
      `at byte 0 it has ${[...bytes.subarray(0, 4)].join(' ')}, expected 0 0, a type (8, 9, 11 to 14) and the number of dimensions`,
    );
  const rank = bytes[3]!;
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) fail(`it ends at byte ${bytes.length}, inside the sizes of its ${rank} dimensions`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const shape = Array.from({ length: rank }, (_, d) => view.getUint32(4 + 4 * d));
  const dataBytes = shape.reduce((a, n) => a * n, fileBytesOf(type));
  if (!Number.isSafeInteger(dataBytes)) fail(`its shape at byte 4 is ${shapeText(shape)}`);
  return { type, shape, headerBytes, dataBytes };
}
