/**
 * Control flow of the loop IR as WebAssembly.
 */
import { runKernel } from '../../support/run-kernel.ts';
import { testControlFlow } from '../loop-ir/control-flow.ts';

testControlFlow(runKernel);
