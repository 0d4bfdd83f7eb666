/**
 * Connectionist temporal classification.
 */
import * as build from '../../graph/build.ts';
import { shapeText } from '../convert.ts';
import { cat, stack } from '../joins.ts';
import { checkFloat, checkInt, checkWhole, describe } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import type { LossOptions } from './lossParts.ts';

export interface CTCLossOptions extends LossOptions {
  /** The class that stands for no label, 0 by default. */
  readonly blank?: number;
  /** Infinite losses (targets too long for the input) and their gradients become 0. */
  readonly zeroInfinity?: boolean;
}

/** Lengths of the sequences of a batch: i64 or i32 [N], or plain numbers. */
export type Lengths = Tensor | readonly number[];

const lengthsOf = (name: string, lengths: Lengths, batch: number): Tensor => {
  const tensor = lengths instanceof Tensor ? lengths : Tensor.from([...lengths], { dtype: 'i64' });
  checkInt('ctcLoss', name, tensor);
  const flat = tensor.reshape([-1]).long();
  if (flat.numel() !== batch)
    throw new RangeError(
      `ctcLoss: ${name}: expected one for each of ${batch} sequences, got ${shapeText(tensor.shape)}`,
    );
  return flat;
};

/** Targets that stand one after another in a vector, as rows [N, longest]. Their lengths are read now. */
function rowsOf(targets: Tensor, lengths: Tensor): Tensor {
  const sizes = Array.from(lengths.data(), Number);
  const longest = Math.max(0, ...sizes);
  let at = 0;
  const rows = sizes.map(size => {
    const row = targets.narrow(0, at, size).constantPad([0, longest - size]);
    at += size;
    return row;
  });
  return stack(rows, 0);
}

/** log(exp(a) + exp(b) + ...), of which any number may be -Infinity. */
function logSum(parts: readonly Tensor[]): Tensor {
  const largest = parts.map(part => part.detach()).reduce((a, b) => a.maximum(b));
  const shift = largest.isfinite().where(largest, 0);
  const none = largest.eq(Number.NEGATIVE_INFINITY);
  const sum = parts.map(part => part.sub(shift).exp()).reduce((a, b) => a.add(b));
  return none.where(Number.NEGATIVE_INFINITY, none.where(1, sum).log().add(shift));
}

/**
 * The negative log-likelihood of target label sequences under all their alignments (Graves et al. 2006), by the forward
 * recurrence.
 *
 * logProbs [T, N, C] (or [T, C]) are logarithms of probabilities; targets [N, S] (or all one after another in a vector)
 * hold classes other than `blank`; inputLengths and targetLengths [N]. 'mean' divides each loss by its target's length
 * first. As in PyTorch the gradient is that of normalised probabilities: what flows through logSoftmax is right, and
 * sums to 0 over the classes.
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Lengths,
  targetLengths: Lengths,
  options: CTCLossOptions = {},
): Tensor {
  const op = 'ctcLoss';
  checkOptions(op, options, ['blank', 'zeroInfinity', 'reduction']);
  checkFloat(op, 'logProbs', logProbs);
  checkInt(op, 'targets', targets);
  const { blank = 0, reduction = 'mean', zeroInfinity = false } = options;
  if (!['mean', 'sum', 'none'].includes(reduction))
    throw new TypeError(`${op}: reduction: expected mean, sum or none, got ${String(reduction)}`);
  if (logProbs.ndim === 2) {
    const loss = ctcLoss(logProbs.unsqueeze(1), targets.reshape([1, -1]), inputLengths, targetLengths, options);
    return reduction === 'none' ? loss.squeeze(0) : loss;
  }
  if (logProbs.ndim !== 3)
    throw new RangeError(`${op}: logProbs: expected [T, N, C] or [T, C], got ${shapeText(logProbs.shape)}`);
  const [time, batch, classes] = logProbs.shape as [number, number, number];
  checkWhole(op, 'blank', blank, 0);
  if (blank >= classes) throw new RangeError(`${op}: blank: expected a class below ${classes}, got ${describe(blank)}`);
  if (time === 0)
    throw new RangeError(`${op}: logProbs: expected at least one time step, got ${shapeText(logProbs.shape)}`);
  const lengths = lengthsOf('inputLengths', inputLengths, batch);
  const tooLong = `${op}: inputLengths: {} came, logProbs has ${time} time steps`;
  const steps = new Tensor(build.checkIndex(lengths.node, time + 1, tooLong));
  const sizes = lengthsOf('targetLengths', targetLengths, batch);
  if (targets.ndim > 2 || (targets.ndim === 2 && targets.shape[0] !== batch))
    throw new RangeError(`${op}: targets: expected [${batch}, S] or a vector, got ${shapeText(targets.shape)}`);
  const rows = targets.ndim === 2 ? targets.long() : rowsOf(targets.long(), sizes);
  const longest = rows.shape[1]!;

  // Labels with blanks around each: [N, 2 S + 1].
  const width = 2 * longest + 1;
  const counted = new Tensor(build.iota(longest, 'i64')).lt(sizes.unsqueeze(1));
  const labels = counted.where(rows, blank);
  const blanks = new Tensor(build.full(blank, [batch, longest], 'i64'));
  const extended = cat(
    [stack([blanks, labels], 2).reshape([batch, 2 * longest]), new Tensor(build.full(blank, [batch, 1], 'i64'))],
    1,
  );
  const scores = logProbs.gather(2, extended.unsqueeze(0).expand([time, batch, width]));
  // A label may follow the one before it without a blank where they differ.
  const position = new Tensor(build.iota(width, 'i64'));
  const twoBack = extended.constantPad([2, 0], blank).narrow(1, 0, width);
  const skips = position.remainder(2).eq(1).logicalAnd(extended.ne(twoBack)).logicalAnd(position.ge(2));
  const never = Number.NEGATIVE_INFINITY;
  const back = (alpha: Tensor, by: number): Tensor => alpha.constantPad([by, 0], never).narrow(1, 0, width);
  const opens = position.lt(sizes.gt(0).where(2, 1).unsqueeze(1));
  let alpha = opens.where(scores.select(0, 0), never);
  for (let t = 1; t < time; t++) {
    const paths = [alpha, back(alpha, 1), skips.where(back(alpha, 2), never)];
    const next = logSum(paths).add(scores.select(0, t));
    alpha = steps.gt(t).unsqueeze(1).where(next, alpha);
  }
  const last = sizes.mul(2).unsqueeze(1);
  const end = alpha.gather(1, last).squeeze(1);
  const beforeEnd = alpha.gather(1, last.sub(1).clamp(0, null)).squeeze(1);
  let loss = logSum([end, sizes.gt(0).where(beforeEnd, never)]).neg();
  // Probabilities sum to 1: what the sum would change when one of them does is made good, without changing the value.
  const running = new Tensor(build.iota(time, 'i64')).unsqueeze(1).lt(steps).unsqueeze(2);
  const mass = running.where(logProbs.exp(), 0).sum([0, 2]);
  const infinite = loss.detach().eq(Number.POSITIVE_INFINITY);
  loss = loss.add(mass.sub(mass.detach()));
  if (zeroInfinity) loss = infinite.where(0, loss);
  if (reduction === 'none') return loss;
  return reduction === 'sum' ? loss.sum() : loss.div(sizes.clamp(1, null)).mean();
}
