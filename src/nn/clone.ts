/**
 * Deep copies of modules, as Python's copy.deepcopy makes them: what is shared inside stays shared, nothing is shared
 * with the original.
 */
import { Parameter, Tensor } from '../tensor/index.ts';
import type { AnyModule } from './module.ts';
import { copyParametrised } from './parametrize.ts';

/** How a module is copied but for its fields; null for what is no module. */
export type BlankCopy = (original: object) => AnyModule | null;

/**
 * Members that only the class itself can put into an object are found in its source, as nothing else shows them.
 * @throws Error where there are any below `base`
 */
export function refusePrivateMembers(module: AnyModule, base: object): void {
  for (let at = Object.getPrototypeOf(module) as object; at !== base; at = Object.getPrototypeOf(at) as object) {
    const member = /\bthis\.(#[\w$]+)/.exec(Function.prototype.toString.call(at.constructor))?.[1];
    if (member)
      throw new Error(
        `clone: ${at.constructor.name}.${member} is private to its class, so that no copy can have it: declare it with TypeScript's private`,
      );
  }
}

/** One deep copy under way: what has been copied so far, so that everything is copied once. */
class Copying {
  readonly #copies = new Map<object, unknown>();
  readonly #blank: BlankCopy;

  constructor(blank: BlankCopy) {
    this.#blank = blank;
  }

  /**
   * Parameters, modules, arrays, plain objects, maps, sets and typed arrays are copied; functions and other objects are
   * shared.
   */
  of(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (!this.#copies.has(value)) {
      const copy = this.#start(value);
      this.#copies.set(value, copy);
      if (copy !== value) this.#fill(value, copy);
    }
    return this.#copies.get(value);
  }

  /** A copy without what it holds, which may lead back to it; the value itself where it is shared. */
  #start(value: object): object {
    if (value instanceof Parameter) {
      const { requiresGrad, name, sparse } = value;
      return Object.assign(new Parameter(value.detach(), { requiresGrad, name }), { sparse });
    }
    if (value instanceof Tensor) return value;
    if (ArrayBuffer.isView(value)) return structuredClone(value);
    if (Array.isArray(value)) return [];
    if (value instanceof Map) return new Map();
    if (value instanceof Set) return new Set();
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return Object.create(prototype as object | null) as object;
    return this.#blank(value) ?? value;
  }

  #fill(value: object, copy: object): void {
    if (value instanceof Parameter || ArrayBuffer.isView(value)) return;
    if (value instanceof Map) for (const [k, v] of value) (copy as typeof value).set(this.of(k), this.of(v));
    else if (value instanceof Set) for (const item of value) (copy as typeof value).add(this.of(item));
    else {
      for (const key of Reflect.ownKeys(value)) {
        const field = Object.getOwnPropertyDescriptor(value, key)!;
        Object.defineProperty(copy, key, 'value' in field ? { ...field, value: this.of(field.value) } : field);
      }
      copyParametrised(value as AnyModule, copy as AnyModule);
    }
  }
}

/** A deep copy of `module` and all below it. */
export const deepCopy = <M extends AnyModule>(module: M, blank: BlankCopy): M => new Copying(blank).of(module) as M;
