/**
 * Index expressions against the arithmetic they stand for, at every value of their variables; and what they must become
 * to be cheap.
 */
import { describe, expect, it } from 'vitest';
import { coefficient, IndexTable, type Ix, printIx, type VarAtom } from '../../src/compiler/index-expr.ts';
import { Random } from '../fuzz/random.ts';

type At = ReadonlyMap<VarAtom, number>;

const floorMod = (a: number, b: number): number => a - b * Math.floor(a / b);

/** What the expression is worth. */
function worthOf({ terms, constant }: Ix, at: At): number {
  return terms.reduce((sum, { atom, coef }) => {
    if (atom.kind === 'var') return sum + coef * at.get(atom)!;
    if (atom.kind === 'data') throw new Error('nothing is loaded here');
    const of = worthOf(atom.of, at);
    return sum + coef * (atom.kind === 'div' ? Math.floor(of / atom.by) : floorMod(of, atom.by));
  }, constant);
}

/** Every value of the variables. */
function* everywhere(variables: readonly VarAtom[]): Generator<At> {
  const count = variables.reduce((n, { extent }) => n * extent, 1);
  for (let k = 0; k < count; k++) {
    const at = new Map<VarAtom, number>();
    let rest = k;
    for (const variable of variables) {
      at.set(variable, rest % variable.extent);
      rest = Math.floor(rest / variable.extent);
    }
    yield at;
  }
}

/** An expression beside the arithmetic it was made by. */
interface Pair {
  readonly ix: Ix;
  readonly of: (at: At) => number;
}

describe('index expressions', () => {
  it('are worth what they were made of, within their bounds (500 tables)', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const r = new Random(seed);
      const table = new IndexTable();
      const variables = Array.from({ length: 1 + r.int(3) }, () => table.variable(2 + r.int(6)));
      const pairs: Pair[] = variables.map(v => ({ ix: table.ofAtom(v), of: at => at.get(v)! }));
      for (let step = 0; step < 10; step++) {
        const [a, b] = [r.pick(pairs), r.pick(pairs)];
        const [by, c] = [r.pick([1, 2, 3, 4, 6, 8, 12]), r.int(9) - 3];
        pairs.push(
          r.pick<() => Pair>([
            () => ({ ix: table.add(a.ix, b.ix), of: at => a.of(at) + b.of(at) }),
            () => ({ ix: table.scale(a.ix, c), of: at => c * a.of(at) }),
            () => ({ ix: table.sum([[a.ix, by], [b.ix, 1]], c), of: at => by * a.of(at) + b.of(at) + c }),
            () => ({ ix: table.floorDiv(a.ix, by), of: at => Math.floor(a.of(at) / by) }),
            () => ({ ix: table.mod(a.ix, by), of: at => floorMod(a.of(at), by) }),
            () => ({
              ix: table.sum([[table.floorDiv(a.ix, by), by], [table.mod(a.ix, by), 1]]),
              of: a.of,
            }),
          ])(),
        ); // biome-ignore format: a table
      }
      for (const at of everywhere(variables))
        for (const { ix, of } of pairs) {
          const value = of(at);
          if (worthOf(ix, at) !== value || value < ix.lo || value > ix.hi)
            throw new Error(`seed ${seed}: ${printIx(ix, v => `v${v.id}`)} is ${worthOf(ix, at)} in [${ix.lo}, ${ix.hi}], expected ${value}`); // biome-ignore format: one line
        }
    }
  });

  it('find their coordinates again, and stay what they are under substitution (200 tables)', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const r = new Random(seed);
      const table = new IndexTable();
      const shape = Array.from({ length: 1 + r.int(4) }, () => 1 + r.int(5));
      const variables = shape.map(n => table.variable(n));
      const coords = variables.map(v => table.ofAtom(v));
      expect(table.unravel(table.linear(coords, shape), shape)).toEqual(coords);
      // Through another shape of as many elements and back.
      const count = shape.reduce((a, b) => a * b, 1);
      const other = [2, 3, 4, 5].filter(n => count % n === 0).slice(0, 1).flatMap(n => [n, count / n]); // biome-ignore format: short
      if (other.length > 0) {
        const there = table.unravel(table.linear(coords, shape), other);
        for (const at of everywhere(variables)) {
          const position = variables.reduce((p, v, d) => p * shape[d]! + at.get(v)!, 0);
          expect(there.map(ix => worthOf(ix, at))).toEqual([Math.floor(position / other[1]!), position % other[1]!]);
        }
        expect(table.linear(there, other)).toBe(table.linear(coords, shape));
      }
      const [x, y] = [table.variable(shape[0]!), table.variable(2)];
      const replaced = table.sum([[table.ofAtom(x), 1]], 0);
      const mixed = table.mod(table.sum([[table.linear(coords, shape), 3], [table.ofAtom(y), 5]], 1), 7); // biome-ignore format: short
      const after = table.substitute(mixed, new Map([[variables[0]!, replaced]]));
      for (const at of everywhere([...variables, y])) {
        const moved = new Map([...at, [x, at.get(variables[0]!)!]]);
        expect(worthOf(after, moved)).toBe(worthOf(mixed, at));
      }
    }
  });

  it('lose divisions that ranges or factors decide', () => {
    const table = new IndexTable();
    const [i, j, k] = [table.variable(5), table.variable(12), table.variable(256)].map(v => table.ofAtom(v)) as [Ix, Ix, Ix]; // biome-ignore format: one line
    const rows = table.sum([[i, 12], [j, 1]]); // biome-ignore format: short
    expect(table.floorDiv(rows, 12)).toBe(i);
    expect(table.mod(rows, 12)).toBe(j);
    expect(table.floorDiv(table.floorDiv(k, 3), 5)).toBe(table.floorDiv(k, 15));
    expect(table.mod(table.mod(k, 12), 4)).toBe(table.mod(k, 4));
    // A whole step of 256 decides: k never carries.
    const far = table.sum([[i, 65_536], [j, 256], [k, 1]]); // biome-ignore format: short
    expect(table.floorDiv(far, 131_072)).toBe(table.floorDiv(i, 2));
    expect(table.sum([[table.floorDiv(k, 7), 14], [table.mod(k, 7), 2]])).toBe(table.scale(k, 2)); // biome-ignore format: short
  });

  it('tell how they move with a variable', () => {
    const table = new IndexTable();
    const [i, j] = [table.variable(5), table.variable(7)];
    const ix = table.sum([[table.ofAtom(i), 3], [table.floorDiv(table.ofAtom(j), 2), 1]]); // biome-ignore format: short
    expect(coefficient(ix, i)).toBe(3);
    expect(coefficient(ix, j)).toBeNull();
    expect(coefficient(ix, table.variable(2))).toBe(0);
    expect(printIx(ix, v => (v === i ? 'i' : 'j'))).toBe('3*i + (j / 2)');
  });
});
