/**
 * What lives where: addresses and constants that need no register, moves that fall away, lives across loops, and who
 * goes to the stack.
 */
import { describe, expect, it } from 'vitest';
import { allocate } from '../../../src/backends/x86/allocate.ts';
import { Folding } from '../../../src/backends/x86/folding.ts';
import { type Interval, liveIntervals } from '../../../src/backends/x86/liveness.ts';
import { foldMoves } from '../../../src/backends/x86/peephole.ts';
import { GONE, Sequence } from '../../../src/backends/x86/sequence.ts';
import type { Inst, Reg, Scalar } from '../../../src/compiler/loops.ts';

const reg = (id: number, scalar: Scalar | 'ptr' = 'f32', lanes = 16): Reg => ({ id, type: { scalar, lanes } }) as Reg;
const constant = (d: Reg, value: number): Inst => ({ op: 'const', d, value });
const add = (d: Reg, a: Reg, b: Reg): Inst => ({ op: 'bin', fn: 'add', d, a, b });
const sub = (d: Reg, a: Reg, b: Reg): Inst => ({ op: 'bin', fn: 'sub', d, a, b });
const addr = (d: Reg, buf: number): Inst => ({ op: 'addr', d, buf, index: null });
const load = (d: Reg, p: Reg, offset = 0): Inst => ({ op: 'load', d, p, offset, mem: 'f32' });
const store = (p: Reg, a: Reg): Inst => ({ op: 'store', p, offset: 0, a, mem: 'f32' });
const loop = (body: Inst[]): Inst => ({ op: 'for', i: reg(90, 'i32', 1), lo: 0, hi: 10, step: 1, body });

const [a, b, c, d] = [reg(1), reg(2), reg(3), reg(4)];
const [p, q] = [reg(10, 'ptr', 1), reg(11, 'ptr', 1)];

/** Ids of what needs no register. */
const taken = (body: Inst[], vectors = true, held: number[] = []): number[] => {
  const folding = new Folding(new Sequence(body), vectors, new Set(held));
  return [...folding.taken].flatMap((is, id) => (is ? [id] : []));
};

describe('values that their readers take in', () => {
  it('are addresses of the load or store right behind them, read once', () => {
    expect(taken([addr(p, 0), load(a, p), addr(q, 1), store(q, a)])).toEqual([10, 11]);
    expect(taken([addr(p, 0), constant(b, 1), load(a, p), add(c, a, b), sub(d, b, c)])).toEqual([]);
    expect(taken([addr(p, 0), load(a, p), load(b, p, 64), add(c, a, b)])).toEqual([]);
  });

  it('are constants whose every reader has room for an operand in memory', () => {
    const loaded = [addr(p, 0), load(a, p)];
    expect(taken([...loaded, constant(b, 2), add(c, a, b)])).toEqual([2, 10]);
    // The first operand of what does not commute is a register.
    expect(taken([...loaded, constant(b, 2), sub(c, b, a)])).toEqual([10]);
    expect(taken([...loaded, constant(b, 2), add(c, a, b), store(q, b)])).toEqual([10]);
    expect(taken([...loaded, constant(b, 2), add(c, a, b)], false)).toEqual([10]);
    expect(taken([...loaded, constant(b, 2), add(c, a, b)], true, [2])).toEqual([10]);
  });
});

it('a move of what is read nowhere else falls away, its usage with it', () => {
  const move: Inst = { op: 'move', d: c, a };
  const folded = (body: Inst[]): { readonly left: readonly Inst[]; readonly sequence: Sequence } => {
    const sequence = new Sequence(body);
    foldMoves(sequence);
    return { left: sequence.insts.filter((_, at) => sequence.kinds[at] !== GONE), sequence };
  };
  const around = loop([add(a, b, c), move]);
  const { left, sequence } = folded([addr(p, 0), load(b, p), around]);
  expect(left).toEqual([addr(p, 0), load(b, p), around, add(c, b, c), around]);
  expect([sequence.defs[a.id], sequence.uses[a.id]]).toEqual([0, 0]);
  const twice = [add(a, b, c), move, store(p, a)];
  expect(folded(twice).left).toEqual(twice);
});

const intervalsOf = (body: Inst[]): Map<number, Interval> => {
  const sequence = new Sequence(body);
  const folding = new Folding(sequence, false, new Set());
  return new Map(liveIntervals(sequence, new Uint8Array(100), folding).map(interval => [interval.reg.id, interval]));
};

describe('lives', () => {
  it('end at the last read, and overlap only where both are needed', () => {
    const lives = intervalsOf([constant(a, 1), constant(b, 2), add(c, a, b), store(p, c)]);
    const [x, y, z] = [a, b, c].map(r => lives.get(r.id)!) as [Interval, Interval, Interval];
    expect(x.last).toBeLessThan(z.first);
    expect(y.last).toBe(x.last);
    expect(z.hint).toBe(a);
  });

  it('of what comes from before a loop and is read in it reach to its end', () => {
    const body = [constant(a, 1), loop([constant(b, 2), add(c, a, b), store(p, c), constant(d, 3), store(p, d)])];
    const lives = intervalsOf(body);
    expect(lives.get(a.id)!.last).toBeGreaterThan(lives.get(d.id)!.last);
    // What is made and read within one trip does not.
    expect(lives.get(c.id)!.last).toBeLessThan(lives.get(d.id)!.first);
    // An access in a loop counts 8 times.
    expect([a, b].map(r => lives.get(r.id)!.weight)).toEqual([9, 16]);
  });
});

describe('places', () => {
  const life = (id: number, first: number, last: number, weight: number, hint: Reg | null = null): Interval => ({ reg: reg(id), first, last, weight, hint }); // biome-ignore format: one line
  const pools = { general: [], vector: [0, 1], mask: [] };

  it('are taken over from what has ended, by the hint where it can be', () => {
    const { places, stackBytes } = allocate([life(1, 0, 9, 2), life(2, 1, 3, 2), life(3, 4, 9, 2, reg(2))], pools);
    expect(places.slice(1)).toEqual([0, 1, 1]);
    expect(stackBytes).toBe(0);
  });

  it('on the stack are for the values least used for their length', () => {
    const { places, stackBytes } = allocate([life(1, 0, 99, 2), life(2, 1, 9, 80), life(3, 2, 9, 80)], pools);
    expect(places.slice(1)).toEqual([~0, 1, 0]);
    expect(stackBytes).toBe(64);
  });
});
