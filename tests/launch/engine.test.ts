/** Settings of V8 that hold while something runs, and only then. */
import { cachedDataVersionTag } from 'node:v8';
import { describe, expect, it, vi } from 'vitest';
import { runAsElsewhere, runCold, stayCold } from '../../src/launch/engine.ts';

// What V8 writes into code caches, and compares: a hash of its flags and version.
const flags = cachedDataVersionTag;
const before = flags();
/** Not every question looks at the clock. */
const askOften = (): void => {
  for (let i = 0; i < 100; i++) stayCold();
};

describe.skipIf(!process.versions.v8.startsWith('11.3.'))('code that is cold', () => {
  it('runs with flags of its own, which are taken back', () => {
    expect(runCold(flags)).not.toBe(before);
    expect(flags()).toBe(before);
    const failing = (): never => {
      throw new Error('failed');
    };
    expect(() => runCold(failing)).toThrow('failed');
    expect(flags()).toBe(before);
  });

  it('compiles from code caches with the flags of other processes', () => {
    const [outside, inside, again] = runCold(() => [flags(), runAsElsewhere(flags), flags()]);
    expect(inside).toBe(before);
    expect(again).toBe(outside);
    expect(runAsElsewhere(flags)).toBe(before);
    expect(flags()).toBe(before);
  });

  it('is warm after a second', () => {
    const now = vi.spyOn(process, 'uptime');
    const [early, late] = runCold(() => {
      now.mockReturnValue(process.uptime() + 0.9);
      askOften();
      const early = flags();
      now.mockReturnValue(process.uptime() + 0.2);
      askOften();
      return [early, flags()];
    });
    now.mockRestore();
    expect(early).not.toBe(before);
    expect(late).toBe(before);
    expect(runCold(flags)).toBe(before);
  });
});
