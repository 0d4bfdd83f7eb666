/**
 * Calls on matrices: products of every form, einsum, factorisations of well-conditioned ones, transforms of Fourier.
 */
import { einsum, F, fft, isFloat, linalg, type Tensor, tensordot } from '../../../src/index.ts';
import { at, call, type Draw, type Held, type Maker } from './draw.ts';

const WIDTHS = [1, 2, 3, 4, 7, 8, 13, 15, 16, 17, 31, 32, 33, 65, 100, 129];

/** So that products stay in the range of what went in. */
const scaled = (x: Tensor, terms: number): Tensor => x.mul(1 / Math.sqrt(terms));

const isMatrix = (x: Held): boolean => isFloat(x.dtype) && x.shape.length >= 2;

const matmul: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype) || x.shape.length === 0) return null;
  const k = at(x, -1);
  const n = r.pick(WIDTHS);
  if (x.tensor.numel() * n > d.mostWork) return null;
  const batch = x.shape.slice(0, -2);
  const lead = r.pick([[], batch, batch.map(b => (r.once(2) ? 1 : b)), [2, ...batch]]);
  const y = r.once(5) ? d.like([k], x.dtype) : d.like([...lead, k, n], x.dtype);
  return call('matmul', null, [x, y], (a, b) => scaled(a, k).matmul(b));
};

const transposed: Maker = (d, x) => {
  const { r } = d;
  if (!isMatrix(x)) return null;
  const [m, k] = [at(x, -2), at(x, -1)];
  const y = d.like([...x.shape.slice(0, -2), r.pick(WIDTHS), r.once(2) ? k : m], x.dtype);
  if (at(y, -1) === k) return call('matmul of a transposed second', null, [x, y], (a, b) => scaled(a, k).matmul(b.mT));
  return call('matmul of two transposed', null, [x, y], (a, b) => scaled(a.mT, m).matmul(b.mT));
};

const linear: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype) || x.shape.length === 0) return null;
  const [k, n] = [at(x, -1), r.pick(WIDTHS)];
  if (x.tensor.numel() * n > d.mostWork) return null;
  const w = d.like([n, k], x.dtype);
  return call('linear', null, [x, w, ...(r.once(2) ? [d.like([n], x.dtype)] : [])], (a, b, c) => F.linear(scaled(a, k), b, c ?? null)); // biome-ignore format: one line
};

const small: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype)) return null;
  if (x.shape.length === 1) {
    const n = x.shape[0]!;
    if (r.once(2)) return call('outer', null, [x, d.like([r.pick(WIDTHS)], x.dtype)], (a, b) => a.outer(b));
    return call('dot', null, [x, d.like([n], x.dtype)], (a, b) => scaled(a, n).dot(b));
  }
  if (x.shape.length === 2) {
    const [m, k] = x.shape as [number, number];
    const n = r.pick(WIDTHS);
    if (r.once(3)) return call('mv', null, [x, d.like([k], x.dtype)], (a, b) => scaled(a, k).mv(b));
    return call('addmm', null, [d.like(r.pick([[m, n], [n], [m, 1]]), x.dtype), x, d.like([k, n], x.dtype)], (a, b, c) => a.addmm(scaled(b, k), c, { beta: 0.5, alpha: 2 })); // biome-ignore format: one line
  }
  if (x.shape.length !== 3) return null;
  const [b, m, k] = x.shape as [number, number, number];
  const n = r.pick(WIDTHS.slice(0, 8));
  if (r.once(2)) return call('bmm', null, [x, d.like([b, k, n], x.dtype)], (p, q) => scaled(p, k).bmm(q));
  return call('baddbmm', null, [d.like([b, m, n], x.dtype), x, d.like([b, k, n], x.dtype)], (a, p, q) => a.baddbmm(scaled(p, k), q)); // biome-ignore format: one line
};

/** Letters shared or not, kept or summed, now and then a diagonal. */
const sums: Maker = (d, x) => {
  const { r } = d;
  if (!isFloat(x.dtype) || x.shape.length === 0 || x.shape.length > 4) return null;
  const sizes = new Map<string, number>();
  const letters = 'abcdefgh'.split('');
  const first = x.shape.map((n, k) => {
    const letter = k > 0 && r.once(10) && x.shape[0] === n ? 'a' : letters[k]!;
    sizes.set(letter, n);
    return letter;
  });
  const second: string[] = [];
  for (const letter of new Set(first)) if (r.once(2)) second.push(letter);
  for (let k = r.int(3); k > 0; k--) {
    const letter = letters[4 + k]!;
    sizes.set(letter, r.pick(WIDTHS.slice(0, 9)));
    second.push(letter);
  }
  if (second.length === 0) return null;
  const right = r.shuffled(second);
  const all = [...sizes.keys()];
  const work = all.reduce((n, letter) => n * sizes.get(letter)!, 1);
  if (work > d.mostWork / 2) return null;
  const kept = r.shuffled(all.filter(() => !r.once(3)));
  const terms = all.filter(l => !kept.includes(l)).reduce((n, l) => n * sizes.get(l)!, 1);
  const equation = `${first.join('')},${right.join('')}->${kept.join('')}`;
  const y = d.like(right.map(l => sizes.get(l)!), x.dtype); // biome-ignore format: short
  return call('einsum', [equation], [x, y], (a, b) => einsum(equation, scaled(a, terms), b));
};

