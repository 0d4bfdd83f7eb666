/** Which constants of innermost loops move in front of them, and that nothing else changes. */
import { describe, expect, it } from 'vitest';
import { hoistConstants } from '../../../src/backends/x86/hoist.ts';
import type { Inst, Reg, Scalar } from '../../../src/compiler/loops.ts';

const reg = (id: number, scalar: Scalar = 'f32', lanes = 16): Reg => ({ id, type: { scalar, lanes } });
const constant = (d: Reg, value: number): Inst => ({ op: 'const', d, value });
const add = (d: Reg, a: Reg, b: Reg): Inst => ({ op: 'bin', fn: 'add', d, a, b });
const trips = (n: number, body: Inst[]): Inst => ({ op: 'for', i: reg(0, 'i32', 1), lo: 0, hi: n, step: 1, body });

/** What stands in front of the loop and in it, as text. */
function hoisted(body: Inst[], registers = 32): { before: string[]; inside: string[]; held: number[] } {
  const { body: out, held } = hoistConstants(body, registers);
  const text = (inst: Inst): string => {
    if (inst.op === 'const') return `v${inst.d.id} = ${Object.is(inst.value, -0) ? '-0' : inst.value}`;
    if (inst.op === 'bin') return `v${inst.d.id} = ${inst.fn} v${inst.a.id} v${inst.b.id}`;
    return inst.op;
  };
  const loop = out.find(inst => inst.op === 'for')!;
  return {
    before: out.slice(0, out.indexOf(loop)).map(text),
    inside: (loop as Extract<Inst, { op: 'for' }>).body.map(text),
    held: [...held],
  };
}

const [a, b, c, d, e, f, g] = [reg(1), reg(2), reg(3), reg(4), reg(5), reg(6), reg(13)];

describe('vector constants of innermost loops', () => {
  it('move in front of the loop, equal ones as one', () => {
    const body = [constant(a, 2), constant(b, 2), add(c, a, b), add(d, c, b)];
    expect(hoisted([trips(100, body)])).toEqual({
      before: ['v1 = 2'],
      inside: ['v3 = add v1 v1', 'v4 = add v3 v1'],
      held: [1],
    });
  });

  it('stay where something else is written over them: sums that begin as equal constants are not one', () => {
    const body = [constant(a, 0), constant(b, 0), constant(c, 2), add(a, a, c), add(b, b, f)];
    expect(hoisted([trips(100, body)])).toEqual({
      before: ['v3 = 2'],
      inside: ['v1 = 0', 'v2 = 0', 'v1 = add v1 v3', 'v2 = add v2 v6'],
      held: [3],
    });
  });

  it('are told apart by type and by the sign of zero', () => {
    const wide = reg(7, 'f64', 8);
    const body = [constant(a, 0), constant(b, -0), constant(wide, 0), add(c, a, b), add(reg(8, 'f64', 8), wide, wide)];
    expect(hoisted([trips(100, body)]).before).toEqual(['v1 = 0', 'v2 = -0', 'v7 = 0']);
  });

  it('stay where the loop is short, and where they are scalars or counts of shifts', () => {
    const body = [constant(a, 2), add(c, a, a)];
    expect(hoisted([trips(3, body)])).toEqual({ before: [], inside: ['v1 = 2', 'v3 = add v1 v1'], held: [] });
    const [scalar, x, count] = [reg(9, 'f32', 1), reg(10, 'i32'), reg(11, 'i32')];
    const shift: Inst = { op: 'bin', fn: 'shl', d: x, a: x, b: count };
    const stays = [constant(scalar, 2), add(reg(12, 'f32', 1), scalar, scalar), constant(count, 3), shift];
    expect(hoisted([trips(100, stays)]).before).toEqual([]);
  });

  it('leave the loop its registers: what is written most often goes first', () => {
    // One register is f's across the loop, two a sum's and its operand's, two are for what is in the making.
    const body = [constant(a, 2), constant(b, 3), constant(g, 3), add(c, f, a), add(d, c, b), add(e, d, g)];
    const all = [add(f, f, f), trips(100, body), add(f, f, f)];
    expect(hoisted(all, 6)).toEqual({
      before: ['v6 = add v6 v6', 'v2 = 3'],
      inside: ['v1 = 2', 'v3 = add v6 v1', 'v4 = add v3 v2', 'v5 = add v4 v2'],
      held: [2],
    });
    expect(hoisted(all, 7).held).toEqual([2, 1]);
    expect(hoisted(all, 5).held).toEqual([]);
    // A sum that begins as a constant takes one, too.
    expect(hoisted([constant(f, 0), trips(100, [...body, add(f, f, e)]), add(f, f, f)], 5).held).toEqual([]);
    expect(hoisted([constant(f, 0), trips(100, [...body, add(f, f, e)]), add(f, f, f)], 6).held).toEqual([2]);
  });

  it('of loops that hold loops do not move', () => {
    const inner = trips(100, [constant(a, 2), add(c, a, a)]);
    const { body } = hoistConstants([trips(100, [constant(b, 5), add(d, b, b), inner])], 32);
    const outer = body[0] as Extract<Inst, { op: 'for' }>;
    expect(body).toHaveLength(1);
    expect(outer.body.map(inst => inst.op)).toEqual(['const', 'bin', 'const', 'for']);
  });
});
