import { expect, it } from 'vitest';
import { ResultMemory } from '../../../src/backends/x86/memory/results.ts';

const LARGE = 1 << 14;

it('a result that was given back is the next one of its type and length, once', () => {
  const memory = new ResultMemory();
  const first = memory.take('f32', LARGE);
  memory.giveBack([first, first]);
  expect(memory.take('f32', LARGE - 1)).not.toBe(first);
  expect(memory.take('i32', LARGE)).not.toBe(first);
  expect(memory.take('f32', LARGE)).toBe(first);
  expect(memory.take('f32', LARGE)).not.toBe(first);
});

it('what is no result stays out of use', () => {
  const memory = new ResultMemory();
  const own = new Float32Array(LARGE);
  const small = memory.take('f32', 8);
  memory.giveBack([own, small]);
  expect(memory.take('f32', LARGE)).not.toBe(own);
  expect(memory.take('f32', 8)).not.toBe(small);
});
