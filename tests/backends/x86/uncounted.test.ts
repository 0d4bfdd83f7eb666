/** Memory that the collector does not count: no more of it than there may be, and as much again once it is dropped. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Uncounted } from '../../../src/backends/x86/memory/uncounted.ts';

describe('uncounted memory', () => {
  it('is counted beyond 256 MB, until what was dropped is collected', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const uncounted = new Uncounted();
    const size = 100 << 20;
    let held = [uncounted.allocate(size), uncounted.allocate(size)];
    expect(held.every(memory => memory instanceof SharedArrayBuffer)).toBe(true);
    expect(uncounted.allocate(size)).toBeInstanceOf(ArrayBuffer);
    expect(uncounted.allocate(1 << 20)).toBeInstanceOf(SharedArrayBuffer);
    held = [];
    let again = uncounted.allocate(size);
    for (let i = 0; i < 100 && again instanceof ArrayBuffer; i++) {
      gc();
      await new Promise(done => setTimeout(done, 10));
      again = uncounted.allocate(size);
    }
    expect(again).toBeInstanceOf(SharedArrayBuffer);
    expect(again.byteLength).toBe(size);
  });
});
