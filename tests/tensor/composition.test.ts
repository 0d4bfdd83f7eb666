/**
 * Transforms of transforms of transforms, each level against numbers of the level below: derivatives against central
 * differences, vmap and loops against JavaScript loops, checkpoints and custom rules against the plain function.
 */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  checkpoint,
  compile,
  cond,
  customGrad,
  grad,
  hessian,
  jacfwd,
  jacrev,
  jvp,
  scan,
  stack,
  Tensor,
  vjp,
  vmap,
  whileLoop,
} from '../../src/index.ts';

type Fn = (x: Tensor) => Tensor;

/** A function of numbers to numbers, as the oracles see it. */
type Numbers = (x: readonly number[]) => number[];

const tensorOf = (x: readonly number[]): Tensor => Tensor.from(Float64Array.from(x));
const numbersOf =
  (f: Fn): Numbers =>
  x => [...(f(tensorOf(x)).data() as Float64Array)];

/** d f[i] / d x[j] by central differences. */
function jacobian(f: Numbers, x: readonly number[]): number[][] {
  const h = 1e-5;
  const columns = x.map((_, j) => {
    const at = (by: number): number[] => f(x.map((v, k) => (k === j ? v + by : v)));
    const [up, down] = [at(h), at(-h)];
    return up.map((v, i) => (v - down[i]!) / (2 * h));
  });
  return columns[0]!.map((_, i) => columns.map(column => column[i]!));
}

const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);
const positive = (x: readonly number[]): boolean => sum(x) > 0;

interface Level {
  /** The transformed function. */
  readonly of: (f: Fn) => Fn;
  /** The same in numbers, from numbers of `f`. */
  readonly oracle: (f: Numbers) => Numbers;
}

const same = (f: Numbers): Numbers => f;
const half = (f: Numbers, x: readonly number[]): number[] => f(x).map(v => v / 2);
const byHalves: Level['oracle'] = f => x => half(f, half(f, x));

const LEVELS: { readonly [name: string]: Level } = {
  grad: {
    of: f => grad((x: Tensor) => f(x).square().sum()),
    oracle: f => x => {
      const y = f(x);
      const rows = jacobian(f, x);
      return x.map((_, j) => sum(rows.map((row, i) => 2 * y[i]! * row[j]!)));
    },
  },
  vjp: {
    of: f => x => vjp(f, x)[1](x.sin())[0],
    oracle: f => x => {
      const rows = jacobian(f, x);
      return x.map((_, j) => sum(rows.map((row, i) => Math.sin(x[i]!) * row[j]!)));
    },
  },
  jvp: {
    of: f => x => jvp(f, [x], [x.cos()])[1],
    oracle: f => x => jacobian(f, x).map(row => sum(row.map((d, j) => d * Math.cos(x[j]!)))),
  },
  jacfwd: {
    of: f => x => jacfwd(f)(x).sum(1),
    oracle: f => x => jacobian(f, x).map(sum),
  },
  jacrev: {
    of: f => x => jacrev(f)(x).sum(1),
    oracle: f => x => jacobian(f, x).map(sum),
  },
  vmap: {
    of: f => x => vmap(f, { inAxes: 1, outAxes: 1 })(stack([x, x.mul(0.5).add(0.1)], 1)).sum(1),
    oracle: f => x => {
      const [a, b] = [f(x), f(x.map(v => v * 0.5 + 0.1))];
      return a.map((v, i) => v + b[i]!);
    },
  },
  checkpoint: { of: f => checkpoint(f), oracle: same },
  compile: { of: f => compile(f), oracle: same },
  custom: { of: f => customGrad(f, { vjp: (ct, _, x) => [vjp(f, x)[1](ct)[0]] }), oracle: same },
  customForward: { of: f => customGrad(f, { jvp: ([t], _, x) => jvp(f, [x], [t])[1] }), oracle: same },
  scan: {
    of: f => x => scan((c: Tensor) => [f(c).mul(0.5), null], x, null, { length: 2 })[0],
    oracle: byHalves,
  },
  whileLoop: {
    of: f => x =>
      whileLoop(
        ({ i }) => i.lt(2),
        ({ i, c }) => ({ i: i.add(1), c: f(c).mul(0.5) }),
        { i: Tensor.from(0), c: x },
        { maxSteps: 3 },
      ).c,
    oracle: byHalves,
  },
  cond: {
    of: f => x =>
      cond(
        x.sum().gt(0),
        () => f(x),
        () => f(x).neg(),
      ),
    oracle: f => x => (positive(x) ? f(x) : f(x).map(v => -v)),
  },
};

const base: Fn = x => x.roll([1], [0]).mul(x.sin()).add(x.mul(0.7).tanh());
const point = [0.4, -0.7, 0.9];

function check(names: readonly string[]): void {
  let f = base;
  let reference = numbersOf(base);
  for (const name of names) {
    const level = LEVELS[name]!;
    reference = level.oracle(numbersOf(f));
    f = level.of(f);
  }
  const want = reference(point);
  const scale = 1 + Math.max(...want.map(Math.abs));
  for (const run of [f, compile(f)]) {
    const got = numbersOf(run)(point);
    got.forEach((value, i) => {
      expect(Math.abs(value - want[i]!), `${names.join(' then ')}: element ${i}`).toBeLessThan(2e-7 * scale);
    });
  }
}

