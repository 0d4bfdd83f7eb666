/**
 * lgamma and digamma: signatures only so far.
 */
import type { Reg } from '../loops.ts';
import type { Scope } from './scope.ts';

export function lgamma(_s: Scope, _x: Reg): Reg {
  throw new Error('internal: lgamma has no formula yet');
}

export function digamma(_s: Scope, _x: Reg): Reg {
  throw new Error('internal: digamma has no formula yet');
}
