/**
 * Operators of Paddle's inference programs: one rule per type, from inputs and attributes to outputs
 * (paddle/phi/api/yaml/ops.yaml and op_compat.yaml for the names a program has), a file per family. Programs are for
 * inference, so gradients and training-only outputs are left out.
 */
import { ARRAYS } from './arrays.ts';
import { ACTIVATIONS, ARITHMETIC } from './elementwise.ts';
import { NETWORKS } from './networks.ts';
import { PRODUCTS } from './products.ts';
import { REDUCTIONS } from './reductions.ts';
import type { Rule } from './rule.ts';
import { SHAPES } from './shapes.ts';
import { TABLES } from './tables.ts';

export { type Call, DTYPES, type Value } from './rule.ts';

/** Every operator that can be run; feed and fetch are the program's own, as is control flow. */
export const OPERATORS: Readonly<Record<string, Rule>> = {
  ...ACTIVATIONS,
  ...ARITHMETIC,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...SHAPES,
  ...NETWORKS,
  ...TABLES,
  ...ARRAYS,
};
