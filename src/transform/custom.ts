/**
 * Functions with derivatives of their own. Either rule gives the other one: a vjp is linear in its cotangents and a jvp
 * in its tangents, so the transpose of one is the other. Imports the graph; the transforms themselves come as
 * arguments.
 */
import * as g from '../graph/build.ts';
import type { CustomRule, Node } from '../graph/node.ts';
import { like, mul, spread, zero } from './arithmetic.ts';
import type { batch as Batch, Batching } from './batch.ts';
import type { vjp as Vjp } from './vjp.ts';

/** The rule as its author gives it: one direction suffices. */
export type GivenRule = Pick<CustomRule, 'results' | 'count'> & Partial<Pick<CustomRule, 'vjp' | 'jvp'>>;

/** Cotangents of `inputs` of a linear function that computes `outputs` from them, given those of the outputs. */
function transposed(
  inputs: readonly Node[],
  outputs: readonly (Node | null)[],
  cotangents: readonly (Node | null)[],
  vjp: typeof Vjp,
): (Node | null)[] {
  const flows = outputs.map((_, i) => i).filter(i => outputs[i] && cotangents[i]);
  return vjp(
    flows.map(i => outputs[i]!),
    flows.map(i => cotangents[i]!),
    inputs,
  );
}

/** Stands for a cotangent or tangent of `x`: where a linear map is transposed makes no difference. */
const anywhere = (x: Node): Node => g.marked(zero(x));

/** Completes a rule: the direction that is missing is the transpose of the other. */
export function completed(rule: GivenRule, vjp: typeof Vjp): CustomRule {
  return {
    results: rule.results,
    count: rule.count,
    vjp:
      rule.vjp ??
      ((args, values, cotangents) => {
        const directions = args.map(anywhere);
        return transposed(directions, rule.jvp!(args, values, directions), cotangents, vjp);
      }),
    jvp:
      rule.jvp ??
      ((args, values, tangents) => {
        const directions = values.map(anywhere);
        return transposed(directions, rule.vjp!(args, values, directions), tangents, vjp);
      }),
  };
}

/**
 * All results of the call that the nodes `some` are results of. Those that nobody kept are computed again; a compiler
 * merges what is equal.
 */
export function resultsOf(rule: CustomRule, args: readonly Node[], some: readonly Node<'custom'>[]): Node[] {
  const known = new Map<number, Node>(some.map(node => [node.attrs.output, node]));
  const all = known.size === rule.count ? [] : rule.results(args);
  return Array.from({ length: rule.count }, (_, i) => known.get(i) ?? all[i]!);
}

/**
 * The rule for many examples at once; `differs` says for each argument whether it differs between them. Results always
 * do.
 */
export function batchedRule(
  rule: CustomRule,
  differs: readonly boolean[],
  batching: Batching,
  batch: typeof Batch,
): CustomRule {
  const { size, different, since } = batching;
  /** Calls `fn` on one example of each node that has them, and maps what it returns. */
  const mapped = (
    lists: readonly (readonly (Node | null)[])[],
    hasExamples: (list: number, i: number) => boolean,
    fn: (lists: readonly (readonly (Node | null)[])[]) => readonly (Node | null)[],
  ): { readonly one: Node; readonly all: Node | null }[] => {
    // What the rule reads from outside may be an example of the map around it.
    const examples = [...batching.examples];
    const batched = [...batching.batched];
    const single = lists.map((list, l) =>
      list.map((node, i) => {
        if (!node || !hasExamples(l, i)) return node;
        const example = g.placeholder('an example of vmap', node.shape.slice(1), node.dtype, node.requiresGrad);
        examples.push(example);
        batched.push(node);
        return example;
      }),
    );
    const ones = fn(single);
    const present = ones.filter(node => node !== null);
    const found = batch(present, examples, batched, { size, different, since });
    let at = 0;
    return ones.map(one => (one ? { one, all: found[at++]! } : null)) as { one: Node; all: Node | null }[];
  };
  return {
    count: rule.count,
    results: args =>
      mapped(
        [args],
        (_, i) => differs[i]!,
        ([own]) => rule.results(own as Node[]),
      ).map(({ one, all }) => all ?? spread(one, size)),
    vjp: (args, values, cotangents) =>
      mapped(
        [args, values, cotangents],
        (list, i) => list > 0 || differs[i]!,
        ([own, results, cts]) => rule.vjp(own as Node[], results as Node[], cts!),
      ).map((found, i) => {
        if (!found) return null;
        const { one, all } = found;
        if (differs[i]) return all ?? spread(one, size);
        // Every example adds to the cotangent of what they share.
        return all ? g.reduce('sum', all, [0]) : mul(one, like(one, size));
      }),
    jvp: (args, values, tangents) =>
      mapped(
        [args, values, tangents],
        (list, i) => list === 1 || differs[i]!,
        ([own, results, ts]) => rule.jvp(own as Node[], results as Node[], ts!),
      ).map(found => found && (found.all ?? spread(found.one, size))),
  };
}
