/**
 * `t = f(...); s = t` with no other use of t becomes `s = f(...)`: sums of microkernels then stay in their registers. Rewrites loop IR.
 */
import type { Inst } from '../../compiler/loops.ts';
import { type Usage, usageOf } from '../../compiler/usage.ts';

export function foldMoves(body: readonly Inst[]): readonly Inst[] {
  return foldBlock(body, usageOf(body));
}

function foldBlock(block: readonly Inst[], usage: Usage): Inst[] {
  const out: Inst[] = [];
  for (const inst of block) {
    if (inst.op === 'move') {
      const last = out.at(-1);
      if (last && 'd' in last && last.d === inst.a && usage.uses[inst.a.id] === 1 && usage.defs[inst.a.id] === 1) {
        out[out.length - 1] = { ...last, d: inst.d };
        continue;
      }
    }
    switch (inst.op) {
      case 'for':
      case 'parallel':
      case 'once':
        out.push({ ...inst, body: foldBlock(inst.body, usage) });
        break;
      case 'while':
        out.push({ ...inst, test: foldBlock(inst.test, usage), body: foldBlock(inst.body, usage) });
        break;
      case 'if':
        out.push({ ...inst, body: foldBlock(inst.body, usage), otherwise: foldBlock(inst.otherwise, usage) });
        break;
      default:
        out.push(inst);
    }
  }
  return out;
}
