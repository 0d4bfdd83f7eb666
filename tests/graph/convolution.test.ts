/** A convolution is a contraction of windows; it and both of its gradients against plain loops. */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';
import { vjp } from '../../src/transform/index.ts';
import { leaf, numbersOf } from './evaluate.ts';

interface Conv {
  readonly batch: number;
  readonly groups: number;
  /** Input channels and filters of one group. */
  readonly channels: number;
  readonly filters: number;
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
}

const base: Conv = {
  batch: 2,
  groups: 1,
  channels: 2,
  filters: 3,
  size: [6, 5],
  kernel: [3, 2],
  stride: [1, 1],
  padding: [0, 0],
  dilation: [1, 1],
};

const outSize = (c: Conv, d: 0 | 1): number =>
  Math.floor((c.size[d] + 2 * c.padding[d] - c.dilation[d] * (c.kernel[d] - 1) - 1) / c.stride[d]) + 1;

const xShape = (c: Conv): number[] => [c.batch, c.groups, c.channels, ...c.size];
const wShape = (c: Conv): number[] => [c.groups, c.filters, c.channels, ...c.kernel];
const yShape = (c: Conv): number[] => [c.batch, c.groups, c.filters, outSize(c, 0), outSize(c, 1)];

/** x [batch, group, channel, h, w] with w [group, filter, channel, kh, kw]. */
function convolve(c: Conv, x: Node, w: Node): Node {
  const [oh, ow] = [outSize(c, 0), outSize(c, 1)];
  // dims: batch 0, group 1, channel 2, oh 3, kh 4, ow 5, kw 6
  const windows = g.reindex(x, [c.batch, c.groups, c.channels, oh, c.kernel[0], ow, c.kernel[1]], [
    { terms: [[0, 1]], offset: 0, div: 1 },
    { terms: [[1, 1]], offset: 0, div: 1 },
    { terms: [[2, 1]], offset: 0, div: 1 },
    { terms: [[3, c.stride[0]], [4, c.dilation[0]]], offset: -c.padding[0], div: 1 },
    { terms: [[5, c.stride[1]], [6, c.dilation[1]]], offset: -c.padding[1], div: 1 },
  ]); // biome-ignore format: one map a line
  return g.contract(windows, w, [0, 1, 2, 3, 4, 5, 6], [1, 7, 2, 4, 6], [0, 1, 7, 3, 5]);
}

/** Every product of the convolution: element of y += element of x * element of w. */
function eachProduct(c: Conv, visit: (y: number, x: number, w: number) => void): void {
  const [oh, ow] = [outSize(c, 0), outSize(c, 1)];
  for (let n = 0; n < c.batch; n++)
    for (let gr = 0; gr < c.groups; gr++)
      for (let f = 0; f < c.filters; f++)
        for (let i = 0; i < oh; i++)
          for (let j = 0; j < ow; j++)
            for (let ch = 0; ch < c.channels; ch++)
              for (let ki = 0; ki < c.kernel[0]; ki++)
                for (let kj = 0; kj < c.kernel[1]; kj++) {
                  const h = i * c.stride[0] + ki * c.dilation[0] - c.padding[0];
                  const v = j * c.stride[1] + kj * c.dilation[1] - c.padding[1];
                  if (h < 0 || h >= c.size[0] || v < 0 || v >= c.size[1]) continue;
                  visit(
                    (((n * c.groups + gr) * c.filters + f) * oh + i) * ow + j,
                    (((n * c.groups + gr) * c.channels + ch) * c.size[0] + h) * c.size[1] + v,
                    (((gr * c.filters + f) * c.channels + ch) * c.kernel[0] + ki) * c.kernel[1] + kj,
                  );
                }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, n) => a * n, 1);
const integers = (shape: readonly number[], salt: number): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 31 + salt * 17) % 11) - 5);

const CASES: Record<string, Partial<Conv>> = {
  plain: {},
  stride: { stride: [2, 3] },
  padding: { padding: [2, 1] },
  dilation: { dilation: [2, 3] },
  groups: { groups: 2 },
  depthwise: { groups: 3, channels: 1, filters: 1, padding: [1, 1] },
  everything: { groups: 2, stride: [2, 1], padding: [1, 2], dilation: [1, 2], size: [7, 6] },
  'stride beyond the kernel': { stride: [4, 3], kernel: [2, 2] },
  pointwise: { kernel: [1, 1] },
  'one column': { size: [5, 1], kernel: [3, 1], padding: [1, 0] },
};

describe('convolution', () => {
  it.each(Object.entries(CASES))('%s', (_, change) => {
    const c: Conv = { ...base, ...change };
    const x = g.placeholder('x', xShape(c), 'f64', true);
    const w = g.placeholder('w', wShape(c), 'f64', true);
    const [xs, ws, cts] = [integers(xShape(c), 1), integers(wShape(c), 2), integers(yShape(c), 3)];
    const y = convolve(c, x, w);
    expect(y.shape).toEqual(yShape(c));
    const [dx, dw] = vjp([y], [leaf(cts, yShape(c))], [x, w]);
    x.value = Float64Array.from(xs);
    w.value = Float64Array.from(ws);

    const expectedY = new Array<number>(cts.length).fill(0);
    const expectedDx = new Array<number>(xs.length).fill(0);
    const expectedDw = new Array<number>(ws.length).fill(0);
    eachProduct(c, (i, j, k) => {
      expectedY[i]! += xs[j]! * ws[k]!;
      expectedDx[j]! += cts[i]! * ws[k]!;
      expectedDw[k]! += cts[i]! * xs[j]!;
    });
    expect(numbersOf(y, dx!, dw!)).toEqual([expectedY, expectedDx, expectedDw]);
  });

  it('the input gradient folds its windows inside the contraction', () => {
    const c: Conv = { ...base, padding: [1, 1], kernel: [3, 3] };
    const x = g.placeholder('x', xShape(c), 'f64', true);
    const w = g.placeholder('w', wShape(c), 'f64', true);
    const [dx] = vjp([convolve(c, x, w)], [leaf(integers(yShape(c), 3), yShape(c))], [x]);
    const ops = topologicalOrder([dx!]).map(node => node.op);
    expect(ops.filter(op => op === 'contract')).toHaveLength(1);
    expect(ops).not.toContain('reduce');
  });
});
