/**
 * Transforms: graphs to graphs. Imports the graph; knows no tensors, kernels or backends.
 */
export { moveAxis, spread } from './arithmetic.ts';
export { type BatchOptions, batch } from './batch.ts';
export { closeOver, inline, param } from './body.ts';
export { checkpointed } from './checkpoint.ts';
export { completed, type GivenRule } from './custom.ts';
export { jvp } from './jvp.ts';
export { buildLoop, type Carry, type Given, type LoopResults } from './loops.ts';
export { markGrad, vjp } from './vjp.ts';
