/**
 * The backend for x86-64: loop programs as machine code that is written here and called through koffi. Imports compiler
 * and graph; knows nothing of tensors.
 */

import { beginGraph, compileGraph } from '../../compiler/compile.ts';
import { span } from '../../compiler/profile.ts';
import { type Backend, type Executable, type GraphProgram, MachineRefusal, whole } from '../../compiler/program.ts';
import { SettingError } from '../../compiler/settings.ts';
import { clock } from '../../launch/clock.ts';
import { runCold } from '../../launch/engine.ts';
import { queryCpu } from './cpu.ts';
import { chooseIsa, targetOf } from './isa.ts';
import { type KeptFile, keep, keptFile, readKept, type TranslatedProgram } from './kept-code.ts';
import { BACKEND_NAME, Machine, type MachineOptions } from './machine.ts';
import { Native } from './memory/native.ts';
import { PlanTuner } from './tuner.ts';

interface X86Options extends MachineOptions {
  /** An instruction set to use, of those in isa.ts; `TENON_ISA` or the best there is by default. */
  readonly isa?: string;
  /** Whether plans of contractions are chosen by measuring; whether `TENON_AUTOTUNE` is 1, by default. */
  readonly autotune?: boolean;
}

function wantsTuning(asked = '0'): boolean {
  if (!['', '0', '1'].includes(asked)) throw new SettingError(`x86: TENON_AUTOTUNE is ${asked}, expected 0 or 1`);
  return asked === '1';
}

/**
 * @throws Error in one sentence where koffi, AVX2 or executable memory is missing, or the processor lacks what was
 * asked for.
 */
export function createX86Backend(options: X86Options = {}): Backend {
  const { env } = globalThis.process ?? {};
  const { isa: asked = env?.['TENON_ISA'], autotune = wantsTuning(env?.['TENON_AUTOTUNE']) } = options;
  const native = new Native();
  const cpu = queryCpu(native);
  const isa = chooseIsa(cpu, asked);
  const machine = new Machine(native, isa, options);
  const target = targetOf(isa, cpu, Boolean(asked));
  const tuner = autotune ? new PlanTuner(machine, cpu) : null;
  const translate = (program: GraphProgram, file: KeptFile | null): Executable => {
    const start = clock();
    machine.expectVariables(program.leaves.flatMap(leaf => (leaf.is('variable') ? [leaf.attrs.variable] : [])));
    // What is chosen by measuring is chosen before anything runs.
    const coming = span('lower', () =>
      tuner ? whole(compileGraph(program, { ...target, tuner })) : beginGraph(program, target),
    );
    const plans = tuner ? { plans: tuner.finish() } : {};
    const written = (translated: TranslatedProgram): void => {
      // Writing its code, which is over by now, counts: it is left until after `load` (decision 195).
      const milliseconds = clock() - start;
      if (file) span('x86: keep', () => keep(file, { ...translated, ...plans }, milliseconds));
    };
    return machine.loadComing(coming, written, program.elsewhere);
  };
  const compile = (program: GraphProgram): Executable => {
    const file = machine.watches ? null : span('x86: identity', () => keptFile(program, target, isa, tuner));
    const kept = file && span('x86: read', () => readKept(file, tuner));
    if (kept) return machine.loadTranslated(kept);
    return program.identity ? runCold(() => translate(program, file)) : translate(program, file);
  };
  return {
    name: BACKEND_NAME,
    compile(program: GraphProgram): Executable {
      try {
        return compile(program);
      } catch (error) {
        if (error instanceof MachineRefusal && program.elsewhere) return program.elsewhere(error);
        throw error;
      }
    },
    hostKernels: {
      target,
      load: kernel => machine.loadAlone(kernel),
      addressOf: array => (machine.guard ?? native).addressOf(array),
    },
    giveBack: results => machine.results.giveBack(results),
    get threads() {
      return machine.threads;
    },
    set threads(count: number) {
      machine.threads = count;
    },
  };
}
