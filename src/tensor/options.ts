/**
 * Objects of optional settings: what a public call accepts by name, checked by name. Types refuse a misspelt name in
 * TypeScript; from JavaScript, from JSON and through a variable it would do nothing, silently, so every public call
 * that takes options refuses it as well. And the forms in which options come: behind sizes, or one setting alone.
 */
import { describe, refuseOut } from './operands.ts';
import { Tensor } from './tensor.ts';

/** Names of any of the object types of a union. */
type NameOf<O> = O extends unknown ? keyof O : never;

/**
 * Holds for a list that names everything an options type has: a setting that is added to the type and not to the list
 * does not compile.
 */
type Complete<O, K extends readonly PropertyKey[]> = [Exclude<NameOf<O>, K[number]>] extends [never]
  ? unknown
  : { readonly missing: Exclude<NameOf<O>, K[number]> };

/**
 * The options that came, once they are an object of known names.
 *
 * @param op - the call they were given to, as its user writes it
 * @param known - all names of the options' type
 * @throws TypeError naming what came and the names there are.
 */
export function checkOptions<O extends object, const K extends readonly NameOf<O>[]>(
  op: string,
  options: O,
  known: K & Complete<O, K>,
): O {
  checkNames(op, options, known as readonly string[]);
  return options;
}

/** What PyTorch's options are here that no call takes. */
const INSTEAD: Readonly<Record<string, string>> = {
  requiresGrad: '; what has a gradient is a Parameter: new Parameter(tensor(...))',
  device: '; tensors live where the backend computes, see setBackend',
};

/** checkOptions where names are known only when the program runs. */
export function checkNames(op: string, options: unknown, known: readonly string[]): void {
  const names = (): string => `{ ${known.join(', ')} }`;
  if (typeof options !== 'object' || options === null || options instanceof Tensor)
    throw new TypeError(`${op}: options: expected an object of ${names()}, got ${describe(options)}`);
  refuseOut(op, options);
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw new TypeError(`${op}: unknown option ${name}, expected ${names()}${INSTEAD[name] ?? ''}`);
}

/** @throws TypeError unless `value`, the setting `name` of `op`, is one of `choices` */
export function checkChoice(op: string, name: string, value: unknown, choices: readonly (string | null)[]): void {
  if (choices.includes(value as string)) return;
  const named = choices.map(String);
  throw new TypeError(
    `${op}: ${name}: expected ${named.slice(0, -1).join(', ')} or ${named.at(-1)}, got ${String(value)}`,
  );
}

/** @throws TypeError unless `fn`, what `op` is to run, is a function */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new TypeError(`${op}: expected a function, got ${describe(fn)}`);
}

/**
 * What `fn` returns.
 *
 * @throws TypeError for a promise: what `fn` does after it has returned is not `how` it says
 */
export function synchronously<R>(op: string, how: string, fn: () => R): R {
  checkFunction(op, fn);
  const result = fn();
  if (result instanceof Promise)
    throw new TypeError(`${op}: the function returned a promise; only what it does before it returns is ${how}`);
  return result;
}

/** Sizes, and options behind them: `[2, 3], { dtype: 'i64' }`, or `2, 3, { dtype: 'i64' }`. */
export type SizeArgsWith<Options> =
  | readonly [shape: readonly number[], options?: Options]
  | readonly number[]
  | readonly [...sizes: number[], options: Options];

/** The shape and the options, of names `known`, of a call that has both; the shape is checked by who uses it. */
export function shapeAndOptions<O extends object, const K extends readonly NameOf<O>[]>(
  op: string,
  given: SizeArgsWith<O>,
  known: K & Complete<O, K>,
): [shape: readonly number[], options: Partial<O>] {
  const last = given[given.length - 1];
  if (typeof given[0] === 'number' && typeof last === 'number') return [given as readonly number[], {}];
  const options = given.length > 1 ? (last ?? {}) : {};
  checkNames(op, options, known as readonly string[]);
  const shape = typeof given[0] === 'number' ? given.slice(0, -1) : given[0];
  return [shape as readonly number[], options as Partial<O>];
}

/** Options, or the value of one of them alone, as PyTorch takes it by position: `elu(x, 0.5)`. */
export type OrAlone<O, K extends keyof O> = O | Exclude<O[K], undefined>;

/** The options, of which `name` may have come alone. */
export const withName = <O extends object, K extends keyof O & string>(name: K, given: OrAlone<O, K>): O =>
  typeof given === 'object' ? (given as O) : ({ [name]: given } as O);
