/**
 * The gradient surface: backward, grad, valueAndGrad, vjp, jvp, noGrad, checkpoint. Derivations stand beside the
 * figures.
 */
import { describe, expect, test } from 'vitest';
import '../support/backend.ts';
import {
  checkpoint,
  F,
  grad,
  jvp,
  noGrad,
  Parameter,
  randn,
  type Tensor,
  tensor,
  valueAndGrad,
  vjp,
  zeros,
} from '../../src/index.ts';

describe('backward', () => {
  test('adds to .grad of every parameter that requires one', () => {
    const a = new Parameter(tensor([1, 2]));
    const b = new Parameter(tensor([3, 4]));
    const frozen = new Parameter(tensor([5, 6]), { requiresGrad: false });
    // y = sum(a * b + frozen): dy/da = b, dy/db = a
    const y = (): Tensor => a.mul(b).add(frozen).sum();
    y().backward();
    y().backward();
    expect(a.grad!.toArray()).toEqual([6, 8]);
    expect(b.grad!.toArray()).toEqual([2, 4]);
    expect(frozen.grad).toBeNull();
  });

  test('of a cross entropy of probabilities that have saturated is finite', () => {
    const x = new Parameter(tensor([20, 30, -200, 0]));
    F.binaryCrossEntropy(x.sigmoid(), tensor([0, 1, 1, 0])).backward();
    // sigmoid is 1, 1, 0 in f32, and flat there; at 0 the slope is (1/2 - 0) / 4
    expect(x.grad!.abs().toArray()).toEqual([0, 0, 0, 0.125]);
  });

  test('takes a cotangent for more than one element', () => {
    const a = new Parameter(tensor([1, 2, 3]));
    a.square().backward(tensor([1, 10, 100]));
    expect(a.grad!.toArray()).toEqual([2, 40, 600]);
    expect(() => a.square().backward()).toThrow(
      'backward: a tensor of shape [3] needs a gradient of that shape; only one element needs none',
    );
    expect(() => a.square().backward(tensor([1]))).toThrow('backward: gradient: shape [1] came, expected [3]');
  });

  test('refuses what no parameter leads to', () => {
    expect(() => tensor([1]).sum().backward()).toThrow('backward: the tensor was not computed from a parameter');
    const a = new Parameter(tensor([1]));
    expect(() => noGrad(() => a.mul(2)).backward()).toThrow('not computed from a parameter');
    expect(() => a.detach().mul(2).backward()).toThrow('not computed from a parameter');
  });

  test('a value assigned and not yet written is a source of its own', () => {
    const a = new Parameter(tensor([2]));
    a.assign(a.mul(3));
    // y = a^2 at a = 6
    a.square().sum().backward();
    expect(a.grad!.item()).toBe(12);
    expect(a.item()).toBe(6);
  });
});

describe('slopes at 0', () => {
  // d/dx log(1 + exp(-x)) = sigmoid(x) - 1, also where the stable form has two kinks that meet
  test('of losses and log sigmoid', () => {
    const slope = grad((x: Tensor) => F.binaryCrossEntropyWithLogits(x, tensor([1, 0]), { reduction: 'sum' }));
    expect(slope(tensor([0, 0])).toArray()).toEqual([-0.5, 0.5]);
    expect(grad((x: Tensor) => F.logsigmoid(x).sum())(tensor([0])).toArray()).toEqual([0.5]);
  });
});

describe('parameters', () => {
  test('assign checks the shape by name', () => {
    const a = new Parameter(zeros([2]), { name: 'layer.weight' });
    expect(() => a.assign(zeros([3]))).toThrow('assign: layer.weight: shape [3] came, expected [2]');
  });

  test('a value read after the assignment is the new one, what was computed before keeps the old', () => {
    const a = new Parameter(tensor([1]), { requiresGrad: false });
    const before = a.add(10);
    before.data();
    a.assign(tensor([5]));
    expect(a.item()).toBe(5);
    expect(before.item()).toBe(11);
    expect(a.add(10).item()).toBe(15);
  });

  test('integers have no gradient', () => {
    const a = new Parameter(tensor([1n]));
    expect(a.requiresGrad).toBe(false);
    expect(() => {
      a.requiresGrad = true;
    }).toThrow('only floats have gradients, not i64');
  });
});