const names = Object.keys(LEVELS);
/** Compilers take longer for more code: they get a part of the compositions, other ones for every first level. */
const isSlow = process.env['TENON_BACKEND'] !== 'reference';

describe('composition', () => {
  it.each(names)('%s', name => check([name]));

  it.each(names)('every transform of %s', inner => {
    names.forEach((outer, i) => {
      if (!isSlow || (i + names.indexOf(inner)) % 3 === 0) check([inner, outer]);
    });
  });

  it.each(names)('every other transform of transforms of %s', inner => {
    const at = names.indexOf(inner);
    // A Latin square: each middle and each outer level meets each inner one.
    names.forEach((middle, i) => {
      if ((i + at) % (isSlow ? 6 : 2) === 0) check([inner, middle, names[(5 * i + 7 * at) % names.length]!]);
    });
  });

  it.each([
    ['checkpoint', 'vmap', 'vjp'],
    ['checkpoint', 'vmap', 'grad', 'jacrev'],
    ['jvp', 'checkpoint', 'cond', 'jacrev'],
    // The number of steps is the same for all examples, and was read from the loop over one.
    ['whileLoop', 'jacrev', 'vmap'],
    ['whileLoop', 'grad', 'whileLoop', 'vmap'],
    ['whileLoop', 'jacrev', 'cond', 'grad', 'vmap'],
    // A rule that runs when the loop or the choice around it is differentiated makes the start of its own loop then.
    ['whileLoop', 'custom', 'scan', 'jvp'],
    ['whileLoop', 'custom', 'cond', 'vjp', 'grad'],
  ])('what was wrong once: %s, %s, %s', (...levels) => check(levels.filter(Boolean)));

  it('vmap of a loop and of a choice with results that all examples share', () => {
    const xs = stack([tensorOf(point), tensorOf(point).neg()]);
    const pick = Tensor.from(true);
    const choose = vmap((x: Tensor) =>
      cond(
        pick,
        () => ({ own: x.mul(2), shared: Tensor.from([1, 2]) }),
        () => ({ own: x, shared: Tensor.from([3, 4]) }),
      ),
    );
    const { own, shared } = choose(xs);
    expect(own.toArray()).toEqual(xs.mul(2).toArray());
    expect(shared.toArray()).toEqual([
      [1, 2],
      [1, 2],
    ]);
    const [last, seen] = vmap((x: Tensor) =>
      scan(
        ({ i, c }: { i: Tensor; c: Tensor }) => [{ i: i.add(1), c: c.mul(2) }, i] as const,
        { i: Tensor.from(0), c: x },
        null,
        { length: 3 },
      ),
    )(xs);
    expect(last.i.toArray()).toEqual([3, 3]);
    expect(last.c.toArray()).toEqual(xs.mul(8).toArray());
    expect(seen.toArray()).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
  });

  it('a rule inside a loop or a choice reads tensors from outside', () => {
    const weight = Tensor.from(Float64Array.of(2, 3, 4));
    const straight = customGrad((x: Tensor) => x.round(), { vjp: ct => [ct.mul(weight.add(1))] });
    const x = tensorOf(point);
    const looped = (v: Tensor): Tensor => scan((c: Tensor) => [straight(c), null], v, null, { length: 2 })[0];
    const chosen = (v: Tensor): Tensor =>
      cond(
        v.sum().gt(0),
        () => straight(v),
        () => v,
      );
    for (const run of [(f: Fn) => f, (f: Fn) => compile(f)]) {
      expect(run(grad((v: Tensor) => looped(v).sum()) as Fn)(x).toArray()).toEqual([9, 16, 25]);
      expect(run(grad((v: Tensor) => chosen(v).sum()) as Fn)(x).toArray()).toEqual([3, 4, 5]);
      expect(run((v: Tensor) => jvp(looped, [v], [v.mul(0).add(1)])[1])(x).toArray()).toEqual([9, 16, 25]);
    }
  });

  it('four and five levels drawn at random, three of them derivatives at most', () => {
    const isDerivative = (name: string): boolean => ['grad', 'vjp', 'jvp', 'jacfwd', 'jacrev'].includes(name);
    let state = 12345;
    const draw = (): string => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return names[Math.floor((state / 2 ** 31) * names.length)]!;
    };
    for (let left = isSlow ? 8 : 40; left > 0; ) {
      const levels = Array.from({ length: 4 + (left % 2) }, draw);
      if (levels.filter(isDerivative).length > 3) continue;
      check(levels);
      left--;
    }
  });

  it('hessian is jacfwd of jacrev, and of any other pair', () => {
    const f = (x: Tensor): Tensor => base(x).square().sum();
    const x = tensorOf(point);
    const want = hessian(f)(x);
    for (const other of [jacrev(jacrev(f)), jacrev(jacfwd(f)), jacfwd(jacfwd(f))])
      expect((other as Fn)(x).sub(want).abs().amax().item()).toBeLessThan(1e-12);
    const numeric = jacobian(numbersOf(grad(f)), point);
    expect(
      want
        .sub(Tensor.from(numeric, { dtype: 'f64' }))
        .abs()
        .amax()
        .item(),
    ).toBeLessThan(1e-8);
  });
});
