import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../../src/backends/x86/cpu.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';

const cpu: Cpu = {
  name: 'some Xeon',
  avx2: true,
  avx512: true,
  fastBf16Dots: false,
  zen5: false,
  avx512Vnni: true,
  amx: true,
  hyperthreads: false,
  virtual: false,
  l1Bytes: 48 << 10,
  l2Bytes: 2 << 20,
};

describe('products of f32 on matrix registers', () => {
  const f32 = (changes: Partial<Cpu>, asked: boolean): string | null | undefined =>
    targetOf('amx', { ...cpu, ...changes }, asked).packedProducts?.f32;

  it('are there on cores of one thread', () => expect(f32({}, false)).toBe('tiles'));
  it('are not on cores of two threads, unless asked for', () => {
    expect(f32({ hyperthreads: true }, false)).toBeNull();
    expect(f32({ hyperthreads: true }, true)).toBe('tiles');
  });
  it('are not on a virtual machine of many processors', () => {
    expect(f32({ virtual: true }, false)).toBe(availableParallelism() < 4 ? 'tiles' : null);
    expect(f32({ virtual: true }, true)).toBe('tiles');
  });
  it('leave bf16 and int8 on matrix registers', () =>
    expect(targetOf('amx', { ...cpu, hyperthreads: true }, false).packedProducts).toMatchObject({
      bf16: 'tiles',
      int8: 'tiles',
    }));
});
