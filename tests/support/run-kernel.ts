/**
 * Runs one LoopKernel as WebAssembly in a memory of its own: the shortest way from hand-written loop IR to numbers.
 */

import { CONTROL, HEAP_START, PAGE } from '../../src/backends/wasm/control.ts';
import { features } from '../../src/backends/wasm/features.ts';
import { emitProgram } from '../../src/backends/wasm/program-module.ts';
import type { LoopKernel } from '../../src/compiler/loops.ts';
import type { HostArray } from '../../src/graph/dtype.ts';

/** Bytes of 0xa5 around every buffer, checked after the run: writes just outside a buffer do not go unnoticed. */
const GUARD = 64;
const GUARD_BYTE = 0xa5;

export interface KernelRun {
  /** The error record, if the kernel wrote it. */
  readonly failed: { readonly site: number; readonly value: bigint } | null;
}

/**
 * Runs the kernel over `buffers`, which are copied in and back out. With `threads` the kernel runs once per thread, one
 * after the other, which shows that the shares of all threads make up the whole; a kernel with barriers takes 1.
 */
export function runKernel(
  kernel: LoopKernel,
  buffers: readonly HostArray[],
  options: { threads?: number; relaxedMadd?: boolean } = {},
): KernelRun {
  if (buffers.length !== kernel.buffers.length)
    throw new Error(`runKernel: ${buffers.length} arrays came, expected ${kernel.buffers.length}`);
  for (const [i, buffer] of kernel.buffers.entries())
    if (buffers[i]!.length !== buffer.elements)
      throw new Error(`runKernel: ${buffer.name} has ${buffers[i]!.length} elements, expected ${buffer.elements}`);
  const threads = options.threads ?? 1;
  if (threads > 1 && kernel.body.some(inst => inst.op === 'barrier'))
    throw new Error('runKernel: a kernel with barriers runs on one thread here');
  const module = emitProgram([{ kernel, barrierBefore: false, commits: false }], {
    relaxedMadd: options.relaxedMadd ?? features().fusedMadd,
    shared: false,
  });

  const align = (n: number): number => Math.ceil(n / 64) * 64;
  const addresses: number[] = [];
  let end = HEAP_START + align(module.argsBytes);
  for (const buffer of buffers) {
    addresses.push(end + GUARD);
    end += GUARD + align(buffer.byteLength + GUARD);
  }
  const memory = new WebAssembly.Memory({ initial: Math.ceil(end / PAGE) });
  const bytes = new Uint8Array(memory.buffer);
  const words = new DataView(memory.buffer);
  bytes.fill(GUARD_BYTE, HEAP_START + align(module.argsBytes), end);
  for (const [i, buffer] of buffers.entries()) {
    words.setUint32(HEAP_START + i * 4, addresses[i]!, true);
    bytes.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), addresses[i]!);
  }

  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes), { env: { memory } });
  const run = instance.exports['kernel0'] as (args: number, thread: number, threads: number) => void;
  for (let thread = 0; thread < threads; thread++) run(HEAP_START, thread, threads);

  for (const [i, buffer] of buffers.entries()) {
    const at = addresses[i]!;
    for (let k = 1; k <= GUARD; k++)
      if (bytes[at - k] !== GUARD_BYTE || bytes[at + buffer.byteLength + k - 1] !== GUARD_BYTE)
        throw new Error(`runKernel: ${kernel.name} wrote outside ${kernel.buffers[i]!.name}`);
    new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).set(bytes.subarray(at, at + buffer.byteLength));
  }
  if (words.getInt32(CONTROL.failed, true) === 0) return { failed: null };
  return {
    failed: { site: words.getInt32(CONTROL.failSite, true), value: words.getBigInt64(CONTROL.failValue, true) },
  };
}
