/**
 * The loop IR's instructions as WebAssembly.
 */
import { expect, it } from 'vitest';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import { runKernel } from '../../support/run-kernel.ts';
import { testInstructions } from '../loop-ir/instructions.ts';

testInstructions(runKernel, 16);

it('fma is a product and a sum without relaxed madd', () => {
  const b = new LoopBuilder();
  const at = (k: number) => b.addr(0, b.i32(k));
  b.store('f32', at(3), b.fma(b.load('f32', at(0)), b.load('f32', at(1)), b.load('f32', at(2))));
  const e = 2 ** -13;
  const x = new Float32Array([1 + e, 1 + e, -(1 + 2 * e), 9]);
  runKernel(
    { name: 'fma', buffers: [{ name: 'x', dtype: 'f32', elements: 4, access: 'readwrite' }], body: b.instructions },
    [x],
    { relaxedMadd: false },
  );
  expect(x[3]).toBe(0);
});
