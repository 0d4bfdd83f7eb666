/**
 * Parameters: tensors with a memory of their own, which optimizers assign and `backward` collects gradients for.
 * Buffers of modules (running statistics) are parameters that require no gradient.
 */
import { marked } from '../graph/build.ts';
import { type DType, type HostArray, isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { Cell, isTracing, keepForFlush, releaseKept } from '../runtime/index.ts';
import { shapeText } from './convert.ts';
import { isFromOutside, touch } from './gradients.ts';
import { modeSwitched } from './mode.ts';
import { describe } from './operands.ts';
import { checkOptions } from './options.ts';
import { registerAlias, registerVariable } from './sources.ts';
import { refuseWhileTraced } from './symbolic.ts';
import { Tensor } from './tensor.ts';

export interface ParameterOptions {
  /** Whether `backward` collects a gradient; true by default for floats, and always false for integers. */
  readonly requiresGrad?: boolean;
  /** Shown in errors; modules set it to the parameter's path. */
  readonly name?: string;
}

/**
 * What a parameter starts from when its value should cost nothing until it is needed (a model whose weights are loaded
 * never needs it).
 */
export interface DeferredValue {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Makes the value in `memory`, which holds zeros, or in an array of its own. */
  readonly value: (memory: HostArray) => HostArray;
}

/**
 * Freezes or unfreezes parameters. Taking back what the last call did gives compiled functions the program they had.
 */
export function requireGrads(parameters: readonly Parameter[], value: boolean): void {
  const switched = parameters.filter(({ requiresGrad }) => requiresGrad !== value);
  for (const { cell, dtype, name } of switched) {
    if (value && !isFloat(dtype))
      throw new TypeError(`requiresGrad: ${name || 'parameter'}: only floats have gradients, not ${dtype}`);
    cell.requiresGrad = value;
  }
  if (switched.length > 0) modeSwitched(switched);
}

/** A tensor that can change: its value is what was last assigned. */
export class Parameter extends Tensor {
  readonly cell: Cell;
  /**
   * Whether it is a table whose rows without a gradient an optimizer leaves alone (moments included): embeddings with
   * `sparse`.
   */
  sparse = false;
  #grad: Tensor | null = null;
  #gradIsSpent = false;
  #standIn: Tensor | null = null;
  #alias: { readonly of: Node; readonly node: Node } | null = null;

  /**
   * Takes a copy of the value of `init`, which is evaluated now; or a shape, a dtype and a function that makes the
   * value when it is needed.
   */
  constructor(init: Tensor | DeferredValue, options: ParameterOptions = {}) {
    checkOptions('Parameter', options, ['requiresGrad', 'name']);
    if (!(init instanceof Tensor) && typeof init?.value !== 'function')
      throw new TypeError(`Parameter: expected a tensor, got ${describe(init)}`);
    const requiresGrad = options.requiresGrad ?? isFloat(init.dtype);
    const value = init instanceof Tensor ? (init.data().slice() as HostArray) : init.value;
    const cell = new Cell(init.shape, init.dtype, value, { requiresGrad, name: options.name });
    super(cell.leafNode);
    this.cell = cell;
    registerVariable(cell.variable, this);
  }

  /**
   * The gradient `backward` has added up, or null. Lazy, and still readable after another optimizer's step; the step
   * that uses it makes it unreadable.
   *
   * @throws Error while a function is compiled that has not made it: its value of now would become part of every call
   */
  get grad(): Tensor | null {
    if (this.#grad && isFromOutside(this))
      throw new Error(
        `compile: the gradient of ${this.label} comes from outside the compiled function, which would use that one in every call: call zeroGrad() and backward() inside it`,
      );
    return this.#grad;
  }

  set grad(value: Tensor | null) {
    this.#touch(true);
    if (this.#grad) releaseKept(this.#grad.node);
    this.#grad = value;
    this.#gradIsSpent = false;
    if (value) keepForFlush(value.node);
  }

  /** Adds to the gradient, as `backward` does. */
  addGrad(part: Tensor): void {
    this.#touch(false);
    const sum = this.#grad ? this.#grad.add(part) : part;
    // What a step has used up was not kept: sums with it cannot be computed, and need not be where zeroGrad() follows.
    if (this.#gradIsSpent) this.#grad = sum;
    else this.grad = sum;
  }

  /**
   * The gradient, or null, for `op`, which is going to compute with it.
   *
   * @throws Error when an optimizer's step has used it, or a part of what was added up: its value is gone.
   */
  gradFor(op: string): Tensor | null {
    if (this.#gradIsSpent)
      throw new Error(
        `${op}: the gradient of ${this.label} was used by an earlier step already: call zeroGrad() before backward()`,
      );
    return this.grad;
  }

  /** Says that a step uses the gradient: its value is not kept beyond that. */
  spendGrad(): void {
    if (this.#grad) releaseKept(this.#grad.node);
    this.#gradIsSpent = !isTracing();
  }

  /** What errors call it: its name, or its shape where it has none. */
  get label(): string {
    return this.name ? `"${this.name}"` : `a parameter ${shapeText(this.shape)}`;
  }

  /** A function that is being compiled starts without a gradient, and gives back what was there. */
  #touch(replaces: boolean): void {
    if (!isFromOutside(this)) return;
    const [grad, isSpent] = [this.#grad, this.#gradIsSpent];
    const restore = (): void => {
      this.#grad = grad;
      this.#gradIsSpent = isSpent;
    };
    touch(this, { replaces, restore });
    this.#grad = null;
    this.#gradIsSpent = false;
  }

  /** The present value; a new node after every assignment. */
  override get node(): Node {
    if (this.#standIn) return this.#standIn.node;
    const { node, leafNode, requiresGrad } = this.cell;
    if (node === leafNode || !requiresGrad) return node;
    // A pending value was computed without gradients or from other parameters: from here on it is a source of its own.
    if (this.#alias?.of !== node) {
      this.#alias = { of: node, node: marked(node) };
      registerAlias(this.#alias.node, this);
    }
    return this.#alias.node;
  }

  override get requiresGrad(): boolean {
    return this.cell.requiresGrad;
  }

  override set requiresGrad(value: boolean) {
    requireGrads([this], value);
  }

  /**
   * Freezes (false) or unfreezes the parameter; compiled functions record anew.
   * @throws TypeError for integers, which have no gradients
   */
  requiresGrad_(value = true): this {
    this.requiresGrad = value;
    return this;
  }

  /** Shown in errors and listings. */
  get name(): string {
    return this.cell.variable.name;
  }

  set name(value: string) {
    this.cell.variable.name = value;
  }

  /**
   * Gives the parameter a new value of the same shape; other dtypes are converted. Lazy: computed and written at the
   * next evaluation.
   *
   * @throws when the shape differs.
   */
  assign(value: Tensor): this {
    if (this.#standIn) {
      // A parameter that stands in takes the new value itself.
      if (this.#standIn instanceof Parameter) this.#standIn.assign(value);
      else this.#standIn = value.to(this.dtype);
      return this;
    }
    refuseWhileTraced(
      `assign to ${this.name || 'a parameter'}`,
      'return the new value (batch normalisation: call eval() or choose a layer without running statistics)',
    );
    if (!(value instanceof Tensor))
      throw new TypeError(`assign: ${this.name || 'parameter'}: expected a tensor, got ${describe(value)}`);
    const same = value.ndim === this.ndim && value.shape.every((n, d) => n === this.shape[d]);
    if (!same)
      throw new RangeError(
        `assign: ${this.name || 'parameter'}: shape ${shapeText(value.shape)} came, expected ${shapeText(this.shape)}`,
      );
    this.cell.assign(value.detach().to(this.dtype).node);
    return this;
  }

  /**
   * Gives the parameter a value that has been computed already, at once and without a program; its dtype must be the
   * parameter's.
   *
   * @throws when shape or dtype differ.
   */
  write(value: Tensor): this {
    const same = value.ndim === this.ndim && value.shape.every((n, d) => n === this.shape[d]);
    if (!same || value.dtype !== this.dtype)
      throw new RangeError(
        `write: ${this.name || 'parameter'}: ${value.dtype} ${shapeText(value.shape)} came, expected ${this.dtype} ${shapeText(this.shape)}`,
      );
    this.cell.write(value.data().slice() as HostArray);
    return this;
  }

  /**
   * Runs `fn` with the given tensors, of the parameters' shapes and dtypes, standing in for the values of parameters.
   * What `fn` assigns to such a parameter goes to the parameter that stands in for it; in place of a plain tensor it
   * stands in until the end, and is forgotten.
   */
  static standingIn<T>(values: ReadonlyMap<Parameter, Tensor>, fn: () => T): T {
    const before = [...values.keys()].map(parameter => [parameter, parameter.#standIn] as const);
    for (const [parameter, value] of values) parameter.#standIn = value;
    try {
      return fn();
    } finally {
      for (const [parameter, standIn] of before) parameter.#standIn = standIn;
    }
  }

  override get shape(): readonly number[] {
    return this.cell.shape;
  }
}
