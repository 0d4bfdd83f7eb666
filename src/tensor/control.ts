/**
 * Control flow that depends on values, inside compile and under every transform: cond, whileLoop, scan. Functions are
 * traced once; what they read from outside is found, and has gradients as usual.
 */
import * as build from '../graph/build.ts';
import { choose } from '../graph/control.ts';
import type { Node } from '../graph/node.ts';
import { drawingInLoop, type LoopKey, nextLoopKey, streamOf } from '../runtime/index.ts';
import { buildLoop, type Carry, closeOver, type Given, inline, param } from '../transform/index.ts';
import { shapeText } from './convert.ts';
import { checkWhole, describe } from './operands.ts';
import { checkOptions } from './options.ts';
import { traced } from './symbolic.ts';
import { Tensor } from './tensor.ts';
import { type Flat, flatten, sameForm, unflatten } from './tree.ts';

const typeText = ({ dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] }): string =>
  `${dtype} ${shapeText(shape)}`;

const tensorsOf = (nodes: readonly Node[]): Tensor[] => nodes.map(node => new Tensor(node));
const nodesOf = (flat: Flat): Node[] => flat.tensors.map(tensor => tensor.node);

/** A condition as bool []. */
function conditionNode(op: string, value: unknown): Node {
  if (!(value instanceof Tensor) || value.numel() !== 1)
    throw new TypeError(`${op}: the condition must be a tensor of one element, got ${describe(value)}`);
  const { node } = value;
  return build.reshape(build.cast(node, 'bool'), []);
}

/** @throws when `got` is no tree of the tensors of `want`: `what` names it */
function checkSame(op: string, what: string, want: Flat, got: Flat): void {
  if (!sameForm(want.form, got.form)) throw new TypeError(`${op}: ${what} differ in structure or in plain values`);
  want.tensors.forEach((tensor, i) => {
    const other = got.tensors[i]!;
    if (typeText(tensor) !== typeText(other))
      throw new TypeError(`${op}: ${what} differ: ${typeText(tensor)} and ${typeText(other)}`);
  });
}

/** The id from which on nodes are what a function traced next has built. */
const now = (): number => build.constant(0, 'f32').id;

/**
 * `onTrue(...operands)` where `condition` holds, else `onFalse(...operands)`. With a boolean the function is simply
 * called. With a tensor of one element both are traced, and the one that is needed runs; under vmap, where examples may
 * differ, both run and each example takes its own. Results must be trees of the same shapes and dtypes.
 *
 * @throws TypeError when the results differ in structure, shape or dtype
 */
export function cond<A extends readonly unknown[], R>(
  condition: Tensor | boolean,
  onTrue: (...operands: A) => R,
  onFalse: (...operands: A) => R,
  ...operands: A
): R {
  if (typeof condition === 'boolean') return condition ? onTrue(...operands) : onFalse(...operands);
  const decides = conditionNode('cond', condition);
  const since = now();
  const trace = (fn: (...operands: A) => R): Flat => traced('cond', () => flatten(fn(...operands), 'cond: result'));
  const [ifTrue, ifFalse] = [trace(onTrue), trace(onFalse)];
  checkSame('cond', 'results of the two branches', ifTrue, ifFalse);
  const { bodies, captured } = closeOver(
    [ifTrue, ifFalse].map(flat => ({ params: [], outputs: nodesOf(flat) })),
    since,
  );
  const choice = { onTrue: bodies[0]!, onFalse: bodies[1]! };
  const results = ifTrue.tensors.map((_, k) => choose(choice, [decides, ...captured], k));
  return unflatten(ifTrue.form, tensorsOf(results)) as R;
}

/**
 * Hidden carries: the keys that a loop's body drew random numbers from. Every step draws further along a stream of the
 * loop's own.
 */
const keyCarries = (keys: readonly LoopKey[]): Carry[] =>
  keys.map(key => ({ param: key.key, init: streamOf(key.generator), next: nextLoopKey(key) }));

export interface WhileLoopOptions {
  /**
   * The most steps there can be: makes reverse-mode gradients possible, for which the carries of so many steps are
   * kept.
   */
  readonly maxSteps?: number;
}

/**
 * Repeats `carry = body(carry)` while `condition(carry)` holds. How often may depend on values, also inside `compile`:
 * the loop is one compiled body. Forward mode (jvp, jacfwd) always works; reverse mode (backward, grad, vjp, jacrev)
 * needs `maxSteps`, and the loop ends after so many steps. Under vmap it goes on until the last example has ended, and
 * those that have ended stand still.
 *
 * @param condition gives a tensor of one element
 * @param init a tree of tensors; `body` must return the same shapes and dtypes
 */
