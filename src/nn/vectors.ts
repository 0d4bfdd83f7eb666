/**
 * All parameters of a model as one vector, and back.
 */
import { shapeText } from '../tensor/convert.ts';
import { cat, type Parameter, type Tensor } from '../tensor/index.ts';

/** The elements of all parameters one after another, [total]. */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  const flat = Array.from(parameters, parameter => parameter.flatten());
  if (flat.length === 0) throw new Error('parametersToVector: no parameters came');
  return cat(flat, 0);
}

/** Assigns the parameters from a vector of all their elements. @throws RangeError where their numbers differ */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Parameter>): void {
  const list = [...parameters];
  const total = list.reduce((sum, parameter) => sum + parameter.numel(), 0);
  if (vector.ndim !== 1 || vector.shape[0] !== total)
    throw new RangeError(`vectorToParameters: ${shapeText(vector.shape)} came, expected [${total}]`);
  let at = 0;
  for (const parameter of list) {
    parameter.assign(vector.narrow(0, at, parameter.numel()).reshape(parameter.shape));
    at += parameter.numel();
  }
}
