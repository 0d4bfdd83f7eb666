/** Concatenations whose parts are written where they belong, and those that have to be copied. */
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { both } from './support.ts';

const counted = (shape: number[], step: number): Node => {
  const n = shape.reduce((a, b) => a * b, 1);
  return g.data(
    Float32Array.from({ length: n }, (_, i) => (((i * step) % 23) - 11) / 16),
    shape,
    'f32',
  );
};

/** Steps of a recurrence over [rows, 16], each of which reads the one before. */
function steps(count: number, rows = 8): Node[] {
  const weights = counted([16, 16], 5);
  const made: Node[] = [];
  let h = counted([rows, 16], 3);
  for (let i = 0; i < count; i++) {
    h = g.unary('tanh', g.contract(h, weights, [0, 1], [1, 2], [0, 2]));
    made.push(h);
  }
  return made;
}

const total = (x: Node): Node => g.reduce('sum', g.unary('exp', x), [0]);

/** Runs the graph beside the reference; how many kernels concatenate. */
function concats(outputs: readonly Node[], updates: readonly { leaf: Node; node: Node }[] = []): number {
  const { compiled, reference, program } = both(outputs, updates);
  compiled.forEach((values, k) => {
    values.forEach((x: number | bigint, i: number) => {
      const expected = Number(reference[k]![i]!);
      expect(Math.abs(Number(x) - expected)).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
    });
  });
  return program.kernels.filter(({ kernel }) => kernel.name.includes(' concat ')).length;
}

describe('concatenations', () => {
  it('of whole parts that kernels make, one behind the other, copy nothing', () => {
    expect(concats([total(g.concat(steps(5), 0))])).toBe(0);
  });

  it('inside of others neither', () => {
    const made = steps(6);
    const halves = [g.concat(made.slice(0, 3), 0), g.concat(made.slice(3), 0)];
    expect(concats([total(g.concat(halves, 0)), total(halves[0]!)])).toBe(0);
  });

  it('wait for all of their parts, slices of them too, and parts for none', () => {
    const made = steps(4);
    const all = g.concat(made, 0);
    const middle = g.slice(all, [12, 0], [8, 16]);
    const late = g.binary('mul', g.slice(made[3]!, [4, 0], [4, 16]), g.slice(middle, [2, 0], [4, 16]));
    expect(concats([total(all), total(late), total(middle)])).toBe(0);
  });

  it('copy parts that stand in two of them, results of the program, inputs and what begins between lines', () => {
    const made = steps(3);
    expect(concats([total(g.concat(made, 0)), total(g.concat([made[2]!, made[0]!], 0))])).toBe(1);
    expect(concats([total(g.concat(steps(3), 0)), g.concat(steps(3), 0)])).toBe(1);
    const [first, second] = steps(2);
    expect(concats([first!, total(g.concat([first!, second!], 0))])).toBe(1);
    expect(concats([total(g.concat([counted([8, 16], 7), second!], 0))])).toBe(1);
    expect(
      concats([
        total(
          g.concat(
            [...steps(1, 3), ...steps(2, 3)].map(x => g.slice(x, [0, 0], [3, 5])),
            0,
          ),
        ),
      ]),
    ).toBe(1);
  });

  it('hold new values of variables that are computed beside their parts', () => {
    const variable = new Variable([8, 16], 'f32', counted([8, 16], 7).value!);
    const leaf = g.variable(variable);
    const made = steps(3);
    const node = g.binary('add', leaf, made[1]!);
    expect(concats([total(g.concat(made, 0))], [{ leaf, node }])).toBe(0);
  });
});
