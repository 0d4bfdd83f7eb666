/**
 * `t = f(...); s = t` with no other use of t becomes `s = f(...)`: sums of microkernels then stay in their registers. Rewrites loop IR.
 */
import type { Inst } from '../../compiler/loops.ts';
import { type Usage, usageOf } from '../../compiler/usage.ts';

export interface Folded {
  readonly body: readonly Inst[];
  /** Of the folded body. */
  readonly usage: Usage;
}

export function foldMoves(body: readonly Inst[]): Folded {
  const usage = usageOf(body);
  return { body: foldBlock(body, usage), usage };
}

function foldBlock(block: readonly Inst[], usage: Usage): Inst[] {
  const out: Inst[] = [];
  for (const inst of block) {
    switch (inst.op) {
      case 'move': {
        const { a, d } = inst;
        const last = out[out.length - 1];
        if (last && (last as { readonly d?: unknown }).d === a && usage.uses[a.id] === 1 && usage.defs[a.id] === 1) {
          const folded = { ...last, d } as Inst;
          usage.replace(a, d, inst, folded);
          out[out.length - 1] = folded;
        } else out.push(inst);
        break;
      }
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
