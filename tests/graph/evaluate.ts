/** Evaluates graph nodes on the reference backend, below the runtime, for tests of the graph and its transforms. */
import { referenceBackend } from '../../src/backends/reference/index.ts';
import { data } from '../../src/graph/build.ts';
import { type DType, type HostArray, hostArray } from '../../src/graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../src/graph/half.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/order.ts';

/** Leaf of the given numbers. */
export function leaf(values: readonly (number | bigint)[], shape: readonly number[], dtype: DType = 'f64'): Node {
  const host = hostArray(dtype, values.length);
  values.forEach((value, i) => {
    if (dtype === 'i64') host[i] = BigInt(value);
    else if (dtype === 'f16') host[i] = f16Bits(Number(value));
    else if (dtype === 'bf16') host[i] = bf16Bits(Number(value));
    else host[i] = Number(value);
  });
  return data(host, shape, dtype);
}

/** Host arrays of the nodes' values. */
export function run(nodes: readonly Node[]): HostArray[] {
  const leaves = topologicalOrder(nodes).filter(node => node.value !== null);
  const executable = referenceBackend.compile({ leaves, outputs: nodes, updates: [] });
  return executable.run(leaves.map(node => node.value!));
}

const decode = (host: HostArray, dtype: DType): number[] =>
  Array.from(host as Float64Array, value =>
    dtype === 'f16' ? f16Value(value) : dtype === 'bf16' ? bf16Value(value) : Number(value),
  );

/** The nodes' values as plain numbers. */
export const numbersOf = (...nodes: readonly Node[]): number[][] =>
  run(nodes).map((host, i) => decode(host, nodes[i]!.dtype));

/** One node's values as plain numbers. */
export const numbers = (node: Node): number[] => numbersOf(node)[0]!;
