/**
 * Random compositions of transforms over trees of tensors: each level against numbers of the level below, derivatives
 * against central differences, vmap and loops against JavaScript loops, everything else against the plain function;
 * eager and compiled.
 */
import { expect, it } from 'vitest';
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
  stopGradient,
  Tensor,
  valueAndGrad,
  vjp,
  vmap,
  whileLoop,
} from '../../src/index.ts';
import { functionalCall, Linear } from '../../src/nn/index.ts';
import { FIRST, MINUTES, runFor } from './budget.ts';
import { Random } from './random.ts';

const RUNS = Number(process.env['TENON_FUZZ_TRANSFORMS'] ?? 4);

/** What the functions take and give: a vector, a number and a matrix. */
interface Tree {
  readonly a: Tensor;
  readonly rest: readonly [Tensor, { readonly m: Tensor }];
}
type Fn = (x: Tree) => Tree;
type Numbers = (x: readonly number[]) => number[];

const SHAPES = [[3], [], [2, 2]] as const;
const SIZE = 8;

const leaves = ({ a, rest: [s, { m }] }: Tree): [Tensor, Tensor, Tensor] => [a, s, m];
const treeOf = ([a, s, m]: readonly Tensor[]): Tree => ({ a: a!, rest: [s!, { m: m! }] });
const map = (fn: (...parts: Tensor[]) => Tensor, ...trees: Tree[]): Tree => {
  const lists = trees.map(leaves);
  return treeOf([0, 1, 2].map(k => fn(...lists.map(list => list[k]!))));
};
const add = (x: Tree, y: Tree): Tree => map((a, b) => a.add(b), x, y);
const scale = (x: Tree, by: number): Tree => map(a => a.mul(by), x);
const squares = (x: Tree): Tensor =>
  leaves(x)
    .map((leaf, k) =>
      leaf
        .square()
        .mul(0.3 + 0.1 * k)
        .sum(),
    )
    .reduce((p, q) => p.add(q));
const cosines = (x: Tree): Tree => map(a => a.cos(), x);

const fromNumbers = (x: readonly number[]): Tree =>
  treeOf([
    Tensor.from(Float64Array.from(x.slice(0, 3))),
    Tensor.from(Float64Array.of(x[3]!), { shape: [] }),
    Tensor.from(Float64Array.from(x.slice(4)), { shape: [2, 2] }),
  ]);
const numbersOf =
  (f: Fn): Numbers =>
  x =>
    leaves(f(fromNumbers(x))).flatMap((leaf, k) => {
      expect([...leaf.shape]).toEqual([...SHAPES[k]!]);
      return Array.from(leaf.data(), Number);
    });

/** d f[i] / d x[j] by central differences of sixth order. */
function jacobian(f: Numbers, x: readonly number[]): number[][] {
  const h = 3e-4;
  const columns = x.map((_, j) => {
    const at = (by: number): number[] => f(x.map((v, k) => (k === j ? v + by * h : v)));
    const [one, two, three] = [1, 2, 3].map(by => {
      const [up, down] = [at(by), at(-by)];
      return up.map((v, i) => v - down[i]!);
    });
    return one!.map((v, i) => (45 * v - 9 * two![i]! + three![i]!) / (60 * h));
  });
  return Array.from({ length: SIZE }, (_, i) => columns.map(column => column[i]!));
}

const WEIGHTS = [0.3, 0.3, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5];
const times = (rows: readonly number[][], v: readonly number[]): number[] =>
  rows.map(row => row.reduce((sum, d, j) => sum + d * v[j]!, 0));
const transposedTimes = (rows: readonly number[][], v: readonly number[]): number[] =>
  v.map((_, j) => rows.reduce((sum, row, i) => sum + row[j]! * v[i]!, 0));
const gradientOf =
  (f: Numbers): Numbers =>
  x =>
    transposedTimes(
      jacobian(f, x),
      f(x).map((v, i) => 2 * WEIGHTS[i]! * v),
    );

/** A Jacobian (a tree of trees) times a tree. */
const contracted = (rows: unknown, x: Tree): Tree =>
  map(
    (...parts) => parts.reduce((p, q) => p.add(q)),
    ...leaves(x)
      .map((leaf, k) =>
        map(
          block => (block.ndim === leaf.ndim ? block.mul(leaf) : block.mul(leaf.expand(block.shape))),
          treeOf(leaves(rows as Tree).map(row => leaves(row as unknown as Tree)[k]!)),
        ),
      )
      .map((tree, k) =>
        map(
          (block, like) => (SHAPES[k]!.length === 0 ? block : block.sum(SHAPES[k]!.map((_, d) => like.ndim + d))),
          tree,
          x,
        ),
      ),
  );

