/** Jacobians and Hessians of trees against closed forms; functions with derivatives of their own. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  compile,
  customGrad,
  grad,
  hessian,
  jacfwd,
  jacrev,
  jvp,
  Parameter,
  stopGradient,
  Tensor,
  tensor,
  vjp,
  vmap,
} from '../../src/index.ts';

const f64 = (data: Parameters<typeof Tensor.from>[0]): Tensor => Tensor.from(data, { dtype: 'f64' });

describe('jacrev and jacfwd', () => {
  const a = f64([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const x = f64([1, -1, 2]);

  it.each([
    ['jacrev', jacrev],
    ['jacfwd', jacfwd],
  ] as const)('%s: shape is [...output, ...input]', (_, jac) => {
    // d(A x)/dx = A
    expect(jac((v: Tensor) => a.matmul(v))(x).toArray()).toEqual(a.toArray());
    // d(A x)[i] / dA[j, k] = (i == j) x[k]
    const byMatrix = jac((m: Tensor) => m.matmul(x))(a);
    expect(byMatrix.shape).toEqual([2, 2, 3]);
    const same = f64([
      [1, 0],
      [0, 1],
    ]);
    expect(byMatrix.sub(same.unsqueeze(2).mul(x)).abs().amax().item()).toBe(0);
    // What does not depend on the input has a Jacobian of zeros.
    expect(jac((_: Tensor) => f64([1, 2]))(x).toArray()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it.each([
    ['jacrev', jacrev],
    ['jacfwd', jacfwd],
  ] as const)('%s: trees of trees, several arguments, auxiliary results', (_, jac) => {
    const f = ({ u, v }: { u: Tensor; v: Tensor }, k: Tensor) => ({ product: u.mul(v), scaled: [u.mul(k)] });
    const input = { u: f64([2, 3]), v: f64([5, 7]) };
    const both = jac(f, [0, 1])(input, f64(4)) as {
      product: [{ u: Tensor; v: Tensor }, Tensor];
      scaled: [[{ u: Tensor; v: Tensor }, Tensor]];
    };
    expect(both.product[0].u.toArray()).toEqual([
      [5, 0],
      [0, 7],
    ]);
    expect(both.product[0].v.toArray()).toEqual([
      [2, 0],
      [0, 3],
    ]);
    expect(both.product[1].toArray()).toEqual([0, 0]);
    expect(both.scaled[0][0].u.toArray()).toEqual([
      [4, 0],
      [0, 4],
    ]);
    expect(both.scaled[0][1].toArray()).toEqual([2, 3]);
    const withAux = jac((v: Tensor) => [v.mul(2), { norm: v.square().sum() }], { argnums: 0, hasAux: true })(x);
    const [jacobian, aux] = withAux as [Tensor, { norm: Tensor }];
    expect(jacobian.sum().item()).toBe(6);
    expect(aux.norm.item()).toBe(6);
  });

  it('the Hessian of a quadratic form is A + A^T, block by block', () => {
    const m = f64([
      [1, 2],
      [3, 4],
    ]);
    const v = f64([0.5, -2]);
    const form = (y: Tensor): Tensor => y.matmul(m).matmul(y);
    expect(hessian(form)(v).toArray()).toEqual([
      [2, 5],
      [5, 8],
    ]);
    expect(compile(hessian(form))(v).toArray()).toEqual([
      [2, 5],
      [5, 8],
    ]);
    const blocks = hessian((p: { a: Tensor; b: Tensor }) => p.a.mul(p.b).sum(), { argnums: 0 })({ a: v, b: v }) as {
      a: { a: Tensor; b: Tensor };
      b: { a: Tensor; b: Tensor };
    };
    expect(blocks.a.a.toArray()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(blocks.a.b.toArray()).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });

  it('say what cannot be', () => {
    expect(() => jacrev((v: Tensor) => v.argmax())(x)).toThrow(
      'jacrev: only floats have derivatives, the function returned i64',
    );
    expect(() => jacfwd((v: Tensor) => v)(tensor([1n]))).toThrow('jacfwd: argument 0: only floats have gradients');
    expect(() => jacrev((v: Tensor) => v, 1)(x)).toThrow('jacrev: argnums: 1 is out of range for 1 arguments');
  });
});

describe('customGrad', () => {
  // log(1 + e^x), whose gradient overflows when taken literally (the example of the JAX documentation).
  const naive = (x: Tensor): Tensor => x.exp().add(1).log();
  const stable = customGrad(naive, { vjp: (ct, _, x) => [ct.mul(x.neg().exp().add(1).reciprocal())] });

  it('replaces the derivative, in both modes and every order', () => {
    expect(grad((x: Tensor) => naive(x))(f64(1000)).item()).toBeNaN();
    expect(grad(stable)(f64(1000)).item()).toBe(1);
    expect(jvp(stable, [f64(1000)], [f64(3)])[1].item()).toBe(3);
    const s = 1 / (1 + Math.exp(-0.3));
    expect(grad(grad(stable))(f64(0.3)).item()).toBeCloseTo(s * (1 - s), 12);
    expect(hessian(stable)(f64(0.3)).item()).toBeCloseTo(s * (1 - s), 12);
    expect(vmap(grad(stable))(f64([0.3, 1000])).toArray()).toEqual([expect.closeTo(s, 12), 1]);
    const summed = grad((xs: Tensor) => vmap(stable)(xs).sum());
    expect(compile(summed)(f64([0.3, 1000])).toArray()).toEqual([expect.closeTo(s, 12), 1]);
  });

  it('a straight-through estimate', () => {
    const round = customGrad((x: Tensor) => x.round(), { jvp: ([t]) => t });
    const p = new Parameter(f64([0.2, 1.7]));
    round(p)
      .mul(f64([3, 5]))
      .sum()
      .backward();
    expect(p.grad!.toArray()).toEqual([3, 5]);
  });

  it('trees, several results, plain arguments, and only one of the results used', () => {
    const f = customGrad(
      ({ a, b }: { a: Tensor; b: Tensor }, k: number) => ({ product: a.mul(b), sum: a.add(b).mul(k) }),
      {
        // Wrong on purpose, so that it shows: a gets ct of the product, b ten times that of the sum.
        vjp: (ct, result, { a }, k) => [
          {
            a: ct.product,
            b: ct.sum
              .mul(10 * k)
              .add(result.product.mul(0))
              .add(a.mul(0)),
          },
          null,
        ],
      },
    );
    const at = { a: f64([2]), b: f64([3]) };
    const only = grad((t: typeof at) => f(t, 2).sum.sum())(at);
    expect([only.a.item(), only.b.item()]).toEqual([0, 20]);
    const both = grad((t: typeof at) => f(t, 2).product.add(f(t, 2).sum).sum())(at);
    expect([both.a.item(), both.b.item()]).toEqual([1, 20]);
    const many = { a: f64([[2], [4]]), b: f64([3]) };
    const shared = grad((t: typeof at) =>
      vmap((a: Tensor, b: Tensor) => f({ a, b }, 2).sum, { inAxes: [0, null] })(t.a, t.b).sum(),
    )(many);
    // b is shared: both examples add to its gradient.
    expect([shared.a.toArray(), shared.b.toArray()]).toEqual([[[0], [0]], [40]]);
    const [, tangent] = jvp((t: typeof at) => f(t, 2), [at], [{ a: f64([1]), b: f64([1]) }]);
    // The transpose of the rule: product' = t_a, sum' = 10 k t_b.
    expect([tangent.product.item(), tangent.sum.item()]).toEqual([1, 20]);
  });

  it('a function that reads an example of the vmap around it', () => {
    const f = (xs: Tensor, ys: Tensor): Tensor =>
      vmap((x: Tensor, y: Tensor) => {
        const scaled = customGrad((v: Tensor) => v.mul(y), { vjp: (ct, _, v) => [ct.mul(y).mul(v.mul(0).add(2))] });
        return scaled(x);
      })(xs, ys);
    const slope = grad((xs: Tensor) => f(xs, f64([3, 5])).sum())(f64([1, 1]));
    expect(slope.toArray()).toEqual([6, 10]);
  });

  it('says what a rule returned wrongly', () => {
    const x = f64([1, 2]);
    expect(() => customGrad((v: Tensor) => v, {})).toThrow('customGrad: rules: expected vjp or jvp');
    const short = customGrad((v: Tensor) => v, { vjp: ct => [ct.sum()] });
    expect(() => vjp(short, x)[1](x)).toThrow('customGrad: vjp: gradient 0: shape [] came, expected [2]');
    const none = customGrad((v: Tensor) => v, { vjp: () => [] });
    expect(() => vjp(none, x)[1](x)).toThrow('a list with one gradient for each of 1 arguments');
  });
});

describe('stopGradient', () => {
  it('keeps the value of a tree and none of its derivatives', () => {
    const f = (x: Tensor): Tensor => x.mul(stopGradient({ x }).x);
    // d(x stop(x)) = stop(x)
    expect(grad(f)(f64(3)).item()).toBe(3);
    expect(jvp(f, [f64(3)], [f64(1)])[1].item()).toBe(3);
    expect(vmap(grad(f))(f64([3, 4])).toArray()).toEqual([3, 4]);
  });
});
