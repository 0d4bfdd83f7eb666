/**
 * First touches of large pages, shared out among the threads. A page is zeroed when it is first written to, by whoever
 * writes: threads that fill one page together each zero a page of their own, and all but one are thrown away.
 */
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { LARGE_PAGE } from '../table/mapping.ts';
import { loadedOnce, loadKernel, word } from './writing.ts';

export class TouchKernel {
  private readonly kernel: HostKernel;
  private readonly machine: HostKernels;
  private readonly count = new Int32Array(1);

  constructor(machine: HostKernels) {
    this.machine = machine;
    this.kernel = loadedOnce(machine, 'touch', () =>
      loadKernel(machine, 'touch pages', { pages: 'i64', count: 'i32' }, (b, { pages, count }) => {
        b.parallel(word(b, count, 0), page => b.store('i32', b.follow(b.addr(pages, page)), b.i32(0)));
      }),
    );
  }

  /** Writes a zero to the head of every page that begins within arrays of zeros. */
  run(arrays: readonly ArrayBufferView[]): void {
    const pages = arrays.flatMap(array => {
      const start = this.machine.addressOf(array);
      const first = Math.ceil(start / LARGE_PAGE);
      const count = Math.ceil((start + array.byteLength) / LARGE_PAGE) - first;
      return Array.from({ length: count }, (_, i) => BigInt((first + i) * LARGE_PAGE));
    });
    if (pages.length === 0) return;
    this.count[0] = pages.length;
    this.kernel.run([BigInt64Array.from(pages), this.count]);
  }
}