interface Level {
  readonly name: string;
  readonly of: (f: Fn) => Fn;
  /**
   * The same in numbers: of the plain function, and of `below`, the level itself with a transform less where that is
   * needed.
   */
  readonly oracle: (f: Numbers, below: Fn) => Numbers;
}

const same = (f: Numbers): Numbers => f;
const loss = (f: Fn) => (x: Tree) => squares(f(x));
const positive = (x: readonly number[]): boolean => x[0]! + x[1]! + x[2]! > 0;

/** Examples of a leaf: each further one is bent a little. */
const example = (leaf: Tensor, i: number): Tensor => (i === 0 ? leaf : leaf.mul(1 - 0.3 * i).add(0.1 * i));
const exampleNumber = (v: number, i: number): number => (i === 0 ? v : v * (1 - 0.3 * i) + 0.1 * i);
const leafOf = (i: number): number => (i < 3 ? 0 : i < 4 ? 1 : 2);

function mapped(random: Random): Level {
  const count = 1 + random.int(3);
  // Null for what all examples share, else an axis in front or behind; one at least has one.
  const axes: (number | null)[] = SHAPES.map(shape => (random.once(3) ? null : random.pick([0, -1, shape.length])));
  if (!axes.some(axis => axis !== null)) axes[2] = 1;
  const outs = SHAPES.map(shape => random.pick([0, -1, shape.length]));
  const spec = (list: readonly (number | null)[]) => ({ a: list[0]!, rest: [list[1]!, { m: list[2]! }] });
  return {
    name: `vmap of ${count} with ${axes.join()} to ${outs.join()}`,
    of: f => x => {
      const given = leaves(x).map((leaf, k) => {
        const axis = axes[k]!;
        if (axis === null) return leaf;
        return stack(Array.from({ length: count }, (_, i) => example(leaf, i)), axis); // biome-ignore format: short
      });
      const run = vmap(f, {
        inAxes: [{ a: axes[0]!, rest: [axes[1]!, { m: axes[2]! }] }] as never,
        outAxes: spec(outs) as never,
      });
      return treeOf(leaves(run(treeOf(given))).map((leaf, k) => leaf.sum(outs[k]!)));
    },
    oracle: f => x => {
      const parts = Array.from({ length: count }, (_, i) =>
        f(x.map((v, j) => (axes[leafOf(j)] === null ? v : exampleNumber(v, i)))),
      );
      return x.map((_, j) => parts.reduce((sum, part) => sum + part[j]!, 0));
    },
  };
}

function folded(random: Random): Level {
  const length = 1 + random.int(3);
  const reverse = random.once(2);
  const unroll = 1 + random.int(2);
  const stepOf = (i: number): number => 0.1 * (reverse ? length - 1 - i : i);
  return {
    name: `scan of ${length}${reverse ? ' reversed' : ''}, unroll ${unroll}`,
    of: f => x => {
      const steps = Tensor.from(Float64Array.from({ length }, (_, i) => 0.1 * i));
      const [last, seen] = scan(
        (c: Tree, s: Tensor) => {
          const next = scale(
            map(leaf => leaf.add(s), f(c)),
            0.5,
          );
          return [next, next.rest] as const;
        },
        x,
        steps,
        { reverse, unroll },
      );
      return { a: last.a, rest: [last.rest[0].add(seen[0].sum(0)), { m: last.rest[1].m.add(seen[1].m.sum(0)) }] };
    },
    oracle: f => x => {
      let c = [...x];
      const seen = x.map(() => 0);
      for (let i = 0; i < length; i++) {
        c = f(c).map(v => 0.5 * (v + stepOf(i)));
        c.forEach((v, j) => {
          if (j >= 3) seen[j]! += v;
        });
      }
      return c.map((v, j) => v + seen[j]!);
    },
  };
}

const sum = (x: Tree): Tensor => x.a.sum();

