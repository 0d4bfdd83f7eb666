/**
 * Chooses among plans of a contraction by running the kernel with each, and keeps what was found for later processes:
 * one file per processor, instruction set and format of plans, in the folder of src/launch/privateFiles.ts. Only where
 * `TENON_AUTOTUNE=1` asks. No choice changes a bit of any result, so a file can at worst be slow; what does not hold is
 * as good as absent. Knows kernels, not graphs.
 */

import type { LoopKernel } from '../../compiler/loops.ts';
import type { Tuner } from '../../compiler/target.ts';
import { bytesOf } from '../../graph/dtype.ts';
import { clock } from '../../launch/clock.ts';
import { privatePath, readPrivate, writePrivate } from '../../launch/privateFiles.ts';
import { ArgsLayout } from './args-layout.ts';
import type { Cpu } from './cpu.ts';
import type { Choices } from './kept-code.ts';
import { type Machine, NativeBuffer } from './machine.ts';
import { emitProgram } from './program-code.ts';

/** Changes with what labels and keys mean (src/compiler/contract/choices.ts). */
const PLAN_FORMAT = 1;

/**
 * The candidates of a plan are run in turns until so many milliseconds have gone by, but each so often at least, and at
 * most.
 */
const BUDGET_MS = 150;
const LEAST_RUNS = 3;
const MOST_RUNS = 15;
/**
 * Share of the cost model's time that another plan must save: with 3 %, programs were no faster, one slower (decision
 * 027).
 */
const WORTH = 0.05;

const ALIGN = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/** The file of choices made on such a processor; null where none is to be kept. */
export const choicesFile = ({ name, l1Bytes, l2Bytes }: Cpu, isa: string): string | null => {
  const words = [name || 'x86-64', isa, `${l1Bytes >> 10}k`, `${l2Bytes >> 10}k`].join('-');
  return privatePath(`plans-${PLAN_FORMAT}-${words.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.json`);
};

/** Choices as another process left them; null where the file does not hold. */
function readChoices(file: string): Choices | null {
  const kept = readPrivate(file);
  if (!kept) return null;
  try {
    const choices: unknown = JSON.parse(new TextDecoder().decode(kept.bytes));
    const holds = typeof choices === 'object' && choices !== null && !Array.isArray(choices);
    return holds && Object.values(choices).every(label => typeof label === 'string') ? (choices as Choices) : null;
  } catch {
    return null;
  }
}

export class PlanTuner implements Tuner {
  private readonly machine: Machine;
  private readonly file: string | null;
  private readonly chosen: Map<string, string>;
  /** What is tried at present, and what a kernel asked for that is not chosen yet. */
  private readonly tried = new Map<string, string>();
  private readonly asked = new Map<string, readonly string[]>();
  /** What the program that is being compiled asked for. */
  private used: Record<string, string> = {};
  private measured = 0;
  private milliseconds = 0;

  constructor(machine: Machine, cpu: Cpu) {
    this.machine = machine;
    this.file = choicesFile(cpu, machine.isa);
    const choices = this.file && readChoices(this.file);
    if (this.file && !choices && process.getBuiltinModule('node:fs').existsSync(this.file))
      console.error(
        `x86: ${this.file} holds no choices of plans that Tenon wrote for this user; plans are measured again`,
      );
    this.chosen = new Map(Object.entries(choices ?? {}));
  }

  get threads(): number {
    return this.machine.threads;
  }

  choose(what: string, labels: readonly string[]): string {
    const key = `${this.threads} threads ${what}`;
    const known = this.chosen.get(key);
    if (known !== undefined && labels.includes(known)) {
      this.used[key] = known;
      return known;
    }
    if (labels.length > 1) this.asked.set(key, labels);
    return this.tried.get(key) ?? labels[0]!;
  }

  settle<K extends { readonly loop: LoopKernel }>(make: () => K): K {
    this.asked.clear();
    const first = make();
    if (this.asked.size === 0) return first;
    const start = clock();
    for (const [key, labels] of [...this.asked]) {
      const kernels = labels.map(label => {
        this.tried.set(key, label);
        return make().loop;
      });
      this.tried.delete(key);
      const times = this.timesOf(kernels);
      const best = times.indexOf(Math.min(...times));
      const label = labels[times[best]! < times[0]! * (1 - WORTH) ? best : 0]!;
      this.chosen.set(key, label);
      this.measured++;
      if ((process.env['TENON_DEBUG'] ?? '').split(',').includes('timing')) {
        const list = labels.map((name, i) => `${name} ${(times[i]! * 1000).toFixed(0)} us`).join(', ');
        console.error(`tuned: ${first.loop.name}: ${label} (${list})`);
      }
    }
    this.milliseconds += clock() - start;
    this.save();
    return make();
  }

  /** Whether a program that was made with `plans` would be made so again. */
  agrees(plans: Choices): boolean {
    return Object.entries(plans).every(([key, label]) => this.chosen.get(key) === label);
  }

  /** Ends a program: what was chosen for it. */
  finish(): Choices {
    const { used, measured, milliseconds, file } = this;
    if (measured > 0)
      console.error(
        `x86: measured plans of ${measured} contractions in ${(milliseconds / 1000).toFixed(1)} s` +
          (file ? `, kept in ${file}` : ', kept for this process'),
      );
    this.used = {};
    this.measured = 0;
    this.milliseconds = 0;
    return used;
  }

  /** With what other processes have found meanwhile. */
  private save(): void {
    const { file, chosen } = this;
    if (!file) return;
    const all = { ...readChoices(file), ...Object.fromEntries(chosen) };
    writePrivate(file, new TextEncoder().encode(JSON.stringify(all, null, 1)), PLAN_FORMAT);
  }

  /**
   * Milliseconds that each kernel takes at best: other work on the machine only ever adds to it. Buffers hold zeros.
   */
  private timesOf(kernels: readonly LoopKernel[]): number[] {
    const { machine } = this;
    machine.settle();
    const sizes = kernels.map(({ buffers }) => buffers.map(b => aligned(b.elements * bytesOf(b.dtype))));
    const memory = new NativeBuffer(machine, Math.max(...sizes.map(all => all.reduce((sum, n) => sum + n, 0))));
    const loaded = kernels.map((kernel, i) => {
      const code = emitProgram([{ kernel, barrierBefore: false, commits: false }], machine.control, machine.isa);
      let next = memory.address;
      const layout = new ArgsLayout();
      layout.extend([{ kernel }]);
      const table = new BigInt64Array(layout.bytes / 8);
      const place = (scratch: boolean): void =>
        kernel.buffers.forEach((buffer, k) => {
          if ((buffer.access === 'scratch') !== scratch) return;
          table[layout.offsets[0]! / 8 + k] = BigInt(next);
          next += sizes[i]![k]!;
        });
      // Scratch comes last, so that operands lie where they do for every plan, and stay zeros.
      place(false);
      place(true);
      return { pages: machine.loadCode(code), run: code.run, table, least: Number.POSITIVE_INFINITY };
    });
    const round = (): void => {
      for (const one of loaded) {
        const args = machine.native.addressOf(one.table);
        const start = clock();
        machine.pool.run(one.pages.address + one.run, args, machine.threads);
        one.least = Math.min(one.least, clock() - start);
      }
    };
    const start = clock();
    for (let runs = 0; runs < MOST_RUNS && (runs < LEAST_RUNS || clock() - start < BUDGET_MS); runs++) round();
    for (const { pages } of loaded) machine.native.release(pages);
    machine.clearFailure();
    return loaded.map(one => one.least);
  }
}
