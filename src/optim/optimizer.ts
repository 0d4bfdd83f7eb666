/**
 * The base of all optimizers: parameter groups, learning rates and step counters in cells (so a compiled step sees a
 * schedule and counts without being compiled again), gradients, saved state. Imports the Tensor API; knows nothing of
 * modules or training loops.
 */

import { data } from '../graph/build.ts';
import type { DType } from '../graph/dtype.ts';
import type { FirstValue } from '../graph/storage.ts';
import { Cell, flush, flushUpdates, quietly } from '../runtime/index.ts';
import { shapeText } from '../tensor/convert.ts';
import { countingChanges, noteFields } from '../tensor/fields.ts';
import { Parameter, Tensor, tensor, where, zeros } from '../tensor/index.ts';
import { bumpModeEpoch } from '../tensor/mode.ts';
import { describe } from '../tensor/operands.ts';
import { checkNames, checkOptions } from '../tensor/options.ts';
import { type RowGradient, rowGradient } from './rows.ts';

/** Settings of one parameter group; what is not given is taken from the optimizer's defaults. */
export type GroupOptions<H> = { readonly params: Iterable<Parameter> } & Partial<H>;

/** What optimizers are made from: parameters, or groups with settings of their own. */
export type Params<H> = Iterable<Parameter> | readonly GroupOptions<H>[];

/** Hyperparameters that every optimizer has. */
export interface BaseHyper {
  /** Learning rate. */
  readonly lr: number;
  /** Whether to go up the gradient instead of down; false by default. */
  readonly maximize?: boolean;
}

/** A hyperparameter as programs read it: a plain number is part of the program, a tensor is read when it runs. */
export type Scalar = number | Tensor;

/** Parameters that are updated with the same hyperparameters. */
export class ParamGroup<H extends BaseHyper = BaseHyper> {
  readonly params: readonly Parameter[];
  /**
   * Hyperparameters other than the learning rate. They may be changed between steps, and a compiled step is recorded
   * anew then; momentum and the first beta are better set through `momentum`, which records nothing.
   */
  readonly hyper: { -readonly [K in Exclude<keyof H, 'lr'>]: H[K] };
  /**
   * Steps each parameter has had, f64 [params]: one without a gradient is left out of a step. One tensor for all, so
   * that a program computes bias corrections once and not per parameter.
   */
  readonly steps: Parameter;
  /** The learning rate when the first schedule was made for this group: what schedules scale. */
  initialLr: number | null = null;
  readonly #rate: Cell;
  /** f64 [params]: a number for each parameter that outlives the step, by name. */
  readonly #vectors = new Map<string, Parameter>();
  #momentum: { value: number; readonly cell: Cell } | null = null;
  #lr: number;

  constructor(params: readonly Parameter[], { lr, ...hyper }: H) {
    this.params = params;
    this.hyper = countingChanges(hyper);
    this.steps = new Parameter(Tensor.from(new Float64Array(params.length)), { requiresGrad: false });
    this.#rate = new Cell([], 'f64', Float64Array.of(lr), { name: 'lr' });
    this.#lr = lr;
  }

  /** Learning rate; may be changed between any two steps. @throws TypeError for what is no number */
  get lr(): number {
    return this.#lr;
  }

  set lr(value: number) {
    if (typeof value !== 'number' || Number.isNaN(value))
      throw new TypeError(`lr: expected a number, got ${describe(value)}`);
    this.#lr = value;
    this.#rate.write(Float64Array.of(value));
  }

  /** A number for each parameter, f64 [params]; made of `initial` at first use. */
  vector(name: string, initial: number): Parameter {
    let vector = this.#vectors.get(name);
    if (!vector) {
      const host = new Float64Array(this.params.length).fill(initial);
      vector = new Parameter(new Tensor(data(host, [host.length], 'f64')), { requiresGrad: false });
      this.#vectors.set(name, vector);
    }
    return vector;
  }

