/**
 * Modules that hold modules or parameters: chains, lists and dictionaries.
 */
import { noteFields } from '../tensor/fields.ts';
import { Parameter, type Tensor } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { type AnyModule, Module } from './module.ts';

/** The keys of a container's items, in order. The items are fields, in whose place `to` and pruning put others. */
const KEYS = Symbol('keys');

interface Container {
  readonly [KEYS]: string[];
}

/** The keys, by one who looks for items: a recording depends on which there are, and on what stands under them. */
function keysOf(owner: Container): readonly string[] {
  noteFields(owner);
  noteFields(owner[KEYS]);
  return owner[KEYS];
}

/** The item under a key. */
const itemOf = <I>(owner: Container, key: string | undefined): I | undefined =>
  key === undefined || !keysOf(owner).includes(key) ? undefined : (owner as unknown as Record<string, I>)[key];

/** The items in order. */
const itemsOf = <I>(owner: Container): I[] => keysOf(owner).map(key => (owner as unknown as Record<string, I>)[key]!);

/** The key of the item that is replaced at `index`. @throws RangeError when there is none */
function keyAt(owner: Container & AnyModule, index: number): string {
  const { length } = owner[KEYS];
  const key = owner[KEYS][index < 0 ? index + length : index];
  if (key === undefined)
    throw new RangeError(`${owner.constructor.name}.set: index ${index} is out of range for ${length} modules`);
  return key;
}

/** Keys and items in order. */
function entriesOf<I>(owner: Container): IterableIterator<[string, I]> {
  const items = itemsOf<I>(owner);
  return owner[KEYS].map((key, i): [string, I] => [key, items[i]!]).values();
}

/** Children under the keys 0, 1, 2, ...: what Sequential and ModuleList share. */
function numbered<M extends AnyModule>(owner: AnyModule, at: number, module: M): void {
  Object.defineProperty(owner, at, { value: module, enumerable: true, configurable: true, writable: true });
}

function ordered(owner: Container, key: string): void {
  if (!owner[KEYS].includes(key)) owner[KEYS].push(key);
}

function ownParameter(owner: AnyModule, name: string, parameter: Parameter): void {
  if (!(parameter instanceof Parameter))
    throw new TypeError(`${owner.constructor.name}: ${name} is no Parameter: wrap tensors in new Parameter(...)`);
  Object.defineProperty(owner, name, { value: parameter, enumerable: true, configurable: true, writable: true });
}

/** @throws TypeError for what is no module, a class or a function for instance */
function checkModule(owner: AnyModule, place: string, given: unknown): void {
  if (given instanceof Module) return;
  const isClass = typeof given === 'function' && given.prototype instanceof Module;
  throw new TypeError(
    `${owner.constructor.name}: ${place}: expected a module, got ${isClass ? `the class ${given.name}: new ${given.name}(...)` : describe(given)}`,
  );
}

/** The items of a list. @throws TypeError where they came one by one */
function itemsGiven<I>(owner: AnyModule, kind: string, items: Iterable<I>): Iterable<I> {
  if (typeof items?.[Symbol.iterator] === 'function') return items;
  throw new TypeError(`${owner.constructor.name}: expected an array of ${kind}, got ${describe(items)}`);
}

/** A child under a name of the user's choice. */
function named(owner: AnyModule, name: string, module: AnyModule, taken: boolean): void {
  if (name in owner && !taken)
    throw new Error(`${owner.constructor.name}: the name "${name}" is taken by a member of the class`);
  Object.defineProperty(owner, name, { value: module, enumerable: true, configurable: true, writable: true });
}

/**
 * Runs modules one after another: under the keys 0, 1, 2, ..., or under names of your own, `new Sequential({ conv, relu
 * })`.
 */
export class Sequential extends Module {
  readonly [KEYS]: string[] = [];

  constructor(...layers: readonly Module[] | [Readonly<Record<string, Module>>]) {
    super();
    const [first] = layers;
    if (layers.length === 1 && first && Object.getPrototypeOf(first) === Object.prototype)
      for (const [name, layer] of Object.entries(first as Readonly<Record<string, Module>>)) this.append(layer, name);
    else for (const layer of layers as readonly Module[]) this.append(layer);
  }

  /** Adds a layer at the end, under its number unless a name is given. */
  append(layer: Module, name?: string): this {
    this.check(layer, this.length);
    if (name === undefined) numbered(this, this.length, layer);
    else named(this, name, layer, false);
    ordered(this, name ?? String(this.length));
    return this;
  }

  /**
   * Puts a layer in place of the one at `index`, under its name; negative indices count from the end.
   *
   * @throws RangeError when there is no such layer
   */
  set(index: number, layer: Module): this {
    const key = keyAt(this, index);
    this.check(layer, this[KEYS].indexOf(key));
    named(this, key, layer, true);
    return this;
  }

