import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../../src/backends/wasm/index.ts';
import { beginGraph, compileGraph, compileSteps } from '../../src/compiler/compile.ts';
import type { Value } from '../../src/compiler/flow.ts';
import { type GraphProgram, outlineOf, type Place } from '../../src/compiler/program.ts';
import * as g from '../../src/graph/build.ts';
import { bytesOf } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { randomGraph } from '../fuzz/graph.ts';
import { adam, layerNorm, mean, relu, softmax, spread, values } from './graphs.ts';
import { both, programOf, TARGET } from './support.ts';

/** Walks the program and follows, in units of 64 bytes, which value every place holds. */
function checkMemory(graph: GraphProgram): void {
  const program = compileGraph(graph, TARGET);
  const steps = compileSteps(graph, TARGET);
  const holds = new Map<string, Value | string>();
  let since: { units: Set<string>; single: boolean; writes: boolean }[] = [];
  const unitsOf = (place: Place, bytes: number): string[] => {
    if (place.kind === 'count') return [];
    if (!('offset' in place)) return [`${place.kind}${place.index}`];
    expect(place.offset % 64).toBe(0);
    expect(place.offset + bytes).toBeLessThanOrEqual(program.arenaBytes);
    return Array.from({ length: Math.ceil(bytes / 64) }, (_, i) => `arena${place.offset / 64 + i}`);
  };
  program.kernels.forEach(({ places, barrierBefore, kernel }, k) => {
    const { refs, single } = steps[k]!.lowered;
    if (barrierBefore) since = [];
    const accesses = refs.map((ref, i) => {
      const { access, elements, dtype } = kernel.buffers[i]!;
      return { ref, access, units: unitsOf(places[i]!, elements * bytesOf(dtype)) };
    });
    for (const { ref, access, units } of accesses) {
      if (ref.kind !== 'value' || ref.value.leaf >= 0 || (access !== 'read' && access !== 'readwrite')) continue;
      if (steps[k]!.kernel.stores.includes(ref.value)) continue;
      for (const unit of units)
        if (holds.get(unit) !== ref.value) throw new Error(`kernel ${k} reads ${unit} after it was overwritten`);
    }
    for (const { units, access } of accesses) {
      const writes = access !== 'read';
      for (const other of since)
        if ((writes || other.writes) && !(single && other.single) && units.some(unit => other.units.has(unit)))
          throw new Error(`kernel ${k} does not wait for what it depends on`);
    }
    for (const { ref, access, units } of accesses) {
      since.push({ units: new Set(units), single, writes: access !== 'read' });
      if (access !== 'read')
        for (const unit of units) holds.set(unit, ref.kind === 'value' ? ref.value : `kernel ${k}`);
    }
  });
}

const variable = (shape: number[], seed: number): Node<'variable'> =>
  g.variable(new Variable(shape, 'f32', values(shape, seed).value!));

