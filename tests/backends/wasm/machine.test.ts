/**
 * Whole loop programs in one machine: staging, variables in place, the error record, threads, and memory over many
 * runs.
 */
import { describe, expect, it } from 'vitest';
import { Machine } from '../../../src/backends/wasm/machine.ts';
import { collect } from '../../../src/compiler/profile.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { Variable } from '../../../src/graph/storage.ts';
import {
  gatherUpdateProgram,
  mapKernel,
  mirrored,
  mirrorProgram,
  trappingProgram,
} from '../../support/loop-programs.ts';

const ramp = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i);

/** Waits until `threads` threads of the machine are up. */
async function awake(machine: Machine, threads: number): Promise<void> {
  machine.pool!.prepare(threads);
  while (machine.pool!.available(threads) < threads) await new Promise(resolve => setTimeout(resolve, 2));
}

/** Byte by byte: deep equality of a million numbers takes seconds. */
function expectBits(got: HostArray | undefined, want: HostArray): void {
  const bytes = (a: HostArray) => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
  expect(got && bytes(got).equals(bytes(want))).toBe(true);
}

/** A program whose work is large enough for threads: 64 passes of 4,096 elements with a chain of operations each. */
const heavy = () => mirrorProgram(1 << 15, 65);

describe('a program', () => {
  it('runs its kernels in order over leaves, arena and outputs', () => {
    const machine = new Machine(false);
    const x = ramp(10);
    const [out] = machine.load(mirrorProgram(10, 3)).run([x]);
    expect(out).toEqual(mirrored(x, 3));
    expect(out!.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('shares code between equal kernels', () => {
    const machine = new Machine(false);
    const names = WebAssembly.Module.exports(machine.load(mirrorProgram(8, 3)).threaded.module).map(e => e.name);
    expect(names).toEqual(['kernel0', 'kernel1', 'kernel2', 'run', 'barrier']);
    const separate = () => mapKernel('double', 16, 2, (b, x) => b.add(x, x));
    const program = mirrorProgram(16, 3);
    const kernels = program.kernels.map(k => ({ ...k, kernel: separate() }));
    expect(machine.load({ ...program, kernels }).run([ramp(16)])[0]).toEqual(ramp(16).map(v => v * 8));
  });

  it('reads variables where they are and writes them in place', () => {
    const machine = new Machine(false);
    const program = machine.load(gatherUpdateProgram(4, 3));
    const weight = new Variable([4], 'f32', ramp(4), 'weight');
    const table = Float32Array.of(10, 20, 30);
    expect(program.run([weight, table, BigInt64Array.of(1n)])[0]).toEqual(Float32Array.of(20, 22, 24, 26));
    expect(weight.host).toBeNull();
    expect(weight.version).toBe(1);
    program.run([weight, table, BigInt64Array.of(2n)]);
    expect(weight.read()).toEqual(Float32Array.of(50, 51, 52, 53));
    // A write from the host is seen by the next run.
    weight.write(Float32Array.of(0, 0, 0, 1));
    program.run([weight, table, BigInt64Array.of(0n)]);
    expect(weight.read()).toEqual(Float32Array.of(10, 10, 10, 11));
  });

  it('lets a leaf be a variable in one run and a host array in the next', () => {
    const machine = new Machine(false);
    const program = machine.load(mirrorProgram(5, 1));
    const asVariable = new Variable([5], 'f32', ramp(5));
    for (const binding of [ramp(5), asVariable, ramp(5).fill(3), asVariable]) {
      const host = binding instanceof Variable ? binding.read() : binding;
      expect(program.run([binding])[0]).toEqual(mirrored(host as Float32Array, 1));
    }
  });

  it('moves a variable over from another machine', () => {
    const [first, second] = [new Machine(false), new Machine(false)];
    const weight = new Variable([4], 'f32', ramp(4));
    const bindings = [weight, Float32Array.of(1), BigInt64Array.of(0n)];
    first.load(gatherUpdateProgram(4, 1)).run(bindings);
    second.load(gatherUpdateProgram(4, 1)).run(bindings);
    expect(weight.read()).toEqual(Float32Array.of(2, 3, 4, 5));
  });

  it('fails by name and changes no variable', () => {
    const machine = new Machine(false);
    const program = machine.load(gatherUpdateProgram(4, 3));
    const weight = new Variable([4], 'f32', ramp(4), 'weight');
    const table = Float32Array.of(10, 20, 30);
    expect(() => program.run([weight, table, BigInt64Array.of(7n)])).toThrow(
      'gather: index 7 is out of range for 3 elements',
    );
    expect(() => program.run([weight, table, BigInt64Array.of(-1n)])).toThrow('index -1 is out of range');
    expect(weight.read()).toEqual(ramp(4));
    expect(weight.version).toBe(0);
    // The record is cleared for the next run.
    expect(program.run([weight, table, BigInt64Array.of(0n)])[0]).toEqual(Float32Array.of(10, 12, 14, 16));
  });

  it('records one event per kernel while a profile is taken', () => {
    const machine = new Machine(false);
    const program = machine.load(mirrorProgram(10, 3));
    let out: unknown;
    const events = collect(() => {
      out = program.run([ramp(10)])[0];
    });
    expect(events.map(e => e.name)).toEqual(['mirror', 'mirror', 'mirror', 'profile']);
    expect(out).toEqual(mirrored(ramp(10), 3));
  });

  it('does not grow the memory over 10,000 runs, nor over 1,000 programs', () => {
    const machine = new Machine(false);
    const program = machine.load(gatherUpdateProgram(100, 3));
    const weight = new Variable([100], 'f32', ramp(100));
    const bindings = [weight, new Float32Array(3), BigInt64Array.of(1n)];
    program.run(bindings);
    const used = machine.memory.used;
    for (let i = 0; i < 10_000; i++) program.run(bindings);
    for (let i = 0; i < 1_000; i++) {
      const other = machine.load(mirrorProgram(8, 1));
      other.run([ramp(8)]);
      other.free();
    }
    expect(machine.memory.used).toBe(used);
    expect(weight.read()).toEqual(ramp(100));
  });

  it('that traps is an internal error', () => {
    const program = new Machine(false).load(trappingProgram(0));
    expect(() => program.run([ramp(1 << 15)])).toThrow('internal: a kernel trapped: RuntimeError: memory access');
  });

  it('grows the memory for large programs and keeps variables where they are', () => {
    const machine = new Machine(false);
    const weight = new Variable([4], 'f32', ramp(4));
    const small = machine.load(mirrorProgram(4, 1));
    expect(small.run([weight])[0]).toEqual(Float32Array.of(4, 3, 2, 1));
    const n = 1 << 20;
    expectBits(machine.load(mirrorProgram(n, 3)).run([ramp(n)])[0], mirrored(ramp(n), 3));
    expect(small.run([weight])[0]).toEqual(Float32Array.of(4, 3, 2, 1));
  });

  it('says how much memory it wanted when 4 GiB are not enough', () => {
    const machine = new Machine(false);
    const program = machine.load({ ...mirrorProgram(4, 1), arenaBytes: 2 ** 32 });
    expect(() => program.run([ramp(4)])).toThrow(/out of memory: 4097 MiB more than the \d+ MiB in use/);
    expect(machine.load(mirrorProgram(4, 1)).run([ramp(4)])[0]).toEqual(Float32Array.of(4, 3, 2, 1));
  });
});

describe('threads', () => {
  it('two of them meet at every barrier and give the same bits as one', async () => {
    const machine = new Machine();
    const x = ramp(1 << 15).map(v => Math.fround(v / 3));
    machine.threads = 1;
    const [alone] = machine.load(heavy()).run([x]);
    machine.threads = 2;
    const program = machine.load(heavy());
    await awake(machine, 2);
    for (let i = 0; i < 20; i++) expectBits(program.run([x])[0], alone);
    const events = collect(() => program.run([x]));
    expect(events[0]!.args!['threads']).toBe(2);
    expectBits(alone, mirrored(x, 65));
  });

  it('work above 2 GiB, where addresses have the sign bit set', async () => {
    const machine = new Machine();
    machine.memory.allocate(2.2e9);
    machine.threads = 2;
    await awake(machine, 2);
    const x = ramp(1 << 15);
    const program = machine.load(heavy());
    expect(program.args).toBeGreaterThan(2 ** 31);
    for (let i = 0; i < 3; i++) expectBits(program.run([x])[0], mirrored(x, 65));
  });

  it('three sleep between runs and wake again', async () => {
    const machine = new Machine();
    machine.threads = 3;
    const x = ramp(1 << 15);
    const program = machine.load(heavy());
    await awake(machine, 3);
    for (let i = 0; i < 3; i++) {
      await new Promise(resolve => setTimeout(resolve, 20));
      expectBits(program.run([x])[0], mirrored(x, 65));
    }
    machine.threads = 2;
    expectBits(program.run([x])[0], mirrored(x, 65));
  });

  it('asynchronous runs leave the event loop free and give way to synchronous ones', async () => {
    const machine = new Machine();
    machine.threads = 2;
    const x = ramp(1 << 15);
    const program = machine.load(heavy());
    // The first one starts the worker that leads, and runs here meanwhile.
    expectBits((await program.runAsync([x]))[0], mirrored(x, 65));
    await awake(machine, 2);
    await new Promise(resolve => setTimeout(resolve, 200));
    const pending = program.runAsync([x]);
    expect(program.run([x.map(v => v + 1)])[0]).toEqual(
      mirrored(
        x.map(v => v + 1),
        65,
      ),
    );
    expectBits((await pending)[0], mirrored(x, 65));
    expectBits((await program.runAsync([x]))[0], mirrored(x, 65));
  });

  it('do not keep the process alive', async () => {
    // A worker that does shows as a message port.
    const ports = () => process.getActiveResourcesInfo().filter(name => name === 'MessagePort').length;
    const before = ports();
    const machine = new Machine();
    await awake(machine, 2);
    expect(ports()).toBe(before);
  });

  it('that trap are an internal error, not a hang, and one thread goes on', async () => {
    const x = ramp(1 << 15);
    for (const thread of [0, 1]) {
      const machine = new Machine();
      machine.threads = 2;
      await awake(machine, 2);
      const program = machine.load(trappingProgram(thread));
      expect(() => {
        for (let i = 0; i < 8; i++) program.run([x]);
      }).toThrow('internal: a kernel trapped');
      expect(machine.threads).toBe(1);
      expectBits(machine.load(heavy()).run([x])[0], mirrored(x, 65));
    }
  });

  it('a failed asynchronous run rejects', async () => {
    const machine = new Machine(false);
    const program = machine.load(gatherUpdateProgram(4, 3));
    const weight = new Variable([4], 'f32', ramp(4));
    await expect(program.runAsync([weight, new Float32Array(3), BigInt64Array.of(3n)])).rejects.toThrow(
      'gather: index 3 is out of range for 3 elements',
    );
  });
});
