/**
 * Segments that lie side by side: none reaches into another, and what is written first at a page's head belongs to the
 * segment that asks.
 */
import { expect, it } from 'vitest';
import { backingFor } from '../../../src/recsys/table/backing.ts';
import type { Segment } from '../../../src/recsys/table/row-store.ts';

it('segments begin as zeros and keep what is written to them', () => {
  const words = 3 << 16;
  const backing = backingFor(undefined, null, 3);
  const segments: Segment[] = [];
  const add = (): void => {
    const segment = backing.create(segments, words);
    expect(segment.u32.length).toBe(words);
    expect(segment.u32.some(x => x !== 0)).toBe(false);
    segments.push(segment);
    segment.u32.fill(segments.length);
  };
  for (let n = 0; n < 20; n++) add();
  segments.forEach(({ u32 }, i) => {
    expect(u32.every(x => x === i + 1)).toBe(true);
  });
  backing.drop(segments);
  segments.length = 0;
  for (let n = 0; n < 3; n++) add();
});
