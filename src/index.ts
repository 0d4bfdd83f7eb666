/**
 * The package's main entry: the Tensor API. Layers, optimizers, data and the rest are subpaths (tenon/nn, tenon/optim,
 * ...).
 */
export * from './tensor/index.ts';
