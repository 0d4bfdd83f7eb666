/**
 * The F namespace: layers, activations and losses as functions of tensors, with torch.nn.functional's names and meaning. Uses the
 * Tensor API only.
 */
export * from './activations.ts';
export * from './dropout.ts';
export * from './linear.ts';
