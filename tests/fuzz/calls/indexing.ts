/** Calls that read and write by index: gathers, scatters of every reduction, index lists, embedding bags, searches. */
import { bucketize, F, isFloat, searchsorted, Tensor } from '../../../src/index.ts';
import { at, call, type Draw, type Held, type Maker } from './draw.ts';

const place = (x: Held, dim: number): number => (dim + x.shape.length) % x.shape.length;

/** The shape with another size along the dim. */
const resized = (x: Held, dim: number, size: number): number[] =>
  x.shape.map((n, d) => (d === place(x, dim) ? size : n));

const indexSelect: Maker = (d, x) => {
  const dim = d.dim(x);
  const index = d.indices([1 + d.r.int(6)], at(x, dim), d.r.pick(['i32', 'i64'] as const));
  return call('indexSelect', [dim, index], [x], a => a.indexSelect(dim, index));
};

const gather: Maker = (d, x) => {
  const dim = d.dim(x);
  const shape = x.shape.map((n, k) => (k === place(x, dim) ? 1 + d.r.int(6) : 1 + d.r.int(n)));
  const index = d.indices(shape, at(x, dim));
  if (d.r.once(3)) {
    const whole = d.indices(resized(x, dim, 2), at(x, dim));
    return call('takeAlongDim', [whole, dim], [x], a => a.takeAlongDim(whole, dim));
  }
  return call('gather', [dim, index], [x], a => a.gather(dim, index));
};

const take: Maker = (d, x) => {
  const index = d.indices(d.shape(d.r.int(3)), x.tensor.numel());
  return call('take', [index], [x], a => a.take(index));
};

const indexList: Maker = (d, x) => {
  const { r } = d;
  if (x.shape.length === 0) return null;
  const shape = r.pick([[3], [2, 2], [1]]);
  const list = x.shape.slice(0, 1 + r.int(x.shape.length)).map(n => {
    switch (r.int(5)) {
      case 0:
        return r.int(n) - (r.once(2) ? n : 0);
      case 1:
        return { start: r.int(n), step: 1 + r.int(2) };
      case 2:
        return {};
      default:
        return d.indices(r.once(4) ? [1] : shape, n);
    }
  });
  if (r.once(2)) return call('index', list, [x], a => a.index(list));
  const value = d.like(x.tensor.index(list).shape, x.dtype);
  const accumulate = r.once(2) && x.dtype !== 'bool';
  return call('indexPut', [list, accumulate], [x, value], (a, v) => a.indexPut(list, v, { accumulate }));
};

/** Indices that are no two alike, so that the order of writing does not matter; null where there are not as many. */
const distinct = (d: Draw, count: number, size: number): Tensor | null =>
  count > size
    ? null
    : Tensor.from(d.r.shuffled(Array.from({ length: size }, (_, k) => k)).slice(0, count), { shape: [count], dtype: 'i64' }); // biome-ignore format: short

const scatter: Maker = (d, x) => {
  const { r } = d;
  const dim = d.dim(x);
  const shape = x.shape.map((n, k) => (k === place(x, dim) ? 1 + r.int(6) : 1 + r.int(n)));
  const index = d.indices(shape, at(x, dim));
  const src = d.like(shape, x.dtype);
  if (x.dtype === 'bool') return null;
  if (r.once(3)) return call('scatterAdd', [dim, index], [x, src], (a, s) => a.scatterAdd(dim, index, s));
  const reduce = r.pick(['sum', 'prod', 'mean', 'amax', 'amin'] as const);
  const includeSelf = r.once(2);
  return call('scatterReduce', [dim, index, reduce, includeSelf], [x, src], (a, s) =>
    a.scatterReduce(dim, index, s, reduce, { includeSelf }),
  );
};

const alongDim: Maker = (d, x) => {
  const { r } = d;
  const dim = d.dim(x);
  const count = 1 + r.int(5);
  const index = r.once(2) ? d.indices([count], at(x, dim)) : distinct(d, count, at(x, dim));
  if (!index || x.dtype === 'bool') return null;
  const source = d.like(resized(x, dim, count), x.dtype);
  switch (r.int(4)) {
    case 0:
      return call('indexAdd', [dim, index], [x, source], (a, s) => a.indexAdd(dim, index, s, { alpha: 2 }));
    case 1:
      return call('indexCopy', [dim, index], [x, source], (a, s) => a.indexCopy(dim, index, s));
    case 2:
      return call('indexFill', [dim, index], [x], a => a.indexFill(dim, index, 1));
    default: {
      const reduce = r.pick(['prod', 'mean', 'amax', 'amin'] as const);
      const includeSelf = r.once(2);
      return call('indexReduce', [dim, index, reduce, includeSelf], [x, source], (a, s) =>
        a.indexReduce(dim, index, s, reduce, { includeSelf }),
      );
    }
  }
};

