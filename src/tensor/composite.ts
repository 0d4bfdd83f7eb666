/** How functions note what they have made under their name (graph/composite.ts). */
import * as build from '../graph/build.ts';
import { type Composite, isRecording, note } from '../graph/composite.ts';
import { Tensor } from './tensor.ts';

/** Barriers of recorded results have a group of their own, so that nothing simplifies through them. */
const GROUP = -1;

/** `result`, noted as `name` of `inputs` while somebody records. */
export function composite(
  name: string,
  inputs: readonly (Tensor | null | undefined)[],
  attributes: Composite['attributes'],
  result: Tensor,
): Tensor {
  if (!isRecording()) return result;
  const node = build.barrier(result.node, GROUP);
  note(node, { name, inputs: inputs.map(input => input?.node ?? null), attributes });
  return new Tensor(node);
}
