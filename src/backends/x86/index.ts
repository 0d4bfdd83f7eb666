/**
 * The backend for x86-64: loop programs as machine code that is written here and called through koffi. Imports compiler and graph; knows nothing of tensors.
 */
import { compileGraph } from '../../compiler/compile.ts';
import { span } from '../../compiler/profile.ts';
import type { Backend, Executable, GraphProgram } from '../../compiler/program.ts';
import { queryCpu } from './cpu.ts';
import { chooseIsa, targetOf } from './isa.ts';
import { keep, keptFile, readKept } from './kept-code.ts';
import { BACKEND_NAME, Machine, type MachineOptions } from './machine.ts';
import { Native } from './memory/native.ts';

export interface X86Options extends MachineOptions {
  /** An instruction set to use, of those in isa.ts; `TENON_ISA` or the best there is by default. */
  readonly isa?: string;
}

/** @throws Error in one sentence where koffi, AVX2 or executable memory is missing, or the processor lacks what was asked for. */
export function createX86Backend(options: X86Options = {}): Backend {
  const { isa: asked = globalThis.process?.env?.['TENON_ISA'] } = options;
  const native = new Native();
  const cpu = queryCpu(native);
  const isa = chooseIsa(cpu, asked);
  const machine = new Machine(native, isa, options);
  const target = targetOf(isa, cpu);
  return {
    name: BACKEND_NAME,
    compile(program: GraphProgram): Executable {
      const file = machine.watches ? null : keptFile(program, target, isa);
      const kept = file && readKept(file);
      if (kept) return machine.loadTranslated(kept);
      const start = performance.now();
      const translated = machine.translate(span('lower', () => compileGraph(program, target)));
      if (file) keep(file, translated, performance.now() - start);
      return machine.loadTranslated(translated);
    },
    hostKernels: {
      target,
      load: kernel => machine.loadAlone(kernel),
      addressOf: array => native.addressOf(array),
    },
    get threads() {
      return machine.threads;
    },
    set threads(count: number) {
      machine.threads = count;
    },
  };
}
