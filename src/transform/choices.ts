/**
 * Choices between two bodies under the transforms: the derivative of a choice is the choice between the derivatives of
 * its bodies, and a condition that differs by example selects between both results. Imports the graph; the transforms
 * themselves come as arguments.
 */
import * as g from '../graph/build.ts';
import { type Body, type Choice, choose } from '../graph/control.ts';
import { isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { spread, zero } from './arithmetic.ts';
import type { batch as Batch, Batching } from './batch.ts';
import { closeOver, inline, param } from './body.ts';
import type { jvp as Jvp } from './jvp.ts';
import type { Arrived } from './loops.ts';
import type { vjp as Vjp } from './vjp.ts';

/**
 * The choice between two derivatives: `parts` gives for each body the parameters it needs beyond the operands, and
 * results of which null is zero. A result that is zero on both sides is none.
 */
function choiceOf(
  condition: Node,
  operands: readonly Node[],
  more: readonly Node[],
  onTrue: { readonly params: readonly Node[]; readonly results: readonly (Node | null)[] },
  onFalse: { readonly params: readonly Node[]; readonly results: readonly (Node | null)[] },
): (Node | null)[] {
  const kept = onTrue.results.map((_, i) => i).filter(i => onTrue.results[i] || onFalse.results[i]);
  const side = (own: typeof onTrue, other: typeof onTrue): Body => ({
    params: own.params,
    outputs: kept.map(i => own.results[i] ?? zero(other.results[i]!)),
  });
  const { bodies, captured } = closeOver([side(onTrue, onFalse), side(onFalse, onTrue)]);
  const choice = { onTrue: bodies[0]!, onFalse: bodies[1]! };
  const inputs = [condition, ...operands, ...more, ...captured];
  return onTrue.results.map((_, i) => (kept.includes(i) ? choose(choice, inputs, kept.indexOf(i)) : null));
}

/** Tangents of all results of a choice, from those of its inputs. */
export function choiceTangents(
  { onTrue, onFalse }: Choice,
  [condition, ...operands]: readonly Node[],
  [, ...tangents]: readonly (Node | null)[],
  jvp: typeof Jvp,
): (Node | null)[] {
  const by = tangents.map((_, i) => i).filter(i => tangents[i]);
  const side = ({ params, outputs }: Body) => {
    const directions = by.map(i => param('a tangent', params[i]!));
    const wrt = by.map(i => params[i]!);
    return { params: [...params, ...directions], results: jvp(outputs, wrt, directions) };
  };
  const more = by.map(i => tangents[i]!);
  return choiceOf(condition!, operands, more, side(onTrue), side(onFalse));
}

/** Cotangents of a choice's inputs; `leads` says by which inputs they are wanted. */
export function choiceCotangents(
  { onTrue, onFalse }: Choice,
  [condition, ...operands]: readonly Node[],
  arrived: readonly Arrived[],
  [, ...leads]: readonly boolean[],
  vjp: typeof Vjp,
): (Node | null)[] {
  const by = operands.map((_, i) => i).filter(i => leads[i] && isFloat(operands[i]!.dtype));
  const side = ({ params, outputs }: Body) => {
    const cts = arrived.map(({ ct }) => param('a cotangent', ct));
    const results = vjp(
      arrived.map(({ output }) => outputs[output]!),
      cts,
      by.map(i => params[i]!),
    );
    return { params: [...params, ...cts], results };
  };
  const more = arrived.map(({ ct }) => ct);
  const found = choiceOf(condition!, operands, more, side(onTrue), side(onFalse));
  return [null, ...operands.map((_, i) => (by.includes(i) ? found[by.indexOf(i)]! : null))];
}

/** All results of a choice for many examples: those that all share have the axis of examples, too (see batchedLoop). */
export function batchedChoice(
  choice: Choice,
  [condition, ...operands]: readonly Node[],
  [decides, ...batched]: readonly (Node | null)[],
  { size, different }: Batching,
  batch: typeof Batch,
): Node[] {
  const many = batched.map((_, i) => i).filter(i => batched[i]);
  const given = operands.map((operand, i) => batched[i] ?? operand);
  const side = ({ params, outputs }: Body) => {
    const wide = new Map(many.map(i => [i, param('examples', batched[i]!)]));
    const found = batch(
      outputs,
      many.map(i => params[i]!),
      [...wide.values()],
      { size, different },
    );
    return { params: params.map((p, i) => wide.get(i) ?? p), found, outputs };
  };
  const sides = [side(choice.onTrue), side(choice.onFalse)] as const;
  const [onTrue, onFalse] = sides;
  const results = onTrue.outputs.map((_, k) => k);
  // With a condition for each example every result may differ; else only what differs in one of the bodies.
  const kept = results.filter(k => decides || onTrue.found[k] || onFalse.found[k]);
  const bodies = sides.map(({ params, found, outputs }) => ({
    params,
    outputs: results.map(k => found[k] ?? (kept.includes(k) ? spread(outputs[k]!, size) : outputs[k]!)),
  })) as unknown as readonly [Body, Body];
  if (!decides) {
    const made: Choice = { onTrue: bodies[0], onFalse: bodies[1] };
    return results.map(k => {
      const result = choose(made, [condition!, ...given], k);
      return kept.includes(k) ? result : spread(result, size);
    });
  }
  const [ifTrue, ifFalse] = bodies.map(body => inline(body, given)) as [Node[], Node[]];
  return results.map(k => {
    const axes = [{ terms: [[0, 1] as const], offset: 0, div: 1 }];
    return g.where(g.reindex(decides, ifTrue[k]!.shape, axes), ifTrue[k]!, ifFalse[k]!);
  });
}
