/**
 * Which function of ours an operator of PyTorch is: its name from snake to camel, `nn.functional.`, `linalg.`, ... as namespaces.
 */
import * as tenon from 'tenon';
import { functional, Tensor } from 'tenon';
import { NAMES } from './signatures.ts';

export const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase());

export type Callable = (...args: unknown[]) => unknown;

const SPACES: readonly (readonly [prefix: string, space: object])[] = [
  ['nn.functional.', functional],
  ['linalg.', tenon.linalg],
  ['masked.', tenon.masked],
  ['special.', tenon.special],
];
const PREFIX = /^(nn\.functional|linalg|masked|special)\./;

/** Our name, without its namespace. */
export function nameOf(op: string): string {
  const short = op.replace(PREFIX, '');
  return NAMES[short] ?? camel(short);
}

/** The function of ours, which takes the input first. */
export function functionOf(op: string): Callable | null {
  const name = nameOf(op);
  const space = SPACES.find(([prefix]) => op.startsWith(prefix))?.[1] as Record<string, unknown> | undefined;
  const found = space?.[name] ?? (tenon as unknown as Record<string, unknown>)[name];
  if (typeof found === 'function') return found as Callable;
  if (space) return null;
  if (!(name in Tensor.prototype)) return null;
  return (input, ...rest) => {
    const member = (input as Record<string, unknown>)[name];
    return typeof member === 'function' ? (member as Callable).apply(input, rest) : member;
  };
}
