/**
 * Named compositions: which nodes of a graph a function such as conv2d or layerNorm has made, for whoever writes graphs
 * down by the names of the field (ONNX export). Costs nothing unless somebody records.
 */
import type { Node } from './node.ts';

type CompositeAttribute = number | string | boolean | readonly number[];

/** One application of a function: its result is the node it was recorded under. */
export interface Composite {
  readonly name: string;
  readonly inputs: readonly (Node | null)[];
  readonly attributes: Readonly<Record<string, CompositeAttribute>>;
}

let recording: Map<Node, Composite> | null = null;

export const isRecording = (): boolean => recording !== null;

/** Notes what `node` was made by. */
export function note(node: Node, composite: Composite): void {
  recording?.set(node, composite);
}

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

/**
 * Notes for the copies in `known` (original to copy) what is noted for their originals, where the copies have all that
 * it was made from.
 */
export function noteCopies(known: ReadonlyMap<Node, Node>): void {
  if (!recording) return;
  for (const [original, copy] of known) {
    const made = recording.get(original);
    if (!made || copy === original) continue;
    const inputs = made.inputs.map(input => input && (known.get(input) ?? (input.inputs.length === 0 ? input : null)));
    if (inputs.every((input, i) => (input === null) === (made.inputs[i] === null)))
      recording.set(copy, { ...made, inputs });
  }
}