const LEVELS: readonly ((random: Random) => Level)[] = [
  () => ({ name: 'grad', of: f => grad(loss(f)), oracle: gradientOf }),
  () => ({
    name: 'valueAndGrad',
    of: f => x => {
      const [value, slope] = valueAndGrad(loss(f))(x);
      return map(leaf => leaf.add(value), slope);
    },
    oracle: f => x => {
      const value = f(x).reduce((total, v, i) => total + WEIGHTS[i]! * v * v, 0);
      return gradientOf(f)(x).map(v => v + value);
    },
  }),
  () => ({
    name: 'vjp',
    of: f => x => vjp(f, x)[1](map(leaf => leaf.sin(), x))[0] as Tree,
    oracle: f => x => transposedTimes(jacobian(f, x), x.map(Math.sin)),
  }),
  () => ({
    name: 'jvp',
    of: f => x => jvp(f, [x], [cosines(x)])[1],
    oracle: f => x => times(jacobian(f, x), x.map(Math.cos)),
  }),
  () => ({
    name: 'jacfwd',
    of: f => x => contracted(jacfwd(f)(x), x),
    oracle: f => x => times(jacobian(f, x), x),
  }),
  () => ({
    name: 'jacrev',
    of: f => x => contracted(jacrev(f)(x), x),
    oracle: f => x => times(jacobian(f, x), x),
  }),
  () => ({
    name: 'hessian',
    of: f => x => contracted(hessian(loss(f))(x), x),
    oracle: (_, below) => x => times(jacobian(numbersOf(grad(loss(below))), x), x),
  }),
  mapped,
  mapped,
  folded,
  folded,
  () => ({ name: 'checkpoint', of: f => checkpoint(f), oracle: same }),
  () => ({ name: 'compile', of: f => compile(f), oracle: same }),
  () => ({
    name: 'customGrad (vjp)',
    of: f => customGrad(f, { vjp: (ct, _, x) => [vjp(f, x)[1](ct)[0]] }),
    oracle: same,
  }),
  () => ({
    name: 'customGrad (jvp)',
    of: f => customGrad(f, { jvp: ([t], _, x) => jvp(f, [x], [t])[1] }),
    oracle: same,
  }),
  () => ({
    name: 'stopGradient',
    of: f => x => {
      const y = f(x);
      return add(
        y,
        map((p, q) => stopGradient(p).sub(stopGradient(q)), y, y),
      );
    },
    oracle: same,
  }),
  random => {
    const bounded = random.once(2);
    return {
      name: `whileLoop${bounded ? ' with maxSteps' : ' read at once'}`,
      of: f => x => {
        const start = { left: sum(x).gt(0).where(2, 1).to('i32'), c: x };
        return whileLoop(
          ({ left }) => left.gt(0),
          ({ left, c }) => ({ left: left.sub(1), c: scale(f(c), 0.5) }),
          start,
          { maxSteps: bounded ? 2 : 4 },
        ).c;
      },
      oracle: f => x => {
        let c = [...x];
        for (let i = positive(x) ? 2 : 1; i > 0; i--) c = f(c).map(v => 0.5 * v);
        return c;
      },
    };
  },
  () => ({
    name: 'cond',
    of: f => x =>
      cond(
        sum(x).gt(0),
        (y: Tree) => f(y),
        (y: Tree) => scale(f(scale(y, 0.5)), -1),
        x,
      ),
    oracle: f => x => (positive(x) ? f(x) : f(x.map(v => 0.5 * v)).map(v => -v)),
  }),
];

const layer = new Linear(2, 2);
/** Outside of every transform, shared by whatever is mapped. */
const shared = Tensor.from(Float64Array.of(0.4, -0.2, 0.7));

const base: Fn = ({ a, rest: [s, { m }] }) => {
  const pair = functionalCall(layer, { weight: m.to('f64'), bias: a.narrow(0, 0, 2) }, a.narrow(0, 1, 2));
  return {
    a: a.roll([1], [0]).mul(a.sin()).add(s.tanh()).add(shared.mul(s)),
    rest: [pair.tanh().sum().sub(s.mul(0.3)), { m: m.matmul(m.mT).mul(0.2).add(pair.outer(pair).sin()) }],
  };
};
layer.to('f64');

function checkSeed(seed: number): void {
  const random = new Random(seed);
  const depth = 2 + random.int(4);
  const point = Array.from({ length: SIZE }, () => 2 * random.next() - 1);
  let f = base;
  const names: string[] = [];
  for (let d = 0; d < depth; d++) {
    const level = random.pick(LEVELS)(random);
    names.push(level.name);
    const below = f;
    f = level.of(below);
    const want = level.oracle(numbersOf(below), below)(point);
    const size = 1 + Math.max(...want.map(Math.abs));
    if (!(size < 1e5)) return;
    for (const [how, run] of [['eager', f], ['compiled', compile(f)]] as const) {
      const got = numbersOf(run)(point);
      got.forEach((value, i) => {
        const off = Math.abs(value - want[i]!);
        if (!(off < 1e-6 * size))
          throw new Error(`seed ${seed}: ${names.join(', then ')}, ${how}: element ${i} is ${value}, expected ${want[i]}`);
      });
    }
  } // biome-ignore format: short
}

it(`compositions equal the numbers of the level below (${RUNS} compositions)`, { timeout: 240_000 }, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) checkSeed(seed);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => runFor(MINUTES, checkSeed)); // biome-ignore format: short
