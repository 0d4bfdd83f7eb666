/**
 * torch.linalg beyond PyTorch's small cases: what defines each factorisation holds for matrices of some size, in f64,
 * in batches.
 */
import { expect, test } from 'vitest';
import { arange, compile, eye, linalg, manualSeed, randn, stack, Tensor, valueAndGrad, vmap } from '../../src/index.ts';

manualSeed(5);
const random = (...shape: number[]): Tensor => randn(shape, { dtype: 'f64' }).eval();

function expectNear(a: Tensor, b: Tensor, tolerance: number): void {
  expect(a.shape).toEqual(b.shape);
  expect(a.sub(b).abs().amax().item()).toBeLessThan(tolerance);
}

const one = (n: number): Tensor => eye(n, n, { dtype: 'f64' });

test('cholesky, lu and solve of 40 x 40', () => {
  const x = random(2, 40, 40);
  const a = x.matmul(x.mT).add(one(40));
  const l = linalg.cholesky(a);
  expectNear(l.matmul(l.mT), a, 1e-11);
  const { p, l: lower, u } = linalg.lu(x);
  expectNear(p.matmul(lower).matmul(u), x, 1e-12);
  const b = random(2, 40, 3);
  expectNear(x.matmul(linalg.solve(x, b)), b, 1e-9);
  expectNear(linalg.inv(a).matmul(a), one(40).expand([2, 40, 40]), 1e-10);
});

test.each([
  [30, 30],
  [45, 20],
  [20, 45],
])('qr and svd of %i x %i', (m, n) => {
  const a = random(2, m, n);
  const k = Math.min(m, n);
  const { q, r } = linalg.qr(a);
  expectNear(q.matmul(r), a, 1e-12);
  expectNear(q.mT.matmul(q), one(k).expand([2, k, k]), 1e-12);
  const full = linalg.qr(a, 'complete');
  expectNear(full.q.matmul(full.r), a, 1e-12);
  const { u, s, vh } = linalg.svd(a, { fullMatrices: false });
  expectNear(u.mul(s.unsqueeze(-2)).matmul(vh), a, 1e-11);
  const wide = linalg.svd(a);
  expectNear(wide.u.mT.matmul(wide.u), one(m).expand([2, m, m]), 1e-12);
  expectNear(wide.vh.matmul(wide.vh.mT), one(n).expand([2, n, n]), 1e-12);
});

test('eigh of 35 x 35, with eigenvalues that come twice', () => {
  const { q } = linalg.qr(random(35, 35));
  const values = Tensor.from(Float64Array.from({ length: 35 }, (_, i) => Math.floor(i / 2) - 8));
  const a = q.mul(values).matmul(q.mT);
  const { eigenvalues, eigenvectors } = linalg.eigh(a);
  expectNear(eigenvalues, values, 1e-12);
  expectNear(eigenvectors.mul(eigenvalues).matmul(eigenvectors.mT), a, 1e-12);
});

test('eigh and svd of 120 x 120, of sizes whose squares overflow, and of NaN', () => {
  const x = random(120, 120);
  const a = x.add(x.mT);
  for (const uplo of ['L', 'U'] as const) {
    const { eigenvalues, eigenvectors } = linalg.eigh(a, uplo);
    expectNear(eigenvectors.mul(eigenvalues).matmul(eigenvectors.mT), a, 1e-11);
    expectNear(eigenvectors.mT.matmul(eigenvectors), one(120), 1e-12);
  }
  const { u, s, vh } = linalg.svd(x);
  expectNear(u.mul(s.unsqueeze(-2)).matmul(vh), x, 1e-11);
  expectNear(linalg.svdvals(x.mul(1e200)).div(1e200), s, 1e-11);
  expect(linalg.svdvals(x.mul(Number.NaN)).isnan().all().item()).toBe(true);
});

test('matrixExp of a rotation, and of a large negative matrix', () => {
  const angle = 40;
  const turn = linalg.matrixExp(
    Tensor.from(
      [
        [0, -angle],
        [angle, 0],
      ],
      { dtype: 'f64' },
    ),
  );
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  expectNear(
    turn,
    Tensor.from(
      [
        [c, -s],
        [s, c],
      ],
      { dtype: 'f64' },
    ),
    1e-12,
  );
  expect(linalg.matrixExp(Tensor.from([[-5000]], { dtype: 'f64' })).item()).toBeLessThan(1e-300);
});

test('ldl of an indefinite matrix solves its systems', () => {
  const x = random(25, 25);
  const a = x.add(x.mT);
  const { ld, pivots } = linalg.ldlFactor(a);
  const b = random(25, 2);
  expectNear(a.matmul(linalg.ldlSolve(ld, pivots, b)), b, 1e-10);
});

test('pinv of a matrix of rank 4', () => {
  const a = random(12, 4).matmul(random(4, 9));
  const p = linalg.pinv(a);
  expectNear(a.matmul(p).matmul(a), a, 1e-11);
  expect(linalg.matrixRank(a).item()).toBe(4);
});

test.each<[string, (x: Tensor) => Tensor, Tensor, RegExp]>([
  ['cholesky', x => linalg.cholesky(x), Tensor.from([[4, 1, 0], [1, -3, 0], [0, 0, 1]]), /^linalg.cholesky: .* leading minor of order 2 is not/],
  ['inv', x => linalg.inv(x), Tensor.from([[1, 2], [2, 4]]), /^linalg.inv: .* the diagonal element 2 of its factor U is 0/],
  ['solve', x => linalg.solve(x, Tensor.from([1, 2])), Tensor.from([[1, 2], [2, 4]]), /^linalg.solve: the matrix is singular/],
])('%s of a matrix that has none fails when it is computed, also inside compile and for one of a batch', (_, fn, x, message) => {
  expect(() => fn(x).data()).toThrow(message);
  const compiled = compile((y: Tensor) => fn(y).sum());
  expect(() => compiled(x).item()).toThrow(message);
  const n = x.shape[0]!;
  const good = eye(n, n);
  expect(compiled(good).isfinite().item()).toBe(true);
  const each = vmap((y: Tensor) => fn(y).sum());
  expect(() => each(stack([good, x], 0)).data()).toThrow(message);
  expect(each(stack([good, good], 0)).isfinite().all().item()).toBe(true);
}); // biome-ignore format: a table

// torch.linalg.pinv(a, hermitian=True) and its gradient (PyTorch 1.13) for a matrix whose halves differ
test('pinv of a symmetric matrix reads the lower half, and its gradient is PyTorch’s at the matrix as it came', () => {
  const a = Tensor.from([2, 1.25, 0.5, 1, 3, -0.5, 0.5, -1, 4], { shape: [3, 3], dtype: 'f64' });
  const weights = arange(1, 10, 1, { dtype: 'f64' }).reshape([3, 3]);
  const [value, slope] = valueAndGrad((x: Tensor) => linalg.pinv(x, { hermitian: true }).mul(weights).sum())(a);
  const symmetric = a.tril().add(a.tril(-1).mT);
  expectNear(value, linalg.inv(symmetric).mul(weights).sum(), 1e-12);
  const expected = [0.703058716431493, 0.17761037778789363, 0.224733727810651, -0.13356395084206057, -1.6019572143832383,
    -1.6877469276285746, -0.46390532544378715, -1.1524624487938038, -1.2711697769685886]; // biome-ignore format: figures
  expectNear(slope, Tensor.from(expected, { shape: [3, 3], dtype: 'f64' }), 1e-12);
});
