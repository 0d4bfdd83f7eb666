/**
 * What a kernel computes whatever its size: updates of an optimizer's many parameters are one expression over arrays of
 * many lengths, and become one body that is told the length (decision 092). Imports level 1; emits nothing.
 */
import type { Expr } from '../expr.ts';
import { storage, type Value } from '../flow.ts';
import type { Ix, VarAtom } from '../index-expr.ts';
import { attributesKey } from '../normalise.ts';
import type { SpaceTrace } from './space-trace.ts';

/** Elements from which on sums of indices might not fit 32 bits. */
const MOST = 2 ** 30;

/** How the body walks its elements. */
interface Walk {
  readonly lanes: number;
  readonly copies: number;
  readonly masked: boolean;
  /** Which of its arrays are long, and how they are. */
  readonly streams: string;
}

/**
 * All that the body of an elementwise kernel along `lane` depends on but for its size; null where it depends on more:
 * elements at other places than their own (but for single numbers), guards, indices as values, checks that name a size.
 * Buffers go by the order of their appearance, stores first.
 */
export function sizedKey(trace: SpaceTrace, lane: VarAtom, walk: Walk): string | null {
  const { stores, exprs, reduced } = trace;
  if (reduced.length > 0 || lane.extent >= MOST) return null;
  const buffers = new Map<Value, number>();
  const numberOf = (value: Value): number => {
    const root = storage(value);
    const number = buffers.get(root) ?? buffers.size;
    buffers.set(root, number);
    return number;
  };
  const isOwn = (ix: Ix): boolean => {
    const [term] = ix.terms;
    return ix.terms.length === 1 && term!.atom === lane && term!.coef === 1 && ix.constant === 0;
  };
  const parts = [`${walk.lanes}x${walk.copies}${walk.masked ? ' masked' : ''} ${walk.streams}`];
  const results: string[] = [];
  const number = new Map<Expr, number>();
  for (const { value, ix, expr } of stores) {
    if (!isOwn(ix) || value.size !== lane.extent) return null;
    results.push(`${numberOf(value)} ${value.dtype} ${exprs.indexOf(expr)}`);
  }
  for (const [i, e] of exprs.entries()) {
    const args = e.args.map(arg => number.get(arg));
    number.set(e, i);
    switch (e.kind) {
      case 'const':
        parts.push(`${e.dtype} ${Object.is(e.value, -0) ? '-0' : e.value}`);
        break;
      case 'load': {
        const own = isOwn(e.ix);
        if (e.conditions.length > 0 || (!own && e.ix.terms.length > 0)) return null;
        if (own ? e.of.size !== lane.extent : e.of.size !== 1) return null;
        parts.push(`load ${numberOf(e.of)} ${e.of.dtype} ${e.dtype}${own ? '' : ' alone'}`);
        break;
      }
      case 'op': {
        const { value } = e;
        if (value.op === 'checkIndex' || value.op === 'gather') return null;
        parts.push(
          `${value.op} ${attributesKey(value.op, value.attrs)} ${value.inputs.map(input => input.dtype)} ${e.dtype} ${args}`,
        );
        break;
      }
      default:
        return null;
    }
  }
  return [...parts, ...results].join('\n');
}
