/**
 * vmap: a function of one example becomes a function of many, without a loop.
 */
import * as build from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { drawingForExamples, type Randomness } from '../runtime/index.ts';
import { batch, moveAxis, spread } from '../transform/index.ts';
import { scan } from './control.ts';
import { shapeText } from './convert.ts';
import { checkWhole, describe } from './operands.ts';
import { checkChoice, checkFunction, checkOptions } from './options.ts';
import { traced } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { flatten, unflatten } from './tree.ts';

/**
 * Where a tree has its axis of examples: a dim for all its tensors (negative counts from the end), null where they are
 * shared by all examples, or a tree of these that follows the tree's arrays and objects.
 */
export type Axes = number | null | readonly Axes[] | { readonly [key: string]: Axes };

export interface VmapOptions {
  /** The axis of examples of the arguments: one for all of them, or a list with one for each; 0 by default. */
  readonly inAxes?: Axes;
  /**
   * Where results have it: one for all, or a tree that follows the result; 0 by default. null: the result must be the
   * same for all examples.
   */
  readonly outAxes?: Axes;
  /**
   * What random numbers inside mean: 'error' (the default) refuses them, 'different' draws for each example, 'same'
   * shares one draw.
   */
  readonly randomness?: Randomness;
  /**
   * How many examples are computed at once, to bound memory: a loop runs over chunks of so many. All of them by
   * default.
   */
  readonly chunkSize?: number;
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

/** An example for each batched node: what the mapped function sees. */
export const exampleOf = (batched: Node, transform: string): Node =>
  build.placeholder(`an example of ${transform}`, batched.shape.slice(1), batched.dtype, batched.requiresGrad);

/**
 * `fn` of one example as a function of many: each tensor of the arguments loses its axis of examples, `fn` runs once
 * over what is left, and every operation computes all examples at once. Nests, and composes with grad, vjp, jvp,
 * checkpoint, compile, loops and itself in any order. Tensors that `fn` reads from outside are shared by all examples;
 * gradients by them add up over examples.
 *
 * @param fn takes and returns trees of tensors (arrays and plain objects); runs once, over tensors without values
 * @throws Error when axes do not fit, or `fn` reads a value, assigns a parameter or draws random numbers without
 * `randomness`
 */
export function vmap<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: VmapOptions = {},
): (...args: A) => R {
  const {
    inAxes = 0,
    outAxes = 0,
    randomness = 'error',
    chunkSize,
  } = checkOptions('vmap', options, ['inAxes', 'outAxes', 'randomness', 'chunkSize']);
  checkFunction('vmap', fn);
  checkChoice('vmap', 'randomness', randomness, ['error', 'different', 'same']);
  if (chunkSize !== undefined) checkWhole('vmap', 'chunkSize', chunkSize, 1);
  return (...args) => {
    const inputs = flatten(args, 'vmap: arguments');
    const axes = axesOf('inAxes', inAxes, args);
    const batched = inputs.tensors.map((tensor, i) => {
      const axis = axes[i]!;
      return axis === null ? null : new Tensor(moveAxis(tensor.node, dimOf('inAxes', axis, tensor.ndim), 0));
    });
    const size = sizeOf(batched, inputs.tensors);
    const call: Call<R> = {
      size,
      randomness,
      axesOf: result => axesOf('outAxes', outAxes, result),
      fn: values => fn(...(unflatten(inputs.form, values) as unknown as A)),
    };
    if (chunkSize === undefined || size <= chunkSize) return atOnce(call, inputs.tensors, batched);
    return inChunks(call, inputs.tensors, batched, chunkSize);
  };
}

/** A mapped call: `fn` takes the tensors of its arguments in order. */
interface Call<R> {
  readonly size: number;
  readonly randomness: Randomness;
  readonly axesOf: (result: R) => (number | null)[];
  readonly fn: (values: readonly Tensor[]) => R;
}

