/**
 * Which function of ours an operator of PyTorch is: its name from snake to camel, `nn.functional.`, `linalg.`, ... as
 * namespaces.
 */
import * as tenon from 'tenon';
import { functional, Tensor } from 'tenon';
import { NAMES } from './signatures.ts';

export const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase());

export type Callable = (...args: unknown[]) => unknown;

type Operand = Tensor | number;

/** A method of Tensor, also of what is no tensor, which it refuses. */
const method =
  (name: keyof Tensor) =>
  (x: Tensor, ...rest: unknown[]): unknown =>
    (Tensor.prototype[name] as Callable).apply(x, rest);

/** A number as a tensor without dims, which promotes as a number does. */
const tensorOf = (value: Operand, like: Tensor): Tensor =>
  value instanceof Tensor ? value : tenon.tensor(value, { dtype: like.dtype });

/** Operators of Python that have the tensor on the right: what they are of it and the other operand. */
const REFLECTED: { readonly [op: string]: (x: Tensor, other: Operand) => unknown } = {
  __radd__: method('add'),
  __rsub__: method('rsub'),
  __rmul__: method('mul'),
  __rdiv__: (x, other) => (x instanceof Tensor ? tenon.div(other, x) : method('div')(x, other)),
  __rpow__: (x, other) => (x instanceof Tensor ? tenon.pow(other, x) : method('pow')(x, other)),
  __rmod__: (x, other) => tensorOf(other, x).remainder(x),
  __rmatmul__: (x, other) => (other as Tensor).matmul(x),
  __rand__: method('bitwiseAnd'),
  __ror__: method('bitwiseOr'),
  __rxor__: method('bitwiseXor'),
};

/** Operators that are several functions here. */
const COMPOSED: { readonly [op: string]: (...args: never[]) => unknown } = {
  ...REFLECTED,
  'nn.functional._scaled_dot_product_attention': (q: Tensor, k: Tensor, v: Tensor, options: object) => [
    functional.scaledDotProductAttention(q, k, v, options),
    functional.attentionWeights(q, k, options),
  ],
  zero_: (x: Tensor) => tenon.zerosLike(x),
  resolve_conj: (x: Tensor) => x,
  resolve_neg: (x: Tensor) => x,
  // Tensors do not change: the first elements in another shape.
  resize_: (x: Tensor, shape: number[]) =>
    x
      .flatten()
      .narrow(
        0,
        0,
        shape.reduce((a, n) => a * n, 1),
      )
      .reshape(shape),
  resize_as_: (x: Tensor, other: Tensor) => x.flatten().narrow(0, 0, other.numel()).reshape(other.shape),
};

const SPACES: readonly (readonly [prefix: string, space: object])[] = [
  ['nn.functional.', functional],
  ['linalg.', tenon.linalg],
  ['masked.', tenon.masked],
  ['special.', tenon.special],
  ['fft.', tenon.fft],
];
const PREFIX = /^(nn\.functional|linalg|masked|special|fft)\./;

/** Our name, without its namespace. */
export function nameOf(op: string): string {
  const short = op.replace(PREFIX, '');
  return NAMES[short] ?? camel(short);
}

/** The function of ours, which takes the input first. */
export function functionOf(op: string): Callable | null {
  const composed = COMPOSED[op];
  if (composed) return composed as Callable;
  const name = nameOf(op);
  const space = SPACES.find(([prefix]) => op.startsWith(prefix))?.[1] as Record<string, unknown> | undefined;
  const free = space?.[name] ?? (tenon as unknown as Record<string, unknown>)[name];
  const call = typeof free === 'function' ? (free as Callable) : null;
  if (space || !(name in Tensor.prototype)) return call;
  // A method where there is one and a tensor to call it on.
  return (input, ...rest) => {
    if (!(input instanceof Tensor))
      return call ? call(input, ...rest) : method(name as keyof Tensor)(input as Tensor, ...rest);
    const member = input[name as keyof Tensor];
    return typeof member === 'function' ? (member as Callable).apply(input, rest) : member;
  };
}
