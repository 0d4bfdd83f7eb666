/**
 * Whether machine code can run here; tests that need it are skipped otherwise.
 */
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';

export const machineCode = ((): boolean => {
  try {
    return queryCpu(new Native()).avx512;
  } catch {
    return false;
  }
})();