describe('functions of functions', () => {
  const cube = (x: Tensor): Tensor => x.pow(3).sum();

  test('grad of any order', () => {
    const x = tensor([1, 2]);
    // x^3 -> 3 x^2 -> 6 x -> 6
    const second = (y: Tensor): Tensor => grad(cube)(y).sum();
    const third = (y: Tensor): Tensor => grad(second)(y).sum();
    expect(grad(cube)(x).toArray()).toEqual([3, 12]);
    expect(grad(second)(x).toArray()).toEqual([6, 12]);
    expect(grad(third)(x).toArray()).toEqual([6, 6]);
  });

  test('trees in, trees out', () => {
    const f = ({ w, b }: { w: Tensor; b: Tensor }, x: Tensor): Tensor => w.mul(x).add(b).sum();
    const [value, gradient] = valueAndGrad(f)({ w: tensor([2, 3]), b: tensor([1, 1]) }, tensor([5, 7]));
    expect(value.item()).toBe(33);
    expect(gradient.w.toArray()).toEqual([5, 7]);
    expect(gradient.b.toArray()).toEqual([1, 1]);
    const both = grad(f, [0, 1])({ w: tensor([2, 3]), b: tensor([1, 1]) }, tensor([5, 7])) as [unknown, Tensor];
    expect(both[1].toArray()).toEqual([2, 3]);
  });

  test('aux values come back beside the loss', () => {
    const f = (x: Tensor): [Tensor, Tensor] => [x.square().sum(), x.mul(2)];
    const [[loss, twice], g] = valueAndGrad(f, { hasAux: true })(tensor([3]));
    expect([loss.item(), twice.item(), (g as Tensor).item()]).toEqual([9, 6, 6]);
  });

  test('only the argument is differentiated, not its twin outside', () => {
    const x = tensor([2]);
    expect(grad((y: Tensor) => y.mul(x).sum())(x).item()).toBe(2);
  });

  test('results keep no history of their own', () => {
    let x = tensor([1, 1]);
    for (let i = 0; i < 3; i++) x = x.sub(grad(cube)(x).mul(0.1));
    expect(x.requiresGrad).toBe(false);
  });

  test('but what a parameter leads to keeps its own', () => {
    const p = new Parameter(tensor([2]));
    // d/dx (p x^2) = 2 p x, and d/dp of that at x = 3 is 6
    grad((x: Tensor) => x.square().mul(p).sum())(tensor([3]))
      .sum()
      .backward();
    expect(p.grad!.item()).toBe(6);
  });

  test('vjp and jvp are transposes: u . (J v) = (J^T u) . v', () => {
    const f = (x: Tensor, w: Tensor): Tensor => F.conv1d(x, w, null, { padding: 1 }).tanh();
    const make = (shape: number[]): Tensor => randn(shape, { dtype: 'f64' });
    const [x, w, dx, dw, u] = [make([1, 2, 6]), make([3, 2, 3]), make([1, 2, 6]), make([3, 2, 3]), make([1, 3, 6])];
    const [value, pullback] = vjp(f, x, w);
    const [same, pushed] = jvp(f, [x, w], [dx, dw]);
    const [gx, gw] = pullback(u);
    expect(same.sub(value).abs().amax().item()).toBe(0);
    const left = u.mul(pushed).sum().item();
    const right = gx.mul(dx).sum().item() + gw.mul(dw).sum().item();
    expect(Math.abs(left - right)).toBeLessThan(1e-12 * (1 + Math.abs(left)));
  });

  test('a checkpoint changes no derivative', () => {
    const w = new Parameter(randn([4, 4], { dtype: 'f64' }));
    const x = randn([3, 4], { dtype: 'f64' });
    const block = (y: Tensor): Tensor => y.matmul(w).tanh();
    const direct = block(block(x)).square().sum();
    direct.backward();
    const want = w.grad!;
    w.grad = null;
    checkpoint(block)(checkpoint(block)(x)).square().sum().backward();
    expect(w.grad!.sub(want).abs().amax().item()).toBeLessThan(1e-12);
  });

  test('noGrad around a derivative leaves it what it is; inside, it cuts off', () => {
    const w = new Parameter(tensor([3]));
    const x = tensor([2]);
    // d/dx (w x)^2 = 2 w^2 x = 36; with w x held fixed in one factor, w (w x) = 18.
    const whole = noGrad(() => valueAndGrad((y: Tensor) => y.mul(w).square().sum())(x));
    expect(whole[1].item()).toBe(36);
    expect(whole.map(({ requiresGrad }) => requiresGrad)).toEqual([false, false]);
    expect(
      grad((y: Tensor) =>
        y
          .mul(w)
          .mul(noGrad(() => y.mul(w)))
          .sum(),
      )(x).item(),
    ).toBe(18);
    expect(noGrad(() => jvp((y: Tensor) => y.mul(w).square(), [x], [tensor([1])]))[1].item()).toBe(36);
  });

  test.each([
    [() => grad((x: Tensor) => x)(tensor([1, 2])), 'grad: the function must return one element, got shape [2]'],
    [() => grad(cube)(tensor([1n])), 'grad: argument 0: only floats have gradients, got a tensor i64'],
    [() => grad(cube, 1)(tensor([1])), 'grad: argnums: 1 is out of range for 1 arguments'],
    [() => jvp(cube, [tensor([1])], [tensor([1, 2])]), 'jvp: tangent 0: expected shape [1], got [2]'],
  ])('refused: %#', (make, message) => {
    expect(make).toThrow(message);
  });
});
