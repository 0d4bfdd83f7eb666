/** cond, whileLoop and scan against plain JavaScript control flow, eager and compiled, and under every transform. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  checkpoint,
  compile,
  cond,
  grad,
  jacfwd,
  jacrev,
  jvp,
  manualSeed,
  Parameter,
  rand,
  randn,
  scan,
  stack,
  Tensor,
  tensor,
  vmap,
  whileLoop,
  zeros,
} from '../../src/index.ts';
import { SGD } from '../../src/optim/index.ts';

const f64 = (data: Parameters<typeof Tensor.from>[0]): Tensor => Tensor.from(data, { dtype: 'f64' });
const close = (got: Tensor, want: Tensor, tolerance = 1e-10): void => {
  expect(got.shape).toEqual(want.shape);
  expect(got.sub(want).abs().amax().item()).toBeLessThan(tolerance);
};
const each = (xs: Tensor, fn: (x: Tensor) => Tensor): Tensor =>
  stack(Array.from({ length: xs.size(0) }, (_, i) => fn(xs.select(0, i))));

/** Central differences of a scalar function. */
function slopes(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const h = 1e-6;
  const flat = [...(x.data() as Float64Array)];
  const at = (i: number, by: number): number =>
    fn(Tensor.from(Float64Array.from(flat.map((v, k) => (k === i ? v + by : v))), { shape: x.shape })).item();
  return Tensor.from(Float64Array.from(flat.map((_, i) => (at(i, h) - at(i, -h)) / (2 * h))), { shape: x.shape });
}

it('a parameter that was just assigned has a gradient inside of loops and choices', () => {
  // Values not yet written: what an optimizer has done since the last program ran.
  const p = new Parameter(f64([5, 5]));
  const through: ((x: Tensor) => Tensor)[] = [
    x => scan((c: Tensor, row: Tensor) => [c.add(row.mul(p)), null] as const, x.mul(0).sum(0), x)[0].sum(),
    x =>
      whileLoop(
        (c: Tensor) => c.sum().lt(100),
        (c: Tensor) => c.mul(p),
        x.sum(0),
        { maxSteps: 1 },
      ).sum(),
    x =>
      cond(
        x.sum().gt(0),
        (y: Tensor) => y.mul(p).sum(),
        (y: Tensor) => y.sum(),
        x,
      ),
  ];
  for (const fn of through) {
    p.grad = null;
    p.assign(f64([2, 3]));
    fn(f64([[1, 2], [3, 4]])).backward(); // biome-ignore format: a matrix
    expect([...p.grad!.data()]).toEqual([4, 6]);
  }
});

