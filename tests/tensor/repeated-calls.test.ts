/**
 * A compiled function that is called again asks only what may have changed since (graph/changes.ts): each thing that
 * does change is seen by a function that has been called often, and what it was is seen again afterwards.
 */
import { describe, expect, it } from 'vitest';
import {
  autocast,
  backendName,
  backendNames,
  checkpoint,
  compile,
  F,
  grad,
  noGrad,
  Parameter,
  setBackend,
  Tensor,
  vmap,
} from '../../src/index.ts';
import { whyUnavailable } from '../../src/runtime/index.ts';
import { profile } from '../../src/tensor/profile.ts';

const vector = (...values: number[]): Tensor => Tensor.from(Float32Array.from(values));
const numbers = (x: Tensor): number[] => Array.from(x.data(), Number);

/** A scale that every call multiplies its argument with and then adds one to; called three times. */
function calledOften() {
  const scale = new Parameter(vector(1));
  const step = compile((x: Tensor): Tensor => {
    const y = x.mul(scale).sum();
    scale.assign(scale.add(1));
    return y;
  });
  for (const n of [1, 2, 3]) expect(step(vector(2, 3)).item()).toBe(5 * n);
  return { scale, step };
}

describe('a function that has been called often sees', () => {
  it('what was written or assigned', () => {
    const { scale, step } = calledOften();
    scale.write(vector(10));
    expect(step(vector(2, 3)).item()).toBe(50);
    scale.assign(scale.mul(2));
    expect(step(vector(2, 3)).item()).toBe(110);
    expect(numbers(scale)).toEqual([23]);
    expect(step(vector(2, 3)).item()).toBe(115);
  });

  it('that another backend has had its variable', () => {
    const { scale, step } = calledOften();
    const before = backendName();
    const other = backendNames().find(name => name !== before && whyUnavailable(name) === null)!;
    setBackend(other);
    try {
      scale.assign(scale.mul(5));
      expect(numbers(scale)).toEqual([20]);
    } finally {
      setBackend(before);
    }
    expect(step(vector(2, 3)).item()).toBe(100);
    expect(step(vector(2, 3)).item()).toBe(105);
  });

  it('that another function works in more memory', () => {
    const product = compile((x: Tensor) => F.softmax(x.matmul(x), 1).matmul(x).sum());
    const small = Tensor.from(
      Float32Array.from({ length: 64 }, (_, i) => i % 5),
      { shape: [8, 8] },
    );
    const large = Tensor.from(new Float32Array(512 * 512), { shape: [512, 512] });
    const first = [0, 1, 2].map(() => product(small).item())[0]!;
    const grown = compile((x: Tensor) => F.softmax(x.matmul(x), 1).matmul(x.add(1)).sum());
    expect(grown(large).item()).toBeCloseTo(512 * 512, -1);
    expect(product(small).item()).toBe(first);
  });

  it('a parameter in place of a value, and the value again', () => {
    const twice = compile((x: Tensor) => x.mul(2));
    const [one, two] = [new Parameter(vector(1)), new Parameter(vector(2))];
    for (const x of [vector(5), vector(6), one, two, vector(7), one, vector(8), two])
      expect(numbers(twice(x))).toEqual(numbers(x).map(v => 2 * v));
    one.write(vector(9));
    expect(numbers(twice(one))).toEqual([18]);
  });

  it('arguments of another form, shape and dtype', () => {
    const sum = compile((of: { readonly a: Tensor; readonly b?: Tensor } | readonly Tensor[]) =>
      Object.values(of as Record<string, Tensor>)
        .map(x => x.sum())
        .reduce((x, y) => x.add(y)),
    );
    const once = (of: Parameters<typeof sum>[0], expected: number): void => {
      for (let i = 0; i < 3; i++) expect(sum(of).item()).toBe(expected);
    };
    once({ a: vector(1), b: vector(2) }, 3);
    once({ a: vector(1) }, 1);
    once([vector(1), vector(4)], 5);
    once({ a: vector(1), b: vector(2, 3) }, 6);
    once({ a: Tensor.from([7], { dtype: 'i32' }), b: Tensor.from([8], { dtype: 'i32' }) }, 15);
    expect(() => sum({ a: 3 } as unknown as { a: Tensor })).toThrow();
    once({ a: vector(1), b: vector(2) }, 3);
  });

  it('arguments that it does not read, and what is no plain object', () => {
    const first = compile(({ a }: { readonly a: Tensor; readonly b: Tensor }, c: Tensor) => a.add(1).add(c.size(0)));
    for (const n of [1, 2, 3]) expect(numbers(first({ a: vector(n), b: vector(9) }, vector(7, 8)))).toEqual([n + 3]);
    expect(numbers(first({ a: vector(1), b: vector(9) }, vector(7)))).toEqual([3]);
    expect(numbers(first(Object.assign(Object.create(null), { a: vector(5), b: vector(9) }), vector(7)))).toEqual([7]);
    class Pair {
      a = vector(1);
      b = vector(9);
    }
    for (let i = 0; i < 3; i++) expect(() => first(new Pair(), vector(7))).toThrow('Pair');
    const none = compile((_: object, x: Tensor) => x.mul(2));
    for (let i = 0; i < 3; i++) expect(numbers(none({}, vector(4)))).toEqual([8]);
    expect(() => none(new Pair(), vector(4))).toThrow('Pair');
    for (const given of [vector(1), [], {}]) expect(numbers(none(given, vector(4)))).toEqual([8]);
  });

  it('a list of sizes that its owner writes to', () => {
    const shape = [2, 1];
    const twice = compile((x: Tensor) => x.mul(2));
    const of = (sizes: number[]): Tensor => Tensor.from(Float32Array.of(1, 2), { shape: sizes });
    const [mine, other] = [of(shape), of([2, 1])];
    for (let i = 0; i < 3; i++) for (const x of [mine, other]) expect(twice(x).shape).toEqual([2, 1]);
    shape[0] = 1;
    shape[1] = 2;
    expect(twice(other).shape).toEqual([2, 1]);
    expect(twice(of([1, 2])).shape).toEqual([1, 2]);
    expect(twice(of([2, 1])).shape).toEqual([2, 1]);
  });

  it('autocast and noGrad, on and off', () => {
    const square = compile((x: Tensor) => x.reshape([1, 1]).matmul(x.reshape([1, 1])));
    const x = vector(1.0009765625);
    const types = [0, 1, 2].map(() => square(x).dtype);
    const inside = autocast({ dtype: 'bf16' }, () => [square(x).dtype, square(x).dtype]);
    expect([types, inside, square(x).dtype]).toEqual([['f32', 'f32', 'f32'], ['bf16', 'bf16'], 'f32']);
    expect(noGrad(() => [square(x).dtype, square(x).dtype])).toEqual(['f32', 'f32']);
  });

  it('that it is called inside a transform or another compiled function', () => {
    const cube = compile((x: Tensor) => x.mul(x).mul(x).sum());
    for (let i = 0; i < 3; i++) expect(cube(vector(2)).item()).toBe(8);
    expect(numbers(grad(cube)(vector(2)))).toEqual([12]);
    expect(cube(vector(2)).item()).toBe(8);
    expect(numbers(vmap(cube)(Tensor.from([[1], [2]])))).toEqual([1, 8]);
    expect(cube(vector(2)).item()).toBe(8);
    const outer = compile((x: Tensor) => cube(x).add(1));
    expect([outer(vector(2)).item(), outer(vector(3)).item(), cube(vector(2)).item()]).toEqual([9, 28, 8]);
  });

  it('that it is called there with values of outside', () => {
    const { scale, step } = calledOften();
    const outer = compile((x: Tensor) => step(vector(2, 3)).add(x).sum());
    expect([1, 2, 3].map(() => outer(vector(0)).item())).toEqual([20, 25, 30]);
    const uses = compile((x: Tensor) => x.mul(scale).sum());
    const given = vector(1);
    for (const n of [7, 7, 7]) expect(uses(given).item()).toBe(n);
    let follows = false;
    checkpoint((x: Tensor) => {
      follows = uses(given).requiresGrad;
      return x.sum();
    })(vector(1)).data();
    expect(follows).toBe(true);
    expect(step(vector(2, 3)).item()).toBe(35);
    expect(() => vmap((x: Tensor) => step(vector(2, 3)).add(x))(vector(1, 2))).toThrow('inside vmap');
    expect(step(vector(2, 3)).item()).toBe(40);
  });

  it('that a profile is taken', () => {
    const { step } = calledOften();
    const { traceEvents } = profile(() => step(vector(2, 3)));
    expect(traceEvents.some(({ name }) => name === 'run')).toBe(true);
    expect(step(vector(2, 3)).item()).toBe(25);
  });

  it('that it runs without blocking in between', async () => {
    const { step } = calledOften();
    expect((await step.async(vector(2, 3))).item()).toBe(20);
    expect(step(vector(20, 30)).item()).toBe(250);
    expect((await step.async(vector(2, 3))).item()).toBe(30);
    expect(step(vector(2, 3)).item()).toBe(35);
  });

  it('that the memory of its argument was transferred', () => {
    const { step } = calledOften();
    const x = vector(2, 3);
    expect(step(x).item()).toBe(20);
    structuredClone(x.data().buffer, { transfer: [x.data().buffer as ArrayBuffer] });
    expect(() => step(x)).toThrow('transferred');
    expect(step(vector(2, 3)).item()).toBe(25);
  });

  it('gradients that it drops without making any', () => {
    const weight = new Parameter(vector(3));
    const drop = compile((x: Tensor) => {
      weight.grad = null;
      return x.mul(2);
    });
    for (let i = 0; i < 3; i++) {
      weight.mul(2).sum().backward();
      expect(weight.grad).not.toBeNull();
      expect(numbers(drop(vector(1)))).toEqual([2]);
      expect(weight.grad).toBeNull();
    }
  });
});
