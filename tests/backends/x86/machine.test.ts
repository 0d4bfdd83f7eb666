/**
 * Whole programs as machine code: threads, barriers, commits, the error record, and the memory they run in.
 */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import { Machine } from '../../../src/backends/x86/machine.ts';
import { Native } from '../../../src/backends/x86/memory/native.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import { Variable } from '../../../src/graph/storage.ts';
import { gatherUpdateProgram, mirrored, mirrorProgram } from '../../support/loop-programs.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas, machineCode } from './available.ts';

describe.skipIf(!machineCode)('x86 machine', () => {
  for (const threads of [1, 2, 3])
    it(`runs ${threads} threads through 101 barriers`, () => {
      const machine = new Machine(new Native(), isas[0]!, { allThreads: true });
      machine.threads = threads;
      const n = 1000;
      const loaded = machine.load(mirrorProgram(n, 101));
      const x = Float32Array.from({ length: n }, (_, i) => i);
      for (let run = 0; run < 20; run++) expect(loaded.run([x])[0]).toEqual(mirrored(x, 101));
      loaded.free();
      expect(() => loaded.run([x])).toThrow('freed');
    });

  it('works where the workspace has come to lie, also in runs of one source', () => {
    const machine = new Machine(new Native(), isas[0]!);
    const n = 1000;
    const loaded = machine.load(mirrorProgram(n, 3));
    const x = Float32Array.from({ length: n }, (_, i) => i + 1);
    for (let run = 0; run < 3; run++) expect(loaded.run([x], 1)[0]).toEqual(mirrored(x, 3));
    const before = machine.workspace(0);
    const { view } = machine.workspace(2 * before.bytes);
    view.fill(0);
    expect(loaded.run([x], 1)[0]).toEqual(mirrored(x, 3));
    expect(view.some(byte => byte !== 0)).toBe(true);
  });

  it('has memory touched ahead for variables, once each, with values or without', () => {
    const machine = new Machine(new Native(), isas[0]!);
    const allocate = vi.spyOn(machine.native, 'preferLargePages');
    const size = 3 << 20;
    const host = Float32Array.from({ length: size }, (_, i) => i % 1000);
    const variables = [
      new Variable([size], 'f32', host),
      new Variable([size], 'f32', memory => memory.fill(7 as never)),
    ];
    machine.expectVariables(variables);
    machine.expectVariables(variables);
    // While the pages are still being touched.
    const [first, second] = variables.map(variable => new Float32Array(machine.reside(variable).view.slice().buffer));
    expect(allocate).toHaveBeenCalledTimes(2);
    expect(first!.every((x, i) => x === host[i])).toBe(true);
    expect(second!.every(x => x === 7)).toBe(true);
  });

  it('writes variables in place, and leaves them alone when an index is out of range', async () => {
    const machine = new Machine(new Native(), isas[0]!, { allThreads: true });
    const loaded = machine.load(gatherUpdateProgram(5, 3));
    for (const threads of [1, 2]) {
      machine.threads = threads;
      const weight = new Variable([5], 'f32', Float32Array.of(1, 2, 3, 4, 5));
      const table = Float32Array.of(10, 20, 30);
      const [sum] = loaded.run([weight, table, BigInt64Array.of(1n)]);
      expect([...weight.read()]).toEqual([21, 22, 23, 24, 25]);
      expect([...sum!]).toEqual([22, 24, 26, 28, 30]);
      expect(() => loaded.run([weight, table, BigInt64Array.of(-7n)])).toThrow(
        'gather: index -7 is out of range for 3 elements',
      );
      expect([...weight.read()]).toEqual([21, 22, 23, 24, 25]);
      await loaded.runAsync([weight, table, BigInt64Array.of(2n)]);
      expect([...weight.read()]).toEqual([51, 52, 53, 54, 55]);
      weight.write(Float32Array.of(0, 0, 0, 0, 1));
      loaded.run([weight, table, BigInt64Array.of(0n)]);
      expect([...weight.read()]).toEqual([10, 10, 10, 10, 11]);
    }
  });

  it.each(isas.map(isa => ({ isa, lanes: isa === 'avx2' ? 8 : 16 })))(
    'keeps values that do not fit the registers on the stack: $isa',
    ({ isa, lanes }) => {
      // 60 vectors, 40 integers and 12 masks alive at once, over a loop.
      const b = new LoopBuilder();
      const vectors = Array.from({ length: 60 }, (_, k) => b.load('f32', b.addr(0), k * 64, lanes));
      const integers = Array.from({ length: 40 }, (_, k) => b.load('i32', b.addr(1), k * 4));
      const masks = vectors.slice(0, 12).map((v, k) => b.cmp('lt', v, b.const('f32', k, lanes)));
      const sum = b.copy(b.const('f32', 0, lanes));
      b.for(0, b.load('i32', b.addr(1), 0), 1, i => {
        for (const [k, v] of vectors.entries())
          b.move(sum, b.fma(v, b.splat(b.cvt('f32', b.add(integers[k % 40]!, i)), lanes), sum));
        for (const m of masks) b.move(sum, b.select(m, b.add(sum, b.const('f32', 1, lanes)), sum));
      });
      b.store('f32', b.addr(2), sum);
      const x = Float32Array.from({ length: 960 }, (_, i) => (i * 7) % 16);
      const n = Int32Array.from({ length: 40 }, (_, i) => ((i * 3) % 5) + 3);
      const out = new Float32Array(lanes);
      const buffer = (name: string, dtype: 'f32' | 'i32', elements: number) =>
        ({ name, dtype, elements, access: 'readwrite' }) as const;
      runX86Kernel(
        {
          name: 'spills',
          buffers: [buffer('x', 'f32', 960), buffer('n', 'i32', 40), buffer('out', 'f32', lanes)],
          body: b.instructions,
        },
        [x, n, out],
        { isa },
      );
      const want = Array.from({ length: lanes }, (_, lane) => {
        let total = 0;
        for (let i = 0; i < n[0]!; i++) {
          for (let k = 0; k < 60; k++) total += x[k * 16 + lane]! * (n[k % 40]! + i);
          for (let k = 0; k < 12; k++) total += x[k * 16 + lane]! < k ? 1 : 0;
        }
        return total;
      });
      expect([...out]).toEqual(want);
    },
  );

  it('leaves the event loop free while a program runs, and keeps the order of programs', async () => {
    const machine = new Machine(new Native(), isas[0]!, { allThreads: true });
    machine.threads = 2;
    const n = 50_000;
    const loaded = machine.load(mirrorProgram(n, 601));
    const x = Float32Array.from({ length: n }, (_, i) => i);
    const start = performance.now();
    const [want] = loaded.run([x]);
    const alone = performance.now() - start;
    // By now it is known that it takes long.
    for (let i = 0; i < 3; i++) loaded.run([x]);
    const update = machine.load(gatherUpdateProgram(5, 3));
    const weight = new Variable([5], 'f32', Float32Array.of(1, 1, 1, 1, 1));
    const table = Float32Array.of(10, 20, 30);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    // The quickest of some calls: a busy machine may take the core away during any of them.
    const long = [];
    let quickest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const called = performance.now();
      long.push(loaded.runAsync([x]));
      quickest = Math.min(quickest, performance.now() - called);
    }
    expect(quickest).toBeLessThan(Math.max(5, alone / 2));
    const first = update.runAsync([weight, table, BigInt64Array.of(1n)]);
    const wrong = update.runAsync([weight, table, BigInt64Array.of(9n)]);
    for (const [out] of await Promise.all(long)) expect(out).toEqual(want);
    expect(turns).toBeGreaterThan(0);
    clearInterval(timer);
    await first;
    await expect(wrong).rejects.toThrow('index 9 is out of range');
    expect([...weight.read()]).toEqual([21, 21, 21, 21, 21]);
    // A run that waits for nobody goes after those that came before it.
    const led = loaded.runAsync([x]);
    const queued = update.runAsync([weight, table, BigInt64Array.of(0n)]);
    update.run([weight, table, BigInt64Array.of(0n)]);
    expect([...weight.read()]).toEqual([41, 41, 41, 41, 41]);
    expect((await led)[0]).toEqual(want);
    expect((await queued)[0]![0]).toBe(52);
  });

  it('has code in pages that cannot be written, and gives them back when a program is collected', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const machine = new Machine(new Native(), isas[0]!);
    const addresses: number[] = [];
    const load = machine.native.load.bind(machine.native);
    machine.native.load = code => {
      const pages = load(code);
      addresses.push(pages.address);
      return pages;
    };
    const kept = machine.load(mirrorProgram(64, 3));
    const permissions = (): (string | null)[] => {
      const maps = readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .map(line => /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line))
        .filter(match => match !== null)
        .map(([, from, to, mode]) => ({ from: Number.parseInt(from!, 16), to: Number.parseInt(to!, 16), mode: mode! }));
      return addresses.map(at => maps.find(({ from, to }) => at >= from && at < to)?.mode ?? null);
    };
    for (let i = 0; i < 50; i++) machine.load(mirrorProgram(64, 3)).run([new Float32Array(64)]);
    expect(new Set(permissions())).toEqual(new Set(['r-xp']));
    for (let i = 0; i < 20 && permissions().filter(mode => mode === 'r-xp').length > 1; i++) {
      gc();
      await new Promise(done => setTimeout(done, 10));
    }
    // Another mapping may have taken a freed page's place, with code or without; ours are the only ones of this kind
    // that come and go here.
    expect(permissions()[0]).toBe('r-xp');
    expect(permissions().filter(mode => mode === 'r-xp').length).toBeLessThan(10);
    expect(kept.run([new Float32Array(64)])[0]).toEqual(mirrored(new Float32Array(64), 3));
  });

  it('has no more code pages after thousands of programs than the few that are still held', {
    timeout: 120_000,
  }, async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const machine = new Machine(new Native(), isas[0]!);
    // Neighbouring mappings are one line.
    const executable = (): number =>
      [
        ...readFileSync('/proc/self/maps', 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) r-xp 00000000 00:00 0 *$/gm),
      ].reduce((pages, [, from, to]) => pages + (Number.parseInt(to!, 16) - Number.parseInt(from!, 16)) / 4096, 0);
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise(done => setTimeout(done, 5));
      }
    };
    const program = mirrorProgram(64, 3);
    await settle();
    const before = executable();
    for (let round = 0; round < 8; round++) {
      const held = Array.from({ length: 300 }, () => machine.load(program));
      expect(executable()).toBeGreaterThanOrEqual(before + held.length);
      held.length = 0;
      await settle();
    }
    expect(executable()).toBeLessThan(before + 20);
  });

  it('refuses an instruction set it does not know', () => {
    expect(() => createX86Backend({ isa: 'mmx' })).toThrow('x86: TENON_ISA is mmx, expected one of avx2');
  });
});