describe('scan', () => {
  manualSeed(11);
  const w = randn([3, 3], { dtype: 'f64' }).mul(0.5);
  const xs = randn([7, 3], { dtype: 'f64' });
  const h0 = randn([3], { dtype: 'f64' });
  const step = (h: Tensor, x: Tensor): [Tensor, Tensor] => {
    const next = w.matmul(h).add(x).tanh();
    return [next, next.mul(x).sum()];
  };
  const byHand = (h: Tensor, list: Tensor): [Tensor, Tensor] => {
    const ys: Tensor[] = [];
    let carry = h;
    for (let i = 0; i < list.size(0); i++) {
      const [next, y] = step(carry, list.select(0, i));
      carry = next;
      ys.push(y);
    }
    return [carry, stack(ys)];
  };

  it('gives the last carry and the stacked ys', () => {
    const [h, ys] = scan(step, h0, xs);
    const [wantH, wantYs] = byHand(h0, xs);
    close(h, wantH);
    close(ys, wantYs);
  });

  it('runs in reverse, unrolled in parts or in whole, with the same numbers', () => {
    const [forwardH, forwardYs] = scan(step, h0, xs);
    const [backH, backYs] = scan(step, h0, xs.flip([0]), { reverse: true });
    close(backH, forwardH);
    close(backYs.flip([0]), forwardYs);
    for (const unroll of [2, 3, 7, 10, true] as const)
      for (const reverse of [false, true]) {
        const [h, ys] = scan(step, h0, xs, { unroll, reverse });
        const [wantH, wantYs] = scan(step, h0, xs, { reverse });
        close(h, wantH);
        close(ys, wantYs);
      }
  });

  it('takes trees, counts without xs, and takes no step at all', () => {
    const [{ n, x }, ys] = scan(
      ({ n: count, x: value }: { n: Tensor; x: Tensor }) => [
        { n: count.add(1), x: value.mul(2) },
        { before: value, none: null },
      ],
      { n: tensor(0), x: tensor([1, 3]) },
      null,
      { length: 4 },
    );
    expect([n.item(), x.toArray()]).toEqual([4, [16, 48]]);
    expect(ys.before.toArray()).toEqual([
      [1, 3],
      [2, 6],
      [4, 12],
      [8, 24],
    ]);
    const [last, none] = scan(step, h0, zeros([0, 3], { dtype: 'f64' }));
    close(last, h0);
    expect(none.shape).toEqual([0]);
  });

  it('inside compile, with a parameter that the step updates', () => {
    const p = new Parameter(w);
    const plain = p.clone().detach().eval();
    const run = compile((h: Tensor, list: Tensor) => {
      const [last] = scan((c: Tensor, x: Tensor) => [p.matmul(c).add(x).tanh(), null], h, list);
      last.square().sum().backward();
      p.assign(p.sub(p.grad!.mul(0.1)));
      return last;
    });
    const loss = (m: Tensor): Tensor =>
      scan((c: Tensor, x: Tensor) => [m.matmul(c).add(x).tanh(), null], h0, xs)[0]
        .square()
        .sum();
    close(run(h0, xs), byHand(h0, xs)[0]);
    close(p, plain.sub(grad(loss)(plain).mul(0.1)));
  });

  it('trains step by step without compile, to the numbers of a written-out loop', () => {
    const train = (run: (h: Tensor, list: Tensor, m: Tensor) => Tensor): Tensor => {
      const m = new Parameter(w);
      const sgd = new SGD([m], { lr: 0.05, momentum: 0.9 });
      for (let i = 0; i < 3; i++) {
        sgd.zeroGrad();
        const loss = run(h0, xs, m);
        loss.backward();
        sgd.step();
        expect(loss.item()).toBeGreaterThan(-100);
      }
      return m;
    };
    const looped = train((h, list, m) =>
      scan((c: Tensor, x: Tensor) => [m.matmul(c).add(x).tanh(), null], h, list)[0].sum(),
    );
    const written = train((h, list, m) => {
      let c = h;
      for (const x of list.unbind()) c = m.matmul(c).add(x).tanh();
      return c.sum();
    });
    close(looped, written);
  });

  const total = (h: Tensor, list: Tensor, m: Tensor): Tensor => {
    const [last, ys] = scan(
      (c: Tensor, x: Tensor) => {
        const next = m.matmul(c).add(x).tanh();
        return [next, next.mul(x).sum()];
      },
      h,
      list,
    );
    return last.square().sum().add(ys.sin().sum());
  };

  it('has gradients by carry, xs and what it reads from outside', () => {
    const [dh, dxs, dm] = grad(total, [0, 1, 2])(h0, xs, w) as Tensor[];
    close(
      dh!,
      slopes(h => total(h, xs, w), h0),
      1e-7,
    );
    close(
      dxs!,
      slopes(list => total(h0, list, w), xs),
      1e-7,
    );
    close(
      dm!,
      slopes(m => total(h0, xs, m), w),
      1e-7,
    );
  });

  it('second derivatives in every combination of modes agree', () => {
    const f = (h: Tensor): Tensor => total(h, xs, w);
    const want = jacrev(grad(f))(h0);
    close(jacfwd(grad(f))(h0), want);
    close(jacrev(jacrev(f))(h0), want);
    close(jacfwd(jacfwd(f))(h0), want);
    close(jacrev(jacfwd(f))(h0), want);
    close(
      want.select(0, 0),
      slopes(h => grad(f)(h).select(0, 0), h0),
      1e-6,
    );
    const plain = (h: Tensor): Tensor => {
      const [last, ys] = byHand(h, xs);
      return last.square().sum().add(ys.sin().sum());
    };
    const third = (fn: (a: Tensor) => Tensor): Tensor =>
      grad((h: Tensor) =>
        grad((a: Tensor) => grad(fn)(a).square().sum())(h)
          .sin()
          .sum(),
      )(h0);
    close(third(f), third(plain), 1e-9 * (1 + third(plain).abs().amax().item()));
  });

  it('under vmap, with what differs between examples in every place', () => {
    const hs = randn([4, 3], { dtype: 'f64' });
    const lists = randn([4, 7, 3], { dtype: 'f64' });
    const run = (h: Tensor, list: Tensor): Tensor => scan(step, h, list)[1];
    close(vmap(run)(hs, lists), stack([0, 1, 2, 3].map(i => run(hs.select(0, i), lists.select(0, i)))));
    close(
      vmap(run, { inAxes: [0, null] })(hs, xs),
      each(hs, h => run(h, xs)),
    );
    close(
      vmap(run, { inAxes: [null, 0] })(h0, lists),
      each(lists, list => run(h0, list)),
    );
    const ms = randn([4, 3, 3], { dtype: 'f64' });
    const slope = (m: Tensor): Tensor => grad(total, 2)(h0, xs, m) as Tensor;
    close(vmap(slope)(ms), each(ms, slope));
    const sum = (many: Tensor): Tensor => vmap((m: Tensor) => total(h0, xs, m))(many).sum();
    close(grad(sum)(ms), each(ms, slope));
    const outer = vmap((m: Tensor) => vmap((h: Tensor) => total(h, xs, m))(hs));
    close(
      outer(ms),
      each(ms, m => each(hs, h => total(h, xs, m))),
    );
  });

  it('nests, with checkpoint and choices inside', () => {
    const inner = checkpoint(
      (c: Tensor, x: Tensor) => scan((a: Tensor) => [a.mul(x).sin(), null], c, null, { length: 3 })[0],
    );
    const f = (h: Tensor): Tensor =>
      scan(
        (c: Tensor, x: Tensor) => [
          cond(
            x.sum().gt(0),
            () => inner(c, x),
            () => c.cos().mul(x),
          ),
          null,
        ],
        h,
        xs,
      )[0].sum();
    const plain = (h: Tensor): Tensor => {
      let c = h;
      for (let i = 0; i < 7; i++) {
        const x = xs.select(0, i);
        if (x.sum().item() > 0) for (let k = 0; k < 3; k++) c = c.mul(x).sin();
        else c = c.cos().mul(x);
      }
      return c.sum();
    };
    close(f(h0), plain(h0));
    close(grad(f)(h0), grad(plain)(h0));
    close(jvp(f, [h0], [h0.cos()])[1], jvp(plain, [h0], [h0.cos()])[1]);
    close(compile(grad(f))(h0), grad(plain)(h0));
  });

  it('an index out of range in a step is an error, and nothing has changed', () => {
    const table = tensor([1, 2, 3]);
    const p = new Parameter(tensor(1));
    const run = compile((indices: Tensor) => {
      const [sum] = scan(
        (c: Tensor, i: Tensor) => [c.add(table.indexSelect(0, i.reshape([1])).sum()), null],
        p,
        indices,
      );
      p.assign(p.add(1));
      return sum;
    });
    expect(run(tensor([0n, 2n])).item()).toBe(5);
    expect(() => run(tensor([0n, 3n]))).toThrow('index 3 is out of range for 3 elements');
    expect(p.item()).toBe(2);
    expect(run(tensor([0n, 2n])).item()).toBe(6);
  });

  it('without blocking, and inside another compiled function', async () => {
    const run = compile((h: Tensor, list: Tensor) => scan(step, h, list)[0]);
    close(await run.async(h0, xs), byHand(h0, xs)[0]);
    const lazy = scan(step, h0, xs)[1];
    expect(await lazy.toArrayAsync()).toEqual(scan(step, h0, xs)[1].toArray());
    const outer = compile((h: Tensor) => run(h, xs).add(1));
    close(outer(h0), byHand(h0, xs)[0].add(1));
  });

  it('says what does not fit', () => {
    expect(() => scan((c: Tensor) => [c.to('f32'), null], h0, xs)).toThrow(
      'scan: init and the carry that the function returns differ: f64 [3] and f32 [3]',
    );
    expect(() => scan((c: Tensor) => [{ c }, null] as never, h0, xs)).toThrow('differ in structure');
    expect(() => scan(step, h0, [xs, tensor([1])] as never)).toThrow('scan: xs: 1 slices came (f32 [1]), expected 7');
    expect(() => scan(step, h0, null as never)).toThrow('expected xs, or the option length');
    expect(() => scan((c: Tensor) => c as never, h0, xs)).toThrow('the function must return [carry, y]');
    expect(() => scan((c: Tensor) => [tensor(c.item()), null], f64(0), xs)).toThrow(
      'the carry of scan: a value that depends',
    );
  });

  it('draws other random numbers at every step, the same ones for a seed, unrolled or not', () => {
    const draw = (unroll: number): Tensor => {
      manualSeed(5);
      return scan((c: Tensor) => [c, rand([2])], tensor(0), null, { length: 6, unroll })[1];
    };
    const values = draw(1).toArray() as number[][];
    expect(new Set(values.flat()).size).toBe(12);
    expect(draw(4).toArray()).toEqual(values);
    manualSeed(5);
    const f = compile(() => scan((c: Tensor) => [c, rand([2])], tensor(0), null, { length: 6 })[1]);
    expect(f().toArray()).toEqual(values);
    expect(f().toArray()).not.toEqual(values);
    const many = vmap((x: Tensor) => scan((c: Tensor) => [c.add(rand([])), c], x, null, { length: 3 })[1], {
      randomness: 'different',
    })(zeros([4]));
    expect(new Set((many.slice(1, 1).toArray() as number[][]).flat()).size).toBe(8);
  });
});

