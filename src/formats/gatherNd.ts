/**
 * The gather that TensorFlow, Paddle and ONNX share: rows of a tensor at places that have several coordinates.
 */
import { sizeOf } from '../graph/shape.ts';
import { Tensor } from '../tensor/index.ts';

/** x [d1, ..., dk, ...rest] at index [...places, k] -> [...places, ...rest]. */
export function gatherNd(x: Tensor, index: Tensor): Tensor {
  const depth = index.shape.at(-1)!;
  const strides = x.shape.slice(0, depth).map((_, d) => sizeOf(x.shape.slice(d + 1, depth)));
  const places = index
    .to('i64')
    .mul(Tensor.from(strides, { dtype: 'i64' }))
    .sum(-1);
  const rest = x.shape.slice(depth);
  const rows = x.reshape([sizeOf(x.shape.slice(0, depth)), ...rest]);
  return rows.indexSelect(0, places.reshape([-1])).reshape([...index.shape.slice(0, -1), ...rest]);
}
