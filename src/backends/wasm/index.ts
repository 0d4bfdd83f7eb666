/**
 * The portable backend: loop programs as WebAssembly modules over one linear memory, on threads where memory can be
 * shared. Imports compiler and graph; knows nothing of tensors.
 */
import { compileGraph } from '../../compiler/compile.ts';
import { span } from '../../compiler/profile.ts';
import type { Backend, Executable, GraphProgram } from '../../compiler/program.ts';
import type { Target } from '../../compiler/target.ts';
import { features } from './features.ts';
import { BACKEND_NAME, Machine } from './machine.ts';

/**
 * What schedules are made for: 128-bit vectors on the x86-64 and ARM cores that engines run on, sizes of a common
 * core's caches.
 */
const wasmTarget = (): Target => ({
  name: BACKEND_NAME,
  vectorBytes: 16,
  vectorRegisters: 16,
  fusedMultiplyAdd: features().fusedMadd,
  l1Bytes: 32 * 1024,
  l2Bytes: 1024 * 1024,
  pointerBytes: 4,
});

/** @throws Error where the engine has no WebAssembly with 128-bit SIMD. */
export function createWasmBackend(): Backend {
  if (typeof WebAssembly === 'undefined' || !features().simd)
    throw new Error('this JavaScript engine has no WebAssembly with 128-bit SIMD');
  const machine = new Machine();
  const forTarget = wasmTarget();
  return {
    name: BACKEND_NAME,
    compile(program: GraphProgram): Executable {
      return machine.load(span('lower', () => compileGraph(program, forTarget)));
    },
    get threads() {
      return machine.threads;
    },
    set threads(count: number) {
      machine.threads = count;
    },
  };
}
