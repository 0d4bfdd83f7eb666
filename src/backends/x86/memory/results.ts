/**
 * Memory of results. Whoever has read one may give it back, and the next result of its type and length is written
 * there: a fresh array of a megabyte is 256 page faults, and bytes that make the collector look through the heap. Knows
 * arrays, not programs.
 */
import { bytesOf, type DType, type HostArray, hostArray } from '../../../graph/dtype.ts';

/** Bytes from which on memory is worth keeping. */
const SMALLEST = 1 << 16;
/** Arrays that are kept; the one given back first goes first. */
const MOST = 16;

interface Spare {
  readonly dtype: DType;
  readonly array: HostArray;
}

export class ResultMemory {
  private spares: Spare[] = [];
  /** Results that may be given back, each once. */
  private readonly given = new WeakMap<HostArray, DType>();

  /** An array to write a result to: every element, for it holds anything. */
  take(dtype: DType, elements: number): HostArray {
    if (elements * bytesOf(dtype) < SMALLEST) return hostArray(dtype, elements);
    const at = this.spares.findIndex(spare => spare.dtype === dtype && spare.array.length === elements);
    const array = at < 0 ? hostArray(dtype, elements) : this.spares.splice(at, 1)[0]!.array;
    this.given.set(array, dtype);
    return array;
  }

  /** What is no result of this machine, or was given back before, stays as it is. */
  giveBack(arrays: readonly HostArray[]): void {
    for (const array of arrays) {
      const dtype = this.given.get(array);
      if (!dtype) continue;
      this.given.delete(array);
      this.spares.push({ dtype, array });
    }
    if (this.spares.length > MOST) this.spares = this.spares.slice(-MOST);
  }
}
