/**
 * The names and shapes of a model's state as one short text, as torch_zoo.py makes it.
 */
import { createHash } from 'node:crypto';
import type { AnyModule } from '../../src/nn/index.ts';

/** A digest of all names and shapes. */
export function namesOf(model: AnyModule): string {
  const lines = Object.entries(model.stateDict()).map(([key, { shape }]) => `${key} [${shape}]\n`);
  return createHash('sha256').update(lines.sort().join('')).digest('hex').slice(0, 16);
}