/** The number of examples, which all batched arguments agree on. */
function sizeOf(batched: readonly (Tensor | null)[], given: readonly Tensor[]): number {
  let size = -1;
  for (const [i, tensor] of batched.entries()) {
    if (!tensor) continue;
    const [count] = tensor.shape as [number];
    if (size >= 0 && count !== size)
      throw new RangeError(
        `vmap: sizes along the axis of examples differ: ${size} and ${count} (of ${shapeText(given[i]!.shape)})`,
      );
    size = count;
  }
  if (size < 0) throw new Error('vmap: no argument has an axis of examples');
  return size;
}

function atOnce<R>(
  { size, randomness, axesOf: placesOf, fn }: Call<R>,
  given: readonly Tensor[],
  batched: readonly (Tensor | null)[],
): R {
  const examples: Node[] = [];
  const all: Node[] = [];
  // Nodes are numbered in order of making: what `fn` builds is younger than this one.
  const since = build.constant(0, 'f32').id;
  const values = batched.map((tensor, i) => {
    if (!tensor) return given[i]!;
    all.push(tensor.node);
    examples.push(exampleOf(tensor.node, 'vmap'));
    return new Tensor(examples.at(-1)!);
  });
  const result = drawingForExamples(randomness, size, () => traced('vmap', () => fn(values)));
  const outputs = flatten(result, 'vmap: result');
  const nodes = outputs.tensors.map(tensor => tensor.node);
  const found = batch(nodes, examples, all, { size, different: randomness === 'different', since });
  const places = placesOf(result);
  const results = found.map((node, i) => {
    const place = places[i]!;
    if (place !== null) return placed(node ?? spread(nodes[i]!, size), place);
    if (node) throw new Error('vmap: outAxes: null came for a result that differs between examples');
    return outputs.tensors[i]!;
  });
  return unflatten(outputs.form, results) as R;
}

/** A result with its axis of examples, which is the first, where it is wanted. */
const placed = (node: Node, place: number): Tensor =>
  new Tensor(moveAxis(node, 0, dimOf('outAxes', place, node.shape.length)));

/** A loop over chunks, and the examples that are left over after it. */
function inChunks<R>(
  call: Call<R>,
  given: readonly Tensor[],
  batched: readonly (Tensor | null)[],
  chunkSize: number,
): R {
  const chunks = Math.floor(call.size / chunkSize);
  const rest = call.size - chunks * chunkSize;
  let places: (number | null)[] = [];
  /** One chunk, with its examples along the first axis of every result that has them. */
  const chunk = (size: number, values: readonly (Tensor | null)[]): R =>
    atOnce(
      {
        ...call,
        size,
        axesOf: result => {
          places = call.axesOf(result);
          return places.map(place => (place === null ? null : 0));
        },
      },
      given,
      values,
    );
  const part = (from: number, count: number): (Tensor | null)[] =>
    batched.map(tensor => tensor?.narrow(0, from, count) ?? null);
  const own = part(0, chunks * chunkSize).map(
    tensor => tensor?.reshape([chunks, chunkSize, ...tensor.shape.slice(1)]) ?? null,
  );
  const [, stacked] = scan((carry: null, slices: (Tensor | null)[]) => [carry, chunk(chunkSize, slices)], null, own);
  const main = flatten(stacked, 'vmap: result');
  const last = rest > 0 ? flatten(chunk(rest, part(chunks * chunkSize, rest)), 'vmap: result').tensors : [];
  const results = main.tensors.map((tensor, i) => {
    const place = places[i]!;
    // What no example changes is the same for every chunk.
    if (place === null) return tensor.select(0, 0);
    const joined = tensor.reshape([chunks * chunkSize, ...tensor.shape.slice(2)]);
    return placed(last[i] ? build.concat([joined.node, last[i].node], 0) : joined.node, place);
  });
  return unflatten(main.form, results) as R;
}
