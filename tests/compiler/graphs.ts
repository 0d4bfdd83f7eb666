/**
 * The compositions that fusion is for, written with graph builders as the tensor layer writes them.
 */
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';

/** Deterministic f32 values in [-1, 1). */
export function values(shape: readonly number[], seed = 1): Node {
  const x = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let s = seed * 7919;
  for (let i = 0; i < x.length; i++) {
    s = (Math.imul(s, 1664525) + 1013904223) | 0;
    x[i] = (s >>> 8) / 2 ** 23 - 1;
  }
  return g.data(x, shape, 'f32');
}

/** A reduction's result at every element of what was reduced. */
export const spread = (y: Node, shape: readonly number[], axes: readonly number[]): Node =>
  g.broadcastTo(
    g.reshape(
      y,
      shape.map((n, d) => (axes.includes(d) ? 1 : n)),
    ),
    shape,
  );

const like = (x: Node, value: number): Node => g.full(value, x.shape, x.dtype);

export function softmax(x: Node): Node {
  const axes = [x.shape.length - 1];
  const e = g.unary('exp', g.binary('sub', x, spread(g.reduce('max', x, axes), x.shape, axes)));
  return g.binary('div', e, spread(g.reduce('sum', e, axes), x.shape, axes));
}

export function mean(x: Node, axes: readonly number[]): Node {
  const sum = g.reduce('sum', x, axes);
  return g.binary('mul', sum, like(sum, sum.size / x.size));
}

export function layerNorm(x: Node, weight: Node, bias: Node, axes = [x.shape.length - 1]): Node {
  const centred = g.binary('sub', x, spread(mean(x, axes), x.shape, axes));
  const variance = mean(g.binary('mul', centred, centred), axes);
  const deviation = g.unary('sqrt', g.binary('add', variance, like(variance, 1e-5)));
  const normal = g.binary('div', centred, spread(deviation, x.shape, axes));
  return g.binary('add', g.binary('mul', normal, g.broadcastTo(weight, x.shape)), g.broadcastTo(bias, x.shape));
}

export const relu = (x: Node): Node => g.binary('max', x, like(x, 0));

/** 3x3 convolution with padding 1, bias [O] and relu: x [N, C, H, W], w [O, C, 3, 3]. */
export function convolution(x: Node, w: Node, bias: Node): Node {
  const [n, c, h, width] = x.shape as [number, number, number, number];
  const at = (dim: number, window: number): { terms: [number, number][]; offset: number; div: number } => ({
    terms: [
      [dim, 1],
      [window, 1],
    ],
    offset: -1,
    div: 1,
  });
  const plain = (dim: number): { terms: [number, number][]; offset: number; div: number } => ({
    terms: [[dim, 1]],
    offset: 0,
    div: 1,
  });
  const windows = g.reindex(x, [n, c, h, width, 3, 3], [plain(0), plain(1), at(2, 4), at(3, 5)]);
  const out = g.contract(windows, w, [0, 1, 2, 3, 4, 5], [6, 1, 4, 5], [0, 6, 2, 3]);
  return relu(g.binary('add', out, g.reindex(bias, out.shape, [plain(1)])));
}

/** New p, m and v. */
export function adam(p: Node, m: Node, v: Node, gradient: Node): { p: Node; m: Node; v: Node } {
  const times = (x: Node, by: number): Node => g.binary('mul', x, like(x, by));
  const m1 = g.binary('add', times(m, 0.9), times(gradient, 0.1));
  const v1 = g.binary('add', times(v, 0.999), times(g.binary('mul', gradient, gradient), 0.001));
  const step = g.binary('div', times(m1, 0.01), g.binary('add', g.unary('sqrt', v1), like(v1, 1e-8)));
  return { p: g.binary('sub', p, step), m: m1, v: v1 };
}