describe('whileLoop', () => {
  /** Collatz steps: how often depends on the value. */
  const collatz = (n: Tensor): Tensor =>
    whileLoop(
      ({ x }) => x.ne(1),
      ({ x, steps }) => ({
        x: cond(
          x.remainder(2).eq(0),
          () => x.floorDivide(2),
          () => x.mul(3).add(1),
        ),
        steps: steps.add(1),
      }),
      { x: n, steps: tensor(0n) },
    ).steps;
  const inNumbers = (n: number): number => {
    let steps = 0;
    for (let x = n; x !== 1; steps++) x = x % 2 === 0 ? x / 2 : 3 * x + 1;
    return steps;
  };
  const start = (n: number): Tensor => tensor(BigInt(n));

  it('goes on for as long as values say, eagerly, compiled, and for each example by itself', () => {
    const numbers = [1, 2, 7, 27, 6];
    const run = compile(collatz);
    for (const n of numbers) {
      expect(collatz(start(n)).item()).toBe(inNumbers(n));
      expect(run(start(n)).item()).toBe(inNumbers(n));
    }
    const all = tensor(numbers.map(BigInt));
    expect(vmap(collatz)(all).toArray()).toEqual(numbers.map(inNumbers));
    expect(compile(vmap(vmap(collatz)))(all.reshape([5, 1])).toArray()).toEqual(numbers.map(n => [inNumbers(n)]));
  });

  /** Newton's iteration for the square root, until it is good. */
  const root = (a: Tensor, maxSteps?: number): Tensor =>
    whileLoop(
      x => x.mul(x).sub(a).abs().gt(1e-13),
      x => x.add(a.div(x)).mul(0.5),
      a.mul(0).add(1),
      { maxSteps },
    );
  const bounded = (a: Tensor): Tensor => root(a, 50);

  it('has derivatives in forward mode, and with a bound in reverse mode, of every order', () => {
    const a = f64(7);
    const want = f64(0.5 / Math.sqrt(7));
    close(root(a), f64(Math.sqrt(7)));
    close(jvp(root, [a], [f64(1)])[1], want);
    close(jacfwd((x: Tensor) => root(x))(a), want);
    close(grad(bounded)(a), want);
    const second = f64(-0.25 * 7 ** -1.5);
    close(grad(grad(bounded))(a), second);
    close(jacfwd(grad(bounded))(a), second);
    close(grad((x: Tensor) => jvp(bounded, [x], [f64(1)])[1])(a), second);
    close(compile(grad(grad(bounded)))(a), second);
    expect(() => grad((x: Tensor) => root(x))(a)).toThrow(
      'reverse-mode gradients need a bound on the number of steps: pass maxSteps',
    );
  });

  it('under vmap with derivatives, where examples take different numbers of steps', () => {
    const all = f64([0.3, 2, 7, 1e4]);
    const want = f64([0.3, 2, 7, 1e4].map(v => 0.5 / Math.sqrt(v)));
    close(vmap((a: Tensor) => root(a))(all), all.sqrt(), 1e-8);
    close(vmap(grad(bounded))(all), want, 1e-8);
    close(grad((xs: Tensor) => vmap(bounded)(xs).sum())(all), want, 1e-8);
    close(vmap((a: Tensor) => jvp(root, [a], [f64(1)])[1])(all), want, 1e-8);
    close(vmap(grad(grad(bounded)))(all), f64([0.3, 2, 7, 1e4].map(v => -0.25 * v ** -1.5)), 1e-8);
  });

  it('ends after maxSteps, takes no step where the condition does not hold, and updates parameters it reads', () => {
    const count = (limit: number, maxSteps?: number): number =>
      whileLoop(
        (n: Tensor) => n.lt(limit),
        n => n.add(1),
        tensor(0),
        { maxSteps },
      ).item();
    expect([count(5), count(5, 3), count(0), count(5, 0)]).toEqual([5, 3, 0, 0]);
    const p = new Parameter(f64(3));
    whileLoop(
      ({ i }) => i.lt(4),
      ({ i, x }) => ({ i: i.add(1), x: x.mul(p) }),
      { i: tensor(0), x: f64(1) },
      { maxSteps: 10 },
    ).x.backward();
    // d(p^4) = 4 p^3
    expect(p.grad!.item()).toBe(108);
  });

  it('draws random numbers at every step', () => {
    manualSeed(6);
    const ends = (): Tensor =>
      whileLoop(
        ({ last }) => last.lt(0.9),
        ({ n }) => ({ last: rand([]), n: n.add(1) }),
        { last: tensor(0), n: tensor(0) },
      ).n;
    const counts = Array.from({ length: 8 }, () => ends().item());
    expect(new Set(counts).size).toBeGreaterThan(3);
  });

  it('says what does not fit', () => {
    expect(() =>
      whileLoop(
        (x: Tensor) => x.lt(3),
        x => x.add(1),
        tensor([1, 2]),
      ),
    ).toThrow('whileLoop: the condition must be a tensor of one element, got a tensor bool [2]');
    expect(() =>
      whileLoop(
        (x: Tensor) => x.lt(3),
        x => x.to('f64'),
        tensor(1),
      ),
    ).toThrow('f32 [] and f64 []');
  });
});

