/**
 * Functions with derivatives of their own, and values without any.
 */
import { cast, custom, full } from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { completed, type GivenRule, vjp } from '../transform/index.ts';
import { shapeText } from './convert.ts';
import { checkFunction, checkOptions } from './options.ts';
import { followedBy } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { type Flat, flatten, unflatten } from './tree.ts';

/**
 * Derivatives of a function from A to R. One direction suffices: both are linear, and the other one is its transpose.
 */
export interface CustomRules<A extends readonly unknown[], R> {
  /**
   * From cotangents (a tree like the result, zeros where none came), the result and the arguments: a list with one tree
   * (or null) for each argument.
   */
  readonly vjp?: (cotangents: R, result: R, ...args: A) => readonly unknown[];
  /**
   * From tangents (a list of trees like the arguments, zeros where there are none), the result and the arguments: a
   * tree like the result.
   */
  readonly jvp?: (tangents: A, result: R, ...args: A) => R;
}

/** The nodes of a tree that a rule returned, one for each of `expected`; null for what is missing or no float. */
function nodesLike(what: string, tree: unknown, expected: readonly Node[]): (Node | null)[] {
  if (tree === null || tree === undefined) return expected.map(() => null);
  const { tensors } = flatten(tree, what);
  if (tensors.length !== expected.length)
    throw new TypeError(`${what}: ${tensors.length} tensors came, expected ${expected.length}`);
  return tensors.map((tensor, i) => {
    const { shape, dtype } = expected[i]!;
    if (tensor.ndim !== shape.length || tensor.shape.some((n, d) => n !== shape[d]))
      throw new RangeError(`${what}: shape ${shapeText(tensor.shape)} came, expected ${shapeText(shape)}`);
    return isFloat(dtype) ? cast(tensor.node, dtype) : null;
  });
}

const treeOf = (flat: Flat, nodes: readonly Node[]): unknown =>
  unflatten(
    flat.form,
    nodes.map(node => new Tensor(node)),
  );

const orZeros = (list: readonly (Node | null)[], like: readonly Node[]): Node[] =>
  list.map((node, i) => node ?? full(0, like[i]!.shape, like[i]!.dtype));

/**
 * `fn` with the derivatives `rules` says instead of those of its operations: for numerical stability, for a value that
 * is not computed by Tenon's operations, for a straight-through estimate. Composes with every transform, and is
 * differentiable again as the rules are. What `fn` reads from outside its arguments gets no gradient. What a rule
 * computes again from the arguments costs nothing: equal parts become one.
 *
 * @param rules `vjp` or `jvp` or both
 * @returns a function of the same type
 */
export function customGrad<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  rules: CustomRules<A, R>,
): (...args: A) => R {
  checkFunction('customGrad', fn);
  checkOptions('customGrad', rules, ['vjp', 'jvp']);
  if (!rules.vjp && !rules.jvp) throw new TypeError('customGrad: rules: expected vjp or jvp');
  return (...given) => {
    const inputs = flatten(given, 'customGrad: arguments');
    const argNodes = inputs.tensors.map(tensor => tensor.node);
    const argsOf = (nodes: readonly Node[]): A => treeOf(inputs, nodes) as A;
    const outputs = flatten(
      followedBy(() => fn(...given)),
      'customGrad: result',
    );
    const resultOf = (nodes: readonly Node[]): R => treeOf(outputs, nodes) as R;
    const { vjp: back, jvp: forth } = rules;
    const rule: GivenRule = {
      count: outputs.tensors.length,
      results: args =>
        flatten(
          followedBy(() => fn(...argsOf(args))),
          'customGrad: result',
        ).tensors.map(tensor => tensor.node),
      ...(back && {
        vjp: (args, results, cotangents) => {
          const found = followedBy(() =>
            back(resultOf(orZeros(cotangents, results)), resultOf(results), ...argsOf(args)),
          );
          if (!Array.isArray(found) || found.length !== given.length)
            throw new TypeError(
              `customGrad: vjp must return a list with one gradient for each of ${given.length} arguments`,
            );
          let at = 0;
          return given.flatMap((arg, i) => {
            const own = flatten(arg, 'customGrad: arguments').tensors.length;
            at += own;
            return nodesLike(`customGrad: vjp: gradient ${i}`, found[i], args.slice(at - own, at));
          });
        },
      }),
      ...(forth && {
        jvp: (args, results, tangents) => {
          const found = followedBy(() => forth(argsOf(orZeros(tangents, args)), resultOf(results), ...argsOf(args)));
          return nodesLike('customGrad: jvp', found, results);
        },
      }),
    };
    const whole = completed(rule, vjp);
    const results = outputs.tensors.map(({ node }, k) => custom(node, argNodes, whole, k));
    return resultOf(results);
  };
}

/** The same tree, taken as a constant by every derivative: gradients, tangents and cotangents are zero. */
export function stopGradient<T>(tree: T): T {
  const { form, tensors } = flatten(tree, 'stopGradient');
  return unflatten(
    form,
    tensors.map(tensor => tensor.detach()),
  ) as T;
}
