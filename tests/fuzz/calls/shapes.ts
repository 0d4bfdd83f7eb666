/** Calls that only move elements: views, joins, splits, padding, windows, diagonals. */
import { cat, F, hstack, isFloat, kron, stack, Tensor, vstack } from '../../../src/index.ts';
import { at, call, type Held, type Maker } from './draw.ts';

/** A shape of as many elements. */
function factored(n: number, pick: (of: readonly number[]) => number, parts: number): number[] {
  const shape: number[] = [];
  for (let left = n, i = 1; i <= parts; i++) {
    const divisors = Array.from({ length: left }, (_, k) => k + 1).filter(k => left % k === 0);
    const size = i === parts ? left : pick(divisors);
    shape.push(size);
    left /= size;
  }
  return shape;
}

const reshape: Maker = ({ r }, x) => {
  const shape = factored(x.tensor.numel(), of => r.pick(of), 1 + r.int(4));
  return call('reshape', shape, [x], a => a.reshape(shape));
};

const permute: Maker = ({ r }, x) => {
  const order = r.shuffled(x.shape.map((_, d) => d));
  return call('permute', order, [x], a => a.permute(order));
};

const movedim: Maker = (d, x) => {
  const [from, to] = [d.dim(x), d.dim(x)];
  if (d.r.once(2)) return call('transpose', [from, to], [x], a => a.transpose(from, to));
  return call('movedim', [from, to], [x], a => a.movedim(from, to));
};

const flat: Maker = ({ r }, x) => {
  if (x.shape.length < 2) {
    const dim = r.pick([0, -1]);
    return call('unsqueeze', [dim], [x], a => a.unsqueeze(dim));
  }
  const start = r.int(x.shape.length - 1);
  return call('flatten', [start, start + 1], [x], a => a.flatten(start, start + 1));
};

const squeeze: Maker = ({ r }, x) => {
  if (r.once(2)) return call('squeeze', null, [x], a => a.squeeze());
  const dim = r.int(x.shape.length + 1);
  return call('unsqueeze', [dim], [x], a => a.unsqueeze(dim));
};

const expand: Maker = ({ r }, x) => {
  const shape = [...(r.once(2) ? [1 + r.int(3)] : []), ...x.shape.map(n => (n === 1 ? 1 + r.int(5) : n))];
  return call('expand', shape, [x], a => a.expand(shape));
};

const narrow: Maker = (d, x) => {
  const dim = d.dim(x);
  const n = at(x, dim);
  const start = d.r.int(n);
  const length = 1 + d.r.int(n - start);
  if (d.r.once(3)) {
    const from = Tensor.from(start, { dtype: 'i64' });
    return call('narrow by a tensor', [dim, start, length], [x], a => a.narrow(dim, from, length));
  }
  return call('narrow', [dim, start, length], [x], a => a.narrow(dim, start, length));
};

const slice: Maker = (d, x) => {
  const dim = d.dim(x);
  const n = at(x, dim);
  const [start, end, step] = [d.r.int(n), d.r.once(2) ? null : n - d.r.int(2), 1 + d.r.int(3)];
  return call('slice', [dim, start, end, step], [x], a => a.slice(dim, start, end, step));
};

const select: Maker = (d, x) => {
  const dim = d.dim(x);
  const index = d.r.int(at(x, dim)) - (d.r.once(3) ? at(x, dim) : 0);
  return call('select', [dim, index], [x], a => a.select(dim, index));
};

const flip: Maker = (d, x) => {
  const dims = d.dims(x);
  return dims && call('flip', dims, [x], a => a.flip(dims));
};

const roll: Maker = (d, x) => {
  const [dim, shift] = [d.dim(x), d.r.int(7) - 3];
  return call('roll', [shift, dim], [x], a => a.roll(shift, dim));
};

const rot90: Maker = ({ r }, x) => {
  if (x.shape.length < 2) return null;
  const k = r.int(5) - 1;
  return call('rot90', [k], [x], a => a.rot90(k, [0, x.shape.length - 1]));
};

const repeat: Maker = (d, x) => {
  const { r } = d;
  if (x.shape.length > 0 && r.once(3)) {
    const [times, dim] = [1 + r.int(3), d.dim(x)];
    return call('repeatInterleave', [times, dim], [x], a => a.repeatInterleave(times, dim));
  }
  const sizes = x.shape.map(() => 1 + r.int(3));
  if (r.once(2)) return call('tile', sizes, [x], a => a.tile(sizes));
  return call('repeat', sizes, [x], a => a.repeat(sizes));
};

const diagonal: Maker = ({ r }, x) => {
  if (x.shape.length < 2) return null;
  const offset = r.int(3) - 1;
  const [p, q] = r.shuffled(x.shape.map((_, d) => d));
  switch (r.int(3)) {
    case 0:
      return call('tril', [offset], [x], a => a.tril(offset));
    case 1:
      return call('triu', [offset], [x], a => a.triu(offset));
    default:
      return call('diagonal', [offset, p, q], [x], a => a.diagonal(offset, p, q));
  }
};