export function whileLoop<C>(
  condition: (carry: C) => Tensor,
  body: (carry: C) => C,
  init: C,
  options: WhileLoopOptions = {},
): C {
  const { maxSteps } = checkOptions('whileLoop', options, ['maxSteps']);
  if (maxSteps !== undefined) checkWhole('whileLoop', 'maxSteps', maxSteps, 0);
  const start = flatten(init, 'whileLoop: init');
  const since = now();
  const params = start.tensors.map(({ node }) => param('the carry of whileLoop', node));
  const carry = (): C => unflatten(start.form, tensorsOf(params)) as C;
  const keys: LoopKey[] = [];
  const trace = <T>(fn: () => T): T => drawingInLoop(keys, () => traced('whileLoop', fn));
  const after = trace(() => flatten(body(carry()), 'whileLoop: result of body'));
  checkSame('whileLoop', 'init and the result of body', start, after);
  const goesOn = trace(() => conditionNode('whileLoop', condition(carry())));
  const hidden = keyCarries(keys);
  const { bodies, captured } = closeOver(
    [
      {
        params: [...params, ...hidden.map(c => c.param)],
        outputs: [...nodesOf(after), ...hidden.map(c => c.next), goesOn],
      },
    ],
    since,
  );
  const { params: all, outputs } = bodies[0]!;
  const inits = [...nodesOf(start), ...hidden.map(c => c.init)];
  const loop = buildLoop({
    carries: inits.map((value, k) => ({ param: all[k]!, init: value, next: outputs[k]! })),
    constants: captured.map((value, i) => ({ param: all[inits.length + i]!, value })),
    cond: outputs.at(-1)!,
    length: maxSteps ?? null,
  });
  return unflatten(start.form, tensorsOf(start.tensors.map((_, k) => loop.carry(k)))) as C;
}

export interface ScanOptions {
  /** Steps, where there are no xs to count. */
  readonly length?: number;
  /** Whether to start with the last slice; ys stand where their xs do. */
  readonly reverse?: boolean;
  /**
   * Steps that are written out in the compiled body, so that they become one program: a number, or true for all. 1 by
   * default.
   */
  readonly unroll?: number | boolean;
}

/** What scan knows of its steps. */
interface Steps {
  readonly length: number;
  readonly reverse: boolean;
  readonly unroll: number;
}

function stepsOf(xs: Flat, { length, reverse = false, unroll = 1 }: ScanOptions): Steps {
  let count = length;
  if (length !== undefined) checkWhole('scan', 'length', length, 0);
  for (const tensor of xs.tensors) {
    const [first] = tensor.shape;
    if (first === undefined)
      throw new RangeError('scan: xs: expected tensors with an axis to scan over, got one of 0 dims');
    if (count !== undefined && count !== first)
      throw new RangeError(`scan: xs: ${first} slices came (${typeText(tensor)}), expected ${count}`);
    count = first;
  }
  if (count === undefined) throw new TypeError('scan: expected xs, or the option length');
  if (typeof unroll === 'number') checkWhole('scan', 'unroll', unroll, 1);
  return { length: count, reverse, unroll: unroll === true ? Math.max(count, 1) : unroll === false ? 1 : unroll };
}

/**
 * Folds over slices and collects on the way (as jax.lax.scan): `[carry, y] = fn(carry, x)` for every slice x of `xs`
 * along the first axis; returns the last carry and the ys stacked. One compiled body runs for every step; gradients
 * keep the carries only and compute each step again.
 *
 * @param init a tree of tensors; the carry keeps its shapes and dtypes
 * @param xs a tree of tensors with equal first axes, or null with `length` given (x is null then)
 * @param fn returns [carry, y]; y is any tree (null for none)
 */
export function scan<C, X, Y>(
  fn: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  options: ScanOptions = {},
): [carry: C, ys: Y] {
  checkOptions('scan', options, ['length', 'reverse', 'unroll']);
  const start = flatten(init, 'scan: init');
  const arrays = flatten(xs, 'scan: xs');
  const steps = stepsOf(arrays, options);
  const since = now();
  const carryParams = start.tensors.map(({ node }) => param('the carry of scan', node));
  const sliceParams = arrays.tensors.map(({ dtype, shape }) =>
    param('a slice of scan', { dtype, shape: shape.slice(1) }),
  );
  const keys: LoopKey[] = [];
  const result = drawingInLoop(keys, () =>
    traced('scan', () =>
      fn(unflatten(start.form, tensorsOf(carryParams)) as C, unflatten(arrays.form, tensorsOf(sliceParams)) as X),
    ),
  );
  if (!Array.isArray(result) || result.length !== 2)
    throw new TypeError(`scan: the function must return [carry, y], got ${describe(result)}`);
  const after = flatten(result[0], 'scan: carry');
  const out = flatten(result[1], 'scan: y');
  checkSame('scan', 'init and the carry that the function returns', start, after);
  const hidden = keyCarries(keys);
  const { bodies, captured } = closeOver(
    [
      {
        params: [...carryParams, ...hidden.map(c => c.param), ...sliceParams],
        outputs: [...nodesOf(after), ...hidden.map(c => c.next), ...nodesOf(out)],
      },
    ],
    since,
  );
  const inits = [...nodesOf(start), ...hidden.map(c => c.init)];
  const { last, ys } = runSteps(bodies[0]!, inits, nodesOf(arrays), captured, steps);
  const carries = last.slice(0, start.tensors.length);
  return [unflatten(start.form, tensorsOf(carries)) as C, unflatten(out.form, tensorsOf(ys)) as Y];
}

