/**
 * Transforms: graphs to graphs. Imports the graph; knows no tensors, kernels or backends.
 */
export { markGrad, vjp } from './vjp.ts';
