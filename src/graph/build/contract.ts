/**
 * Products summed over labelled axes, and how a sum over views of such a product becomes a product of views.
 */
import type { Node } from '../node.ts';
import { axis, identityAxis } from '../reindex.ts';
import { fail, node, pending } from './node.ts';
import { reindex } from './reindex.ts';

/** Contraction over labelled axes; see Attrs.contract. The result has the inputs' dtype. */
export function contract(
  a: Node,
  b: Node,
  labelsA: readonly number[],
  labelsB: readonly number[],
  out: readonly number[],
): Node {
  if (a.dtype !== b.dtype) fail(`contract of ${a.dtype} with ${b.dtype}`);
  const sizes = new Map<number, number>();
  const see = (labels: readonly number[], shape: readonly number[]): void => {
    if (labels.length !== shape.length) fail(`contract: labels [${labels}] for shape [${shape}]`);
    labels.forEach((label, d) => {
      const known = sizes.get(label);
      if (known !== undefined && known !== shape[d]) fail(`contract: label ${label} is ${known} and ${shape[d]}`);
      sizes.set(label, shape[d]!);
    });
  };
  see(labelsA, a.shape);
  see(labelsB, b.shape);
  for (const label of sizes.keys()) {
    const places = [labelsA, labelsB, out].filter(labels => labels.includes(label)).length;
    if (places < 2) fail(`contract: label ${label} stands in one operand only`);
  }
  return node(
    'contract',
    [a, b],
    { a: labelsA, b: labelsB, out },
    out.map(l => sizes.get(l)!),
    a.dtype,
  );
}

/**
 * sum(reindex(contract(a, b))) = contract(reindex(a), reindex(b)): the map is pushed into whichever operands carry the
 * axis, and the summed axes become contracted ones. This turns "multiply, then fold the windows back" into one
 * contraction, so the input gradient of a convolution never materialises its columns.
 */
export function sumIntoContract(x: Node, sumAxes: readonly number[]): Node | null {
  if (!pending(x, 'reindex') || x.attrs.fill !== 0) return null;
  const product = x.inputs[0]!;
  if (!pending(product, 'contract')) return null;
  const { a: labelsA, b: labelsB, out } = product.attrs;
  // New labels: output dims of the reindex get fresh ones, contracted labels of the product stay.
  const base = 1 + Math.max(...labelsA, ...labelsB, ...out);
  const fresh = x.shape.map((_, d) => base + d);

  const push = (operand: Node, labels: readonly number[]): { node: Node; labels: number[] } => {
    const kept = labels.filter(label => !out.includes(label));
    const dims: number[] = [];
    for (const label of labels) {
      const at = out.indexOf(label);
      if (at >= 0) for (const [dim] of x.attrs.axes[at]!.terms) if (!dims.includes(dim)) dims.push(dim);
    }
    dims.sort((p, q) => p - q);
    const newLabels = [...dims.map(d => fresh[d]!), ...kept];
    const shape = [...dims.map(d => x.shape[d]!), ...kept.map(l => operand.shape[labels.indexOf(l)]!)];
    const axes = labels.map(label => {
      const at = out.indexOf(label);
      if (at < 0) return identityAxis(newLabels.indexOf(label));
      const map = x.attrs.axes[at]!;
      return axis(
        map.terms.map(([dim, coef]) => [dims.indexOf(dim), coef] as const),
        map.offset,
        map.div,
      );
    });
    return { node: reindex(operand, shape, axes), labels: newLabels };
  };
  const left = push(product.inputs[0]!, labelsA);
  const right = push(product.inputs[1]!, labelsB);
  const result = fresh.filter((_, d) => !sumAxes.includes(d));
  const places = (label: number): number =>
    [left.labels, right.labels, result].filter(labels => labels.includes(label)).length;
  // Summing what neither operand carries would have to multiply; it stays a reduction.
  const needed = [...left.labels, ...right.labels, ...fresh];
  if (needed.some(label => places(label) < 2)) return null;
  return contract(left.node, right.node, left.labels, right.labels, result);
}