  private check(layer: Module, at: number): void {
    if (Array.isArray(layer)) throw new TypeError(`Sequential: layer ${at} is an array: pass the modules one by one`);
    checkModule(this, `layer ${at}`, layer);
  }

  protected override childKey(property: string): string {
    return property;
  }

  get length(): number {
    return this[KEYS].length;
  }

  /** The layer at `index`; negative indices count from the end. */
  at(index: number): Module | undefined {
    return itemOf(this, this[KEYS].at(index));
  }

  /** The layers in order. */
  [Symbol.iterator](): Iterator<Module> {
    return itemsOf<Module>(this)[Symbol.iterator]();
  }

  forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this) y = layer.call(y);
    return y;
  }
}

/** A list of modules whose parameters are found; it has no `forward` of its own. */
export class ModuleList<M extends AnyModule = Module> extends Module<never[], never> {
  readonly [KEYS]: string[] = [];

  constructor(items: Iterable<M> = []) {
    super();
    for (const item of itemsGiven(this, 'modules', items)) this.append(item);
  }

  /** Adds a module at the end, under its number. */
  append(item: M): this {
    checkModule(this, `module ${this.length}`, item);
    numbered(this, this.length, item);
    ordered(this, String(this.length));
    return this;
  }

  /**
   * Puts a module in place of the one at `index`; negative indices count from the end.
   * @throws RangeError when there is none
   */
  set(index: number, item: M): this {
    checkModule(this, `module ${index}`, item);
    named(this, keyAt(this, index), item, true);
    return this;
  }

  get length(): number {
    return this[KEYS].length;
  }

  /** The module at `index`; negative indices count from the end. */
  at(index: number): M | undefined {
    return itemOf(this, this[KEYS].at(index));
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<M> {
    return itemsOf<M>(this)[Symbol.iterator]();
  }

  forward(): never {
    throw new Error('ModuleList has no forward: loop over its modules');
  }
}

/** Modules under names of the user's choice, which are their keys as they stand. */
export class ModuleDict<M extends AnyModule = Module> extends Module<never[], never> {
  readonly [KEYS]: string[] = [];

  constructor(items: Readonly<Record<string, M>> = {}) {
    super();
    for (const [name, item] of Object.entries(items)) this.set(name, item);
  }

  /**
   * Puts a module under a name, in place of the one that was there.
   * @throws Error when the name is that of a member of the class
   */
  set(name: string, item: M): this {
    checkModule(this, `"${name}"`, item);
    named(this, name, item, this[KEYS].includes(name));
    ordered(this, name);
    return this;
  }

  /** The module of that name. */
  get(name: string): M | undefined {
    return itemOf(this, name);
  }

  /** Names and modules in the order they were set. */
  entries(): IterableIterator<[string, M]> {
    return entriesOf(this);
  }

  protected override childKey(property: string): string {
    return property;
  }

  forward(): never {
    throw new Error('ModuleDict has no forward: use its modules by name');
  }
}

/** Parameters under the keys 0, 1, 2, ... */
export class ParameterList extends Module<never[], never> {
  readonly [KEYS]: string[] = [];

  constructor(items: Iterable<Parameter> = []) {
    super();
    for (const item of itemsGiven(this, 'parameters', items)) this.append(item);
  }

  /** Adds a parameter at the end, under its number. */
  append(item: Parameter): this {
    ownParameter(this, String(this.length), item);
    ordered(this, String(this.length));
    return this;
  }

  get length(): number {
    return this[KEYS].length;
  }

  /** The parameter at `index`; negative indices count from the end. */
  at(index: number): Parameter | undefined {
    return itemOf(this, this[KEYS].at(index));
  }

  /** The parameters in order. */
  [Symbol.iterator](): Iterator<Parameter> {
    return itemsOf<Parameter>(this)[Symbol.iterator]();
  }

  forward(): never {
    throw new Error('ParameterList has no forward: loop over its parameters');
  }
}

/** Parameters under names of the user's choice, which are their keys as they stand. */
export class ParameterDict extends Module<never[], never> {
  readonly [KEYS]: string[] = [];

  constructor(items: Readonly<Record<string, Parameter>> = {}) {
    super();
    for (const [name, item] of Object.entries(items)) this.set(name, item);
  }

  /**
   * Puts a parameter under a name, in place of the one that was there.
   * @throws Error when the name is that of a member of the class
   */
  set(name: string, item: Parameter): this {
    if (name in this && !this[KEYS].includes(name))
      throw new Error(`ParameterDict: the name "${name}" is taken by a member of the class`);
    ownParameter(this, name, item);
    ordered(this, name);
    return this;
  }

  /** The parameter of that name. */
  get(name: string): Parameter | undefined {
    return itemOf(this, name);
  }

  /** Names and parameters in the order they were set. */
  entries(): IterableIterator<[string, Parameter]> {
    return entriesOf(this);
  }

  protected override childKey(property: string): string {
    return property;
  }

  forward(): never {
    throw new Error('ParameterDict has no forward: use its parameters by name');
  }
}
