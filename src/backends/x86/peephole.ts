/**
 * `t = f(...); s = t` with no other use of t becomes `s = f(...)`: sums of microkernels then stay in their registers.
 * Rewrites loop IR.
 */
import type { Inst } from '../../compiler/loops.ts';
import { holdsBlock, type Nested, type Usage, usageOf } from '../../compiler/usage.ts';

interface Folded {
  readonly body: readonly Inst[];
  /** Of the folded body. */
  readonly usage: Usage;
}

export function foldMoves(body: readonly Inst[]): Folded {
  const usage = usageOf(body);
  return { body: foldBlock(body, usage), usage };
}

function foldBlock(block: readonly Inst[], usage: Usage): readonly Inst[] {
  const out: Inst[] = [];
  let changes = false;
  for (let i = 0; i < block.length; i++) {
    const inst = block[i]!;
    if (inst.op === 'move') {
      const last = out[out.length - 1];
      const { a, d } = inst;
      if (last && (last as { readonly d?: unknown }).d === a && usage.uses[a.id] === 1 && usage.defs[a.id] === 1) {
        const folded = { ...last, d } as Inst;
        usage.replace(a, d, inst, folded);
        out[out.length - 1] = folded;
        changes = true;
      } else out.push(inst);
    } else if (holdsBlock(inst)) {
      const now = foldInside(inst, usage);
      if (now !== inst) changes = true;
      out.push(now);
    } else out.push(inst);
  }
  return changes ? out : block;
}

function foldInside(inst: Nested, usage: Usage): Inst {
  const test = inst.op === 'while' ? foldBlock(inst.test, usage) : null;
  const body = foldBlock(inst.body, usage);
  const otherwise = inst.op === 'if' ? foldBlock(inst.otherwise, usage) : null;
  if (inst.op === 'while') return body === inst.body && test === inst.test ? inst : { ...inst, test: test!, body };
  if (inst.op === 'if')
    return body === inst.body && otherwise === inst.otherwise ? inst : { ...inst, body, otherwise: otherwise! };
  return body === inst.body ? inst : { ...inst, body };
}