  /** The vectors that are in use, with `steps`. */
  get vectors(): ReadonlyMap<string, Parameter> {
    return new Map([['steps', this.steps], ...this.#vectors]);
  }

  /** Whether the group has a momentum (or betas) that a schedule can move. */
  get hasMomentum(): boolean {
    const { momentum, betas } = this.hyper as { readonly momentum?: number; readonly betas?: readonly number[] };
    return betas !== undefined || (momentum !== undefined && momentum !== 0);
  }

  /**
   * Momentum, or the first of the betas. Once it has been set, programs read it when they run, as the learning rate.
   */
  get momentum(): number {
    const { momentum, betas } = this.hyper as { readonly momentum?: number; readonly betas?: readonly number[] };
    return this.#momentum?.value ?? betas?.[0] ?? momentum ?? 0;
  }

  set momentum(value: number) {
    if (!this.hasMomentum) throw new Error(`momentum ${value} came for a group without momentum or betas`);
    if (!this.#momentum) {
      this.#momentum = { value, cell: new Cell([], 'f64', Float64Array.of(value), { name: 'momentum' }) };
      // Programs that were recorded with the number in them are out of date.
      bumpModeEpoch();
    }
    this.#momentum.value = value;
    this.#momentum.cell.write(Float64Array.of(value));
  }

  /** Momentum as an update uses it: the number given, or what programs read once a schedule moves it. */
  moving(given: number): Scalar {
    return this.#momentum ? new Tensor(this.#momentum.cell.node) : given;
  }

  /** The learning rate as an f64 scalar that programs read when they run. */
  get rate(): Tensor {
    return new Tensor(this.#rate.node);
  }
}

/** `next` for the parameters of a step, `before` for those of the group that had no gradient; both f64 [params]. */
export function movedOn(group: ParamGroup, updates: readonly Update[], next: Tensor, before: Tensor): Tensor {
  if (updates.length === group.params.length) return next;
  const moves = new Uint8Array(group.params.length);
  for (const { index } of updates) moves[index] = 1;
  return where(Tensor.from(moves, { dtype: 'bool' }), next, before);
}

/**
 * State of an optimizer as plain data and tensors. Per-parameter tensors have keys `${index}.${name}`, by order of
 * parameters.
 */
export interface OptimizerState {
  readonly groups: readonly { readonly lr: number; readonly params: number }[];
  readonly tensors: Record<string, Tensor>;
}

/** Per-parameter tensors by name, such as `momentumBuffer`. */
type Slots = Map<string, Parameter>;

/** One parameter of a step, with its gradient. */
export interface Update {
  readonly parameter: Parameter;
  readonly grad: Tensor;
  /** The gradient as rows, where it is that of lookups in a much larger table. */
  readonly rows: RowGradient | null;
  /** Its place in the group, and so in `group.steps`. */
  readonly index: number;
}

/** Any optimizer, whatever its settings. */
export type AnyOptimizer = Pick<
  Optimizer,
  'paramGroups' | 'parameters' | 'lr' | 'zeroGrad' | 'step' | 'stepUnless' | 'stateDict' | 'loadStateDict'
>;

/**
 * Base of all optimizers: groups of parameters with their settings, state that is saved and loaded, and one update that
 * subclasses write.
 */
export abstract class Optimizer<H extends BaseHyper = BaseHyper> {
  /** Parameters by their settings; `lr` and `hyper` of a group may be changed between steps. */
  readonly paramGroups: ParamGroup<H>[] = countingChanges([]);
  readonly #known: readonly string[];
  readonly #defaults: H;
  readonly #slots = new Map<Parameter, Slots>();

  /**
   * `defaults` are what an optimizer has without the user's `options`.
   *
   * @throws Error when there are no parameters, one comes twice, or a setting is unknown or out of range
   */
  constructor(params: Params<H>, defaults: Omit<H, 'lr'> & { readonly lr?: number }, options: Partial<H> = {}) {
    this.#known = [...new Set([...Object.keys(defaults), 'lr', 'maximize'])];
    this.#defaults = { ...defaults, ...this.#settings(options) } as H;
    if (typeof (params as Partial<typeof params>)?.[Symbol.iterator] !== 'function')
      throw new TypeError(`${this.name}: params: expected parameters, for instance model.parameters()`);
    const given = [...params];
    const isGroups = given.length > 0 && !(given[0] instanceof Parameter);
    const groups = isGroups
      ? (given as GroupOptions<H>[])
      : [{ params: given as Parameter[] } as unknown as GroupOptions<H>];
    for (const group of groups) this.addParamGroup(group);
    if (this.paramGroups.every(group => group.params.length === 0))
      throw new Error(
        `${this.name}: no parameters came (modules know the Parameters and Modules in their fields, but not in #private ones)`,
      );
    // Initial values are written now, so that every step is the same program.
    flush();
  }

  protected get name(): string {
    return this.constructor.name;
  }

  /** Adds parameters with settings of their own, for instance when a frozen layer is let loose. */
  addParamGroup({ params, ...settings }: GroupOptions<H>): void {
    const hyper: H = { ...this.#defaults, ...this.#settings(settings as unknown as Partial<H>) };
    this.check(hyper);
    if (!params) throw new TypeError(`${this.name}: params: expected Parameters, or groups { params, ... } of them`);
    const list = [...params];
    const known = new Set(this.paramGroups.flatMap(group => group.params));
    for (const parameter of list) {
      if (!(parameter instanceof Parameter))
        throw new Error(`${this.name}: params: a ${typeof parameter} came, expected Parameters`);
      if (known.has(parameter)) throw new Error(`${this.name}: ${parameter.label} came twice`);
      known.add(parameter);
    }
    this.paramGroups.push(new ParamGroup(list, hyper));
  }

  /** The settings that were given. */
  #settings(options: Partial<H>): Partial<H> {
    checkNames(this.name, options, this.#known);
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<H>;
  }

  /** Complains about settings out of range. */
  protected check(hyper: H): void {
    this.atLeastZero({ lr: hyper.lr });
  }

  /** Complains about the settings, by name, that are below zero or no numbers. */
  protected atLeastZero(settings: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(settings))
      if (typeof value !== 'number' || !(value >= 0))
        throw new Error(`${this.name}: ${name} ${value} came, expected at least 0`);
  }

  /** All parameters, group by group. */
  get parameters(): Parameter[] {
    return this.paramGroups.flatMap(group => [...group.params]);
  }

  /** Learning rate of the first group; setting it sets all groups'. */
  get lr(): number {
    return this.paramGroups[0]!.lr;
  }

  set lr(value: number) {
    for (const group of this.paramGroups) group.lr = value;
  }

  /** The settings of every group of parameters; `console.log(optimizer)` shows it too. */
  toString(): string {
    const lines = this.paramGroups.map(({ params, lr, hyper }, i) => {
      const settings = Object.entries({ lr, ...hyper }).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      return `  (${i}): parameters=${params.length}, ${settings.join(', ')}`;
    });
    return `${this.name}(\n${lines.join('\n')}\n)`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Forgets all gradients; with `setToNone` false they become zeros instead. */
  zeroGrad(options: { readonly setToNone?: boolean } = {}): void {
    const { setToNone = true } = checkOptions('zeroGrad', options, ['setToNone']);
    for (const parameter of this.parameters)
      parameter.grad = setToNone || !parameter.grad ? null : zeros(parameter.shape, { dtype: parameter.dtype });
  }

  /**
   * Updates every parameter that has a gradient. Outside of a compiled function the whole of forward, backward and
   * update runs now, as one program.
   */
  step(): void {
    const spent = quietly(() => this.assignAll());
    flushUpdates(spent.map(({ node }) => node));
  }

  /**
   * A step of which nothing happens where `skip`, a bool of one element, turns out true: neither parameters nor the
   * optimizer's state change.
   */
  stepUnless(skip: Tensor): void {
    const before = new Map(this.changing().map(({ cell }) => [cell, cell.node]));
    const spent = quietly(() => {
      const grads = this.assignAll();
      for (const { cell } of this.changing()) {
        const [was, now] = [before.get(cell) ?? cell.leafNode, cell.node];
        if (now !== was) cell.assign(where(skip, new Tensor(was), new Tensor(now)).node);
      }
      return grads;
    });
    flushUpdates(spent.map(({ node }) => node));
  }

  /** Everything a step may assign. */
  private changing(): Parameter[] {
    return [
      ...this.parameters,
      ...this.paramGroups.flatMap(group => [...group.vectors.values()]),
      ...[...this.#slots.values()].flatMap(slots => [...slots.values()]),
    ];
  }

  /** @returns the gradients that were used */
  private assignAll(): Tensor[] {
    // All of them before anything is assigned: a step that is refused changes nothing.
    const grads = new Map(this.parameters.map(parameter => [parameter, parameter.gradFor(`${this.name}.step`)]));
    noteFields(this.paramGroups);
    for (const group of this.paramGroups) {
      noteFields(group.hyper);
      const hasGrad = group.params.map(parameter => grads.get(parameter) !== null);
      if (!hasGrad.includes(true)) continue;
      const advance = hasGrad.every(has => has) ? 1 : Tensor.from(Float64Array.from(hasGrad, has => (has ? 1 : 0)));
      group.steps.assign(group.steps.add(advance));
      const updates: Update[] = [];
      group.params.forEach((parameter, i) => {
        const slope = grads.get(parameter)?.detach();
        if (!slope) return;
        parameter.spendGrad();
        const grad = group.hyper.maximize ? slope.neg() : slope;
        updates.push({ parameter, grad, rows: rowGradient(grad, parameter.sparse), index: i });
      });
      this.update(group, updates);
    }
    return [...grads.values()].filter(grad => grad !== null);
  }

  /** Assigns the new values of the parameters that have a gradient. `group.steps` counts this step already. */
  protected abstract update(group: ParamGroup<H>, updates: readonly Update[]): void;

  /** The shape of the parameter's tensor of that name: the parameter's, unless an optimizer says otherwise. */
  protected slotShape(parameter: Parameter, _name: string): readonly number[] {
    return parameter.shape;
  }

  /**
   * A tensor that belongs to a parameter and outlives the step, of the parameter's dtype; made of `initial` at first
   * use.
   */
  protected slot(parameter: Parameter, name: string, initial = 0): Parameter {
    let slots = this.#slots.get(parameter);
    if (!slots) this.#slots.set(parameter, (slots = new Map()));
    let slot = slots.get(name);
    if (!slot) {
      const shape = this.slotShape(parameter, name);
      const value = filledWith(parameter.dtype, initial);
      slot = new Parameter({ shape, dtype: parameter.dtype, value }, { requiresGrad: false });
      slots.set(name, slot);
    }
    return slot;
  }

  /** Everything needed to go on later. The tensors are the live ones: copy or save them before the next step. */
  stateDict(): OptimizerState {
    const tensors: Record<string, Tensor> = {};
    this.paramGroups.forEach((group, g) => {
      for (const [name, vector] of group.vectors) tensors[`group${g}.${name}`] = vector;
    });
    this.parameters.forEach((parameter, i) => {
      for (const [name, slot] of this.#slots.get(parameter) ?? []) tensors[`${i}.${name}`] = slot;
    });
    return { groups: this.paramGroups.map(group => ({ lr: group.lr, params: group.params.length })), tensors };
  }

  /** Takes over a saved state. @throws Error when it belongs to other groups or parameters; then nothing has changed */
  loadStateDict(state: OptimizerState): void {
    const sizes = (groups: readonly { readonly params: number | readonly Parameter[] }[]): string =>
      groups.map(({ params }) => (typeof params === 'number' ? params : params.length)).join(', ');
    if (sizes(state.groups) !== sizes(this.paramGroups))
      throw new Error(
        `${this.name}.loadStateDict: groups of ${sizes(state.groups)} parameters came, expected groups of ${sizes(this.paramGroups)}`,
      );
    const parameters = this.parameters;
    const loads: (() => void)[] = [];
    for (const [key, value] of Object.entries(state.tensors)) {
      const dot = key.indexOf('.');
      const owner = key.slice(0, dot);
      const name = key.slice(dot + 1);
      const group = owner.startsWith('group') ? this.paramGroups[Number(owner.slice(5))] : undefined;
      const parameter = parameters[Number(owner)];
      const shape = group ? group.steps.shape : parameter && this.slotShape(parameter, name);
      if (!shape || shape.join() !== value.shape.join())
        throw new Error(
          `${this.name}.loadStateDict: ${key} is ${shapeText(value.shape)}, expected ${shape ? `${shapeText(shape)}` : 'no such entry'}`,
        );
      loads.push(() => {
        const vector = name === 'steps' ? group?.steps : group?.vector(name, 0);
        (vector ?? this.slot(parameter!, name)).assign(value);
      });
    }
    for (const load of loads) load();
    state.groups.forEach(({ lr }, g) => {
      this.paramGroups[g]!.lr = lr;
    });
    flush();
  }
}

/**
 * Fills state with one value, where and when it is first needed: state is made while a step is traced, when nothing may
 * be computed.
 */
function filledWith(dtype: DType, value: number): FirstValue {
  if (value === 0) return memory => memory;
  // The element as the dtype stores it: half types keep bits.
  const [element] = tensor([value], { dtype }).data();
  return memory => (memory as Float32Array).fill(Number(element));
}
