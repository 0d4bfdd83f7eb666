/**
 * Whole Jacobians and Hessians: vmap of a pullback (jacrev) or of a directional derivative (jacfwd) over a basis.
 */
import * as build from '../graph/build.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { batch, jvp, spread, vjp } from '../transform/index.ts';
import { type ArgnumsOrOptions, type GradOptions, optionsOf } from './autograd.ts';
import { differentiated, type Marked, mark, release } from './marks.ts';
import { checkFunction } from './options.ts';
import { Tensor } from './tensor.ts';
import { assemble, type Flat, flatten, unflatten } from './tree.ts';
import { exampleOf } from './vmap.ts';

/** Every unit vector of `x`'s shape, along a first axis. */
function basis({ shape, size, dtype }: Node): Node {
  const place = (axis: number): Node => {
    const terms = [[axis, 1]] as const;
    return build.reindex(build.iota(size, 'i64'), [size, size], [{ terms, offset: 0, div: 1 }]);
  };
  return build.reshape(build.cast(build.compare('eq', place(0), place(1)), dtype), [size, ...shape]);
}

/** The linear map `fn` at every unit vector of `x`'s shape: [elements of x, ...], null where it is zero. */
function overBasis(op: string, x: Node, fn: (direction: Node) => (Node | null)[]): (Node | null)[] {
  const directions = basis(x);
  const one = exampleOf(directions, op);
  const found = fn(one);
  const present = found.filter(node => node !== null);
  const { size } = x;
  const all = batch(present, [one], [directions], { size, different: false, since: one.id });
  let at = 0;
  return found.map(node => node && (all[at++] ?? spread(node, size)));
}

interface Traced<R> {
  readonly marked: readonly Marked[];
  readonly outputs: Flat;
  readonly result: R;
  /** Whether one argument was asked for, rather than a list. */
  readonly single: boolean;
}

function run<A extends readonly unknown[], R>(
  op: string,
  fn: (...args: A) => R,
  args: A,
  { argnums = 0, hasAux = false }: GradOptions,
): Traced<R> {
  const list = typeof argnums === 'number' ? [argnums] : argnums;
  for (const i of list)
    if (!Number.isInteger(i) || i < 0 || i >= args.length)
      throw new RangeError(`${op}: argnums: ${i} is out of range for ${args.length} arguments`);
  const marked = list.map(i => mark(op, `argument ${i}`, args[i]));
  const result = differentiated(() =>
    fn(...(args.map((arg, i) => marked[list.indexOf(i)]?.value ?? arg) as unknown as A)),
  );
  const main = hasAux ? (result as unknown as readonly unknown[])[0] : result;
  const outputs = flatten(main, `${op}: result`);
  for (const { dtype } of outputs.tensors)
    if (!isFloat(dtype)) throw new TypeError(`${op}: only floats have derivatives, the function returned ${dtype}`);
  return { marked, outputs, result, single: typeof argnums === 'number' };
}

/**
 * Blocks [output][input], each of shape [...output, ...input], as a tree of the output's form of trees of the
 * arguments' forms.
 */
function treeOf<R>({ marked, outputs, result, single }: Traced<R>, blocks: Node[][], hasAux: boolean): unknown {
  const marks = marked.flatMap(part => part.nodes);
  const rows = blocks.map(row => {
    const tensors = release(row, marks).map(node => new Tensor(node));
    let at = 0;
    const trees = marked.map(({ flat }) => {
      const own = tensors.slice(at, at + flat.tensors.length);
      at += flat.tensors.length;
      return unflatten(flat.form, own);
    });
    return single ? trees[0] : trees;
  });
  const jacobian = assemble(outputs.form, rows);
  if (!hasAux) return jacobian;
  const aux = flatten((result as unknown as readonly unknown[])[1], 'auxiliary result');
  const values = release(
    aux.tensors.map(tensor => tensor.node),
    marks,
  ).map(node => new Tensor(node));
  return [jacobian, unflatten(aux.form, values)];
}

