/** Losses over classes: negative log likelihood, and cross entropy with its log probabilities. */
import { full, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';

/**
 * -weight[target] * x[target], with elements of the ignored class left out; reduced as the node says. x is [n, c, ...].
 */
function nll(call: Call, x: Tensor, target: Tensor, weight: Tensor | null): Tensor {
  const classes = x.shape[1]!;
  const ignored = call.attribute('ignore_index') ? target.eq(call.int('ignore_index')) : null;
  const index = (ignored ? ignored.where(0, target) : target).to('i64');
  const picked = x.gather(1, index.unsqueeze(1)).squeeze(1);
  let weights: Tensor = weight
    ? weight
        .reshape([classes])
        .indexSelect(0, index.reshape([index.numel()]))
        .reshape(index.shape)
    : full(index.shape, 1, { dtype: x.dtype });
  if (ignored) weights = ignored.where(0, weights);
  const loss = picked.mul(weights).neg();
  switch (call.choice('reduction', ['none', 'mean', 'sum'], 'mean')) {
    case 'none':
      return loss;
    case 'sum':
      return loss.sum();
    default:
      return loss.sum().div(weights.sum());
  }
}

const negativeLogLikelihood: Rule = call => call.like(0, nll(call, call.x(0), call.x(1), call.optional(2)));

const crossEntropy: Rule = call => {
  const x = call.x(0);
  const half = x.dtype === 'f16' || x.dtype === 'bf16';
  const logits = (half ? x.to('f32') : x).logSoftmax(1);
  const weight = call.optional(2);
  return [call.like(0, nll(call, logits, call.x(1), half && weight ? weight.to('f32') : weight)), call.like(0, logits)];
};

export const losses: OperatorTable = {
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
  SoftmaxCrossEntropyLoss: crossEntropy,
};
