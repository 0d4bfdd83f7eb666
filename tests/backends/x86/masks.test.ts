/**
 * Masked loads and stores and gathers: only lanes of the mask touch memory, the others read 0.
 */
import { expect, it } from 'vitest';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { LoopKernel } from '../../../src/compiler/loops.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas } from './available.ts';

const LANES = 16;

it.skipIf(!isas.includes('avx512')).each([0, 1, 7, 15, 16])(
  'the first %i lanes are moved, and gathered in reverse',
  count => {
    const b = new LoopBuilder();
    b.parallel(1, () => {
      const m = b.firstLanes(b.i32(count), LANES);
      b.storeMasked('f32', b.addr(1), b.loadMasked('f32', b.addr(0), m), m);
      const reversed = b.sub(b.const('i32', count - 1, LANES), b.iota(LANES));
      b.store('f32', b.addr(2), b.gather('f32', b.addr(0), reversed, m));
    });
    const buffers = (['from', 'to', 'reversed'] as const).map((name, i) => ({
      name,
      dtype: 'f32' as const,
      elements: i === 2 ? LANES : count,
      access: i === 0 ? ('read' as const) : ('write' as const),
    }));
    const kernel: LoopKernel = { name: 'masks', buffers, body: b.instructions };
    const from = Float32Array.from({ length: count }, (_, i) => i + 1);
    const to = new Float32Array(count);
    const reversed = new Float32Array(LANES).fill(9);
    runX86Kernel(kernel, [from, to, reversed], { isa: 'avx512' });
    expect(to).toEqual(from);
    expect([...reversed]).toEqual(Array.from({ length: LANES }, (_, i) => (i < count ? count - i : 0)));
  },
);
