/**
 * Mutable values. Assigning is lazy and functional: a cell's node becomes the assigned node, and the memory is written
 * in place when the next program runs. Everything that changes in Tenon (parameters, optimizer state, running
 * statistics) is a cell.
 */

import { variable } from '../graph/build.ts';
import { changes } from '../graph/changes.ts';
import { type DType, type HostArray, isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { type FirstValue, Variable } from '../graph/storage.ts';

// No table that lives long has entries put in and taken out step by step: V8 links the tables that a Set or Map grows
// out of to the next one, and a single old one then keeps all later ones, with what they held, from being collected
// young (0.8 MB a scavenge went that way).
let pending: Cell[] = [];
let kept = new Set<Node>();

export interface CellOptions {
  /** Shown in errors and listings. */
  readonly name?: string;
  /** Whether `backward` collects a gradient for this cell; false by default. */
  readonly requiresGrad?: boolean;
}

/** A value that programs may overwrite. */
export class Cell {
  readonly variable: Variable;
  private grad: boolean;
  private leaf: Node<'variable'> | null = null;
  private assigned: Node | null = null;
  /** Whether `pending` has this cell, settled or not. */
  private listed = false;

  constructor(shape: readonly number[], dtype: DType, init: HostArray | FirstValue, options: CellOptions = {}) {
    this.variable = new Variable(shape, dtype, init, options.name);
    this.grad = (options.requiresGrad ?? false) && isFloat(dtype);
  }

  get shape(): readonly number[] {
    return this.variable.shape;
  }

  get dtype(): DType {
    return this.variable.dtype;
  }

  get requiresGrad(): boolean {
    return this.grad;
  }

  set requiresGrad(value: boolean) {
    this.grad = value && isFloat(this.dtype);
    // The leaf stays the same node: a program must see one leaf per variable, or in-place updates could not be ordered.
    if (this.leaf) this.leaf.requiresGrad = this.grad;
  }

  /** The current value: the node assigned last, or the leaf that reads the variable. */
  get node(): Node {
    return this.assigned ?? this.leafNode;
  }

  /** The leaf that stands for the variable's present content; gradients are taken with respect to it. */
  get leafNode(): Node<'variable'> {
    if (this.leaf?.attrs.version !== this.variable.version) this.leaf = variable(this.variable, this.grad);
    return this.leaf!;
  }

  /** Makes `node` (of the cell's shape and dtype) the new value; written at the next evaluation or flush. */
  assign(node: Node): void {
    const { shape, dtype, name } = this.variable;
    if (node.dtype !== dtype || node.shape.length !== shape.length || node.shape.some((n, d) => n !== shape[d]))
      throw new Error(
        `assign to ${name || 'a cell'}: ${node.dtype} [${node.shape}] came, expected ${dtype} [${shape}]`,
      );
    this.assigned = node;
    changes.modes++;
    if (!this.listed) pending.push(this);
    this.listed = true;
  }

  /** Replaces the value from the host at once, dropping what was assigned. */
  write(value: HostArray): void {
    this.settle();
    this.variable.write(value);
  }

  /** Forgets the assigned node: it has been written, or its trace was given up. */
  settle(): void {
    this.assigned = null;
  }

  /** Whether an assignment waits; if not, the cell leaves the list. */
  staysPending(): boolean {
    this.listed = this.assigned !== null;
    return this.listed;
  }
}

/** Cells with an assignment that is not written yet, in order of first assignment. */
export function pendingCells(): readonly Cell[] {
  if (pending.length > 0) pending = pending.filter(cell => cell.staysPending());
  return pending;
}

/**
 * Asks for `node` to be evaluated together with the next flush. `backward` keeps its loss this way, so that reading it
 * later is free, and gradients, so that one optimizer's step does not make those of another stale.
 */
export function keepForFlush(node: Node): void {
  if (!node.value) kept.add(node);
}

/** Takes that back: an optimizer has used a gradient up, or it was replaced. */
export const releaseKept = (node: Node): void => {
  kept.delete(node);
};

/** Takes the kept nodes out. */
export function takeKept(): ReadonlySet<Node> {
  const taken = kept;
  kept = new Set();
  return taken;
}