interface Scanned {
  readonly last: readonly Node[];
  readonly ys: readonly Node[];
}

type StepBody = ReturnType<typeof closeOver>['bodies'][number];

/** Slices [from, from + count) of an array. */
const stretch = (x: Node, from: number, count: number): Node =>
  build.slice(
    x,
    x.shape.map((_, d) => (d === 0 ? from : 0)),
    [count, ...x.shape.slice(1)],
  );

const sliceAt = (x: Node, at: number): Node => build.reshape(stretch(x, at, 1), x.shape.slice(1));

const joined = (parts: readonly Node[]): Node => (parts.length === 1 ? parts[0]! : build.concat(parts, 0));

/** Steps written out one after another. */
function writtenOut(
  body: StepBody,
  inits: readonly Node[],
  xs: readonly Node[],
  constants: readonly Node[],
  { length, reverse }: { readonly length: number; readonly reverse: boolean },
): Scanned {
  let carries = inits;
  const rows: (readonly Node[])[] = [];
  for (let step = 0; step < length; step++) {
    const at = reverse ? length - 1 - step : step;
    const results = inline(body, [...carries, ...xs.map(x => sliceAt(x, at)), ...constants]);
    carries = results.slice(0, inits.length);
    rows[at] = results.slice(inits.length);
  }
  const ys = body.outputs.slice(inits.length).map((y, k) => {
    if (length === 0) return build.full(0, [0, ...y.shape], y.dtype);
    return joined(rows.map(row => build.reshape(row[k]!, [1, ...y.shape])));
  });
  return { last: carries, ys };
}

/** All steps: as a loop over blocks of `unroll` written-out ones, and the rest written out after it. */
function runSteps(
  body: StepBody,
  inits: readonly Node[],
  xs: readonly Node[],
  constants: readonly Node[],
  { length, reverse, unroll }: Steps,
): Scanned {
  const blocks = Math.floor(length / unroll);
  if (blocks <= 1 && unroll > 1) return writtenOut(body, inits, xs, constants, { length, reverse });
  const looped = blocks * unroll;
  const rest = length - looped;
  // In reverse, the loop has the last slices.
  const [loopFrom, restFrom] = reverse ? [rest, 0] : [0, looped];
  const main = xs.map(x => stretch(x, loopFrom, looped));
  const all = body.params;
  const isX = (i: number): boolean => i >= inits.length && i < inits.length + xs.length;
  let { params, outputs } = body;
  let inputs = main;
  if (unroll > 1) {
    const block = (x: Node): readonly number[] => [unroll, ...x.shape];
    params = all.map((p, i) => (isX(i) ? param('slices of scan', { dtype: p.dtype, shape: block(p) }) : p));
    inputs = main.map((x, i) => build.reshape(x, [blocks, ...block(all[inits.length + i]!)]));
    const own = (from: number, count: number): readonly Node[] => params.slice(from, from + count);
    const made = writtenOut(
      body,
      own(0, inits.length),
      own(inits.length, xs.length),
      own(inits.length + xs.length, constants.length),
      { length: unroll, reverse },
    );
    outputs = [...made.last, ...made.ys];
  }
  const given = (values: readonly Node[], first: number): Given[] =>
    values.map((value, i) => ({ param: params[first + i]!, value }));
  const loop = buildLoop({
    carries: inits.map((init, k) => ({ param: params[k]!, init, next: outputs[k]! })),
    xs: given(inputs, inits.length),
    constants: given(constants, inits.length + xs.length),
    ys: outputs.slice(inits.length),
    length: blocks,
    reverse,
  });
  const last = inits.map((_, k) => loop.carry(k));
  const ys = body.outputs.slice(inits.length).map((y, k) => build.reshape(loop.y(k), [looped, ...y.shape]));
  if (rest === 0) return { last, ys };
  const tail = writtenOut(
    body,
    last,
    xs.map(x => stretch(x, restFrom, rest)),
    constants,
    { length: rest, reverse },
  );
  return {
    last: tail.last,
    ys: ys.map((y, k) => joined(reverse ? [tail.ys[k]!, y] : [y, tail.ys[k]!])),
  };
}
