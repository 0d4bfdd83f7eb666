/**
 * Pushes to and pulls from embedding tables by sign, as tests write them.
 */
import { type EmbeddingTable, type Sign, signParts, type TableRow } from 'tenon/recsys';
import { expect } from 'vitest';

export interface Push {
  readonly signs: readonly bigint[];
  readonly gradients: readonly number[];
  readonly shows: readonly number[];
  readonly clicks: readonly number[];
}

export const halves = (signs: readonly Sign[]): [Uint32Array, Uint32Array] => [
  Uint32Array.from(signs, s => signParts(s).hi),
  Uint32Array.from(signs, s => signParts(s).lo),
];

/** Pushes distinct signs, with one gradient value for all weights of a sign. */
export function push(table: EmbeddingTable, { signs, gradients, shows, clicks }: Push): void {
  const found = table.lookup(...halves(signs), signs.length);
  expect(found.unique).toBe(signs.length);
  const values = Float32Array.from(
    { length: signs.length * table.width },
    (_, i) => gradients[Math.floor(i / table.width)]!,
  );
  table.push(found, values, Float32Array.from(shows), Float32Array.from(clicks));
}

export function pull(table: EmbeddingTable, signs: readonly Sign[]): Float32Array {
  const found = table.lookup(...halves(signs), signs.length);
  const out = new Float32Array(found.unique * table.width);
  table.gather(found, out);
  return out;
}

export const rowsOf = (table: EmbeddingTable): TableRow[] =>
  [...table.entries()].sort((a, b) => (a.sign < b.sign ? -1 : a.sign > b.sign ? 1 : 0));
