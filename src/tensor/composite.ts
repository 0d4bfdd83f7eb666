/**
 * Named compositions: which nodes of a graph a function such as conv2d or layerNorm has made, for whoever writes graphs down by the names
 * of the field (ONNX export). Costs nothing unless somebody records. Imports the graph only.
 */
import * as build from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { Tensor } from './tensor.ts';

export type CompositeAttribute = number | string | boolean | readonly number[];

/** One application of a function: its result is the node it was recorded under. */
export interface Composite {
  readonly name: string;
  readonly inputs: readonly (Node | null)[];
  readonly attributes: Readonly<Record<string, CompositeAttribute>>;
}

let recording: Map<Node, Composite> | null = null;

/** Runs `fn` and notes every composition it makes, by its result's node. */
export function recordComposites<T>(fn: () => T): { result: T; composites: ReadonlyMap<Node, Composite> } {
  const before = recording;
  const composites = new Map<Node, Composite>();
  recording = composites;
  try {
    return { result: fn(), composites };
  } finally {
    recording = before;
  }
}

/** Barriers of recorded results have a group of their own, so that nothing simplifies through them. */
const GROUP = -1;

/** `result`, noted as `name` of `inputs` while somebody records. */
export function composite(
  name: string,
  inputs: readonly (Tensor | null | undefined)[],
  attributes: Composite['attributes'],
  result: Tensor,
): Tensor {
  if (!recording) return result;
  const node = build.barrier(result.node, GROUP);
  recording.set(node, { name, inputs: inputs.map(input => input?.node ?? null), attributes });
  return new Tensor(node);
}