/**
 * The Jacobian of `fn` by the arguments `argnums`, one output element at a time in reverse mode: the choice for
 * functions with fewer outputs than inputs. For a tensor in and out its shape is [...output, ...input]; for trees it is
 * the result's tree of the argument's trees of such blocks (a list of trees for several argnums). With `hasAux`, `fn`
 * returns [outputs, anything else] and so does the Jacobian.
 *
 * @throws TypeError when an argument or result that is differentiated is not float
 */
export function jacrev<A extends readonly unknown[], R = Tensor>(
  fn: (...args: A) => R,
  argnums?: 0 | { readonly argnums?: 0 },
): (...args: A) => R extends Tensor ? A[0] : unknown;
export function jacrev<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums: ArgnumsOrOptions,
): (...args: A) => unknown;
export function jacrev<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums?: ArgnumsOrOptions,
): (...args: A) => unknown {
  checkFunction('jacrev', fn);
  const options = optionsOf('jacrev', argnums);
  return (...args) => {
    const traced = run('jacrev', fn, args, options);
    const inputs = traced.marked.flatMap(part => part.nodes);
    const blocks = traced.outputs.tensors.map(({ node }) => {
      const rows = overBasis('jacrev', node, ct => vjp([node], [ct], inputs));
      return inputs.map((input, i) => {
        const shape = [...node.shape, ...input.shape];
        const row = rows[i];
        return row ? build.reshape(row, shape) : build.full(0, shape, input.dtype);
      });
    });
    return treeOf(traced, blocks, options.hasAux ?? false);
  };
}

/**
 * The Jacobian of `fn`, one input element at a time in forward mode: the choice for functions with fewer inputs than
 * outputs, and for `whileLoop` without a bound. Shapes and trees as in jacrev.
 */
export function jacfwd<A extends readonly unknown[], R = Tensor>(
  fn: (...args: A) => R,
  argnums?: 0 | { readonly argnums?: 0 },
): (...args: A) => R extends Tensor ? A[0] : unknown;
export function jacfwd<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums: ArgnumsOrOptions,
): (...args: A) => unknown;
export function jacfwd<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums?: ArgnumsOrOptions,
): (...args: A) => unknown {
  checkFunction('jacfwd', fn);
  const options = optionsOf('jacfwd', argnums);
  return (...args) => {
    const traced = run('jacfwd', fn, args, options);
    const inputs = traced.marked.flatMap(part => part.nodes);
    const outputs = traced.outputs.tensors.map(({ node }) => node);
    const columns = inputs.map(input => overBasis('jacfwd', input, direction => jvp(outputs, [input], [direction])));
    const blocks = outputs.map((output, o) =>
      inputs.map((input, i) => {
        const shape = [...output.shape, ...input.shape];
        const column = columns[i]![o];
        if (!column) return build.full(0, shape, output.dtype);
        // [elements of the input, elements of the output] turned around
        return build.reshape(build.permute(build.reshape(column, [input.size, output.size]), [1, 0]), shape);
      }),
    );
    return treeOf(traced, blocks, options.hasAux ?? false);
  };
}

/**
 * Second derivatives of `fn`: jacfwd of jacrev. For one tensor x the result has shape [...output, ...x, ...x]; for
 * trees (and several argnums), the tree of trees of blocks.
 */
export function hessian<A extends readonly unknown[], R = Tensor>(
  fn: (...args: A) => R,
  argnums?: 0 | { readonly argnums?: 0 },
): (...args: A) => Tensor extends R & A[0] ? Tensor : unknown;
export function hessian<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums: ArgnumsOrOptions,
): (...args: A) => unknown;
export function hessian<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  argnums: ArgnumsOrOptions = 0,
): (...args: A) => unknown {
  return jacfwd(jacrev(fn, argnums), argnums);
}
