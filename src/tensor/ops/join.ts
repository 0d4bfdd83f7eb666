/**
 * Joining tensors, few of them as a sum of padded parts, which fuses. The public cat and stack are in ../joins.ts.
 */
import * as build from '../../graph/build.ts';
import { type HostArray, hostArray } from '../../graph/dtype.ts';
import type { Node } from '../../graph/node.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { normalDim, resultDType } from '../operands.ts';
import { Tensor } from '../tensor.ts';

/** Up to this many parts are padded and added, which fuses with what reads the result; more are copied side by side. */
const FEW = 3;

/** All parts known and none differentiable: joined on the host, without a program. */
function joinValues(parts: readonly Node[], shape: readonly number[], d: number): Node {
  const { dtype } = parts[0]!;
  const out = hostArray(
    dtype,
    shape.reduce((a, n) => a * n, 1),
  ) as Float32Array;
  const outer = shape.slice(0, d).reduce((a, n) => a * n, 1);
  const inner = shape.slice(d + 1).reduce((a, n) => a * n, 1);
  const row = shape[d]! * inner;
  let at = 0;
  for (const part of parts) {
    const width = part.shape[d]! * inner;
    const value = part.value as HostArray as Float32Array;
    for (let o = 0; o < outer; o++) out.set(value.subarray(o * width, (o + 1) * width), o * row + at);
    at += width;
  }
  return build.data(out, shape, dtype);
}

/** The tensors one after another along `dim`. */
export function concatenate(op: string, tensors: readonly Tensor[], dim: number): Tensor {
  if (tensors.length === 0) throw new RangeError(`${op}: expected at least one tensor, got none`);
  const dtype = resultDType(op, tensors);
  // PyTorch lets an empty vector stand beside anything.
  const filled = tensors.filter(part => part.ndim !== 1 || part.numel() > 0);
  const kept = filled.length > 0 ? filled : [tensors[0]!];
  const first = kept[0]!;
  if (first.ndim === 0) throw new RangeError(`${op}: tensors without dims cannot be joined; use stack`);
  const d = normalDim(op, dim, first.ndim);
  for (const part of kept)
    if (part.ndim !== first.ndim || part.shape.some((n, i) => i !== d && n !== first.shape[i]))
      throw new RangeError(
        `${op}: shapes ${shapeText(first.shape)} and ${shapeText(part.shape)} differ outside dim ${dim}`,
      );
  const total = kept.reduce((a, part) => a + part.shape[d]!, 0);
  const shape = first.shape.map((n, i) => (i === d ? total : n));
  const nodes = kept.filter(part => part.shape[d]! > 0).map(part => build.cast(part.node, dtype));
  if (nodes.length === 0) return new Tensor(build.full(0, shape, dtype));
  if (nodes.length === 1) return new Tensor(nodes[0]!);
  if (nodes.every(node => node.value !== null && !node.requiresGrad)) return new Tensor(joinValues(nodes, shape, d));
  if (nodes.length > FEW) return new Tensor(build.concat(nodes, d));
  let before = 0;
  const padded = nodes.map(node => {
    const size = node.shape[d]!;
    const lo = shape.map((_, i) => (i === d ? before : 0));
    before += size;
    return build.pad(
      node,
      lo,
      shape.map((n, i) => (i === d ? n - size - lo[d]! : 0)),
    );
  });
  const joined = new Tensor(padded.reduce((sum, node) => build.binary(dtype === 'bool' ? 'or' : 'add', sum, node)));
  const parts = nodes.map(node => new Tensor(node));
  return composite('concat', parts, { dim: d }, joined);
}
