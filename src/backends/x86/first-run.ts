/**
 * The first run of a program begins while its code is still being written: another thread computes each step as soon as
 * its code is there, while this one writes the next. It is the same kernels in the same order over the same memory.
 * Knows threads and code, not bindings.
 */
import { type ComingProgram, MachineRefusal } from '../../compiler/program.ts';
import { stayCold } from '../../launch/engine.ts';
import type { AddressTable } from './address-table.ts';
import type { Machine } from './machine.ts';
import type { CodePages } from './memory/native.ts';
import type { ProgramEmitter } from './program-code.ts';
import { STEP_BYTES } from './thread-code.ts';

/** Bytes of code that steps may run from before all of it is there: a training step of some 3,000 kernels. */
const MOST_CODE = 8 << 20;

/** A program of which kernels are still to come, and what writes them. */
interface Written {
  readonly emitter: ProgramEmitter;
  readonly coming: ComingProgram;
}

/**
 * Runs all steps with the addresses in `table`. `finishCode` writes what is left and says where the whole code is. Where
 * writing throws, no further step begins and the error passes on: what has been computed by then stays, variables among
 * it.
 */
export function runWhileWritten(
  machine: Machine,
  program: Written,
  table: AddressTable,
  finishCode: () => number,
): void {
  const { native, pool, threads } = machine;
  const { emitter } = program;
  const { count } = emitter;
  const steps = new ReadySteps(machine, program, table);
  try {
    // One processor writes.
    pool.follow(steps.address, count, Math.max(1, threads - 1));
    do {
      steps.tell();
      stayCold();
    } while (emitter.advance());
    const base = finishCode();
    if (table.isOutgrown) {
      pool.stopSteps();
      table.moveArena();
      steps.takeBack();
    }
    steps.tellOf(base);
    pool.finishSteps(steps.address, count, threads);
  } catch (error) {
    // Another backend would start from what has been written in place.
    if (error instanceof MachineRefusal && steps.hasCommitted) throw new Error(error.message, { cause: error });
    throw error;
  } finally {
    pool.stopSteps();
    native.release(steps.pages);
  }
}

/** Steps whose code is in place, as the threads read of them. */
class ReadySteps {
  /** Of the segments of code, each executable as soon as it is there. */
  readonly pages: CodePages;
  readonly address: number;
  private readonly machine: Machine;
  private readonly emitter: ProgramEmitter;
  private readonly coming: ComingProgram;
  private readonly table: AddressTable;
  /** Tables that steps have been told of. */
  private readonly held = new Set<object>();
  private readonly words: BigInt64Array;
  private placed = 0;
  private told = 0;
  /** Whether steps may have run that write variables. */
  hasCommitted = false;

  constructor(machine: Machine, { emitter, coming }: Written, table: AddressTable) {
    const { native } = machine;
    this.machine = machine;
    this.emitter = emitter;
    this.coming = coming;
    this.table = table;
    // Of a buffer of its own: the collector moves short arrays that have none.
    this.words = new BigInt64Array(new ArrayBuffer(emitter.count * STEP_BYTES));
    this.address = native.addressOf(this.words);
    this.pages = native.reserve(MOST_CODE);
  }

  /** Tells of the steps whose segments have ended since. */
  tell(): void {
    const { native, pool } = this.machine;
    const { emitter, pages } = this;
    for (; this.placed < emitter.segments.length; this.placed++) {
      const { at, bytes } = emitter.segments[this.placed]!;
      // No room: they are run once all of the code is there.
      if (at + bytes.length > pages.bytes) return;
      native.fill(pages.address + at, bytes);
    }
    this.table.extend(this.coming);
    // The same where the workspace has none.
    if (this.table.isOutgrown) return;
    this.tellOf(pages.address);
    pool.ready(emitter.ready);
  }

  /** Steps are to be told of again, as their addresses have changed. */
  takeBack(): void {
    this.told = 0;
  }

  /** Tells of all steps that there are by now: their code is at `base`. */
  tellOf(base: number): void {
    const { emitter, words, table, held } = this;
    held.add(table.memory);
    for (; this.told < emitter.ready; this.told++) {
      const step = emitter.stepAt(this.told);
      this.hasCommitted ||= step.commits;
      words.set(
        [BigInt(base + step.kernel), BigInt(table.address + table.offsets[this.told]!), step.commits ? 1n : 0n],
        this.told * 3,
      );
    }
  }
}
