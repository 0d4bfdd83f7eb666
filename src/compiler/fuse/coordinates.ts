/**
 * Where in a kernel's space a value can be computed: at which coordinates, so that all it reads of the kernel's own
 * values is computed at just those. Sees through what is never stored; changes nothing.
 */
import { sameShape } from '../../graph/shape.ts';
import { isElementwise, isView, type Value } from '../flow.ts';
import type { IndexTable, Ix, VarAtom } from '../index-expr.ts';
import type { ContractKernel, Kernel, SpaceKernel } from '../kernels.ts';
import { throughReindex, throughReshape } from '../views.ts';
import type { Selection } from './select.ts';
import { product } from './sums.ts';

/** What a value waits for: the highest stage below it, and the kernel of that stage if there is only one. */
export interface Wait {
  readonly stage: number;
  readonly kernel: Kernel | null;
}

/** One variable a dim of a shape, and coordinates that are just these. */
interface Space {
  readonly vars: readonly VarAtom[];
  readonly coords: readonly Ix[];
}

const sameCoords = (a: readonly Ix[], b: readonly Ix[]): boolean => {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

export class Coordinates {
  private readonly table: IndexTable;
  private readonly selection: Selection;
  /** By value id, kept by whoever places values. */
  private readonly waits: readonly Wait[];
  private readonly spaces = new Map<string, Space>();

  constructor(table: IndexTable, selection: Selection, waits: readonly Wait[]) {
    this.table = table;
    this.selection = selection;
    this.waits = waits;
  }

  /** The same for every kernel over a shape. */
  spaceOf(shape: readonly number[]): Space {
    const key = shape.join();
    let space = this.spaces.get(key);
    if (!space) {
      const vars = shape.map(n => this.table.variable(n));
      space = { vars, coords: vars.map(v => this.table.ofAtom(v)) };
      this.spaces.set(key, space);
    }
    return space;
  }

  /** Where in the kernel's space `value` can be computed. */
  within(kernel: SpaceKernel | ContractKernel, value: Value): readonly Ix[] | null {
    if (kernel.kind === 'contract') {
      if (value.size !== kernel.value.size) return null;
      if (sameShape(value.shape, kernel.shape) && this.fits(kernel, value, kernel.plan.out)) return kernel.plan.out;
      const coords = this.coordsByInput(kernel, value);
      // The schedule writes along its dims, so each result must be affine in them.
      const affine = coords && this.table.linear(coords, value.shape).terms.every(({ atom }) => atom.kind === 'var');
      return affine ? coords : null;
    }
    const full = this.spaceOf(kernel.shape).coords;
    if (sameShape(value.shape, kernel.shape) && !kernel.split && this.fits(kernel, value, full)) return full;
    const { kept } = kernel;
    if (kept) {
      const keptCoords = full.filter((_, d) => kept[d]);
      const keptShape = kernel.shape.filter((_, d) => kept[d]);
      if (sameShape(value.shape, keptShape) && this.fits(kernel, value, keptCoords)) return keptCoords;
    }
    const outer = kept ? product(kernel.shape, d => kept[d]!) : -1;
    const fullSize = product(kernel.shape, () => true);
    if (value.size === outer || (value.size === fullSize && !kernel.split)) return this.coordsByInput(kernel, value);
    return null;
  }

  /**
   * Coordinates at which some input of `value`, seen through views that only move elements, is what the kernel computes
   * there.
   */
  private coordsByInput(kernel: SpaceKernel | ContractKernel, value: Value): readonly Ix[] | null {
    if (isView(value)) {
      const coords = this.invertView(kernel, value, 0);
      return coords && this.fits(kernel, value, coords) ? coords : null;
    }
    for (const input of value.inputs) {
      const coords = this.invertViews(kernel, input, 0);
      if (coords && this.fits(kernel, value, coords)) return coords;
    }
    return null;
  }

  private invertViews(kernel: Kernel, value: Value, depth: number): readonly Ix[] | null {
    const member = kernel.members.get(value);
    if (member) return member;
    if (depth > 8 || !this.selection.virtual[value.id] || this.waits[value.id]!.stage < kernel.stage) return null;
    if (isElementwise(value)) {
      for (const input of value.inputs) {
        const coords = this.invertViews(kernel, input, depth + 1);
        if (coords) return coords;
      }
      return null;
    }
    return this.invertView(kernel, value, depth);
  }

  private invertView(kernel: Kernel, value: Value, depth: number): readonly Ix[] | null {
    if (value.op !== 'reshape' && value.op !== 'reindex') return null;
    const source = value.inputs[0]!;
    if (source.size !== value.size) return null;
    const below = this.invertViews(kernel, source, depth + 1);
    if (!below) return null;
    if (value.op === 'reshape') return this.table.unravel(this.table.linear(below, source.shape), value.shape);
    const coords: (Ix | undefined)[] = value.shape.map(n => (n === 1 ? this.table.zero : undefined));
    for (const [a, map] of (value as Value<'reindex'>).attrs.axes.entries()) {
      const [term] = map.terms;
      if (map.terms.length !== 1 || term![1] !== 1 || map.offset !== 0 || map.div !== 1) {
        if (source.shape[a] === 1) continue;
        return null;
      }
      if (source.shape[a] !== value.shape[term![0]]) return null;
      coords[term![0]] = below[a]!;
    }
    return coords.every(c => c !== undefined) ? coords : null;
  }

  /** Whether everything of `kernel` that `value` reads at `coords` is computed at just those coordinates. */
  private fits(kernel: Kernel, value: Value, coords: readonly Ix[]): boolean {
    if (isView(value)) return this.fitsView(kernel, value, coords);
    for (const input of value.inputs) if (!this.fitsRead(kernel, input, coords)) return false;
    return true;
  }

  fitsRead(kernel: Kernel, value: Value, coords: readonly Ix[]): boolean {
    const member = kernel.members.get(value);
    if (member) return sameCoords(member, coords);
    if (this.waits[value.id]!.stage < kernel.stage || !this.selection.virtual[value.id]) return true;
    return this.fits(kernel, value, coords);
  }

  private fitsView(kernel: Kernel, value: Value, coords: readonly Ix[]): boolean {
    const source = value.inputs[0]!;
    if (value.is('reindex')) {
      const shown = throughReindex(this.table, value, coords);
      if (shown.never) return true;
      if (shown.conditions.length > 0) return this.waits[source.id]!.stage < kernel.stage;
      return this.fitsRead(kernel, source, shown.coords);
    }
    if (value.is('gather')) {
      const index = value.inputs[1]!;
      const { axis } = value.attrs;
      if (this.waits[source.id]!.stage >= kernel.stage) return false;
      return this.fitsRead(kernel, index, coords.slice(axis, axis + index.shape.length));
    }
    return this.fitsRead(kernel, source, throughReshape(this.table, value, coords));
  }
}
