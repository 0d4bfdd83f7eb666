/**
 * Gradients of functions: grad, valueAndGrad, vjp, jvp over trees of tensors (arrays and plain objects), of any order.
 * For parameters and `.grad` see Tensor.backward.
 */
import { withoutGradient } from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { checkpointed, jvp as jvpNodes, vjp as vjpNodes } from '../transform/index.ts';
import { cotangentOf } from './backward.ts';
import { shapeText } from './convert.ts';
import { differentiated, type Marked, mark, matching, release, zerosOf } from './marks.ts';
import { checkFunction, checkOptions, synchronously } from './options.ts';
import { followedBy } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { type Form, flatten, unflatten } from './tree.ts';

/** What `grad` returns for an argument: the argument's tree with gradients for tensors. */
export interface GradOptions {
  /** Which arguments are differentiated: one position or several, 0 by default. */
  readonly argnums?: number | readonly number[];
  /** `fn` returns [loss, anything else]; the rest comes back beside the loss. */
  readonly hasAux?: boolean;
}

export type ArgnumsOrOptions = number | readonly number[] | GradOptions;

/** What came as the options of `op`, argument numbers alone included. @throws TypeError for unknown names */
export function optionsOf(op: string, value: ArgnumsOrOptions = {}): GradOptions {
  const options = typeof value === 'number' || Array.isArray(value) ? { argnums: value } : (value as GradOptions);
  return checkOptions(op, options, ['argnums', 'hasAux']);
}

/**
 * A function that returns `fn`'s value and the gradient of it (of the first of it with `hasAux`) by the arguments
 * `argnums`.
 *
 * @param fn returns a tensor of one element
 * @returns (...args) => [value, gradient]; the gradient is the argument's tree, or a list of trees for several argnums
 */
export function valueAndGrad<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums?: 0 | { readonly argnums?: 0; readonly hasAux?: boolean },
): (...args: A) => [R, A[0]];
export function valueAndGrad<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums: ArgnumsOrOptions,
): (...args: A) => [R, unknown];
export function valueAndGrad<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums?: ArgnumsOrOptions,
): (...args: A) => [R, unknown] {
  checkFunction('valueAndGrad', fn);
  const options = optionsOf('valueAndGrad', argnums);
  return (...args) => differentiate('valueAndGrad', fn, args, options);
}

/**
 * The gradient of `fn` by the arguments `argnums` as a function of the same arguments: `grad(x => x.mul(x).sum())`.
 * Derivatives of any order nest: `grad(x => grad(f)(x).sum())`.
 */
export function grad<A extends readonly unknown[]>(
  fn: (...args: A) => Tensor,
  argnums?: 0 | { readonly argnums?: 0 },
): (...args: A) => A[0];
export function grad<A extends readonly unknown[]>(
  fn: (...args: A) => Tensor,
  argnums: ArgnumsOrOptions,
): (...args: A) => unknown;
export function grad<A extends readonly unknown[]>(
  fn: (...args: A) => Tensor,
  argnums?: ArgnumsOrOptions,
): (...args: A) => unknown {
  checkFunction('grad', fn);
  const options = optionsOf('grad', argnums);
  return (...args) => differentiate('grad', fn, args, options)[1];
}

function differentiate<A extends readonly unknown[], R>(
  op: string,
  fn: (...args: A) => R,
  args: A,
  options: GradOptions,
): [R, unknown] {
  const { argnums = 0, hasAux = false } = options;
  const list = typeof argnums === 'number' ? [argnums] : argnums;
  const marked = new Map<number, Marked>();
  for (const i of list) {
    if (!Number.isInteger(i) || i < 0 || i >= args.length)
      throw new RangeError(`${op}: argnums: ${i} is out of range for ${args.length} arguments`);
    marked.set(i, mark(op, `argument ${i}`, args[i]));
  }
  const result = differentiated(() => fn(...(args.map((arg, i) => marked.get(i)?.value ?? arg) as unknown as A)));
  const loss = hasAux ? (result as unknown as readonly unknown[])[0] : result;
  if (!(loss instanceof Tensor)) throw new TypeError(`${op}: the function must return a tensor, got ${typeof loss}`);
  if (loss.numel() !== 1)
    throw new RangeError(
      `${op}: the function must return one element, got shape ${shapeText(loss.shape)}; use vjp for more`,
    );
  const nodes = list.flatMap(i => marked.get(i)!.nodes);
  const cotangents = vjpNodes([loss.node], [cotangentOf(op, loss)], nodes);
  const gradients = release(
    cotangents.map((ct, k) => ct ?? zerosOf(nodes[k]!)),
    nodes,
  ).map(node => new Tensor(node));
  let at = 0;
  const trees = list.map(i => {
    const { flat } = marked.get(i)!;
    const part = gradients.slice(at, at + flat.tensors.length);
    at += flat.tensors.length;
    return unflatten(flat.form, part);
  });
  const outputs = flatten(result, `${op}: result`);
  const values = release(
    outputs.tensors.map(tensor => tensor.node),
    nodes,
  );
  const value = unflatten(
    outputs.form,
    values.map(node => new Tensor(node)),
  ) as R;
  return [value, typeof argnums === 'number' ? trees[0] : trees];
}

