/** vmap of the public API: axes, trees, nesting, randomness, and in company of every other transform. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  checkpoint,
  compile,
  F,
  grad,
  jvp,
  manualSeed,
  noGrad,
  Parameter,
  rand,
  randn,
  stack,
  type Tensor,
  tensor,
  valueAndGrad,
  vjp,
  vmap,
  zeros,
} from '../../src/index.ts';

const x = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);

describe('vmap: axes and trees', () => {
  it('maps over the first axis by default', () => {
    const dot = vmap((a: Tensor, b: Tensor) => a.mul(b).sum());
    expect(dot(x, x).toArray()).toEqual([14, 77]);
  });

  it('shares what has no axis, takes any axis, and puts the results where asked', () => {
    const scaled = vmap((a: Tensor, b: Tensor) => a.mul(b), { inAxes: [1, null], outAxes: -1 });
    expect(scaled(x, tensor([10, 100])).toArray()).toEqual([
      [10, 20, 30],
      [400, 500, 600],
    ]);
  });

  it('follows trees of arguments and results', () => {
    const f = vmap(
      ({ a, rest }: { a: Tensor; rest: [Tensor, Tensor] }, k: number) => ({
        sum: a.add(rest[0]).mul(k),
        same: rest[1].neg(),
      }),
      { inAxes: [{ a: 0, rest: [1, null] }, null], outAxes: { sum: 0, same: null } },
    );
    const result = f({ a: tensor([1, 2]), rest: [tensor([[10, 20]]), tensor([5])] }, 2);
    expect(result.sum.toArray()).toEqual([[22], [44]]);
    expect(result.same.toArray()).toEqual([-5]);
  });

  it('nests: an outer product from a product', () => {
    const outer = vmap((a: Tensor) => vmap((b: Tensor) => a.mul(b))(tensor([1, 10])));
    expect(outer(tensor([1, 2, 3])).toArray()).toEqual([
      [1, 10],
      [2, 20],
      [3, 30],
    ]);
  });

  it('computes chunks of examples, to the same values', () => {
    const f = (a: Tensor, b: Tensor) => ({ outer: a.unsqueeze(1).mul(b), same: b.neg() });
    const all = randn([7, 3]);
    const b = randn([2]);
    const options = { inAxes: [0, null], outAxes: { outer: 2, same: null } };
    const want = vmap(f, options)(all, b);
    for (const chunkSize of [1, 3, 7, 8]) {
      const got = vmap(f, { ...options, chunkSize })(all, b);
      expect(got.outer.toArray()).toEqual(want.outer.toArray());
      expect(got.same.toArray()).toEqual(want.same.toArray());
    }
    const total = (chunkSize?: number) => (m: Tensor) =>
      vmap((a: Tensor) => a.mul(m).sin().sum(), { chunkSize })(all).sum();
    const slope = grad(total(3))(randn([3]).mul(0).add(0.5));
    expect(
      slope
        .sub(grad(total())(tensor([0.5, 0.5, 0.5])))
        .abs()
        .amax()
        .item(),
    ).toBeLessThan(1e-5);
    expect(() => vmap(f, { chunkSize: 0 })).toThrow('vmap: chunkSize: expected a whole number of at least 1');
  });

  it('repeats a result that no example changes', () => {
    expect(vmap((_: Tensor) => tensor([1, 2]))(x).toArray()).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it('says what does not fit', () => {
    const sum = (a: Tensor, b: Tensor): Tensor => a.add(b);
    expect(() => vmap(sum)(x, tensor([1, 2, 3]))).toThrow(
      'vmap: sizes along the axis of examples differ: 2 and 3 (of [3])',
    );
    expect(() => vmap(sum, { inAxes: null })(x, x)).toThrow('vmap: no argument has an axis of examples');
    expect(() => vmap(sum, { inAxes: 2 })(x, x)).toThrow('axis 2 is out of range for a tensor of 2 dims');
    expect(() => vmap(sum, { inAxes: [0] })(x, x)).toThrow('vmap: inAxes: expected one axis for each of 2 parts');
    expect(() => vmap(sum, { outAxes: null })(x, x)).toThrow('null came for a result that differs between examples');
    expect(() => vmap((a: Tensor) => tensor(a.item()))(tensor([1, 2]))).toThrow(
      'an example of vmap: a value that depends',
    );
    const p = new Parameter(tensor([1]));
    expect(() => vmap((a: Tensor) => p.assign(a))(x)).toThrow('not possible inside vmap');
    expect(() =>
      vmap((a: Tensor) => {
        a.mul(p).sum().backward();
        return a;
      })(x),
    ).toThrow('backward: not possible inside vmap: use grad');
  });
});

describe('vmap: random numbers', () => {
  const noise = (a: Tensor): Tensor => a.add(rand([2]));
  it('are refused unless their meaning is given', () => {
    expect(() => vmap(noise)(zeros([3, 2]))).toThrow("{ randomness: 'different' }");
  });

  it('differ between examples, are shared, and are the same for a seed', () => {
    const draw = (randomness: 'different' | 'same'): number[][] => {
      manualSeed(3);
      return vmap(noise, { randomness })(zeros([3, 2])).toArray() as number[][];
    };
    const own = draw('different');
    expect(new Set(own.flat()).size).toBe(6);
    expect(draw('different')).toEqual(own);
    const shared = draw('same');
    expect(shared[1]).toEqual(shared[0]);
    expect(shared[2]).toEqual(shared[0]);
  });

  it('do not come again after the map, nor in nested maps', () => {
    manualSeed(4);
    const inner = vmap(noise, { randomness: 'different' });
    const all = vmap(inner, { randomness: 'different' })(zeros([2, 3, 2]));
    const after = rand([12]);
    expect(new Set([...(all.data() as Float32Array), ...(after.data() as Float32Array)]).size).toBe(24);
  });

  it('a checkpoint inside draws the same numbers again for the gradient', () => {
    const noisy = checkpoint((a: Tensor) => F.dropout(a.square(), { p: 0.5 }));
    const xs = tensor(Array.from({ length: 32 }, (_, i) => i + 1)).reshape([4, 8]);
    const mapped = vmap(noisy, { randomness: 'different' });
    manualSeed(9);
    const kept = mapped(xs).gt(0);
    manualSeed(9);
    const slope = grad((many: Tensor) => mapped(many).sum())(xs);
    // d(2 x^2) = 4 x where it was kept
    expect(slope.toArray()).toEqual(xs.mul(4).mul(kept.to('f32')).toArray());
    expect([0, 32]).not.toContain(kept.to('f32').sum().item());
  });

  it('dropout inside a compiled vmap draws anew by every call', () => {
    const f = compile(vmap((a: Tensor) => F.dropout(a, { p: 0.5 }), { randomness: 'different' }));
    const ones = tensor(new Array(64).fill(1)).reshape([4, 16]);
    const [a, b] = [f(ones).toArray(), f(ones).toArray()];
    expect(a).not.toEqual(b);
  });
});

describe('vmap in company', () => {
  const w = randn([3, 3], { dtype: 'f64' });
  const xs = randn([5, 3], { dtype: 'f64' });
  const f = (a: Tensor): Tensor => w.matmul(a).tanh().sum();
  const close = (got: Tensor, want: Tensor): void => {
    expect(got.shape).toEqual(want.shape);
    expect(got.sub(want).abs().amax().item()).toBeLessThan(1e-12);
  };
  const looped = (fn: (a: Tensor) => Tensor, many = xs): Tensor =>
    stack(Array.from({ length: many.size(0) }, (_, i) => fn(many.select(0, i))));

  it('vmap of grad gives per-example gradients, also of a shared tensor', () => {
    close(vmap(grad(f))(xs), looped(grad(f)));
    const loss = (m: Tensor, a: Tensor): Tensor => m.matmul(a).tanh().sum();
    const each = vmap(grad(loss), { inAxes: [null, 0] })(w, xs);
    close(
      each,
      looped(a => grad(loss)(w, a)),
    );
  });

  it('grad of vmap adds up over examples', () => {
    const total = (m: Tensor): Tensor => vmap((a: Tensor) => m.matmul(a).tanh().sum())(xs).sum();
    const one = (m: Tensor): Tensor => looped(a => m.matmul(a).tanh().sum()).sum();
    close(grad(total)(w), grad(one)(w));
  });

  it('parameters that are read get their gradients by backward', () => {
    const p = new Parameter(w);
    vmap((a: Tensor) => p.matmul(a).tanh().sum())(xs)
      .sum()
      .backward();
    close(p.grad!, grad((m: Tensor) => looped(a => m.matmul(a).tanh().sum()).sum())(w));
  });

  it('vjp, jvp and checkpoint inside and outside', () => {
    const g2 = (a: Tensor): Tensor => grad(checkpoint(f))(a).square().sum();
    close(vmap(grad(g2))(xs), looped(grad(g2)));
    const along = (a: Tensor): Tensor => jvp(g2, [a], [a.cos()])[1];
    close(vmap(along)(xs), looped(along));
    const back = (a: Tensor): Tensor => vjp((b: Tensor) => b.sin().mul(f(b)), a)[1](a.exp())[0];
    close(vmap(back)(xs), looped(back));
    const [value, tangent] = jvp(vmap(f), [xs], [xs.cos()]);
    close(value, looped(f));
    close(
      tangent,
      looped(a => jvp(f, [a], [a.cos()])[1]),
    );
    close(vmap(checkpoint(vmap(f)))(xs.reshape([1, 5, 3])).reshape([5]), looped(f));
  });

  it('inside compile and the other way round in a tree of calls', () => {
    const step = compile((a: Tensor) => valueAndGrad((b: Tensor) => vmap(grad(f))(b).square().sum())(a));
    const [value, gradient] = step(xs);
    const plain = (b: Tensor): Tensor => looped(grad(f), b).square().sum();
    close(value, plain(xs));
    close(gradient, grad(plain)(xs));
  });

  it('a compiled function inside a compiled one, or under a transform, is part of it', async () => {
    const p = new Parameter(w);
    const inner = compile((a: Tensor) => {
      p.assign(p.mul(2));
      return p.matmul(a).sum();
    });
    const outer = compile((a: Tensor) => inner(a).add(inner(a)));
    const one = (a: Tensor, factor: number): Tensor => w.mul(factor).matmul(a).sum();
    const a = xs.select(0, 0);
    // Doubled before each of the two calls.
    close(outer(a), one(a, 2).add(one(a, 4)));
    close(p, w.mul(4));
    const square = compile((b: Tensor) => b.square().sum());
    close(grad(square)(a), a.mul(2));
    close(vmap(square)(xs), looped(square));
    let refused: Promise<unknown> = Promise.resolve();
    vmap((b: Tensor) => {
      refused = square.async(b);
      return b;
    })(xs);
    await expect(refused).rejects.toThrow('async was called inside a compiled function or a transform');
  });

  it('respects noGrad inside', () => {
    const partly = (a: Tensor): Tensor => a.mul(noGrad(() => a.square())).sum();
    // a^2 counts as a constant: the slope is a^2
    close(grad((many: Tensor) => vmap(partly)(many).sum())(xs), xs.square());
  });
});