const diagEmbed: Maker = ({ r }, x) => {
  if (x.shape.length === 0) return null;
  const offset = r.int(3) - 1;
  return call('diagEmbed', [offset], [x], a => a.diagEmbed(offset));
};

const windows: Maker = (d, x) => {
  const dim = d.dim(x);
  const [size, step] = [1 + d.r.int(Math.min(4, at(x, dim))), 1 + d.r.int(3)];
  return call('unfold', [dim, size, step], [x], a => a.unfold(dim, size, step));
};

const pad: Maker = ({ r }, x) => {
  const mode = r.pick(['constant', 'constant', 'reflect', 'replicate', 'circular'] as const);
  const most = x.shape.length - (mode === 'constant' ? 0 : 2);
  if (most < 1) return null;
  const amounts: number[] = [];
  const padded = mode === 'constant' ? 1 + r.int(most) : most;
  if (padded > 3) return null;
  for (let k = 1; k <= padded; k++) {
    const n = at(x as Held, -k);
    for (let side = 0; side < 2; side++) amounts.push(r.int(mode === 'constant' ? 4 : Math.min(n, 3)) - (mode === 'constant' && n > 3 && r.once(5) ? 2 : 0)); // biome-ignore format: one line
  }
  if (mode === 'constant')
    return call('pad', amounts, [x], a => F.pad(a, amounts, { value: isFloat(a.dtype) ? 0.5 : 1 }));
  return call('pad', [mode, ...amounts], [x], a => F.pad(a, amounts, { mode }));
};

const join: Maker = (d, x) => {
  const { r } = d;
  if (x.shape.length === 0 || r.once(3)) {
    const dim = r.int(x.shape.length + 1);
    return call('stack', [dim], [x, d.like(x.shape, x.dtype), x], (...xs) => stack(xs, dim));
  }
  const dim = d.dim(x);
  const position = (dim + x.shape.length) % x.shape.length;
  const parts = Array.from({ length: 1 + r.int(3) }, () =>
    d.like(x.shape.map((n, k) => (k === position ? 1 + r.int(5) : n)), r.once(8) ? d.dtype() : x.dtype),
  ); // biome-ignore format: one list
  const all = r.shuffled([x, ...parts]);
  if (position === 0 && r.once(3)) return call(x.shape.length === 1 ? 'hstack' : 'vstack', null, all, (...xs) => (x.shape.length === 1 ? hstack(xs) : vstack(xs))); // biome-ignore format: one line
  return call('cat', [dim], all, (...xs) => cat(xs, dim));
};

const split: Maker = (d, x) => {
  const dim = d.dim(x);
  const n = at(x, dim);
  if (n === 0) return null;
  const parts = 1 + d.r.int(Math.min(n, 4));
  const name = d.r.pick(['chunk', 'tensorSplit', 'split', 'unbind'] as const);
  const count = { chunk: () => Math.ceil(n / Math.ceil(n / parts)), tensorSplit: () => parts, split: () => Math.ceil(n / parts), unbind: () => n }[name](); // biome-ignore format: one line
  const which = d.r.int(count);
  return call(name, [name === 'unbind' ? null : parts, dim, which], [x], a => (name === 'unbind' ? a.unbind(dim) : a[name](parts, dim))[which]!); // biome-ignore format: one line
};

const shuffle: Maker = ({ r }, x) => {
  if (x.shape.length !== 4) return null;
  const [, c, h, w] = x.shape as [number, number, number, number];
  if (c % 4 === 0) return call('pixelShuffle', [2], [x], a => F.pixelShuffle(a, 2));
  if (h % 2 === 0 && w % 2 === 0) return call('pixelUnshuffle', [2], [x], a => F.pixelUnshuffle(a, 2));
  return r.once(2) ? null : call('channels last', null, [x], a => a.permute([0, 2, 3, 1]));
};

const strided: Maker = ({ r }, x) => {
  const n = x.tensor.numel();
  const size = [1 + r.int(4), 1 + r.int(4)];
  const stride = [r.int(4), 1 + r.int(3)];
  const reach = (size[0]! - 1) * stride[0]! + (size[1]! - 1) * stride[1]!;
  if (reach >= n) return null;
  const offset = r.int(n - reach);
  return call('asStrided', [size, stride, offset], [x], a => a.asStrided(size, stride, offset));
};

const summedTo: Maker = ({ r }, x) => {
  const shape = x.shape.map(n => (r.once(2) ? 1 : n));
  return x.dtype === 'bool' ? null : call('sumToSize', shape, [x], a => a.sumToSize(shape));
};

const product: Maker = (d, x) => {
  if (x.shape.length === 0 || x.shape.length > 2 || x.tensor.numel() > 200 || x.dtype === 'bool') return null;
  const y = d.like(x.shape.map(() => 1 + d.r.int(4)), x.dtype); // biome-ignore format: short
  return call('kron', null, [x, y], (a, b) => kron(a, b));
};

export const SHAPES: readonly Maker[] = [
  reshape, reshape, permute, permute, movedim, flat, squeeze, expand, narrow, slice, slice, select, flip, roll, rot90, repeat,
  diagonal, diagEmbed, windows, pad, pad, join, join, split, shuffle, strided, summedTo, product,
]; // biome-ignore format: a table
