/**
 * The F namespace: layers, activations and losses as functions of tensors, with torch.nn.functional's names and
 * meaning. Uses the Tensor API only.
 */
export * from './activations.ts';
export * from './adaptivePool.ts';
export * from './attention.ts';
export * from './bags.ts';
export * from './classLosses.ts';
export * from './conv.ts';
export * from './ctcLoss.ts';
export * from './distanceLosses.ts';
export * from './dropout.ts';
export * from './fractionalPool.ts';
export type { Sizes } from './geometry.ts';
export * from './gridSample.ts';
export * from './linear.ts';
export * from './losses.ts';
export type { LossOptions, Reduction } from './lossParts.ts';
export * from './normalise.ts';
export * from './pad.ts';
export * from './pool.ts';
export * from './resample.ts';
