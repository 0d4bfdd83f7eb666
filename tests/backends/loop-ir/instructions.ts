/**
 * Every value instruction of the loop IR on every type and lane count, against the same arithmetic in plain JavaScript:
 * one body for every backend that translates it.
 */
import { testArithmetic } from './arithmetic.ts';
import { testLanes } from './lanes.ts';
import { testMemory } from './memory.ts';
import { type RunKernel, subject } from './samples.ts';

/** Tests every instruction as `runKernel` runs it, on vectors of `vectorBytes` bytes. */
export function testInstructions(runKernel: RunKernel, vectorBytes: number): void {
  const tested = subject(runKernel, vectorBytes);
  testArithmetic(tested);
  testLanes(tested);
  testMemory(tested);
}
