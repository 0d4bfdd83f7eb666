/**
 * Groups values into kernels, in one pass over the flow. Every kernel has a stage, and reads only what kernels of lower
 * stages made, so no cycle can arise: a value may join the kernel that its latest input comes from if it can be
 * computed there at the same coordinates, or any later kernel over the same space that reads the same data; otherwise
 * it starts a kernel.
 */
import { sameShape } from '../../graph/shape.ts';
import { type Flow, isElementwise, storage, type Value } from '../flow.ts';
import type { IndexTable } from '../index-expr.ts';
import type { ContractKernel, Kernel, RoutineKernel, RoutinePrimitive, SpaceKernel } from '../kernels.ts';
import { Coordinates, type Wait } from './coordinates.ts';
import { forgetCheap, storeNarrow } from './remember.ts';
import { isRoutine, type Selection } from './select.ts';
import { shouldSplit, worthRows } from './sums.ts';

/** Members per kernel: keeps generated functions, and the recursion over expressions, small. */
const MAX_MEMBERS = 160;
/** Longest chain of operations in one kernel: expressions are walked recursively. */
const MAX_HEIGHT = 200;
/** Kernels remembered per space to join without depending on them. */
const REMEMBERED = 4;

const READY: Wait = { stage: 0, kernel: null };

export interface Groups {
  /** In order of creation. */
  readonly kernels: readonly Kernel[];
  /** Which kernel computes a realised value. */
  readonly home: ReadonlyMap<Value, Kernel>;
}

export function group(flow: Flow, selection: Selection, table: IndexTable): Groups {
  const grouper = new Grouper(flow, selection, table);
  for (const value of flow.values) grouper.place(value);
  return grouper.finish();
}

class Grouper {
  private readonly selection: Selection;
  private readonly lasts: (value: Value) => boolean;
  private readonly waits: Wait[];
  private readonly kernels: Kernel[] = [];
  /** By value id: what a reader of the value reads from memory. */
  private readonly sources: Value[][] = [];
  private readonly reads = new Map<Kernel, Set<Value>>();
  /** Operations below a placed value inside its kernel. */
  private readonly height = new Map<Value, number>();
  private readonly home = new Map<Value, Kernel>();
  private readonly coordinates: Coordinates;
  private readonly recent = new Map<string, SpaceKernel[]>();
  /** Values whose old contents the program replaces. */
  private readonly updated = new Set<Value>();

  constructor(flow: Flow, selection: Selection, table: IndexTable) {
    this.selection = selection;
    this.lasts = flow.lasts;
    this.waits = flow.values.map(() => READY);
    this.coordinates = new Coordinates(table, selection, this.waits);
    for (const { leaf } of flow.updates) {
      const value = flow.leaves[leaf];
      if (value) this.updated.add(value);
    }
  }

  place(value: Value): void {
    if (value.leaf >= 0) {
      this.sources[value.id] = [value];
      return;
    }
    this.sources[value.id] = this.sourcesOf(value);
    const wait = this.waitOf(value);
    if (this.selection.virtual[value.id]) {
      this.waits[value.id] = wait;
      return;
    }
    const kernel = this.kernelFor(value, wait);
    this.height.set(value, this.heightIn(kernel, value));
    this.home.set(value, kernel);
    this.waits[value.id] = { stage: kernel.stage, kernel };
    const read = this.reads.get(kernel);
    if (read) for (const source of this.sources[value.id]!) read.add(source);
    else this.reads.set(kernel, new Set(this.sources[value.id]));
    this.sources[value.id] = [value];
  }

  private heightIn(kernel: Kernel, value: Value): number {
    let through = 0;
    for (const input of value.inputs) through = Math.max(through, this.selection.depth[input.id]!);
    let below = 0;
    for (const source of this.sources[value.id]!)
      if (kernel.members.has(source)) below = Math.max(below, this.height.get(source) ?? 0);
    return below + through + 1;
  }

  /**
   * Values in memory that computing `value` reads, a few of them: enough to see whether two values read the same data.
   */
  private sourcesOf(value: Value): Value[] {
    const found = new Set<Value>();
    for (const input of value.inputs)
      for (const source of this.sources[input.id]!) if (found.size < 8) found.add(source);
    return [...found];
  }