const regions: Maker = (d, x) => {
  const { r } = d;
  const dim = d.dim(x);
  const n = at(x, dim);
  if (r.once(3)) {
    const index = r.int(n);
    const source = d.like(x.shape.filter((_, k) => k !== place(x, dim)), x.dtype); // biome-ignore format: short
    return call('selectScatter', [dim, index], [x, source], (a, s) => a.selectScatter(s, dim, index));
  }
  if (x.shape.length >= 2 && r.once(2)) {
    const offset = r.int(2);
    const source = d.like(x.tensor.diagonal(offset).shape, x.dtype);
    return call('diagonalScatter', [offset], [x, source], (a, s) => a.diagonalScatter(s, offset));
  }
  const [start, step] = [r.int(n), 1 + r.int(2)];
  const source = d.like(resized(x, dim, Math.ceil((n - start) / step)), x.dtype);
  return call('sliceScatter', [dim, start, step], [x, source], (a, s) => a.sliceScatter(s, dim, start, null, step));
};

const put: Maker = (d, x) => {
  const count = 1 + d.r.int(5);
  const source = d.like([count], x.dtype);
  const accumulate = d.r.once(2) && x.dtype !== 'bool';
  const index = d.indices([count], x.tensor.numel());
  return call('put', [index, accumulate], [x, source], (a, s) => a.put(index, s, accumulate));
};

const masked: Maker = (d, x) => {
  const mask = d.mask(x.shape);
  const source = d.like([x.tensor.numel()], x.dtype);
  return call('maskedScatter', [mask], [x, source], (a, s) => a.maskedScatter(mask, s));
};

const embedding: Maker = (d, x) => {
  const { r } = d;
  if (x.shape.length !== 2 || !isFloat(x.dtype)) return null;
  const rows = x.shape[0]!;
  if (r.once(2)) {
    const index = d.indices(d.shape(1 + r.int(2)).map(n => Math.min(n, 9)), rows); // biome-ignore format: short
    return call('embedding', [index], [x], a => F.embedding(index, a));
  }
  const mode = r.pick(['sum', 'mean', 'max'] as const);
  const count = 2 + r.int(8);
  const index = d.indices([count], rows);
  const cuts = [0, ...Array.from({ length: r.int(4) }, () => r.int(count + 1)).sort((a, b) => a - b)];
  const offsets = Tensor.from(cuts, { shape: [cuts.length], dtype: 'i64' });
  const paddingIdx = r.once(3) ? r.int(rows) : null;
  if (mode === 'sum' && r.once(2)) {
    const weights = d.like([count], x.dtype);
    return call('embeddingBag', [index, cuts, mode, paddingIdx, 'weighted'], [x, weights], (a, w) =>
      F.embeddingBag(index, a, { offsets, mode, paddingIdx, perSampleWeights: w }),
    );
  }
  return call('embeddingBag', [index, cuts, mode, paddingIdx], [x], a => F.embeddingBag(index, a, { offsets, mode, paddingIdx })); // biome-ignore format: one line
};

const search: Maker = (d, x) => {
  if (!isFloat(x.dtype)) return null;
  const right = d.r.once(2);
  const edges = d.like([1 + d.r.int(9)], x.dtype);
  if (d.r.once(2)) return call('bucketize', [right], [x, edges], (a, e) => bucketize(a, e.sort().values, { right }));
  return call('searchsorted', [right], [edges, x], (e, a) => searchsorted(e.sort().values, a, { right }));
};

const oneHot: Maker = (d, x) => {
  const index = d.indices(x.shape.slice(0, 2), 5);
  return call('oneHot times', [index], [x], a => F.oneHot(index, 5).to(isFloat(a.dtype) ? a.dtype : 'f32').mul(0.5)); // biome-ignore format: one line
};

export const INDEXING: readonly Maker[] = [
  indexSelect, gather, gather, take, indexList, indexList, scatter, scatter, alongDim, alongDim, regions, regions, put, masked, embedding, embedding, search, oneHot,
]; // biome-ignore format: a table
