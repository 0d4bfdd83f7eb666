/** Every primitive under vmap against a loop over the examples, for every choice of which inputs have examples. */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { DType } from '../../src/graph/dtype.ts';
import {
  BINARY,
  type Binary,
  COMPARE,
  type Node,
  type Primitive,
  type ScatterKind,
  UNARY,
} from '../../src/graph/node.ts';
import { batch, checkpointed, completed, jvp, markGrad, vjp } from '../../src/transform/index.ts';
import { leaf, numbers, numbersOf } from '../graph/evaluate.ts';
import { generic } from './derivatives.ts';

const SIZE = 3;

/** One input of a case: its shape for one example, and what it holds. */
interface Input {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** Whole numbers in [0, below) instead of generic ones. */
  readonly below?: number;
}

const of = (...shape: number[]): Input => ({ shape });
const whole = (below: number, ...shape: number[]): Input => ({ shape, below, dtype: 'i64' });
const bool = (...shape: number[]): Input => ({ shape, below: 2, dtype: 'bool' });

function makeLeaf({ shape, dtype = 'f64', below }: Input, examples: number, seed: number): Node {
  const full = examples > 0 ? [examples, ...shape] : shape;
  const { values } = generic(full, seed);
  // Well spread over [0, below).
  const fit = below ? values.map((v, i) => Math.floor(Math.abs(v * 977 + i * 7)) % below) : values;
  return leaf(fit, full, dtype);
}

/** Example `b` of a batched node. */
const example = (x: Node, b: number): Node => {
  const start = x.shape.map((_, d) => (d === 0 ? b : 0));
  const size = [1, ...x.shape.slice(1)];
  return g.reshape(g.slice(x, start, size), x.shape.slice(1));
};

/** `f` of many examples against `f` of each, with every non-empty set of inputs batched. */
function check(f: (...xs: Node[]) => Node, ...inputs: Input[]): void {
  for (let set = 1; set < 2 ** inputs.length; set++) {
    const isBatched = (i: number): boolean => ((set >> i) & 1) === 1;
    const given = inputs.map((input, i) => makeLeaf(input, isBatched(i) ? SIZE : 0, i + 1));
    const examples = given.map((x, i) => (isBatched(i) ? g.placeholder('example', x.shape.slice(1), x.dtype) : x));
    const chosen = given.map((_, i) => i).filter(isBatched);
    const [made] = batch(
      [f(...examples)],
      chosen.map(i => examples[i]!),
      chosen.map(i => given[i]!),
      { size: SIZE, different: false },
    );
    const each = Array.from({ length: SIZE }, (_, b) => f(...given.map((x, i) => (isBatched(i) ? example(x, b) : x))));
    if (!made) {
      for (const one of each) expect(numbers(one)).toEqual(numbers(each[0]!));
      continue;
    }
    expect(made.shape).toEqual([SIZE, ...each[0]!.shape]);
    expect(made.dtype).toBe(each[0]!.dtype);
    const [all, ...ones] = numbersOf(made, ...each);
    const expected = ones.flat();
    all!.forEach((value, i) => {
      if (Number.isNaN(expected[i]!)) expect(value).toBeNaN();
      else expect(value, `element ${i} with inputs ${chosen}`).toBeCloseTo(expected[i]!, 10);
    });
  }
}

const INTEGERS: ReadonlySet<Binary> = new Set<Binary>(['and', 'or', 'xor', 'shl', 'shr']);

const scatters = (kind: ScatterKind): void => {
  check((base, index, updates) => g.scatter(kind, base, index, updates, 1), of(2, 4, 2), whole(4, 3), of(2, 3, 2));
  check((base, index, updates) => g.scatter(kind, base, index, updates, 0), of(4), whole(4, 2, 3), of(2, 3));
};

