/**
 * The kernels of one table: finding, creating and updating rows, with the arrays and numbers that they are called with.
 */
import type { HostKernel, HostKernels } from '../../compiler/program.ts';
import { correction } from '../table/optimizers.ts';
import type { RowOptimizer, TableSettings } from '../table/options.ts';
import { type CreatedArrays, CreateKernel, InitialWeights } from './create.ts';
import { findKernel } from './find.ts';
import { TouchKernel } from './touch.ts';
import { updateKernel } from './update.ts';
import { loadedOnce, type TableShape } from './writing.ts';

/** The distinct signs of a batch and what is read of their rows. */
interface FoundArrays {
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  readonly hash: Int32Array;
  readonly tag: Uint32Array;
  readonly rows: Int32Array;
  readonly weights: Float32Array;
  readonly shows: Float32Array;
}

/** Where a table's memory is, as addresses; see RowStore and SignIndex. */
export interface TableMemory {
  /** Per part of the index: its address, and its words less one. */
  readonly parts: BigInt64Array;
  readonly rows: BigInt64Array;
  readonly vectors: BigInt64Array;
}

/** Steps from which on a correction is 1 for good, but no more than so many are kept. */
const MOST_CORRECTIONS = 1 << 22;

export class TableKernels {
  private readonly finder: HostKernel;
  private readonly updater: HostKernel;
  /** Null where initial weights are drawn in JavaScript (normal ones). */
  private readonly creator: CreateKernel | null;
  private readonly toucher: TouchKernel;
  private readonly initial: InitialWeights;
  private readonly numbers = new Int32Array(4);
  private readonly reals = new Float64Array(2);
  private corrections = new Float64Array(1);
  /** The betas whose corrections rows need by their own steps. */
  private readonly betas: readonly [number, number] | null;

  constructor(machine: HostKernels, shape: TableShape) {
    const { layout, settings, rowShift, vectorShift, blank } = shape;
    const { optimizer, wideOptimizer, score, init, seed, dim } = settings;
    const key = JSON.stringify([layout, optimizer, wideOptimizer, score, rowShift, vectorShift]);
    this.initial = new InitialWeights(dim, seed, init.type === 'uniform' ? (init.range ?? 1e-4) : 0);
    const starts = layout.apart || init.type === 'uniform';
    this.creator = starts ? new CreateKernel(machine, layout, rowShift, this.initial, blank) : null;
    this.toucher = new TouchKernel(machine);
    this.finder = loadedOnce(machine, `find ${starts} ${key}`, () => findKernel(machine, shape, starts));
    this.updater = loadedOnce(machine, `update ${key}`, () => updateKernel(machine, shape));
    const shared = [optimizer, wideOptimizer].find(spec => spec.type === 'sharedAdam');
    this.betas = shared ? ((shared as { betas?: readonly [number, number] }).betas ?? [0.9, 0.999]) : null;
  }

  /** Whether the kernels can stand for the rules of a table. */
  static takes({ optimizer, wideOptimizer, wide, dim }: TableSettings): boolean {
    const betas = (spec: RowOptimizer): string => JSON.stringify('betas' in spec ? spec.betas : undefined);
    const both = wide && dim > 0 && optimizer.type === 'sharedAdam' && wideOptimizer.type === 'sharedAdam';
    return !both || betas(optimizer) === betas(wideOptimizer);
  }

  /** Whether `create` is there, and `find` says what signs without a row start with. */
  get starts(): boolean {
    return this.creator !== null;
  }

  /** Fills rows (-1: none), weights and shows; those of signs without a row only where it `starts` them. */
  find(unique: number, { hi, lo, hash, tag, rows, weights, shows }: FoundArrays, memory: TableMemory): void {
    const { numbers } = this;
    numbers[0] = unique;
    const { parts, rows: segments, vectors } = memory;
    const { seed, range, counters } = this.initial;
    const found = [hi, lo, hash, tag, rows, weights, shows];
    this.finder.run([...found, parts, segments, vectors, numbers, seed, range, counters]);
  }

  /** Touches arrays of zeros that begin at large pages before anything is written to them. */
  touch(arrays: readonly ArrayBufferView[]): void {
    this.toucher.run(arrays);
  }

  /**
   * Fills the new rows of signs wanted[0, count), and enters them in the index, which has room for them. Only where it
   * `starts` rows.
   */
  create(wanted: Int32Array, count: number, found: CreatedArrays, memory: TableMemory): void {
    this.creator!.run(wanted, count, found, memory);
  }

  /** Applies gradients and statistics to the rows that are there. `slots` null leaves the rows' own. */
  update(
    unique: number,
    rows: Int32Array,
    { gradients, shows, clicks, slots }: PushedArrays,
    { rate, wideRate, step }: { readonly rate: number; readonly wideRate: number; readonly step: number },
    memory: TableMemory,
  ): void {
    const { numbers, reals } = this;
    numbers[0] = unique;
    numbers[1] = slots ? 1 : 0;
    numbers[2] = this.correctionsTo(step);
    reals[0] = rate;
    reals[1] = wideRate;
    const { rows: segments, vectors } = memory;
    const { corrections } = this;
    this.updater.run([rows, gradients, shows, clicks, slots ?? rows, segments, vectors, corrections, numbers, reals]);
  }

  /** Makes corrections up to a step, or to the first of those that are all 1. @returns the last index */
  private correctionsTo(step: number): number {
    const { betas } = this;
    if (!betas) return 0;
    const { length } = this.corrections;
    const over = length > 1 && this.corrections[length - 1] === 1;
    if (step >= length && !over && length < MOST_CORRECTIONS) {
      const longer = new Float64Array(Math.min(MOST_CORRECTIONS, Math.max(2 * length, step + 1)));
      longer.set(this.corrections);
      for (let t = length; t < longer.length; t++) longer[t] = correction(betas[0], betas[1], t);
      this.corrections = longer;
    }
    return this.corrections.length - 1;
  }
}

/** What is pushed, per distinct sign. */
interface PushedArrays {
  readonly gradients: Float32Array;
  readonly shows: Float32Array;
  readonly clicks: Float32Array;
  readonly slots: Int32Array | null;
}
