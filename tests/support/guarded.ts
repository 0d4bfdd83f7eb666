/**
 * Runs a loop program kernel by kernel with every buffer in memory of its own that ends where the buffer ends, between pages nobody may touch: an
 * access out of bounds kills the process. Linux on x86-64.
 */
import { createRequire } from 'node:module';
import type { Isa } from '../../src/backends/x86/isa.ts';
import { emitProgram } from '../../src/backends/x86/program-code.ts';
import type { LoopProgram, Place } from '../../src/compiler/program.ts';
import { bytesOf, type HostArray, hostArray } from '../../src/graph/dtype.ts';
import { testMachine } from './run-x86-kernel.ts';

const PAGE = 4096;
const READ_WRITE = 3;
const PRIVATE_ANONYMOUS = 0x22;

type Call = (...args: number[]) => number;
let libc: { readonly mmap: Call; readonly munmap: Call; readonly mprotect: Call } | null = null;

function system(): NonNullable<typeof libc> {
  if (!libc) {
    const library = createRequire(import.meta.url)('koffi').load('libc.so.6');
    libc = {
      mmap: library.func('int64_t mmap(int64_t, uint64_t, int, int, int, int64_t)'),
      munmap: library.func('int munmap(int64_t, uint64_t)'),
      mprotect: library.func('int mprotect(int64_t, uint64_t, int)'),
    };
  }
  return libc;
}

/** So many bytes that end at a page nobody may touch, behind another one. */
function guarded(bytes: number): { readonly address: number; release(): void } {
  const { mmap, munmap, mprotect } = system();
  const room = Math.ceil(bytes / PAGE) * PAGE;
  const start = mmap(0, room + 2 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
  for (const guard of [start, start + PAGE + room])
    if (mprotect(guard, PAGE, 0) !== 0) throw new Error('no guard page');
  return { address: start + PAGE + room - bytes, release: () => munmap(start, room + 2 * PAGE) };
}

const bytesIn = (array: HostArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Results of the program for host bindings; leaves must not be written. */
export function runGuarded(
  program: LoopProgram,
  bindings: readonly HostArray[],
  isa: Isa,
  threads: number,
): HostArray[] {
  const { native, control, pool } = testMachine();
  const code = emitProgram(program.kernels, control, isa, undefined, program.preparations);
  const pages = native.load(code.bytes);
  const outputs = program.outputs.map(({ dtype, elements }) => hostArray(dtype, elements));
  const arena = new Uint8Array(program.arenaBytes);
  const kept = new Uint8Array(program.keptBytes);
  const home = (place: Place, bytes: number): Uint8Array =>
    place.kind === 'arena' || place.kind === 'kept'
      ? (place.kind === 'arena' ? arena : kept).subarray(place.offset, place.offset + bytes)
      : bytesIn((place.kind === 'leaf' ? bindings : outputs)[place.index]!).subarray(0, bytes);
  const table = new BigUint64Array(Math.max(1, code.argsBytes / 8));
  for (const [step, { kernel, places }] of program.kernels.entries()) {
    const areas = kernel.buffers.map(({ dtype, elements, access }, i) => {
      const bytes = elements * bytesOf(dtype);
      // What has no elements may be read where a guard discards it: at a page that can be.
      const area = guarded(bytes === 0 ? PAGE : bytes);
      if (bytes > 0)
        native.write(area.address, access === 'scratch' ? new Uint8Array(bytes).fill(0x7f) : home(places[i]!, bytes));
      table[code.argsOffsets[step]! / 8 + i] = BigInt(area.address);
      return { ...area, bytes };
    });
    pool.run(pages.address + code.steps[step]!, native.addressOf(table) + code.argsOffsets[step]!, threads);
    for (const [i, { address, bytes, release }] of areas.entries()) {
      const { access } = kernel.buffers[i]!;
      if (bytes > 0 && (access === 'write' || access === 'readwrite')) native.read(home(places[i]!, bytes), address);
      release();
    }
  }
  native.release(pages);
  return outputs;
}
