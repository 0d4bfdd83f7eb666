/**
 * Control flow of the loop IR as machine code.
 */
import { describe } from 'vitest';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { testControlFlow } from '../loop-ir/control-flow.ts';
import { isas } from './available.ts';

for (const isa of isas.filter(name => name !== 'amx'))
  describe(isa, () =>
    testControlFlow((kernel, buffers, options) => runX86Kernel(kernel, buffers, { isa, ...options })),
  );