/** Control flow, which the runtime runs, is tested in tests/tensor/control.test.ts. */
const CASES: { readonly [P in Exclude<Primitive, 'loop' | 'choose'>]: () => void } = {
  constant: () => check(x => g.binary('add', x, g.full(2, [3], 'f64')), of(3)),
  data: () => check(x => g.binary('add', x, leaf([1, 2, 3], [3])), of(3)),
  variable: () => check(x => x, of(2)),
  placeholder: () => check((x, y) => g.binary('mul', x, y), of(2), of(2)),
  iota: () => check(x => g.binary('add', x, g.iota(3, 'f64')), of(3)),
  unary: () => {
    for (const fn of UNARY) check(x => g.unary(fn, x), fn === 'not' ? bool(2, 2) : of(2, 2));
  },
  binary: () => {
    for (const fn of BINARY)
      check((x, y) => g.binary(fn, x, y), ...(INTEGERS.has(fn) ? [whole(5, 3), whole(5, 3)] : [of(3), of(3)]));
  },
  compare: () => {
    for (const fn of COMPARE) check((x, y) => g.compare(fn, x, y), whole(3, 4), whole(3, 4));
  },
  where: () => check((c, a, b) => g.where(c, a, b), bool(2, 2), of(2, 2), of(2, 2)),
  cast: () => check(x => g.cast(x, 'i32'), of(3)),
  bitcast: () => check(x => g.bitcast(x, 'i64'), of(3)),
  checkIndex: () => check(x => g.checkIndex(x, 5, 'test'), whole(5, 3)),
  detach: () => check(x => g.detach(markGrad(x)), of(3)),
  barrier: () => {
    check((x, y) => g.barrier(x, 3, { after: [y] }), of(2), of(2));
    check(
      (x, y) => {
        const [a, b] = checkpointed([x, y], ([u, v]) => [g.binary('mul', u!, v!), g.unary('exp', u!)]);
        return g.binary('add', a!, b!);
      },
      of(2),
      of(2),
    );
  },
  reshape: () => check(x => g.reshape(x, [3, 2]), of(2, 3)),
  reindex: () => {
    check(x => g.permute(x, [1, 0]), of(2, 3));
    check(x => g.pad(x, [1, -1], [2, 0], 7), of(2, 3));
    check(x => g.slice(x, [1, 2], [1, 2], [1, -2]), of(2, 3));
    check(x => g.broadcastTo(x, [2, 2, 3]), of(1, 3));
  },
  gather: () => {
    check((x, index) => g.gather(x, index, 1), of(2, 4, 2), whole(4, 3));
    check((x, index) => g.gather(x, index, 0), of(4, 2), whole(4, 2, 3));
    check((x, index) => g.gather(x, index, 2), of(2, 2, 3), whole(3));
  },
  concat: () => check((x, y) => g.concat([x, y, x], 1), of(2, 1), of(2, 2)),
  reduce: () => {
    for (const kind of ['sum', 'prod', 'max', 'min'] as const) check(x => g.reduce(kind, x, [0, 2]), of(2, 3, 2));
  },
  argReduce: () => {
    for (const kind of ['max', 'min'] as const) check(x => g.argReduce(kind, x, 1), of(2, 3));
  },
  scan: () => {
    for (const kind of ['sum', 'prod', 'max', 'min'] as const)
      for (const reverse of [false, true]) check(x => g.scan(kind, x, 0, reverse), of(3, 2));
  },
  scatter: () => {
    for (const kind of ['set', 'add', 'mul', 'max', 'min'] as const) scatters(kind);
  },
  contract: () => {
    check((a, b) => g.contract(a, b, [0, 1], [1, 2], [0, 2]), of(2, 3), of(3, 2));
    check((a, b) => g.contract(a, b, [0, 1, 2], [0, 2, 3], [3, 0, 1]), of(2, 2, 3), of(2, 3, 2));
    check((a, b) => g.contract(a, b, [0], [0], []), of(3), of(3));
  },
  argSort: () => {
    for (const descending of [false, true]) check(x => g.argSort(x, 1, descending), of(2, 4));
  },
  matrix: () => {
    check((a, b) => g.matrix('solve', a, b), of(2, 3, 3), of(2, 3, 1));
    check(x => g.matrix('svd', x), of(4, 2));
  },
  custom: () => {
    // Values and both derivatives of x * y with a rule of its own, by each of them.
    const product = (x: Node, y: Node): Node => g.binary('mul', x, y);
    const rule = completed(
      {
        count: 1,
        results: ([x, y]) => [product(x!, y!)],
        vjp: ([x, y], _, [ct]) => [product(ct!, y!), product(ct!, x!)],
      },
      vjp,
    );
    const f = (x: Node, y: Node): Node => g.custom(product(x, y), [x, y], rule, 0);
    check(f, of(3), of(3));
    for (const at of [0, 1])
      check(
        (x, y) => {
          const marked = [markGrad(x), markGrad(y)];
          const z = f(marked[0]!, marked[1]!);
          return vjp([z], [g.unary('cos', z)], [marked[at]!])[0]!;
        },
        of(3),
        of(3),
      );
    check((x, y) => jvp([f(x, y)], [x], [g.unary('cos', y)])[0]!, of(3), of(3));
  },
  random: () => check(key => g.random(key, [5]), whole(100, 2)),
};

describe('batching rules', () => {
  it.each(Object.entries(CASES))('%s', (_, run) => run());

  it('refuse an index that is outside for one example, and do not read the next one', () => {
    const x = leaf([1, 2, 3, 4], [2, 2]);
    const index = leaf([0, 2], [2], 'i64');
    const one = g.placeholder('x', [2], 'f64');
    const at = g.placeholder('index', [], 'i64');
    const [made] = batch([g.gather(one, at, 0, 'take')], [one, at], [x, index], { size: 2, different: false });
    expect(() => numbers(made!)).toThrow('take: index 2 is out of range for 2 elements');
  });

  it('keep what noGrad has cut off, and marks', () => {
    const xs = markGrad(leaf([1, 2, 3], [3]));
    const x = g.placeholder('x', [], 'f64', true);
    const frozen = g.withoutGradient(() => g.binary('mul', x, x));
    const y = g.binary('mul', frozen, x);
    const [made] = batch([y], [x], [xs], { size: 3, different: false });
    const [dx] = vjp([made!], [g.full(1, [3], 'f64')], [xs]);
    // frozen counts as a constant: d(frozen * x) = frozen
    expect(numbers(dx!)).toEqual([1, 4, 9]);
  });

  it('random numbers: one draw for all, or a stretch of it for each', () => {
    const key = leaf([7, 0], [2], 'i64');
    const x = g.placeholder('x', [], 'i32');
    const xs = leaf([0, 0, 0], [3], 'i32');
    const f = (): Node => g.binary('add', g.random(key, [2]), g.broadcastTo(x, [2]));
    const [same] = batch([f()], [x], [xs], { size: 3, different: false });
    const [different] = batch([f()], [x], [xs], { size: 3, different: true });
    const [one, shared, own] = numbersOf(g.random(key, [6]), same!, different!);
    expect(own).toEqual(one);
    expect(shared).toEqual([0, 1, 0, 1, 0, 1].map(i => one![i]));
  });
});
