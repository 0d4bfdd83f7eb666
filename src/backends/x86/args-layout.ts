/**
 * Where the addresses of each step's buffers stand in the table that a program's code is given: what writes the code and
 * what fills the table both ask here. Knows loop kernels, neither code nor addresses.
 */
import type { LoopKernel } from '../../compiler/loops.ts';

/** Bytes of an address. */
const WORD_BYTES = 8;

/** One 64-bit word per kernel buffer, step after step. */
export class ArgsLayout {
  /** Byte offset of each step's first word. */
  readonly offsets: number[] = [];
  /** Of the whole table. */
  bytes = 0;

  /** Takes in the steps of the program that have come since. */
  extend(steps: readonly { readonly kernel: Pick<LoopKernel, 'buffers'> }[]): void {
    for (let k = this.offsets.length; k < steps.length; k++) {
      this.offsets.push(this.bytes);
      this.bytes += steps[k]!.kernel.buffers.length * WORD_BYTES;
    }
  }
}
