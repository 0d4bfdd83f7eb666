/**
 * The allocator against a plain model, and variables' device copies.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Allocator, LinearMemory } from '../../../src/backends/wasm/memory.ts';

describe('the allocator', () => {
  it('hands out aligned blocks that never overlap, and merges all of them back', () => {
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 5000 }), release: fc.boolean(), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const allocator = new Allocator(1024);
        const live: { address: number; bytes: number }[] = [];
        for (const { bytes, release, pick } of steps) {
          if (release && live.length > 0) {
            const [block] = live.splice(pick % live.length, 1);
            allocator.release(block!.address, block!.bytes);
            continue;
          }
          const address = allocator.allocate(bytes);
          expect(address % 64).toBe(0);
          for (const other of live)
            expect(address + bytes <= other.address || other.address + other.bytes <= address).toBe(true);
          expect(address).toBeGreaterThanOrEqual(1024);
          expect(address + bytes).toBeLessThanOrEqual(allocator.top);
          live.push({ address, bytes });
        }
        for (const { address, bytes } of live) allocator.release(address, bytes);
        expect(allocator.top).toBe(1024);
      }),
    );
  });

  it('uses freed space before it goes higher', () => {
    const allocator = new Allocator(0);
    const [a, , c] = [allocator.allocate(256), allocator.allocate(64), allocator.allocate(128), allocator.allocate(64)];
    allocator.release(a, 256);
    allocator.release(c, 128);
    expect(allocator.allocate(100)).toBe(a);
    expect(allocator.allocate(128)).toBe(a + 128);
    expect(allocator.allocate(128)).toBe(c);
    expect(allocator.top).toBe(512);
  });
});

describe('buffers', () => {
  for (const shared of [false, true])
    it(`keep their bytes while the ${shared ? 'shared' : 'unshared'} memory grows`, () => {
      const memory = new LinearMemory(shared);
      expect(memory.shared).toBe(shared);
      const buffer = memory.buffer(24);
      buffer.upload(Float64Array.of(1, 2, 3));
      memory.allocate(10 << 20);
      const out = new Float64Array(3);
      buffer.download(out);
      expect([...out]).toEqual([1, 2, 3]);
      const { used } = memory;
      const second = memory.buffer(1 << 20);
      second.free();
      second.free();
      expect(memory.used).toBe(used);
    });
});
