/**
 * A numpy array of a pickle as a stored tensor.
 */
import { sizeOf } from '../../graph/shape.ts';
import { dtypeFor, fileBytesOf } from '../elements.ts';
import { checkProportion, columnMajor, gathered, type StoredTensor, tensorOf } from '../weights.ts';
import type { NumpyArray } from './numpy.ts';

/** A numpy array in a pickle. */
export function arrayTensor(name: string, array: NumpyArray, where: string, fileBytes: number): StoredTensor {
  const { shape, fortran, data } = array;
  const { type, littleEndian } = array.dtype;
  const read = () => {
    if (!type) throw new Error(`${where} is of numpy's dtype ${array.dtype.longName}, which Tenon has none for`);
    checkProportion(where, sizeOf(shape), fileBytes);
    const bytes = data instanceof Uint8Array ? data.slice() : data.read();
    const rows = fortran ? gathered(bytes, fileBytesOf(type), shape, columnMajor(shape)) : bytes;
    return tensorOf(rows, type, shape, where, littleEndian);
  };
  return { name, dtype: type && dtypeFor(type), storedAs: array.dtype.longName, shape, bytes: data.length, read };
}
