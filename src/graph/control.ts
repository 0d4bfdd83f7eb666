/**
 * Control flow in a graph of pure dataflow: nodes that hold closed graphs, bodies, which the runtime runs as programs
 * of their own. One application of a loop or a choice has several results; each is a node with the same inputs, and
 * they share one `Loop` or `Choice` object, which is the application's identity: it runs once. Builds nodes; knows no
 * transforms.
 */
import { node } from './build.ts';
import type { DType } from './dtype.ts';
import type { Node } from './node.ts';

/**
 * A closed graph: `outputs` as a function of `params`, which are placeholders. Everything else it reads is constant.
 */
export interface Body {
  readonly params: readonly Node[];
  readonly outputs: readonly Node[];
}

/**
 * A loop. Inputs: first carries, then xs (arrays that are read one slice a step along their first axis), then
 * constants. Results, by number: the last carries; for each y its slices one after another along a new first axis; the
 * history of each carry (its value before every step, along a new first axis, zeros for steps not taken); the number of
 * steps taken as i64.
 */
export interface Loop {
  /** (carries, slices of xs, constants) -> (carries, ys). */
  readonly body: Body;
  /**
   * (carries, constants) -> bool []: whether to take another step. Such a loop has no xs and no ys. null: takes
   * `length` steps.
   */
  readonly cond: Body | null;
  readonly carries: number;
  readonly xs: number;
  /** Steps; with `cond` the most it may take, or null for no bound (it has no history then). */
  readonly length: number | null;
  /** Whether step 0 reads the last slice and writes the last slice. */
  readonly reverse: boolean;
}

/** One of two bodies over the same operands. Inputs: the bool [] that decides, then the operands. */
export interface Choice {
  readonly onTrue: Body;
  readonly onFalse: Body;
}

interface Type {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Numbers of a loop's results beside those of its body's outputs. */
export const historyOf = (loop: Loop, carry: number): number => loop.body.outputs.length + carry;
export const countOf = (loop: Loop): number => loop.body.outputs.length + loop.carries;

/** What a result of a loop is, and of which carry or y. */
export interface Role {
  readonly kind: 'carry' | 'y' | 'history' | 'count';
  readonly index: number;
}

export function roleOf({ body, carries }: Loop, output: number): Role {
  const results = body.outputs.length;
  if (output < carries) return { kind: 'carry', index: output };
  if (output < results) return { kind: 'y', index: output - carries };
  if (output < results + carries) return { kind: 'history', index: output - results };
  return { kind: 'count', index: 0 };
}

function typeOf(loop: Loop, output: number): Type {
  const { kind, index } = roleOf(loop, output);
  if (kind === 'count') return { shape: [], dtype: 'i64' };
  if (kind === 'carry') return loop.body.params[index]!;
  if (loop.length === null) throw new Error('internal: a loop without a bound has no stacked results');
  const slice = kind === 'y' ? loop.body.outputs[loop.carries + index]! : loop.body.params[index]!;
  return { shape: [loop.length, ...slice.shape], dtype: slice.dtype };
}

/** Result `output` of a loop. */
export function loop(of: Loop, inputs: readonly Node[], output: number): Node<'loop'> {
  const { shape, dtype } = typeOf(of, output);
  return node('loop', inputs, { loop: of, output }, shape, dtype);
}

/** Result `output` of a choice. */
export function choose(choice: Choice, inputs: readonly Node[], output: number): Node<'choose'> {
  const { shape, dtype } = choice.onTrue.outputs[output]!;
  return node('choose', inputs, { choice, output }, shape, dtype);
}
