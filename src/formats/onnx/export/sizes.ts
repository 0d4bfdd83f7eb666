/**
 * Sizes that depend on dynamic axes. A module is traced at several sizes of its dynamic axes; a number that differs
 * between the traces is solved for as an expression of them: a * size / c + b, or a product of two sizes. Pure
 * functions over numbers.
 */

/** One dynamic axis: its name, and its size in each trace. */
export interface DynamicAxis {
  readonly name: string;
  readonly sizes: readonly number[];
  /** Where it can be read: dim `axis` of the model's input. */
  readonly input: string;
  readonly axis: number;
}

/** The product of the symbols, times a / c, plus b. */
export interface Expression {
  readonly symbols: readonly DynamicAxis[];
  readonly a: number;
  readonly c: number;
  readonly b: number;
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/** The expression that takes these values in the traces, or null. Constant values are expressions without symbols. */
export function solve(values: readonly number[], symbols: readonly DynamicAxis[]): Expression | null {
  if (values.every(value => value === values[0])) return { symbols: [], a: 0, c: 1, b: values[0]! };
  const candidates: DynamicAxis[][] = symbols.map(symbol => [symbol]);
  for (const [i, first] of symbols.entries()) for (const second of symbols.slice(i)) candidates.push([first, second]);
  for (const chosen of candidates) {
    const product = values.map((_, t) => chosen.reduce((p, symbol) => p * symbol.sizes[t]!, 1));
    const [dx, dv] = [product[1]! - product[0]!, values[1]! - values[0]!];
    if (dx === 0) continue;
    const g = gcd(dv, dx) * Math.sign(dx);
    const [a, c] = [dv / g, dx / g];
    const b = values[0]! - (a * product[0]!) / c;
    if (Number.isInteger(b) && product.every((p, t) => (a * p) / c + b === values[t]))
      return { symbols: chosen, a, c, b };
  }
  return null;
}

export const expressionKey = ({ symbols, a, c, b }: Expression): string =>
  `${symbols.map(s => s.name).join('*')}*${a}/${c}+${b}`;
