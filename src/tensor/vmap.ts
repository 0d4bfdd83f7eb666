/**
 * vmap: a function of one example becomes a function of many, without a loop. And what is made of it: jacfwd, jacrev, hessian are in
 * jacobian.ts.
 */
import * as build from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { drawingForExamples, type Randomness } from '../runtime/index.ts';
import { batch, spread } from '../transform/index.ts';
import { shapeText } from './convert.ts';
import { describe } from './operands.ts';
import { traced } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { flatten, unflatten } from './tree.ts';

/**
 * Where a tree has its axis of examples: a dim for all its tensors (negative counts from the end), null where they are shared by all
 * examples, or a tree of these that follows the tree's arrays and objects.
 */
export type Axes = number | null | readonly Axes[] | { readonly [key: string]: Axes };

export interface VmapOptions {
  /** The axis of examples of the arguments: one for all of them, or a list with one for each; 0 by default. */
  readonly inAxes?: Axes;
  /** Where results have it: one for all, or a tree that follows the result; 0 by default. null: the result must be the same for all examples. */
  readonly outAxes?: Axes;
  /** What random numbers inside mean: 'error' (the default) refuses them, 'different' draws for each example, 'same' shares one draw. */
  readonly randomness?: Randomness;
}

const isTree = (axes: Axes): axes is readonly Axes[] | { readonly [key: string]: Axes } =>
  axes !== null && typeof axes === 'object';

/** One axis for every tensor of `tree`, in flatten's order. */
function axesOf(name: string, axes: Axes, tree: unknown): (number | null)[] {
  if (tree instanceof Tensor) {
    if (isTree(axes)) throw new TypeError(`vmap: ${name}: a tree of axes came for one tensor`);
    if (axes !== null && !Number.isInteger(axes))
      throw new TypeError(`vmap: ${name}: expected a whole number or null, got ${describe(axes)}`);
    return [axes];
  }
  if (tree === null || typeof tree !== 'object') return [];
  const parts = Object.entries(tree);
  if (!isTree(axes)) return parts.flatMap(([, part]) => axesOf(name, axes, part));
  if (Array.isArray(tree) !== Array.isArray(axes) || Object.keys(axes).length !== parts.length)
    throw new TypeError(`vmap: ${name}: expected one axis for each of ${parts.length} parts, as the value has them`);
  return parts.flatMap(([key, part]) => {
    const own = (axes as { readonly [key: string]: Axes })[key];
    if (own === undefined) throw new TypeError(`vmap: ${name}: no axis for "${key}"`);
    return axesOf(`${name}.${key}`, own, part);
  });
}

/** A dim of a value with `rank` dims. */
function dimOf(name: string, axis: number, rank: number): number {
  if (axis < -rank || axis >= rank)
    throw new RangeError(`vmap: ${name}: axis ${axis} is out of range for a tensor of ${rank} dims`);
  return axis < 0 ? axis + rank : axis;
}

const moved = (node: Node, from: number, to: number): Node => {
  const order = node.shape.map((_, d) => d).filter(d => d !== from);
  order.splice(to, 0, from);
  return build.permute(node, order);
};

/** An example for each batched node: what the mapped function sees. */
export const exampleOf = (batched: Node, transform: string): Node =>
  build.placeholder(`an example of ${transform}`, batched.shape.slice(1), batched.dtype, batched.requiresGrad);

/**
 * `fn` of one example as a function of many: each tensor of the arguments loses its axis of examples, `fn` runs once over what is left, and
 * every operation computes all examples at once. Nests, and composes with grad, vjp, jvp, checkpoint, compile, loops and itself in any
 * order. Tensors that `fn` reads from outside are shared by all examples; gradients by them add up over examples.
 *
 * @param fn takes and returns trees of tensors (arrays and plain objects); runs once, over tensors without values
 * @throws Error when axes do not fit, or `fn` reads a value, assigns a parameter or draws random numbers without `randomness`
 */
export function vmap<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  { inAxes = 0, outAxes = 0, randomness = 'error' }: VmapOptions = {},
): (...args: A) => R {
  if (randomness !== 'error' && randomness !== 'different' && randomness !== 'same')
    throw new TypeError(`vmap: randomness: expected error, different or same, got ${describe(randomness)}`);
  return (...args) => {
    const inputs = flatten(args, 'vmap: arguments');
    const axes = axesOf('inAxes', inAxes, args);
    let size = -1;
    const examples: Node[] = [];
    const batched: Node[] = [];
    // Nodes are numbered in order of making: what `fn` builds is younger than this one.
    const since = build.constant(0, 'f32').id;
    const values = inputs.tensors.map((tensor, i) => {
      const axis = axes[i]!;
      if (axis === null) return tensor;
      const dim = dimOf('inAxes', axis, tensor.ndim);
      const count = tensor.shape[dim]!;
      if (size >= 0 && count !== size)
        throw new RangeError(
          `vmap: sizes along the axis of examples differ: ${size} and ${count} (of ${shapeText(tensor.shape)})`,
        );
      size = count;
      batched.push(moved(tensor.node, dim, 0));
      examples.push(exampleOf(batched.at(-1)!, 'vmap'));
      return new Tensor(examples.at(-1)!);
    });
    if (size < 0) throw new Error('vmap: no argument has an axis of examples');
    const result = drawingForExamples(randomness, size, () =>
      traced('vmap', () => fn(...(unflatten(inputs.form, values) as unknown as A))),
    );
    const outputs = flatten(result, 'vmap: result');
    const nodes = outputs.tensors.map(tensor => tensor.node);
    const found = batch(nodes, examples, batched, { size, different: randomness === 'different', since });
    const places = axesOf('outAxes', outAxes, result);
    const results = found.map((node, i) => {
      const place = places[i]!;
      if (place === null) {
        if (node) throw new Error('vmap: outAxes: null came for a result that differs between examples');
        return outputs.tensors[i]!;
      }
      const all = node ?? spread(nodes[i]!, size);
      return new Tensor(moved(all, 0, dimOf('outAxes', place, all.shape.length)));
    });
    return unflatten(outputs.form, results) as R;
  };
}
