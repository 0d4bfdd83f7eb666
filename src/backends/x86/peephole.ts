/**
 * `t = f(...); s = t` with no other use of t becomes `s = f(...)`: sums of microkernels then stay in their registers.
 * Rewrites a sequence.
 */
import type { Inst } from '../../compiler/loops.ts';
import { GONE, type Sequence } from './sequence.ts';

export function foldMoves(sequence: Sequence): void {
  const { kinds, insts, defs, uses, definition } = sequence;
  for (const at of sequence.moves) {
    const move = insts[at] as Extract<Inst, { op: 'move' }>;
    const { a, d } = move;
    let before = at - 1;
    while (kinds[before] === GONE) before--;
    if (kinds[before] !== a.id || !sequence.isPassedOn(a.id)) continue;
    const folded = { ...insts[before], d } as Inst;
    insts[before] = folded;
    kinds[before] = d.id;
    kinds[at] = GONE;
    defs[a.id] = 0;
    uses[a.id] = 0;
    definition[a.id] = undefined;
    if (definition[d.id] === move) definition[d.id] = folded;
  }
}