  private waitOf(value: Value): Wait {
    let stage = 0;
    let kernel: Kernel | null = null;
    const lasting = this.lasts(value);
    for (const input of value.after ? [...value.inputs, value.after] : value.inputs) {
      // What lasts is there before anything runs.
      if (!lasting && this.lasts(input)) continue;
      const wait = this.waits[input.id]!;
      if (wait.stage > stage) ({ stage, kernel } = wait);
      else if (wait.stage === stage && wait.kernel !== kernel) kernel = null;
    }
    return { stage, kernel };
  }

  private kernelFor(value: Value, wait: Wait): Kernel {
    if (value.is('contract')) return this.add(this.contraction(value, wait));
    if (isRoutine(value)) return this.add(this.routine(value, wait));
    if (value.is('reduce')) return this.reduction(value, wait);
    return this.elementwise(value, wait);
  }

  private add<K extends Kernel>(kernel: K): K {
    this.kernels.push(kernel);
    return kernel;
  }

  private contraction(value: Value<'contract'>, wait: Wait): ContractKernel {
    const plan = this.selection.contracts.get(value)!;
    return {
      kind: 'contract',
      stage: wait.stage + 1,
      members: new Map([[value as Value, plan.out]]),
      stores: [],
      lasting: this.lasts(value),
      value,
      plan,
      shape: value.shape,
    };
  }

  private routine(value: Value<RoutinePrimitive>, wait: Wait): RoutineKernel {
    const members = new Map([[value as Value, []]]);
    return { kind: 'routine', stage: wait.stage + 1, members, stores: [], lasting: this.lasts(value), value };
  }

  private space(
    shape: readonly number[],
    stage: number,
    kept: readonly boolean[] | null,
    lasting: boolean,
  ): SpaceKernel {
    const { vars } = this.coordinates.spaceOf(shape);
    const split = kept !== null && shouldSplit(shape, kept);
    const kernel = this.add<SpaceKernel>({
      kind: 'space',
      stage,
      members: new Map(),
      stores: [],
      lasting,
      shape,
      vars,
      kept,
      reductions: [],
      split,
    });
    const key = shape.join();
    const list = this.recent.get(key);
    if (!list) this.recent.set(key, [kernel]);
    else {
      list.push(kernel);
      if (list.length > REMEMBERED) list.shift();
    }
    return kernel;
  }

  // ---------------------------------------------------------------------------------------------- elementwise values

  private elementwise(value: Value, wait: Wait): Kernel {
    const latest = wait.kernel ?? this.postponed(value, wait.stage);
    if (latest && this.join(latest, value)) return latest;
    if (value.size > 0) {
      for (const candidate of this.recent.get(value.shape.join()) ?? []) {
        if (candidate.stage <= wait.stage || !this.sharesInput(candidate, value)) continue;
        if (this.join(candidate, value)) return candidate;
      }
    }
    const kernel = this.space(value.shape, wait.stage + 1, null, this.lasts(value));
    kernel.members.set(value, this.coordinates.spaceOf(value.shape).coords);
    return kernel;
  }

  /**
   * A contraction of stage `stage` that nobody but `value` reads, moved to the next stage: then it may wait for what
   * else `value` reads (a bias that is computed at the same time, the other of two products that are added).
   */
  private postponed(value: Value, stage: number): ContractKernel | null {
    for (const input of value.inputs) {
      const kernel = this.home.get(input);
      if (kernel?.kind !== 'contract' || kernel.value !== input || kernel.stage !== stage) continue;
      if (kernel.lasting !== this.lasts(value)) continue;
      if (input.users.length !== 1 || this.selection.forced.has(input) || kernel.members.size !== 1) continue;
      kernel.stage++;
      this.waits[input.id] = { stage: kernel.stage, kernel };
      return kernel;
    }
    return null;
  }

  /**
   * Whether a kernel over the same space reads something of full size that `value` reads too (tiny ones share always).
   */
  private sharesInput(kernel: SpaceKernel, value: Value): boolean {
    if (value.size <= 256) return true;
    const read = this.reads.get(kernel)!;
    return this.sources[value.id]!.some(source => source.size >= value.size && read.has(source));
  }

  private join(kernel: Kernel, value: Value): boolean {
    if (kernel.kind !== 'space' && kernel.kind !== 'contract') return false;
    if (kernel.lasting !== this.lasts(value)) return false;
    if (kernel.members.size >= MAX_MEMBERS || this.heightIn(kernel, value) > MAX_HEIGHT) return false;
    if (kernel.kind === 'contract' && this.readsUpdated(value)) return false;
    for (const first of kernel.members.keys()) {
      if (first.group !== value.group) return false;
      break;
    }
    const coords = this.coordinates.within(kernel, value);
    if (!coords) return false;
    kernel.members.set(value, coords);
    return true;
  }

