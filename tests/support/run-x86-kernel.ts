/**
 * Runs one LoopKernel as machine code: what run-kernel.ts is for WebAssembly.
 */
import { CONTROL, CONTROL_BYTES } from '../../src/backends/x86/control.ts';
import type { Isa } from '../../src/backends/x86/isa.ts';
import { Native } from '../../src/backends/x86/memory/native.ts';
import { emitProgram } from '../../src/backends/x86/program-code.ts';
import { Threads } from '../../src/backends/x86/threads.ts';
import type { LoopKernel } from '../../src/compiler/loops.ts';
import type { HostArray } from '../../src/graph/dtype.ts';
import type { KernelRun } from './run-kernel.ts';

/** Bytes of 0xa5 around every buffer, checked after the run: writes just outside a buffer do not go unnoticed. */
const GUARD = 64;
const GUARD_BYTE = 0xa5;

let machine: { readonly native: Native; readonly control: number; readonly pool: Threads } | null = null;

/** The machine that kernels of a test file run on. */
export function testMachine(): NonNullable<typeof machine> {
  if (!machine) {
    const native = new Native();
    const control = native.sharedWords(CONTROL_BYTES);
    machine = { native, control, pool: new Threads(native, control, 'avx2') };
  }
  return machine;
}

/** Runs the kernel over `buffers`, which are copied in and back out, on `threads` threads at once. */
export function runX86Kernel(
  kernel: LoopKernel,
  buffers: readonly HostArray[],
  options: { threads?: number; isa?: Isa } = {},
): KernelRun {
  for (const [i, buffer] of kernel.buffers.entries())
    if (buffers[i]?.length !== buffer.elements)
      throw new Error(`runKernel: ${buffer.name} has ${buffers[i]?.length} elements, expected ${buffer.elements}`);
  const { native, control, pool } = testMachine();
  const code = emitProgram([{ kernel, barrierBefore: false, commits: false }], control, options.isa ?? 'avx2');
  const pages = native.load(code.bytes);
  const copies = buffers.map(buffer => {
    const copy = new Uint8Array(new ArrayBuffer(buffer.byteLength + 2 * GUARD)).fill(GUARD_BYTE);
    copy.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), GUARD);
    return copy;
  });
  const args = BigUint64Array.from(copies, copy => BigInt(native.addressOf(copy) + GUARD));
  const record = new Uint8Array(16);
  native.write(control, record);
  pool.run(pages.address + code.run, native.addressOf(args), options.threads ?? 1);
  native.release(pages);
  for (const [i, buffer] of buffers.entries()) {
    const copy = copies[i]!;
    for (let k = 0; k < GUARD; k++)
      if (copy[k] !== GUARD_BYTE || copy[copy.length - 1 - k] !== GUARD_BYTE)
        throw new Error(`runKernel: ${kernel.name} wrote outside ${kernel.buffers[i]!.name}`);
    new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).set(
      copy.subarray(GUARD, GUARD + buffer.byteLength),
    );
  }
  native.read(record, control);
  const view = new DataView(record.buffer);
  if (view.getInt32(CONTROL.failed, true) === 0) return { failed: null };
  return { failed: { site: view.getInt32(CONTROL.failSite, true), value: view.getBigInt64(CONTROL.failValue, true) } };
}