describe('plan', () => {
  it('is made step by step, and the same as if all kernels were there', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const graph = programOf(randomGraph(seed).map(value => value.node));
      const program = beginGraph(graph, TARGET);
      expect(program.kernels).toHaveLength(program.preparations);
      while (program.kernels.length < program.count) {
        const before = program.kernels.length;
        program.next();
        expect(program.kernels).toHaveLength(before + 1);
      }
      expect(outlineOf(program)).toEqual(outlineOf(compileGraph(graph, TARGET)));
    }
  });

  it('no kernel overwrites what is still read, and threads meet where memory is shared (random graphs)', () => {
    for (let seed = 1; seed <= 200; seed++) checkMemory(programOf(randomGraph(seed).map(value => value.node)));
  });

  it('chains take turns in little memory', () => {
    let x = values([64, 100]);
    for (let i = 0; i < 40; i++) x = softmax(g.contract(x, values([100, 100], i + 2), [0, 1], [1, 2], [0, 2]));
    const program = compileGraph(programOf([x]), TARGET);
    // Two values of 64 x 100 are live at a time, beside the packed operands of one contraction.
    expect(program.arenaBytes).toBeLessThan(2 * 64 * 100 * 4 + 200_000);
    checkMemory(programOf([x]));
  });

  it('variables exchange values', () => {
    const [a, b] = [variable([300], 1), variable([300], 2)];
    const updates = [
      { leaf: a, node: b },
      { leaf: b, node: g.binary('mul', a, b) },
    ];
    const { compiled, reference } = both([a], updates);
    expect(compiled).toEqual(reference);
  });

  it('of variables whose new values need each other by kernels of their own, all but one are written behind', () => {
    const [weights, scale, shift] = [variable([31, 1], 1), variable([1], 2), variable([1, 1], 3)];
    const total = g.reduce('sum', weights, [0]);
    const updates = [
      { leaf: weights, node: g.binary('mul', weights, g.broadcastTo(g.binary('add', scale, g.reshape(shift, [1])), [31, 1])) },
      { leaf: scale, node: g.binary('mul', scale, total) },
      { leaf: shift, node: g.binary('add', shift, g.reshape(g.binary('mul', scale, total), [1, 1])) },
    ]; // biome-ignore format: a table
    checkMemory(programOf([], updates));
    const { compiled, reference } = both([], updates);
    for (const [k, want] of reference.entries())
      for (const [i, value] of want.entries()) expect(compiled[k]![i]).toBeCloseTo(Number(value), 4);
  });

  it('an update waits for every other reader of the old value', () => {
    const p = variable([40, 40], 1);
    const next = g.binary('sub', p, g.full(1, [40, 40], 'f32'));
    const late = g.contract(g.unary('exp', g.reduce('sum', p, [1])), p, [0], [0, 1], [1]);
    const { compiled, reference } = both([late], [{ leaf: p, node: next }]);
    expect(compiled[1]).toEqual(reference[1]);
    compiled[0]!.forEach((x, i) => {
      expect(Number(x)).toBeCloseTo(Number(reference[0]![i]), 3);
    });
  });

  it('rows of a variable are written in place: nothing else of it moves, and indices outside are left out', () => {
    const p = variable([5000, 4], 1);
    const index = g.data(new Int32Array([7, 4999, 5000, -1, 12]), [5], 'i32');
    const rows = g.binary('mul', values([5, 4], 3), values([5, 4], 4));
    const updates = [{ leaf: p, node: g.scatter('set', p, index, rows, 0, 'rows', true) }];
    const read = g.reduce('sum', p, [0]);
    const { compiled, reference } = both([read], updates);
    expect(compiled[1]).toEqual(reference[1]);
    const { kernels } = compileGraph(programOf([read], updates), TARGET);
    const commits = kernels.filter(kernel => kernel.commits);
    expect(commits.map(({ kernel }) => kernel.buffers.map(buffer => buffer.access))).toEqual([
      ['write', 'read', 'read'],
    ]);
  });

  it('a scatter into a variable whose result is read elsewhere too is not done in place', () => {
    const p = variable([50, 4], 1);
    const index = g.data(new Int32Array([7, 49, 12]), [3], 'i32');
    const next = g.scatter('set', p, index, values([3, 4], 3), 0, 'rows', true);
    const { compiled, reference } = both([g.unary('exp', next)], [{ leaf: p, node: next }]);
    expect(compiled[1]).toEqual(reference[1]);
  });

  it('nothing is written before everything that can fail has run', () => {
    const p = variable([10, 4], 1);
    const index = g.data(new Int32Array([1, 12]), [2], 'i32');
    const picked = g.gather(p, index, 0, 'embedding');
    const graph = programOf([g.reduce('sum', picked, [0, 1])], [{ leaf: p, node: g.unary('neg', p) }]);
    const { kernels } = compileGraph(graph, TARGET);
    const steps = compileSteps(graph, TARGET);
    const lastFailing = steps.findLastIndex(step => step.lowered.mayFail);
    const firstCommit = kernels.findIndex(kernel => kernel.commits);
    expect(lastFailing).toBeGreaterThanOrEqual(0);
    expect(firstCommit).toBeGreaterThan(lastFailing);
    const backend = createWasmBackend();
    const before = p.attrs.variable.read().slice();
    expect(() =>
      backend.compile(graph).run(graph.leaves.map(leaf => (leaf.is('variable') ? leaf.attrs.variable : leaf.value!))),
    ).toThrow('embedding: index 12 is out of range for 10 elements');
    expect(p.attrs.variable.read()).toEqual(before);
  });
});

describe('threads', () => {
  it('do not change a bit', () => {
    const x = values([256, 512]);
    const w = values([512, 512], 2);
    const h = relu(g.contract(x, w, [0, 1], [1, 2], [0, 2]));
    const rows = layerNorm(softmax(h), values([512], 3), values([512], 4));
    const columns = g.reduce('sum', rows, [0]);
    const centred = g.binary('sub', rows, spread(mean(rows, [0]), rows.shape, [0]));
    const all = g.reduce('sum', g.binary('mul', centred, centred), [0, 1]);
    const next = adam(w, values([512, 512], 5), g.binary('mul', w, w), g.contract(x, rows, [0, 1], [0, 2], [1, 2]));
    const graph = programOf([columns, all, next.p, next.v]);
    const backend = createWasmBackend();
    const run = (threads: number): unknown => {
      backend.threads = threads;
      return backend.compile(graph).run(graph.leaves.map(leaf => leaf.value!));
    };
    const one = run(1);
    for (let i = 0; i < 2; i++) expect(run(2)).toEqual(one);
  });
});
