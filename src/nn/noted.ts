/**
 * What is seen of a module that runs: a recording learns which modules it depends on (src/tensor/fields.ts), a plain
 * loop which values are a model's outputs and may be read after a step (src/runtime/asked.ts). For that, each method
 * that a module class defines is wrapped, once for each class, when its first module is made: so that `forward`,
 * `encode` or any other entry counts, called directly or not.
 */
import { isTracing, noteResult } from '../runtime/index.ts';
import { noteFields } from '../tensor/fields.ts';
import { Tensor } from '../tensor/index.ts';
import { isInsideTransform } from '../tensor/symbolic.ts';

const prepared = new WeakSet<object>();
let depth = 0;

type Method = (this: object, ...args: unknown[]) => unknown;

/** The tensors of a result: one, or some in arrays and plain objects. */
function noteResults(result: unknown): void {
  if (result instanceof Tensor) noteResult(result.node);
  else if (Array.isArray(result)) for (const part of result) noteResults(part);
  else if (result !== null && typeof result === 'object' && Object.getPrototypeOf(result) === Object.prototype)
    for (const part of Object.values(result)) noteResults(part);
}

/** The method under the same name, which stack traces show. */
const noting = (name: string, method: Method): Method =>
  ({
    [name](this: object, ...args: unknown[]): unknown {
      noteFields(this);
      depth++;
      let result: unknown;
      try {
        result = method.apply(this, args);
      } finally {
        depth--;
      }
      if (depth === 0 && !isTracing() && !isInsideTransform()) noteResults(result);
      return result;
    },
  })[name]!;

/** Has the methods of `prototype` and of those above it, up to `base`, note their modules and results. */
export function noteMethods(prototype: object, base: object): void {
  for (let at = prototype; at !== base && !prepared.has(at); at = Object.getPrototypeOf(at) as object) {
    prepared.add(at);
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (typeof descriptor.value === 'function' && name !== 'constructor')
        Object.defineProperty(at, name, { ...descriptor, value: noting(name, descriptor.value as Method) });
  }
}
