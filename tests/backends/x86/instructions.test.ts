/**
 * The loop IR's instructions as machine code, in every instruction set this processor has.
 */
import { describe } from 'vitest';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { testInstructions } from '../loop-ir/instructions.ts';
import { isas } from './available.ts';

// `amx` writes the same instructions as `avx512` but for tiles.
for (const isa of isas.filter(name => name !== 'amx'))
  describe(isa, () =>
    testInstructions((kernel, buffers) => runX86Kernel(kernel, buffers, { isa }), isa === 'avx2' ? 32 : 64),
  );
