/**
 * Parameters of modules that are made from a file, under the file's names. They are read from the module whenever they
 * are needed: `clone`, `to(dtype)` and a replaced field put others in their place.
 */
import type { AnyModule } from '../nn/index.ts';
import type { Parameter } from '../tensor/index.ts';

/**
 * Makes `parameter` a field of `module` called as in the file.
 * @throws Error where the class has a member of that name
 */
export function addParameter(module: AnyModule, name: string, parameter: Parameter, what: string): void {
  if (name in module) throw new Error(`${what} ${name} is taken by a member of the class`);
  Object.defineProperty(module, name, { value: parameter, enumerable: true, configurable: true, writable: true });
}

/** The parameter that the field holds now. */
export const liveParameter = (module: AnyModule, name: string): Parameter =>
  (module as unknown as Readonly<Record<string, Parameter>>)[name]!;