  /**
   * Whether `value` is (a step towards) the new value of a variable: those are left to kernels that update in place.
   */
  private readsUpdated(value: Value): boolean {
    return value.inputs.some(
      input =>
        this.updated.has(input) ||
        (this.selection.virtual[input.id]! &&
          isElementwise(input) &&
          input.inputs.some(below => this.updated.has(below) && below.size === value.size)),
    );
  }

  // ---------------------------------------------------------------------------------------------- reductions

  private reduction(value: Value<'reduce'>, wait: Wait): SpaceKernel {
    const { shape } = value.inputs[0]!;
    const kept = shape.map((_, d) => !value.attrs.axes.includes(d));
    const { kernel } = wait;
    if (kernel?.kind === 'space' && this.reduceIn(kernel, value, shape, kept)) return kernel;
    for (const candidate of this.recent.get(shape.join()) ?? []) {
      if (candidate.stage <= wait.stage || !candidate.kept || !this.sharesReduced(candidate, value)) continue;
      if (this.reduceIn(candidate, value, shape, kept)) return candidate;
    }
    const made = this.space(shape, wait.stage + 1, kept, this.lasts(value));
    this.addReduction(made, value, kept);
    return made;
  }

  /** Whether the kernel already sums something computed from what `value` sums. */
  private sharesReduced(kernel: SpaceKernel, value: Value): boolean {
    const full = value.inputs[0]!.size;
    const mine = this.sources[value.id]!;
    const read = this.reads.get(kernel)!;
    return mine.some(source => source.size === full && read.has(source));
  }

  private reduceIn(kernel: SpaceKernel, value: Value, shape: readonly number[], kept: readonly boolean[]): boolean {
    if (!sameShape(kernel.shape, shape) || kernel.members.size >= MAX_MEMBERS) return false;
    if (kernel.lasting !== this.lasts(value)) return false;
    if (this.heightIn(kernel, value) > MAX_HEIGHT) return false;
    for (const first of kernel.members.keys()) {
      if (first.group !== value.group) return false;
      break;
    }
    if (kernel.kept && !kernel.kept.every((k, d) => k === kept[d])) return false;
    // Chunked reductions read each element once: a second pass would need the finished result.
    if (kernel.split && this.waits[value.inputs[0]!.id]!.stage >= kernel.stage) return false;
    if (!kernel.kept && !worthRows(shape, kept)) return false;
    const input = value.inputs[0]!;
    if (!this.coordinates.fitsRead(kernel, input, this.coordinates.spaceOf(shape).coords)) return false;
    this.addReduction(kernel, value as Value<'reduce'>, kept);
    return true;
  }

  private addReduction(kernel: SpaceKernel, value: Value<'reduce'>, kept: readonly boolean[]): void {
    kernel.kept = kept;
    kernel.reductions.push(value);
    kernel.members.set(
      value,
      this.coordinates.spaceOf(kernel.shape).coords.filter((_, d) => kept[d]),
    );
  }

  // ---------------------------------------------------------------------------------------------- results

  /** Finds out what each kernel must store, and adds copies for results that are somebody else's memory. */
  finish(): Groups {
    const stored = new Set<Value>();
    for (const value of this.selection.forced) stored.add(value);
    for (const kernel of this.kernels) {
      const seen = new Set<Value>();
      const visit = (value: Value): void => {
        if (seen.has(value)) return;
        seen.add(value);
        if (value.leaf >= 0) return;
        if (this.selection.virtual[value.id]) {
          const root = storage(value);
          for (const input of root === value ? value.inputs : [root]) visit(input);
        } else if (this.home.get(value) !== kernel) stored.add(value);
      };
      for (const value of kernel.members.keys()) for (const input of value.inputs) visit(input);
    }
    storeNarrow(stored, this.selection, this.home);
    forgetCheap(stored, this.selection, this.home);
    for (const value of stored) {
      if (value.leaf >= 0) continue;
      const kernel = this.home.get(value);
      if (!kernel) throw new Error(`internal: ${value.op} [${value.shape}] should be in memory and has no kernel`);
      kernel.stores.push(value);
    }
    for (const kernel of this.kernels) kernel.stores.sort((a, b) => a.id - b.id);
    return { kernels: this.kernels.filter(kernel => kernel.stores.length > 0), home: this.home };
  }
}
