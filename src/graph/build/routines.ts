/**
 * Primitives that are algorithms.
 */
import { MATRIX_ROUTINES, type MatrixRoutine } from '../matrix.ts';
import type { Node } from '../node.ts';
import { sameShape } from '../shape.ts';
import { fail, node } from './node.ts';

export function argSort(x: Node, axisOf: number, descending = false): Node {
  return node('argSort', [x], { axis: axisOf, descending }, x.shape, 'i64');
}

export function matrix(routine: MatrixRoutine, ...inputs: readonly Node[]): Node {
  const { shape, dtype } = inputs[0]!;
  const batch = shape.slice(0, -2);
  for (const input of inputs)
    if (input.dtype !== dtype || !sameShape(input.shape.slice(0, -2), batch) || input.shape.length < 2)
      fail(`${routine} of ${dtype} [${shape}] and ${input.dtype} [${input.shape}]`);
  if (dtype !== 'f32' && dtype !== 'f64') fail(`${routine} of ${dtype}`);
  const sizes = inputs.map(input => input.shape.slice(-2) as [number, number]);
  return node('matrix', inputs, { routine }, [...batch, ...MATRIX_ROUTINES[routine](sizes)], dtype);
}

/** i32 bits of Philox 4x32-10; `key` is i64[2] = seed, counter. */
export function random(key: Node, shape: readonly number[]): Node {
  if (key.dtype !== 'i64' || key.size !== 2) fail(`random: key is ${key.dtype} [${key.shape}]`);
  return node('random', [key], {}, shape, 'i32');
}
