/**
 * Trees of tensors: a tensor, or arrays and plain objects of trees. Arguments and results of transforms and compiled
 * functions are trees; anything else in them (numbers, strings, booleans, null) is a static part.
 */
import { Tensor } from './tensor.ts';

type Tree =
  | Tensor
  | number
  | string
  | boolean
  | bigint
  | null
  | undefined
  | readonly Tree[]
  | { readonly [key: string]: Tree };

const PLAIN = Object.prototype;
const prototypeOf: (of: object) => unknown = Object.getPrototypeOf;

/** A tree without its tensors: each is a number, its place in the flat list. */
export type Form =
  | { readonly kind: 'tensor'; readonly at: number }
  | { readonly kind: 'list'; readonly items: readonly Form[] }
  | { readonly kind: 'record'; readonly keys: readonly string[]; readonly items: readonly Form[] }
  | { readonly kind: 'static'; readonly value: unknown };

/** A tree taken apart: its tensors in order, and its form. */
export interface Flat {
  readonly tensors: readonly Tensor[];
  readonly form: Form;
}

/**
 * Takes a tree apart.
 * @throws Error naming `where` for what is neither tensor, array, plain object nor a plain value.
 */
export function flatten(tree: unknown, where: string): Flat {
  const tensors: Tensor[] = [];
  const refuse = (what: string): never => {
    throw new Error(`${where}: a ${what} came, expected tensors and plain values in arrays and objects`);
  };
  const walk = (part: unknown): Form => {
    if (part instanceof Tensor) return { kind: 'tensor', at: tensors.push(part) - 1 };
    if (Array.isArray(part)) return { kind: 'list', items: part.map(walk) };
    if (part === null || typeof part !== 'object') {
      if (typeof part === 'function' || typeof part === 'symbol') refuse(typeof part);
      return { kind: 'static', value: part };
    }
    const prototype = prototypeOf(part);
    if (prototype !== PLAIN && prototype !== null) refuse(part.constructor?.name ?? 'object');
    return { kind: 'record', keys: Object.keys(part), items: Object.values(part).map(walk) };
  };
  return { form: walk(tree), tensors };
}

/** Puts a tree of the given form together around `tensors`. */
export const unflatten = (form: Form, tensors: readonly Tensor[]): Tree => assemble(form, tensors) as Tree;

/** The same around anything that stands in the tensors' places: the Jacobian of a tree is a tree of trees. */
export function assemble(form: Form, parts: readonly unknown[]): unknown {
  switch (form.kind) {
    case 'tensor':
      return parts[form.at];
    case 'list':
      return form.items.map(item => assemble(item, parts));
    case 'record':
      return Object.fromEntries(form.keys.map((key, i) => [key, assemble(form.items[i]!, parts)]));
    case 'static':
      return form.value;
  }
}

/** Whether two forms are one: the same structure, with equal static parts. */
export function sameForm(a: Form, b: Form): boolean {
  if (a.kind === 'static') return b.kind === 'static' && Object.is(a.value, b.value);
  if (a.kind === 'tensor') return b.kind === 'tensor';
  if (b.kind !== a.kind || b.items.length !== a.items.length) return false;
  if (a.kind === 'record' && a.keys.some((key, i) => key !== (b as typeof a).keys[i])) return false;
  return a.items.every((item, i) => sameForm(item, b.items[i]!));
}

/** What to do with the tensor at place `at`, for `into`; says whether it fits. */
export type Take<T> = (at: number, tensor: Tensor, into: T) => boolean;

/** `matches` for a list. Here as there a tensor is seen without a call, which costs more (decision 285). */
export function matchesItems<T>(items: readonly Form[], trees: readonly unknown[], take: Take<T>, into: T): boolean {
  if (trees.length !== items.length) return false;
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    const part = trees[i];
    if (item.kind !== 'tensor') {
      if (!matches(item, part, take, into)) return false;
    } else if (!(part instanceof Tensor && take(item.at, part, into))) return false;
  }
  return true;
}

/**
 * Whether `tree` has exactly this form (static parts equal) and `take` takes all of its tensors. Allocates nothing, as
 * every call of a compiled function starts here.
 */
function matches<T>(form: Form, tree: unknown, take: Take<T>, into: T): boolean {
  switch (form.kind) {
    case 'tensor':
      return tree instanceof Tensor && take(form.at, tree, into);
    case 'list':
      return Array.isArray(tree) && matchesItems(form.items, tree, take, into);
    case 'record': {
      if (tree === null || typeof tree !== 'object') return false;
      const prototype = prototypeOf(tree);
      if (prototype !== PLAIN && prototype !== null) return false;
      let count = 0;
      const { keys, items } = form;
      for (const key in tree) {
        if (keys[count] !== key) return false;
        const item = items[count++]!;
        const part = (tree as Record<string, unknown>)[key];
        if (item.kind !== 'tensor') {
          if (!matches(item, part, take, into)) return false;
        } else if (!(part instanceof Tensor && take(item.at, part, into))) return false;
      }
      return count === keys.length;
    }
    case 'static':
      return Object.is(form.value, tree);
  }
}
