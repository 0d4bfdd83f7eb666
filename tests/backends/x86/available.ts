/**
 * Which instruction sets machine code can be run with here; tests that need one it lacks are skipped.
 */
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { type Isa, isasOf } from '../../../src/backends/x86/isa.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';

export const isas: readonly Isa[] = ((): Isa[] => {
  try {
    return isasOf(queryCpu(new Native()));
  } catch {
    return [];
  }
})();

export const machineCode = isas.length > 0;
