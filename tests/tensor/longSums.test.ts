/** Sums of very many terms stay right: one f32 accumulator of 2^20 numbers of one sign is off by 2e-4 of their sum, and stops at 2^24 ones. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { backendName, einsum, F, manualSeed, ones, rand, type Tensor } from '../../src/tensor/index.ts';

/** Units of f32 in the last place of 1 that results may be off by, relative. */
const TOLERANCE = 2 ** -19;

function expectNear(got: Tensor, want: Tensor): void {
  expect(got.to('f64').div(want).sub(1).abs().max().item()).toBeLessThan(TOLERANCE);
}

// The interpreter takes a minute for each.
describe.skipIf(backendName() === 'reference')('long sums', () => {
  it('of 2^25 ones are 2^25', () => {
    const x = ones([2 ** 25]);
    for (const sum of [x.sum(), x.dot(x), einsum('i,i->', [x, x]), x.norm(1), x.mean().mul(2 ** 25)])
      expect(sum.item()).toBe(2 ** 25);
    expect(
      x
        .reshape([-1, 2])
        .mT.matmul(ones([2 ** 24]))
        .toArray(),
    ).toEqual([2 ** 24, 2 ** 24]);
  });

  const k = 2 ** 18;
  it.each<[name: string, length: number, sides: [a: number, b: number]]>([
    ['dot', k, [1, 1]],
    ['vector and matrix', k + 7, [1, 5]],
    ['matrix and vector', k, [16, 1]],
    ['matrices', k + 17, [3, 4]],
    ['matrices cut evenly', k, [8, 16]],
  ])('products: %s', (_, length, [m, n]) => {
    manualSeed(2);
    const a = rand([length, m]);
    const b = rand([length, n]);
    const wide = [a.to('f64'), b.to('f64')] as const;
    expectNear(a.mT.matmul(b), wide[0].mT.matmul(wide[1]));
    const turned = a.mT.add(0);
    turned.data();
    expectNear(turned.matmul(b), wide[0].mT.matmul(wide[1]));
    expectNear(einsum('km,kn->nm', [a, b]), wide[1].mT.matmul(wide[0]));
  });

  it('of columns', () => {
    manualSeed(3);
    const x = rand([2 ** 15, 260]);
    expectNear(x.sum(0), x.to('f64').sum(0));
  });

  it.each([8, 16])('of what is the same along %i columns, in chunks', columns => {
    const sums = F.pad(ones([3, 3, 127, columns]), [1, 1, 1, 1, 2, 2, 2, 2], { value: 2 }).sum([0, 2]);
    const around = 7 * 129 * 2;
    const row = [around, ...Array<number>(columns).fill(around - 3 * 127), around];
    const fill = Array<number>(columns + 2).fill(around);
    expect(sums.toArray()).toEqual([fill, fill, row, row, row, fill, fill]);
  });
});
