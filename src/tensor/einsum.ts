/**
 * einsum: Einstein's summation over labelled dims, as reductions, diagonals and two-operand contractions.
 */

import * as build from '../graph/build.ts';
import { lowered } from './autocast.ts';
import { shapeText } from './convert.ts';
import { checkTensor } from './operands.ts';
import { Tensor } from './tensor.ts';

interface Operand {
  readonly tensor: Tensor;
  /** One label per dim; numbers from 1000 stand for ellipsis dims, counted from the right. */
  readonly labels: readonly number[];
}

const fail = (equation: string, text: string): never => {
  throw new Error(`einsum: ${text} in "${equation}"`);
};

/** Labels of one term. Letters are their code; '...' becomes as many numbered labels as the rank leaves. */
function labelsOf(equation: string, term: string, rank: number | null): number[] {
  const at = term.indexOf('...');
  const letters = at < 0 ? term : term.slice(0, at) + term.slice(at + 3);
  if (!/^[A-Za-z]*$/.test(letters)) fail(equation, `"${term}" has something else than letters and one '...'`);
  const codes = [...letters].map(letter => letter.charCodeAt(0));
  const extra = rank === null ? 0 : rank - codes.length;
  if (rank !== null && (extra < 0 || (at < 0 && extra > 0)))
    fail(equation, `term "${term}" names ${codes.length} dims of an operand of ${rank}`);
  if (at < 0) return codes;
  const dots = Array.from({ length: extra }, (_, i) => 1000 + extra - 1 - i);
  return [...codes.slice(0, at), ...dots, ...codes.slice(at)];
}

/** Repeated labels become diagonals; dims of size 1 that others stretch are dropped. */
function tidy({ tensor, labels }: Operand, sizes: ReadonlyMap<number, number>): Operand {
  let current = tensor;
  let names = [...labels];
  for (let d = 0; d < names.length; d++) {
    const twin = names.indexOf(names[d]!, d + 1);
    if (twin < 0) continue;
    current = current.diagonal(0, d, twin);
    names = [...names.filter((_, i) => i !== d && i !== twin), names[d]!];
    d = -1;
  }
  const kept = names.map((_, d) => d).filter(d => current.shape[d] === sizes.get(names[d]!));
  return {
    tensor: current.reshape(kept.map(d => current.shape[d]!)),
    labels: kept.map(d => names[d]!),
  };
}

/** Sums dims whose label nothing else needs. */
function sumUnneeded(operand: Operand, needed: ReadonlySet<number>): Operand {
  const gone = operand.labels.map((_, d) => d).filter(d => !needed.has(operand.labels[d]!));
  if (gone.length === 0) return operand;
  return {
    tensor: operand.tensor.sum(gone).to(operand.tensor.dtype),
    labels: operand.labels.filter(label => needed.has(label)),
  };
}

function pair(a: Operand, b: Operand, needed: ReadonlySet<number>): Operand {
  const left = sumUnneeded(a, new Set([...needed, ...b.labels]));
  const right = sumUnneeded(b, new Set([...needed, ...a.labels]));
  const out = [...new Set([...left.labels, ...right.labels])].filter(label => needed.has(label));
  const node = build.contract(left.tensor.node, right.tensor.node, left.labels, right.labels, out);
  return { tensor: new Tensor(node), labels: out };
}

/**
 * Sums products over labelled dims: `einsum('bij,bjk->bik', a, b)`. Any number of operands of one dtype; '...' stands
 * for broadcast dims, a repeated label for a diagonal; without '->' the result has the labels that occur once, in
 * alphabetical order.
 */
export function einsum(equation: string, ...operands: readonly (Tensor | readonly Tensor[])[]): Tensor {
  if (typeof equation !== 'string') throw new TypeError(`einsum: equation: expected text, got ${typeof equation}`);
  const given = operands.flat();
  if (given.length === 0) throw new RangeError('einsum: expected at least one tensor, got none');
  given.forEach((tensor, i) => {
    checkTensor('einsum', `operands[${i}]`, tensor);
  });
  const tensors = given.map(lowered);
  tensors.forEach(tensor => {
    if (tensor.dtype !== tensors[0]!.dtype)
      throw new TypeError(`einsum: dtypes differ: ${tensors[0]!.dtype} and ${tensor.dtype}`);
  });
  const [inputs, output, more] = equation.replace(/\s+/g, '').split('->');
  if (more !== undefined) fail(equation, "more than one '->'");
  const terms = inputs!.split(',');
  if (terms.length !== tensors.length) fail(equation, `${terms.length} terms for ${tensors.length} operands`);

  const sizes = new Map<number, number>();
  const parsed = terms.map((term, i): Operand => {
    const labels = labelsOf(equation, term, tensors[i]!.ndim);
    labels.forEach((label, d) => {
      const size = tensors[i]!.shape[d]!;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size)
        fail(
          equation,
          `label ${label < 1000 ? `"${String.fromCharCode(label)}"` : 'of ...'} has sizes ${known} and ${size} (operand ${i} is ${shapeText(tensors[i]!.shape)})`,
        );
      sizes.set(label, Math.max(known, size === 0 ? 0 : size));
      if (size === 0) sizes.set(label, 0);
    });
    return { tensor: tensors[i]!, labels };
  });
  const dots = [...sizes.keys()].filter(label => label >= 1000).sort((a, b) => b - a);
  let out: number[];
  if (output === undefined) {
    const count = (label: number): number =>
      parsed.reduce((n, { labels }) => n + labels.filter(other => other === label).length, 0);
    out = [...dots, ...[...sizes.keys()].filter(label => label < 1000 && count(label) === 1).sort((a, b) => a - b)];
  } else {
    const at = output.indexOf('...');
    const codes = labelsOf(equation, output, null);
    const before = at < 0 ? codes.length : at;
    out = at < 0 ? codes : [...codes.slice(0, before), ...dots, ...codes.slice(before)];
    for (const label of out)
      if (!sizes.has(label)) fail(equation, `label "${String.fromCharCode(label)}" of the result is in no operand`);
    if (new Set(out).size !== out.length) fail(equation, `the result "${output}" repeats a label`);
  }

  let rest = parsed.map(operand => tidy(operand, sizes));
  // Labels all of whose sizes are 1 were kept by everyone; a label dropped by all cannot be.
  while (rest.length > 1) {
    const [first, second, ...others] = rest as [Operand, Operand, ...Operand[]];
    const needed = new Set([...out, ...others.flatMap(other => other.labels)]);
    rest = [pair(first, second, needed), ...others];
  }
  const last = sumUnneeded(rest[0]!, new Set(out));
  return last.tensor.permute(out.map(label => last.labels.indexOf(label)));
}