/**
 * `fn` at `primals`, and its pullback: from cotangents (a tree like the result) to a list with the tree of gradients of
 * each argument.
 */
export function vjp<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...primals: A
): [R, (cotangents: R) => { -readonly [I in keyof A]: A[I] }] {
  checkFunction('vjp', fn);
  const marked = primals.map((primal, i) => mark('vjp', `argument ${i}`, primal));
  const nodes = marked.flatMap(part => part.nodes);
  const result = differentiated(() => fn(...(marked.map(part => part.value) as unknown as A)));
  const outputs = flatten(result, 'vjp: result');
  const pullback = (cotangents: R): { -readonly [I in keyof A]: A[I] } => {
    const given = flatten(cotangents, 'vjp: cotangents');
    const found = vjpNodes(
      outputs.tensors.map(tensor => tensor.node),
      matching('vjp', 'cotangents', given.tensors, outputs.tensors),
      nodes,
    );
    const gradients = release(
      found.map((ct, k) => ct ?? zerosOf(nodes[k]!)),
      nodes,
    );
    let at = 0;
    return marked.map(({ flat }) => {
      const part = gradients.slice(at, at + flat.tensors.length);
      at += flat.tensors.length;
      return unflatten(
        flat.form,
        part.map(node => new Tensor(node)),
      );
    }) as unknown as { -readonly [I in keyof A]: A[I] };
  };
  const values = release(
    outputs.tensors.map(tensor => tensor.node),
    nodes,
  );
  return [
    unflatten(
      outputs.form,
      values.map(node => new Tensor(node)),
    ) as R,
    pullback,
  ];
}

/**
 * `fn` at `primals` and its directional derivative along `tangents` (a list of trees like the arguments), in forward
 * mode.
 */
export function jvp<A extends readonly unknown[], R>(fn: (...args: A) => R, primals: A, tangents: A): [R, R] {
  checkFunction('jvp', fn);
  if (tangents.length !== primals.length)
    throw new RangeError(`jvp: tangents: expected ${primals.length}, one for each argument, got ${tangents.length}`);
  const marked = primals.map((primal, i) => mark('jvp', `argument ${i}`, primal));
  const nodes = marked.flatMap(part => part.nodes);
  const directions = tangents.flatMap((tangent, i) =>
    matching('jvp', `tangent ${i}`, flatten(tangent, `jvp: tangent ${i}`).tensors, marked[i]!.flat.tensors),
  );
  const outputs = flatten(
    differentiated(() => fn(...(marked.map(part => part.value) as unknown as A))),
    'jvp: result',
  );
  const results = outputs.tensors.map(tensor => tensor.node);
  const pushed = jvpNodes(results, nodes, directions);
  const tree = (list: readonly Node[]): R =>
    unflatten(
      outputs.form,
      release(list, nodes).map(node => new Tensor(node)),
    ) as R;
  return [tree(results), tree(pushed.map((node, i) => node ?? zerosOf(results[i]!)))];
}

/**
 * `fn` with its inner values recomputed for the gradient instead of kept (Chen et al. 2016): less memory for one more
 * forward pass. Arguments and result are trees of tensors; parameters that `fn` reads get their gradients as usual.
 */
export function checkpoint<A extends readonly unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  checkFunction('checkpoint', fn);
  return (...args) => {
    const inputs = flatten(args, 'checkpoint: arguments');
    let form: Form | undefined;
    const nodes = checkpointed(
      inputs.tensors.map(tensor => tensor.node),
      copies => {
        const values = unflatten(
          inputs.form,
          copies.map(node => new Tensor(node)),
        );
        const result = flatten(
          followedBy(() => fn(...(values as unknown as A))),
          'checkpoint: result',
        );
        form = result.form;
        return result.tensors.map(tensor => tensor.node);
      },
    );
    return unflatten(
      form!,
      nodes.map(node => new Tensor(node)),
    ) as R;
  };
}

/**
 * Runs `fn` without recording for gradients: what it computes does not require any.
 *
 * @throws TypeError when `fn` returns a promise: what it does later would be recorded
 */
export function noGrad<T>(fn: () => T): T {
  return withoutGradient(() => synchronously('noGrad', 'without gradients', fn));
}