const dots: Maker = (d, x) => {
  if (!isFloat(x.dtype) || x.shape.length < 2) return null;
  const k = at(x, -1) * at(x, -2);
  const n = 1 + d.r.int(5);
  const y = d.like([at(x, -2), at(x, -1), n], x.dtype);
  return call('tensordot', [2], [x, y], (a, b) => tensordot(scaled(a, k), b, 2));
};

const bilinear: Maker = (d, x) => {
  if (!isFloat(x.dtype) || x.shape.length !== 2 || x.tensor.numel() > 300) return null;
  const [n, p] = x.shape as [number, number];
  const [q, o] = [1 + d.r.int(6), 1 + d.r.int(6)];
  return call('bilinear', null, [x, d.like([n, q], x.dtype), d.like([o, p, q], x.dtype)], (a, b, w) => F.bilinear(scaled(a, p * q), b, w)); // biome-ignore format: one line
};

/** Symmetric and well away from singular. */
const definite = (x: Tensor): Tensor => {
  const n = x.shape.at(-1)!;
  return scaled(x, n)
    .matmul(x.mT)
    .add(linalg.matrixPower(x, 0).mul(2 + n / 2));
};

const factored: Maker = (d, x) => {
  const { r } = d;
  const n = at(x, -1);
  if (
    (x.dtype !== 'f32' && x.dtype !== 'f64') ||
    x.shape.length < 2 ||
    at(x, -2) !== n ||
    n > 9 ||
    x.tensor.numel() > 600
  ) {
    if (x.dtype !== 'f32' && x.dtype !== 'f64') return null;
    const size = 1 + r.int(6);
    const leaf = d.like([...r.pick([[], [2], [3, 2]]), size, size], x.dtype);
    return leaf.at === x.at ? null : factored(d, leaf);
  }
  const name = r.pick([
    'inv',
    'solve',
    'cholesky',
    'det',
    'logdet',
    'eigvalsh',
    'svdvals',
    'qr',
    'matrixExp',
    'matrixPower',
    'triangular',
  ] as const);
  const b = d.like([...x.shape.slice(0, -1), 1 + r.int(3)], x.dtype);
  const of: { readonly [N in typeof name]: (a: Tensor, b: Tensor) => Tensor } = {
    inv: a => linalg.inv(definite(a)),
    solve: (a, c) => linalg.solve(definite(a), c),
    cholesky: a => linalg.cholesky(definite(a)),
    det: a => definite(a).div(n).det(),
    logdet: a => definite(a).logdet(),
    eigvalsh: a => linalg.eigvalsh(definite(a)),
    svdvals: a => linalg.svdvals(definite(a)),
    qr: a => linalg.qr(definite(a)).r.abs(),
    matrixExp: a => linalg.matrixExp(a.div(2 * n)),
    matrixPower: a => linalg.matrixPower(a.div(n), 3),
    triangular: (a, c) => linalg.solveTriangular(definite(a).tril(), c, { upper: false }),
  };
  return call(name, null, [x, b], of[name]);
};

const distances: Maker = (d, x) => {
  if ((x.dtype !== 'f32' && x.dtype !== 'f64') || x.shape.length !== 2 || x.tensor.numel() > 500) return null;
  const y = d.like([1 + d.r.int(7), x.shape[1]!], x.dtype);
  if (d.r.once(2)) return call('cdist', [1], [x, y], (a, b) => a.cdist(b, { p: 1 }));
  return call('cdist', [2], [x, y], (a, b) => a.cdist(b.add(5), { p: 2 }));
};

const crossed: Maker = (d, x) => {
  if (!isFloat(x.dtype) || x.shape.at(-1) !== 3) return null;
  return call('cross', null, [x, d.like(x.shape, x.dtype)], (a, b) => a.cross(b, { dim: -1 }));
};

const spectra: Maker = (d: Draw, x) => {
  const { r } = d;
  if (x.dtype !== 'f32' && x.dtype !== 'f64') return null;
  const dim = d.dim(x);
  const norm = r.pick(['ortho', 'forward'] as const);
  switch (r.int(4)) {
    case 0:
      return call('rfft', [dim, norm], [x], a => fft.rfft(a, null, dim, norm).real);
    case 1:
      return call('fft', [dim, norm], [x], a => fft.fft(a, null, dim, norm).imag);
    case 2:
      return call('irfft of rfft', [dim, norm], [x], a => fft.irfft(fft.rfft(a, null, dim, norm), at(x, dim), dim, norm)); // biome-ignore format: one line
    default:
      return x.shape.length >= 2 ? call('fft2', ['ortho'], [x], a => fft.fft2(a, null, [-2, -1], 'ortho').real) : null;
  }
};

export const MATRICES: readonly Maker[] = [
  matmul, matmul, matmul, transposed, transposed, linear, linear, small, small, sums, sums, sums, dots, bilinear, factored, factored, distances, crossed, spectra,
]; // biome-ignore format: a table
