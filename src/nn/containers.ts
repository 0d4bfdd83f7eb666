/**
 * Modules that hold modules: chains, lists and dictionaries.
 */
import type { Tensor } from '../tensor/index.ts';
import { type AnyModule, Module } from './module.ts';

/** Children under the keys 0, 1, 2, ...: what Sequential and ModuleList share. */
function numbered<M extends AnyModule>(owner: AnyModule, at: number, module: M): void {
  Object.defineProperty(owner, at, { value: module, enumerable: true, configurable: true, writable: true });
}

/** Runs modules one after another. */
export class Sequential extends Module {
  readonly #layers: Module[] = [];

  constructor(...layers: Module[]) {
    super();
    for (const layer of layers) this.append(layer);
  }

  append(layer: Module): this {
    if (!(layer instanceof Module))
      throw new TypeError(
        `Sequential: layer ${this.#layers.length} is ${Array.isArray(layer) ? 'an array: pass the modules one by one' : 'no module'}`,
      );
    numbered(this, this.#layers.length, layer);
    this.#layers.push(layer);
    return this;
  }

  get length(): number {
    return this.#layers.length;
  }

  /** The layer at `index`; negative indices count from the end. */
  at(index: number): Module | undefined {
    return this.#layers.at(index);
  }

  [Symbol.iterator](): Iterator<Module> {
    return this.#layers[Symbol.iterator]();
  }

  forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this.#layers) y = layer.call(y);
    return y;
  }
}

/** A list of modules whose parameters are found; it has no `forward` of its own. */
export class ModuleList<M extends AnyModule = Module> extends Module<never[], never> {
  readonly #items: M[] = [];

  constructor(items: Iterable<M> = []) {
    super();
    for (const item of items) this.append(item);
  }

  append(item: M): this {
    numbered(this, this.#items.length, item);
    this.#items.push(item);
    return this;
  }

  get length(): number {
    return this.#items.length;
  }

  /** The module at `index`; negative indices count from the end. */
  at(index: number): M | undefined {
    return this.#items.at(index);
  }

  [Symbol.iterator](): Iterator<M> {
    return this.#items[Symbol.iterator]();
  }

  forward(): never {
    throw new Error('ModuleList has no forward: loop over its modules');
  }
}

/** Modules under names of the user's choice, which are their keys as they stand. */
export class ModuleDict<M extends AnyModule = Module> extends Module<never[], never> {
  readonly #items = new Map<string, M>();

  constructor(items: Readonly<Record<string, M>> = {}) {
    super();
    for (const [name, item] of Object.entries(items)) this.set(name, item);
  }

  set(name: string, item: M): this {
    if (name in this && !this.#items.has(name))
      throw new Error(`ModuleDict: the name "${name}" is taken by a member of the class`);
    Object.defineProperty(this, name, { value: item, enumerable: true, configurable: true, writable: true });
    this.#items.set(name, item);
    return this;
  }

  get(name: string): M | undefined {
    return this.#items.get(name);
  }

  entries(): IterableIterator<[string, M]> {
    return this.#items.entries();
  }

  protected override childKey(property: string): string {
    return property;
  }

  forward(): never {
    throw new Error('ModuleDict has no forward: use its modules by name');
  }
}
