/**
 * How a recording learns which modules ran in it: each method that a module class defines notes the fields of its module first
 * (src/tensor/fields.ts). Once for each class, when its first module is made, so that `forward`, `encode` or any other entry counts, called directly or not.
 */
import { noteFields } from '../tensor/fields.ts';

const prepared = new WeakSet<object>();

type Method = (this: object, ...args: unknown[]) => unknown;

/** The method under the same name, which stack traces show. */
const noting = (name: string, method: Method): Method =>
  ({
    [name](this: object, ...args: unknown[]): unknown {
      noteFields(this);
      return method.apply(this, args);
    },
  })[name]!;

/** Has the methods of `prototype` and of those above it, up to `base`, note their modules. */
export function noteMethods(prototype: object, base: object): void {
  for (let at = prototype; at !== base && !prepared.has(at); at = Object.getPrototypeOf(at) as object) {
    prepared.add(at);
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (typeof descriptor.value === 'function' && name !== 'constructor')
        Object.defineProperty(at, name, { ...descriptor, value: noting(name, descriptor.value as Method) });
  }
}
