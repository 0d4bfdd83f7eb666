/** Calls along dims: reductions, scans, sorts, statistics, softmax. */
import { F, isFloat, masked, segmentReduce, Tensor } from '../../../src/index.ts';
import { at, call, type Maker } from './draw.ts';

const FLOAT = [
  'sum',
  'mean',
  'var',
  'std',
  'amax',
  'amin',
  'logsumexp',
  'norm',
  'nansum',
  'prod',
  'countNonzero',
] as const;

const reduce: Maker = (d, x) => {
  const { r } = d;
  const dim = d.dims(x);
  const keepdim = r.once(2);
  if (x.dtype === 'bool') {
    const name = r.pick(['any', 'all', 'sum', 'amax'] as const);
    return call(name, [dim, keepdim], [x], a => a[name](dim, { keepdim }));
  }
  if (!isFloat(x.dtype)) {
    const name = r.pick(['sum', 'amax', 'amin', 'prod', 'any', 'all'] as const);
    return call(name, [dim, keepdim], [x], a => a[name](dim, { keepdim }));
  }
  const name = r.pick(FLOAT);
  switch (name) {
    case 'countNonzero':
      return call(name, [dim], [x], a => a.countNonzero(dim));
    case 'norm': {
      const p = r.pick([1, 2, 3, Number.POSITIVE_INFINITY]);
      return call(name, [`${p}`, dim, keepdim], [x], a => a.norm(p, dim, { keepdim }));
    }
    case 'prod': {
      const one = dim === null ? null : dim[0]!;
      return call(name, [one, keepdim], [x], a => a.tanh().add(1).prod(one, { keepdim }));
    }
    case 'var':
    case 'std': {
      const correction = r.int(2);
      const safe = (a: Tensor): Tensor => (name === 'var' ? a.var(dim, { keepdim, correction }) : a.var(dim, { keepdim, correction }).add(0.1).sqrt()); // biome-ignore format: one line
      return call(name, [dim, keepdim, correction], [x], safe);
    }
    default:
      return call(name, [dim, keepdim], [x], a => a[name](dim, { keepdim }));
  }
};

const place: Maker = (d, x) => {
  const name = d.r.pick(['argmax', 'argmin'] as const);
  const dim = d.r.once(4) ? null : d.dim(x);
  const keepdim = d.r.once(2) && dim !== null;
  if (x.dtype === 'bool') return null;
  return call(name, [dim, keepdim], [x], a => a[name](dim, { keepdim }));
};

const extremes: Maker = (d, x) => {
  const dim = d.dim(x);
  const name = d.r.pick(['max', 'min', 'median'] as const);
  const part = d.r.once(4) ? ('indices' as const) : ('values' as const);
  if (x.dtype === 'bool') return null;
  return call(name, [dim, part], [x], a => a[name](dim)[part]);
};

const scan: Maker = (d, x) => {
  const dim = d.dim(x);
  if (x.dtype === 'bool') return null;
  const name = d.r.pick([
    'cumsum',
    'cumsum',
    'cumprod',
    'cummax',
    'cummin',
    'logcumsumexp',
    'diff',
    'trapezoid',
    'cumulativeTrapezoid',
  ] as const);
  switch (name) {
    case 'cumprod':
      return call(name, [dim], [x], a => (isFloat(a.dtype) ? a.tanh().add(1) : a).cumprod(dim));
    case 'cummax':
    case 'cummin':
      return call(name, [dim], [x], a => a[name](dim).values);
    case 'logcumsumexp':
      return isFloat(x.dtype) ? call(name, [dim], [x], a => a.logcumsumexp(dim)) : null;
    case 'diff':
      return at(x, dim) > 2 ? call(name, [dim], [x], a => a.diff({ dim, n: 2 })) : null;
    case 'trapezoid':
    case 'cumulativeTrapezoid':
      return isFloat(x.dtype) && at(x, dim) > 1 ? call(name, [dim], [x], a => a[name]({ dim, dx: 0.5 })) : null;
    default:
      return call(name, [dim], [x], a => a.cumsum(dim));
  }
};

const sort: Maker = (d, x) => {
  const { r } = d;
  const dim = d.dim(x);
  const descending = r.once(2);
  const n = at(x, dim);
  switch (r.int(5)) {
    case 0: {
      const k = 1 + r.int(n);
      return call('kthvalue', [k, dim], [x], a => a.kthvalue(k, dim).values);
    }
    case 1: {
      const k = 1 + r.int(n);
      return call('topk', [k, dim, descending], [x], a => a.topk(k, dim, { largest: descending }).values);
    }
    case 2:
      return call('argsort', [dim, descending], [x], a => a.argsort(dim, { descending }));
    default:
      return call('sort', [dim, descending], [x], a => a.sort(dim, { descending }).values);
  }
};

const soft: Maker = (d, x) => {
  if (!isFloat(x.dtype)) return null;
  const dim = d.dim(x);
  const name = d.r.pick(['softmax', 'softmax', 'logSoftmax', 'softmin'] as const);
  return call(name, [dim], [x], a => F[name](a, dim));
};

const quantile: Maker = (d, x) => {
  if (!isFloat(x.dtype)) return null;
  const dim = d.dim(x);
  const interpolation = d.r.pick(['linear', 'lower', 'higher', 'midpoint'] as const);
  if (x.dtype !== 'f32' && x.dtype !== 'f64') return null;
  return call('quantile', [0.3, dim, interpolation], [x], a => a.quantile(0.3, dim, { interpolation }));
};

const statistics: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype)) return null;
  switch (r.int(5)) {
    case 0:
      return x.shape.length === 2 && x.shape[1]! > 1 ? call('cov', null, [x], a => a.cov()) : null;
    case 1:
      return call('histc', [5], [x], a => a.histc({ bins: 5, min: -2, max: 2 }));
    case 2: {
      const dim = d.dim(x);
      return call('renorm', [2, dim, 1], [x], a => a.renorm(2, dim, 1));
    }
    case 3: {
      const mask = d.mask(x.shape);
      const dim = d.dim(x);
      const name = r.pick(['sum', 'amax', 'softmax', 'cumsum'] as const);
      if (name === 'amax')
        return call('masked.amax', [dim, mask], [x], a => masked.amax(a, dim, { mask }).clamp(-5, 5));
      if (name === 'softmax') return call('masked.softmax', [dim, mask], [x], a => masked.softmax(a, dim, { mask }).nanToNum()); // biome-ignore format: one line
      return call(`masked.${name}`, [dim, mask], [x], a => masked[name](a, dim, { mask }));
    }
    default: {
      const n = x.shape[0];
      if (!n) return null;
      const first = r.int(n + 1);
      const lengths = Tensor.from([first, n - first], { dtype: 'i64' });
      const reduction = r.pick(['sum', 'mean', 'max', 'min'] as const);
      return call('segmentReduce', [first, reduction], [x], a =>
        segmentReduce(a, reduction, { lengths, initial: 0.5 }),
      );
    }
  }
};

export const REDUCTIONS: readonly Maker[] = [reduce, reduce, reduce, reduce, place, extremes, scan, scan, sort, sort, soft, soft, quantile, statistics, statistics]; // biome-ignore format: a table
