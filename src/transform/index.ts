/**
 * Transforms: graphs to graphs. Imports the graph; knows no tensors, kernels or backends.
 */
export { type BatchOptions, batch, spread } from './batch.ts';
export { checkpointed } from './checkpoint.ts';
export { jvp } from './jvp.ts';
export { markGrad, vjp } from './vjp.ts';
