/**
 * Building nodes: one function per primitive, with its shape rule, its dtype rule and the simplifications that are
 * always worth having (identities, composed views, folded constants). Callers above (Tensor, transforms) broadcast and
 * promote first: here shapes and dtypes must already agree, and a disagreement is an internal error.
 */
export { contract } from './build/contract.ts';
export * from './build/elementwise.ts';
export * from './build/identities.ts';
export * from './build/leaves.ts';
export { node, recordsGradients, withGradient, withoutGradient } from './build/node.ts';
export * from './build/reduce.ts';
export * from './build/reindex.ts';
export * from './build/routines.ts';
