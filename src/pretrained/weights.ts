/**
 * Weights from a file into a model, tensor by tensor: a file as large as memory allows needs little more than its own
 * size.
 */

import { openWeights } from '../formats/index.ts';
import { type AnyModule, loadTensors } from '../nn/index.ts';
import { list } from '../nn/state.ts';
import { shapeText } from '../tensor/convert.ts';
import type { DType } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { matchNames } from './match.ts';

export interface LoadWeightsOptions {
  /** Whether parameters that the file lacks are an error, or keep their initial values; true by default. */
  readonly strict?: boolean;
  /** Converts the model to this dtype; as it is by default, whatever the file's dtype. */
  readonly dtype?: DType;
}

export interface LoadedWeights {
  /** Keys of the model that the file lacks; empty when strict. */
  readonly missing: readonly string[];
  /** Names in the file that the model has no place for, such as the head of another task. */
  readonly unexpected: readonly string[];
}

/**
 * Loads weights of any format (safetensors, `.pt`/`.pth`/`.bin`, the `.index.json` of either, ...) into a model of the
 * zoo or of your own. Names may differ by a prefix (`module.`, `bert.`, `transformer.`); weights that the model ties
 * need to be there once only.
 * @throws Error naming the file where it cannot be read, lacks parameters, or holds them in other shapes; then nothing
 * has changed
 */
export async function loadWeightsInto(
  model: AnyModule,
  path: string,
  options: LoadWeightsOptions = {},
): Promise<LoadedWeights> {
  const { strict = true, dtype } = checkOptions('loadWeightsInto', options, ['strict', 'dtype']);
  const file = await openWeights(path);
  try {
    const own = model.stateDict();
    const stored = new Map(file.tensors.map(tensor => [tensor.name, tensor]));
    const { pairs, missing, unexpected } = matchNames(Object.keys(own), [...stored.keys()]);
    const found = new Set([...pairs.keys()].map(key => own[key]!));
    const absent = missing.filter(key => !found.has(own[key]!));
    if (strict && absent.length > 0)
      throw new Error(
        `${path}: it lacks ${list(absent)}, which ${model.constructor.name} needs (it has ${list([...stored.keys()])})`,
      );
    const wrong = [...pairs].flatMap(([key, name]) => {
      const [have, want] = [stored.get(name)!.shape, own[key]!.shape];
      return have.join() === want.join() ? [] : [`${name} is ${shapeText(have)} instead of ${shapeText(want)}`];
    });
    if (wrong.length > 0) throw new Error(`${path}: wrong shapes for ${model.constructor.name}: ${list(wrong)}`);
    if (dtype !== undefined) {
      if (absent.length === 0) model.toEmpty(dtype);
      else model.to(dtype);
    }
    const targets = model.stateDict();
    loadTensors(targets, new Map([...pairs].map(([key, name]) => [key, () => stored.get(name)!.read()])));
    return { missing: absent, unexpected };
  } finally {
    file.close();
  }
}