describe('cond', () => {
  const f = (x: Tensor): Tensor =>
    cond(
      x.sum().gt(0),
      () => x.sin(),
      () => x.mul(x),
    );
  const up = f64([1, 2]);
  const down = f64([-1, -2]);

  it('computes the branch that is needed, eagerly, compiled, and with a plain boolean', () => {
    for (const run of [f, compile(f)]) {
      close(run(up), up.sin());
      close(run(down), down.mul(down));
    }
    close(
      cond(
        true,
        (x: Tensor) => x.neg(),
        (x: Tensor) => x,
        up,
      ),
      up.neg(),
    );
    // The other branch would fail.
    const index = tensor([5n]);
    const safe = cond(
      tensor(false),
      () => up.indexSelect(0, index),
      () => up.slice(0, 0, 1),
    );
    expect(safe.toArray()).toEqual([1]);
  });

  it('differentiates the branch that was taken, in every mode and order', () => {
    const total = (x: Tensor): Tensor => f(x).square().sum();
    for (const x of [up, down]) {
      const plain = (y: Tensor): Tensor => (x === up ? y.sin() : y.mul(y)).square().sum();
      close(grad(total)(x), grad(plain)(x));
      close(jvp(total, [x], [x.cos()])[1], jvp(plain, [x], [x.cos()])[1]);
      close(jacrev(grad(total))(x), jacrev(grad(plain))(x));
      close(jacfwd(jacrev(total))(x), jacrev(grad(plain))(x));
      close(compile(grad(total))(x), grad(plain)(x));
    }
  });

  it('selects for each example under vmap, and shares a condition that all share', () => {
    const all = stack([up, down, f64([3, -1])]);
    close(vmap(f)(all), each(all, f));
    const slope = grad((x: Tensor) => f(x).square().sum());
    close(vmap(slope)(all), each(all, slope));
    close(grad((xs: Tensor) => vmap(f)(xs).square().sum())(all), each(all, slope));
    const shared = (flag: Tensor): Tensor =>
      vmap((x: Tensor) =>
        cond(
          flag,
          () => x.exp(),
          () => up,
        ),
      )(all);
    close(shared(tensor(true)), all.exp());
    close(
      shared(tensor(false)),
      each(all, () => up),
    );
  });

  it('says what does not fit', () => {
    expect(() =>
      cond(
        tensor(true),
        () => up,
        () => up.to('f32'),
      ),
    ).toThrow('cond: results of the two branches differ: f64 [2] and f32 [2]');
    expect(() =>
      cond(
        tensor([true, false]),
        () => up,
        () => up,
      ),
    ).toThrow('must be a tensor of one element');
    const p = new Parameter(tensor(1));
    expect(() =>
      cond(
        tensor(true),
        () => p.assign(tensor(2)),
        () => p,
      ),
    ).toThrow('not possible inside cond');
  });
});
