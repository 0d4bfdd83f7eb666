/**
 * Level-1 kernels as text: what each stores and where, with every view composed away. For TENON_DEBUG=kernels and for
 * tests.
 */
import type { Expr } from './expr.ts';
import type { Value } from './flow.ts';
import { type Ix, printIx, type VarAtom } from './index-expr.ts';

/** Names loop variables i, j, k, ... in loop order. */
export function variableNames(vars: readonly VarAtom[]): (v: VarAtom) => string {
  const names = new Map(vars.map((v, i) => [v, 'ijklmnopq'[i] ?? `i${i}`]));
  return v => names.get(v) ?? '?';
}

export const bufferName = (value: Value): string => (value.leaf >= 0 ? `leaf${value.leaf}` : `v${value.id}`);

const INFIX: Readonly<Record<string, string>> = {
  add: '+', sub: '-', mul: '*', div: '/', eq: '==', lt: '<', le: '<=',
}; // biome-ignore format: a table

/** Prints expressions, each shared one once. */
export class ExprPrinter {
  readonly lines: string[] = [];
  private readonly name: (v: VarAtom) => string;
  private readonly uses = new Map<Expr, number>();
  private readonly named = new Map<Expr, string>();

  constructor(roots: readonly Expr[], name: (v: VarAtom) => string) {
    this.name = name;
    const visit = (e: Expr): void => {
      const seen = this.uses.get(e) ?? 0;
      this.uses.set(e, seen + 1);
      if (seen === 0) for (const arg of e.args) visit(arg);
    };
    for (const root of roots) visit(root);
  }

  index(ix: Ix): string {
    return printIx(ix, this.name);
  }

  text(e: Expr): string {
    const known = this.named.get(e);
    if (known) return known;
    const made = this.make(e);
    const shared = e.kind === 'reduced' || (e.kind === 'op' && this.uses.get(e)! > 1);
    if (!shared) return made;
    const name = `t${this.named.size}`;
    this.lines.push(`${name} = ${made}`);
    this.named.set(e, name);
    return name;
  }

  private make(e: Expr): string {
    switch (e.kind) {
      case 'const':
        return String(e.value);
      case 'index':
        return `(${this.index(e.ix)})`;
      case 'load':
        return `${bufferName(e.of)}[${this.index(e.ix)}]`;
      case 'contracted':
        return 'acc';
      case 'reduced':
        return `${e.value.attrs.kind}(${this.text(e.args[0]!)})`;
      case 'combined':
        return `${e.value.attrs.kind}(${e.args.map(arg => this.text(arg)).join(', ')})`;
      case 'guard': {
        const holds = e.conditions.map(c => `0 <= ${this.index(c.ix)} < ${c.size}`).join(' and ');
        return `(${holds} ? ${this.text(e.args[0]!)} : ${e.fill})`;
      }
      case 'op': {
        const args = e.args.map(arg => this.text(arg));
        const attrs = e.value.attrs as { fn?: string };
        const infix = attrs.fn && e.args.length === 2 ? INFIX[attrs.fn] : undefined;
        if (infix) return `(${args[0]} ${infix} ${args[1]})`;
        return `${attrs.fn ?? (e.value.op === 'cast' ? e.dtype : e.value.op)}(${args.join(', ')})`;
      }
    }
  }
}
