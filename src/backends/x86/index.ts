/**
 * The backend for x86-64: loop programs as machine code that is written here and called through koffi. Imports compiler and graph; knows nothing of tensors.
 */
import { compileGraph } from '../../compiler/compile.ts';
import { span } from '../../compiler/profile.ts';
import type { Backend, Executable, GraphProgram } from '../../compiler/program.ts';
import { queryCpu } from './cpu.ts';
import { chooseIsa, targetOf } from './isa.ts';
import { BACKEND_NAME, Machine } from './machine.ts';
import { Native } from './memory/native.ts';

/**
 * @param asked an instruction set to use, of those in isa.ts; the best there is by default
 * @throws Error in one sentence where koffi, AVX2 or executable memory is missing, or the processor lacks what was asked for
 */
export function createX86Backend(asked = globalThis.process?.env?.['TENON_ISA']): Backend {
  const native = new Native();
  const cpu = queryCpu(native);
  const isa = chooseIsa(cpu, asked);
  const machine = new Machine(native, isa);
  const target = targetOf(isa, cpu);
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
