/**
 * The algebra of reindex, as properties over random maps: values by definition, transposition, composition, pushing
 * sums into contractions.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as g from '../../src/graph/build.ts';
import type { AxisMap, Node } from '../../src/graph/node.ts';
import { composeAxes, isUnguarded } from '../../src/graph/reindex.ts';
import { vjp } from '../../src/transform/index.ts';
import { leaf, numbers, numbersOf } from './evaluate.ts';

interface Map {
  readonly inShape: readonly number[];
  readonly outShape: readonly number[];
  readonly axes: readonly AxisMap[];
}

/** Random maps from a given input shape: every output dim moves one axis or none. */
const mapsFrom = (inShape: readonly number[]): fc.Arbitrary<Map> =>
  fc
    .record({
      dims: fc.array(
        fc.record({
          size: fc.integer({ min: 1, max: 4 }),
          axis: fc.integer({ min: -1, max: inShape.length - 1 }),
          coef: fc.constantFrom(1, 1, 1, 2, 3, -1, -2),
        }),
        { minLength: 0, maxLength: 4 },
      ),
      places: fc.tuple(
        ...inShape.map(() => fc.record({ offset: fc.integer({ min: -4, max: 6 }), div: fc.constantFrom(1, 1, 2, 3) })),
      ),
    })
    .map(({ dims, places }) => ({
      inShape,
      outShape: dims.map(d => d.size),
      axes: inShape.map((_, a) => ({
        terms: dims.flatMap(({ axis, coef }, d) => (axis === a ? [[d, coef] as const] : [])),
        ...places[a]!,
      })),
    }));

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 });
const maps = shapes.chain(mapsFrom);

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, n) => a * n, 1);

/** Whole numbers, so that every sum below is exact. */
const integers = (shape: readonly number[], salt: number): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7919 + salt * 104729) % 19) - 9);

const leafOf = (shape: readonly number[], salt: number): Node => leaf(integers(shape, salt), shape);

/** Coordinates of every element, in order. */
function* coordinates(shape: readonly number[]): Generator<number[]> {
  for (let i = 0; i < sizeOf(shape); i++) {
    const at: number[] = [];
    let rest = i;
    for (const n of [...shape].reverse()) {
      at.unshift(rest % n);
      rest = Math.floor(rest / n);
    }
    yield at;
  }
}

/** The definition, element by element: where each element of the result is read, or -1. */
function sources({ inShape, outShape, axes }: Map): number[] {
  return [...coordinates(outShape)].map(at => {
    let offset = 0;
    for (const [a, { terms, offset: start, div }] of axes.entries()) {
      const position = terms.reduce((sum, [dim, coef]) => sum + coef * at[dim]!, start) / div;
      if (!Number.isInteger(position) || position < 0 || position >= inShape[a]!) return -1;
      offset = offset * inShape[a]! + position;
    }
    return offset;
  });
}

const apply = (map: Map, x: readonly number[], fill = 0): number[] => sources(map).map(i => (i < 0 ? fill : x[i]!));
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

describe('reindex', () => {
  it('reads where its definition says', () => {
    fc.assert(
      fc.property(maps, fc.integer({ min: -2, max: 2 }), (map, fill) => {
        const y = g.reindex(leafOf(map.inShape, 1), map.outShape, map.axes, fill);
        expect(numbers(y)).toEqual(apply(map, integers(map.inShape, 1), fill));
      }),
    );
  });

  it('<reindex(x), y> = <x, reindexTranspose(y)>', () => {
    fc.assert(
      fc.property(maps, map => {
        const x = integers(map.inShape, 1);
        const y = integers(map.outShape, 2);
        const back = g.reindexTranspose(leaf(y, map.outShape), map.axes, map.inShape);
        expect(back.shape).toEqual(map.inShape);
        expect(dot(x, numbers(back)) + 0).toBe(dot(apply(map, x), y) + 0);
      }),
      { numRuns: 500 },
    );
  });

  it('the transpose of the transpose is the reindex itself', () => {
    fc.assert(
      fc.property(maps, map => {
        const ct = g.marked(leafOf(map.outShape, 2));
        const back = g.reindexTranspose(ct, map.axes, map.inShape);
        const [again] = vjp([back], [leafOf(map.inShape, 1)], [ct]);
        const expected = apply(map, integers(map.inShape, 1));
        // Nothing flows back where the map reads nothing at all.
        expect(again ? numbers(again).map(v => v + 0) : expected.map(() => 0)).toEqual(expected.map(v => v + 0));
      }),
    );
  });

  it('composes where one map can say it, and the builder takes that', () => {
    const pairs = maps.chain(first => mapsFrom(first.outShape).map(second => ({ first, second })));
    let composed = 0;
    fc.assert(
      fc.property(pairs, ({ first, second }) => {
        fc.pre(first.outShape.length > 0);
        const x = integers(first.inShape, 1);
        const expected = apply(second, apply(first, x, 5), 5);
        const y = g.reindex(
          g.reindex(leaf(x, first.inShape), first.outShape, first.axes, 5),
          second.outShape,
          second.axes,
          5,
        );
        expect(numbers(y)).toEqual(expected);
        const one = composeAxes(first.axes, second.axes, first.outShape, second.outShape);
        if (!one) return;
        composed++;
        expect(isUnguarded(second.axes, first.outShape, second.outShape)).toBe(true);
        expect(apply({ inShape: first.inShape, outShape: second.outShape, axes: one }, x, 5)).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
    expect(composed).toBeGreaterThan(20);
  });
});

describe('sums over reindexed contractions', () => {
  it('become one contraction of reindexed operands, with the same numbers', () => {
    const cases = fc
      .record({
        sizes: fc.tuple(...[1, 2, 3, 4].map(() => fc.integer({ min: 1, max: 4 }))),
        labelsA: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
        labelsB: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
        shared: fc.subarray([0, 1, 2, 3]),
      })
      .chain(({ sizes, labelsA, labelsB, shared }) => {
        // What one operand has alone must be in the result; what both have may be.
        const all = [0, 1, 2, 3].filter(l => labelsA.includes(l) || labelsB.includes(l));
        const out = all.filter(l => !(labelsA.includes(l) && labelsB.includes(l)) || shared.includes(l));
        const outShape = out.map(l => sizes[l]!);
        return mapsFrom(outShape).chain(map =>
          fc.subarray([...map.outShape.keys()]).map(sumAxes => ({ sizes, labelsA, labelsB, out, map, sumAxes })),
        );
      });
    let fused = 0;
    fc.assert(
      fc.property(cases, ({ sizes, labelsA, labelsB, out, map, sumAxes }) => {
        fc.pre(out.length > 0);
        const shapeOf = (labels: readonly number[]): number[] => labels.map(l => sizes[l]!);
        const a = leafOf(shapeOf(labelsA), 1);
        const b = leafOf(shapeOf(labelsB), 2);
        const product = g.contract(a, b, labelsA, labelsB, out);
        const together = g.reduce('sum', g.reindex(product, map.outShape, map.axes), sumAxes);
        // A barrier hides the contraction from the builder.
        const apart = g.reduce('sum', g.reindex(g.barrier(product, 1), map.outShape, map.axes), sumAxes);
        if (together.is('contract')) fused++;
        const [actual, expected] = numbersOf(together, apart);
        expect(actual!.map(v => v + 0)).toEqual(expected!.map(v => v + 0));
        expect(together.shape).toEqual(apart.shape);
      }),
      { numRuns: 1000 },
    );
    expect(fused).toBeGreaterThan(10);
  });
});
