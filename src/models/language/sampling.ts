/**
 * Choosing the next token from logits, inside a compiled step: greedy, or drawn after temperature, top-k and top-p,
 * with a penalty on what was said before. The order is that of Hugging Face's generate.
 */
import { rand, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';

export interface SamplingOptions {
  /** Below 1 is more cautious, above 1 more daring; 0 always takes the likeliest token. 1 by default. */
  readonly temperature?: number;
  /** Draw from the k likeliest tokens only. */
  readonly topK?: number;
  /** Draw from the fewest tokens whose probabilities add up to at least p, 0 < p <= 1 (Holtzman et al. 2020). */
  readonly topP?: number;
  /** Above 1 makes tokens that came before less likely (Keskar et al. 2019); 1 by default. */
  readonly repetitionPenalty?: number;
}

/** Names of SamplingOptions. */
export const SAMPLING = ['temperature', 'topK', 'topP', 'repetitionPenalty'] as const;

/** @throws RangeError for options that cannot be meant */
export function checkSampling({ temperature = 1, topK, topP, repetitionPenalty = 1 }: SamplingOptions): void {
  if (!(temperature >= 0)) throw new RangeError(`generate: temperature ${temperature} came, expected at least 0`);
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1))
    throw new RangeError(`generate: topK ${topK} came, expected a whole number of at least 1`);
  if (topP !== undefined && !(topP > 0 && topP <= 1))
    throw new RangeError(`generate: topP ${topP} came, expected more than 0 and at most 1`);
  if (!(repetitionPenalty > 0))
    throw new RangeError(`generate: repetitionPenalty ${repetitionPenalty} came, expected more than 0`);
}

/**
 * Logits [vocab] with those of tokens in `seen` (bool [vocab]) divided by the penalty where positive, multiplied where
 * negative.
 */
export const penalise = (logits: Tensor, seen: Tensor, penalty: number): Tensor =>
  seen.where(logits.gt(0).where(logits.div(penalty), logits.mul(penalty)), logits);

/** Logits [vocab] with everything but the `k` largest at minus infinity. */
export function keepTopK(logits: Tensor, k: number): Tensor {
  if (k >= logits.shape[0]!) return logits;
  return logits.maskedFill(logits.lt(logits.topk(k).values.amin()), Number.NEGATIVE_INFINITY);
}

/**
 * Logits [vocab] with everything but the likeliest tokens that together reach probability `p` at minus infinity.
 * `among`, when fewer than all can still be drawn, spares sorting the others.
 */
export function keepTopP(logits: Tensor, p: number, among: number = logits.shape[0]!): Tensor {
  if (p >= 1) return logits;
  const sorted = logits.topk(Math.min(among, logits.shape[0]!)).values;
  const probabilities = sorted.softmax(0);
  // A token stays while those before it have not reached p; the first always does.
  const before = probabilities.cumsum(0).sub(probabilities);
  const least = before.lt(p).where(sorted, Number.POSITIVE_INFINITY).amin();
  return logits.maskedFill(logits.lt(least), Number.NEGATIVE_INFINITY);
}

/** Picks a token from logits [vocab]; an i64 scalar. */
export function sampleToken(logits: Tensor, options: SamplingOptions = {}): Tensor {
  const { temperature = 1, topK, topP } = checkOptions('sampleToken', options, SAMPLING);
  if (temperature === 0) return logits.argmax();
  let scaled = temperature === 1 ? logits : logits.div(temperature);
  if (topK !== undefined) scaled = keepTopK(scaled, topK);
  if (topP !== undefined) scaled = keepTopP(scaled, topP, topK);
  // Gumbel's trick: the largest of logits plus Gumbel noise is a draw from their softmax.
  return scaled.add(rand(scaled.shape).clampMin(1e-10).log().neg().log().neg()).argmax();
}
