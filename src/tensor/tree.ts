/**
 * Trees of tensors: a tensor, or arrays and plain objects of trees. Arguments and results of transforms and compiled functions are trees;
 * anything else in them (numbers, strings, booleans, null) is a static part.
 */
import { Tensor } from './tensor.ts';

export type Tree =
  | Tensor
  | number
  | string
  | boolean
  | bigint
  | null
  | undefined
  | readonly Tree[]
  | { readonly [key: string]: Tree };

/** A tree taken apart: its tensors in order, its static shape as text, and how to put it together around other tensors. */
export interface Flat {
  readonly tensors: readonly Tensor[];
  /** Equal for trees that differ in their tensors only. */
  readonly form: string;
  readonly rebuild: (tensors: readonly Tensor[]) => Tree;
}

type Form = { tensor: number } | { list: Form[] } | { entries: [string, Form][] } | { value: unknown };

/** Takes a tree apart. @throws Error naming `where` for what is neither tensor, array, plain object nor a plain value. */
export function flatten(tree: unknown, where: string): Flat {
  const tensors: Tensor[] = [];
  const walk = (part: unknown): Form => {
    if (part instanceof Tensor) return { tensor: tensors.push(part) - 1 };
    if (Array.isArray(part)) return { list: part.map(walk) };
    if (part === null || typeof part !== 'object') {
      if (typeof part === 'function' || typeof part === 'symbol')
        throw new Error(`${where}: a ${typeof part} came, expected tensors and plain values in arrays and objects`);
      return { value: part };
    }
    const prototype = Object.getPrototypeOf(part);
    if (prototype !== Object.prototype && prototype !== null)
      throw new Error(
        `${where}: a ${part.constructor?.name ?? 'object'} came, expected tensors and plain values in arrays and objects`,
      );
    return { entries: Object.entries(part).map(([key, value]) => [key, walk(value)]) };
  };
  const form = walk(tree);
  const rebuild = (values: readonly Tensor[]): Tree => {
    const build = (part: Form): Tree => {
      if ('tensor' in part) return values[part.tensor]!;
      if ('list' in part) return part.list.map(build);
      if ('entries' in part) return Object.fromEntries(part.entries.map(([key, value]) => [key, build(value)]));
      return part.value as Tree;
    };
    return build(form);
  };
  return {
    tensors,
    form: JSON.stringify(form, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)),
    rebuild,
  };
}
