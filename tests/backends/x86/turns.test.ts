/** Which vectors of innermost loops take turns, and that what is computed stays the same. */
import { describe, expect, it } from 'vitest';
import { takeTurns } from '../../../src/backends/x86/turns.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { Inst, LoopKernel, Reg } from '../../../src/compiler/loops.ts';
import { interpret } from '../../compiler/routines-interpret.ts';
import { Random } from '../../fuzz/random.ts';

const LANES = 4;
const TRIPS = 5;
const ELEMENTS = 200;
type Loop = Extract<Inst, { op: 'for' }>;

const kernel = (body: readonly Inst[]): LoopKernel => {
  const buffer = { dtype: 'f32', elements: ELEMENTS, access: 'readwrite' } as const;
  return {
    name: 'turns',
    buffers: [
      { name: 'x', ...buffer },
      { name: 'y', ...buffer },
    ],
    body,
  };
};

function results(body: readonly Inst[]): number[] {
  const arrays = [0, 1].map(k => Float32Array.from({ length: ELEMENTS }, (_, i) => Math.sin(i + 100 * k)));
  interpret(kernel(body), arrays);
  return arrays.flatMap(array => [...array]);
}

/** A loop over vectors at `places` of both buffers, each through `steps` additions and products. */
function vectors(places: readonly number[], steps: number, storesLast: boolean): LoopBuilder {
  const b = new LoopBuilder();
  b.for(0, TRIPS * 4, 4, i => {
    const [x, y] = [b.addr(0, i), b.addr(1, i)];
    const stores = places.map(place => {
      let value = b.load('f32', x, 4 * place, LANES);
      for (let k = 0; k < steps; k++) value = b.fma(value, b.const('f32', 0.5 + k / 64, LANES), value);
      const store = (): void => b.store('f32', y, value, 4 * place);
      if (!storesLast) store();
      return store;
    });
    if (storesLast) for (const store of stores) store();
  });
  return b;
}

const inside = (body: readonly Inst[]): readonly Inst[] => body.find((inst): inst is Loop => inst.op === 'for')!.body;

describe('vectors of innermost loops', () => {
  it('take turns, each a few instructions behind the one before it, as registers allow', () => {
    const { instructions } = vectors([0, 4, 8, 12], 10, true);
    const ops = (registers: number): string =>
      inside(takeTurns(instructions, registers))
        .map(({ op }) => ({ load: 'L', store: 'S', fma: '*' })[op as string] ?? '')
        .join('');
    expect(ops(12)).toBe(`LLLL${'****'.repeat(10)}SSSS`);
    expect(ops(7)).toMatch(/^L\*+L\*+L\*+L/);
    expect(ops(4)).toBe(`${`L${'*'.repeat(10)}`.repeat(4)}SSSS`);
  });

  it('are further apart where too many constants would have to be loaded', () => {
    const { instructions } = vectors([0, 4, 8, 12, 16, 20, 24, 28], 12, true);
    const together = (registers: number): boolean =>
      inside(takeTurns(instructions, registers))
        .filter(({ op }) => op === 'load' || op === 'fma')
        .slice(0, 8)
        .every(({ op }) => op === 'load');
    expect(together(20)).toBe(true);
    expect(together(12)).toBe(false);
  });

  it('stay in order where they are short, alone, or one needs what another has', () => {
    for (const { instructions } of [vectors([0, 4], 3, true), vectors([0], 30, true)])
      expect(takeTurns(instructions, 30)).toBe(instructions);
    const b = new LoopBuilder();
    b.for(0, 8, 1, i => {
      let [u, v] = [b.load('f32', b.addr(0, i), 0, LANES), b.load('f32', b.addr(1, i), 0, LANES)];
      for (let k = 0; k < 10; k++) [u, v] = [b.add(u, v), b.mul(u, v)];
      b.store('f32', b.addr(0, i), u);
    });
    expect(takeTurns(b.instructions, 30)).toBe(b.instructions);
  });

  it('stay in order where something is loaded behind a store: it may be what was stored', () => {
    const { instructions } = vectors([0, 4], 10, false);
    expect(takeTurns(instructions, 30)).toBe(instructions);
  });

  it('change places as before: all is loaded before anything is stored', () => {
    for (const registers of [8, 10, 30]) {
      const { instructions } = swapped();
      const now = takeTurns(instructions, registers);
      expect(now).not.toBe(instructions);
      expect(results(now)).toEqual(results(instructions));
    }
  });

  it('compute the same, whatever their lengths, sums and places', () => {
    const random = new Random(287);
    let changed = 0;
    for (let round = 0; round < 300; round++) {
      const { instructions } = drawn(random);
      const now = takeTurns(instructions, 6 + random.int(20));
      if (now !== instructions) changed++;
      expect(results(now)).toEqual(results(instructions));
    }
    expect(changed).toBeGreaterThan(100);
  });
});

/** Two vectors that change places, one through a longer formula than the other. */
function swapped(): LoopBuilder {
  const b = new LoopBuilder();
  b.for(0, TRIPS * 8, 8, i => {
    const p = b.addr(0, i);
    const loaded = [0, 16].map(offset => b.load('f32', p, offset, LANES));
    const values = loaded.map((x, which) => {
      let value = x;
      for (let k = 0; k < 8 + 12 * which; k++) value = b.add(value, b.const('f32', 0.75, LANES));
      return value;
    });
    for (const [which, value] of values.entries()) b.store('f32', p, value, 16 - 16 * which);
  });
  return b;
}

/** A loop of some vectors through drawn operations, into drawn places that may be those of others, with sums or without. */
function drawn(random: Random): LoopBuilder {
  const b = new LoopBuilder();
  const count = 2 + random.int(5);
  const zero = b.const('f32', 0, LANES);
  const sums = Array.from({ length: count }, () => (random.once(3) ? b.copy(zero) : null));
  b.for(0, TRIPS * 4, 4, i => {
    const pointers = [b.addr(0, i), b.addr(1, i)];
    const place = (): number => 4 * random.int(24);
    const shared = b.splat(b.cvt('f32', i), LANES);
    const step = (x: Reg, first: Reg): Reg => {
      const c = random.once(2) ? shared : b.const('f32', random.int(8) / 4, LANES);
      const other = random.once(3) ? b.un('abs', x) : random.pick([c, first]);
      switch (random.int(4)) {
        case 0:
          return b.add(x, other);
        case 1:
          return b.fma(x, c, first);
        case 2:
          return b.bin('pmin', other, x);
        default:
          return b.select(b.cmp('lt', x, other), c, x);
      }
    };
    const ends = sums.map(sum => {
      const first = b.load('f32', random.pick(pointers), place(), LANES);
      let value = first;
      for (let k = 4 + random.int(12); k > 0; k--) value = step(value, first);
      if (sum) b.move(sum, b.add(sum, value));
      return sum && random.once(2) ? sum : value;
    });
    for (const end of ends) b.store('f32', random.pick(pointers), end, place());
  });
  for (const [k, sum] of sums.entries()) if (sum) b.store('f32', b.addr(1, b.i32(100 + 8 * k)), sum);
  return b;
}
