/**
 * The backend for x86-64: loop programs as machine code that is written here and called through koffi. Imports compiler and graph; knows nothing of tensors.
 */
import { compileGraph } from '../../compiler/compile.ts';
import { span } from '../../compiler/profile.ts';
import type { Backend, Executable, GraphProgram } from '../../compiler/program.ts';
import type { Target } from '../../compiler/target.ts';
import { type Cpu, queryCpu } from './cpu.ts';
import { BACKEND_NAME, Machine } from './machine.ts';
import { Native } from './memory/native.ts';

/** Vectors of 64 bytes on AVX-512; registers but for the temporaries of the emitter. */
export const x86Target = (cpu: Cpu): Target => ({
  name: BACKEND_NAME,
  vectorBytes: 64,
  vectorRegisters: 30,
  fusedMultiplyAdd: true,
  keepsOrder: true,
  masksMemory: true,
  l1Bytes: cpu.l1Bytes,
  l2Bytes: cpu.l2Bytes,
  pointerBytes: 8,
});

/** @throws Error in one sentence where koffi, AVX-512 or executable memory is missing. */
export function createX86Backend(): Backend {
  const native = new Native();
  const cpu = queryCpu(native);
  if (!cpu.avx512)
    throw new Error('x86: this processor has no AVX-512 (F, BW, DQ, VL), which machine code needs so far');
  const isa = globalThis.process?.env?.['TENON_ISA'];
  if (isa && isa !== 'avx512') throw new Error(`x86: TENON_ISA is ${isa}, expected avx512, the only one so far`);
  const machine = new Machine(native);
  const target = x86Target(cpu);
  return {
    name: BACKEND_NAME,
    compile(program: GraphProgram): Executable {
      return machine.load(span('lower', () => compileGraph(program, target)));
    },
    get threads() {
      return machine.threads;
    },
    set threads(count: number) {
      machine.threads = count;
    },
  };
}
