/**
 * First runs that begin while the program's code is still being written: what they compute is what every later run
 * computes, on any number of threads.
 */
import { describe, expect, it, vi } from 'vitest';
import { queryCpu } from '../../../src/backends/x86/cpu.ts';
import { targetOf } from '../../../src/backends/x86/isa.ts';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native, PAGE } from '../../../src/backends/x86/memory/native.ts';
import { ProgramEmitter } from '../../../src/backends/x86/program-code.ts';
import { compileGraph } from '../../../src/compiler/compile.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { Variable } from '../../../src/graph/storage.ts';
import { F, manualSeed, randn, type Tensor, vjp } from '../../../src/index.ts';
import { programOf } from '../../compiler/support.ts';
import { coming, distinct, gatherUpdateProgram, mirrored, mirrorProgram } from '../../support/loop-programs.ts';
import { isas, machineCode } from './available.ts';

describe.skipIf(!machineCode)('first runs', () => {
  const isa = isas[isas.length - 1]!;
  const native = new Native();
  /** A machine whose segments hold hardly more than a kernel. */
  const machineOf = (threads: number, segmentBytes = 64): Machine => {
    const machine = new Machine(native, isa, { allThreads: true, segmentBytes });
    machine.threads = threads;
    return machine;
  };

  it.each([1, 2, 3])('on %i threads, each step as soon as it is written', threads => {
    const machine = machineOf(threads);
    const lead = vi.spyOn(machine.pool, 'lead');
    const n = 1000;
    const x = Float32Array.from({ length: n }, (_, i) => i);
    const loaded = machine.load(distinct(mirrorProgram(n, 101)));
    expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
    expect(lead).toHaveBeenCalled();
    const calls = lead.mock.calls.length;
    expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
    expect(lead).toHaveBeenCalledTimes(calls);
  });

  it('have more code than there is room for before all of it is written', () => {
    const machine = machineOf(2);
    const reserve = native.reserve.bind(native);
    const room = vi.spyOn(native, 'reserve').mockImplementation(() => reserve(4 * PAGE));
    const ready = vi.spyOn(machine.pool, 'ready');
    const x = Float32Array.from({ length: 1000 }, (_, i) => i);
    expect(machine.load(distinct(mirrorProgram(1000, 101))).run([x])[0]).toEqual(mirrored(x, 101));
    room.mockRestore();
    // None at first, some by and by, and then all: what comes between has no room.
    const counts = ready.mock.calls.map(([count]) => count);
    expect(counts.length).toBeGreaterThan(3);
    expect(counts.length).toBeLessThan(10);
    expect(counts.at(-1)).toBe(101);
  });

  it.each([1, 2, 3])(
    'on %i threads, make kernels as they go, also where these need more memory in the end',
    threads => {
      const x = Float32Array.from({ length: 1000 }, (_, i) => i);
      for (const most of [0, 64 << 20]) {
        const machine = machineOf(threads);
        const written = vi.fn<NonNullable<Parameters<Machine['load']>[1]>>();
        const program = coming(distinct(mirrorProgram(1000, 101)), most);
        const loaded = machine.loadComing(program, written);
        expect(program.kernels.length).toBeLessThan(10);
        expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
        expect(written.mock.calls[0]![0].outline.kernels).toHaveLength(101);
        expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
        expect(machine.workspace(0).bytes).toBeGreaterThanOrEqual(most);
      }
    },
  );

  it('that are awaited, freed before or dropped find all of the code or need none', async () => {
    const machine = machineOf(2);
    const x = new Float32Array(100);
    const program = distinct(mirrorProgram(100, 9));
    expect((await machine.load(program).runAsync([x]))[0]).toEqual(mirrored(x, 9));
    const freed = machine.load(program);
    freed.free();
    expect(() => freed.run([x])).toThrow('freed');
  });

  it('end where their code cannot be written, and come to nobody after that', () => {
    const machine = machineOf(2);
    const loaded = machine.load(distinct(mirrorProgram(1000, 101)));
    const write = ProgramEmitter.prototype.advance;
    let segments = 0;
    const advance = vi.spyOn(ProgramEmitter.prototype, 'advance').mockImplementation(function (this: ProgramEmitter) {
      if (++segments === 20) throw new Error('no more');
      return write.call(this);
    });
    const x = Float32Array.from({ length: 1000 }, (_, i) => i);
    expect(() => loaded.run([x])).toThrow('no more');
    expect(machine.pool.leads).toBe(false);
    advance.mockRestore();
    expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
  });

  it('that fail change no variable', () => {
    const machine = machineOf(2);
    const loaded = machine.load(distinct(gatherUpdateProgram(5, 3)));
    const weight = new Variable([5], 'f32', Float32Array.of(1, 2, 3, 4, 5));
    const table = Float32Array.of(10, 20, 30);
    expect(() => loaded.run([weight, table, BigInt64Array.of(3n)])).toThrow('index 3 is out of range for 3 elements');
    expect([...weight.read()]).toEqual([1, 2, 3, 4, 5]);
    loaded.run([weight, table, BigInt64Array.of(1n)]);
    expect([...weight.read()]).toEqual([21, 22, 23, 24, 25]);
  });

  it('tell their code, and have the bits of runs whose code was there, also over memory that is kept', () => {
    manualSeed(5);
    const leaf = (shape: readonly number[]): Tensor => {
      const x = randn(shape);
      x.data();
      return x;
    };
    const loss = (x: Tensor, w: Tensor, v: Tensor): Tensor =>
      F.conv2d(x, w, null, { padding: 1 }).relu().flatten(1).matmul(v).softmax(1).log().sum();
    const [y, pullback] = vjp(loss, leaf([2, 16, 8, 8]), leaf([32, 16, 3, 3]), leaf([32 * 64, 8]));
    const graph = programOf([y, ...pullback(y)].map(t => t!.node));
    const bindings = graph.leaves.map(node => node.value!);
    for (const lasting of [false, true]) {
      const program = compileGraph(
        { ...graph, lasting: graph.leaves.map(() => lasting) },
        targetOf(isa, queryCpu(native)),
      );
      if (lasting) expect(program.preparations).toBeGreaterThan(0);
      const all = machineOf(2, Number.POSITIVE_INFINITY).load(program).run(bindings);
      const codes = [1, 3].map(threads => {
        const machine = machineOf(threads, 256);
        const written = vi.fn<NonNullable<Parameters<Machine['load']>[1]>>();
        const loaded = machine.load(program, written);
        expect(written).not.toHaveBeenCalled();
        for (let run = 0; run < 2; run++) expect(loaded.run(bindings)).toEqual<HostArray[]>(all);
        const { bytes, steps } = written.mock.calls[0]![0].code;
        return { bytes: bytes.length, steps };
      });
      expect(codes[0]).toEqual(codes[1]);
    }
  });
});
