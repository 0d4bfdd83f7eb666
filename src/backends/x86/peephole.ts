/**
 * `t = f(...); s = t` with no other use of t becomes `s = f(...)`: sums of microkernels then stay in their registers.
 * Rewrites a sequence.
 */
import type { Inst } from '../../compiler/loops.ts';
import { GONE, PLAIN, type Sequence } from './sequence.ts';

export function foldMoves(sequence: Sequence): void {
  const { marks, insts, writes, defs, uses, definition } = sequence;
  for (const at of sequence.moves) {
    const move = insts[at] as Extract<Inst, { op: 'move' }>;
    const { a, d } = move;
    let before = at - 1;
    while (marks[before] === GONE) before--;
    if (marks[before] !== PLAIN || writes[before] !== a.id || !sequence.isPassedOn(a.id)) continue;
    const folded = { ...insts[before], d } as Inst;
    insts[before] = folded;
    writes[before] = d.id;
    marks[at] = GONE;
    defs[a.id] = 0;
    uses[a.id] = 0;
    definition[a.id] = undefined;
    if (definition[d.id] === move) definition[d.id] = folded;
  }
}
