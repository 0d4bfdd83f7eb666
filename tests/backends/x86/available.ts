/**
 * Which instruction sets machine code can be run with here; tests that need one it lacks are skipped.
 */
import { type Cpu, queryCpu } from '../../../src/backends/x86/cpu.ts';
import { type Isa, isasOf } from '../../../src/backends/x86/isa.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';

const cpu = ((): Cpu | null => {
  try {
    return queryCpu(new Native());
  } catch {
    return null;
  }
})();

export const isas: readonly Isa[] = cpu ? isasOf(cpu) : [];
/** AVX512_BF16: whoever has tiles has it, fast or not. */
export const bf16Dots = cpu !== null && (cpu.fastBf16Dots || cpu.amx);

export const machineCode = isas.length > 0;
