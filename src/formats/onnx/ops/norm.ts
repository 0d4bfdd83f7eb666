/**
 * Normalisations: over batches, instances, groups, layers, local regions. Halves compute in f32, as their stash type
 * says.
 */
import { F, Parameter, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { typed } from '../values.ts';

const wide = (x: Tensor): Tensor => (x.dtype === 'f16' || x.dtype === 'bf16' ? x.to('f32') : x);

/** A per-channel vector against [n, c, ...]; before opset 9 statistics of every activation ([c, ...]) exist too. */
const along = (vector: Tensor, x: Tensor): Tensor =>
  vector.ndim > 1
    ? vector.unsqueeze(0)
    : vector.reshape([1, vector.numel(), ...new Array<number>(Math.max(x.ndim - 2, 0)).fill(1)]);

const batchNormalization: Rule = call => {
  const x = call.x(0);
  const [scale, bias, mean, variance] = [call.x(1), call.x(2), call.x(3), call.x(4)];
  const [eps, momentum] = [call.float('epsilon', 1e-5), call.float('momentum', 0.9)];
  const input = wide(x);
  const normal = (center: Tensor, spread: Tensor): Tensor =>
    input
      .sub(along(center, x))
      .mul(along(wide(scale), x).div(along(spread, x).add(eps).sqrt()))
      .add(along(wide(bias), x));
  const asked = call.opset >= 14 && call.flag('training_mode');
  if (!asked && !(call.context.training && mean instanceof Parameter))
    return call.like(
      0,
      mean.ndim === 1 && x.ndim >= 2
        ? F.batchNorm(x, mean, variance, scale, bias, { eps })
        : normal(wide(mean), wide(variance)),
    );
  const dims = x.shape.map((_, d) => d).filter(d => d !== 1);
  const center = input.mean(dims);
  const spread = input.var(dims, { correction: 0 });
  const blended = (old: Tensor, current: Tensor): Tensor =>
    wide(old)
      .mul(momentum)
      .add(current.detach().mul(1 - momentum));
  const y = call.like(0, normal(center, spread));
  if (asked)
    return [
      y,
      typed(blended(mean, center).to(mean.dtype), call.type(3)),
      typed(blended(variance, spread).to(variance.dtype), call.type(4)),
    ];
  // The module is in training mode: its running statistics move on.
  if (mean instanceof Parameter) mean.assign(blended(mean, center));
  if (variance instanceof Parameter) variance.assign(blended(variance, spread));
  return y;
};

/** (x - mean) / sqrt(var + eps) over dims, and its two factors. */
function standardised(x: Tensor, dims: readonly number[], eps: number): { y: Tensor; mean: Tensor; inverse: Tensor } {
  const mean = x.mean(dims, { keepdim: true });
  const centered = x.sub(mean);
  const inverse = centered.mul(centered).mean(dims, { keepdim: true }).add(eps).sqrt().reciprocal();
  return { y: centered.mul(inverse), mean, inverse };
}

const instanceNormalization: Rule = call => {
  const x = call.x(0);
  const dims = x.shape.map((_, d) => d).slice(2);
  const { y } = standardised(wide(x), dims, call.float('epsilon', 1e-5));
  return call.like(0, y.mul(along(wide(call.x(1)), x)).add(along(wide(call.x(2)), x)));
};

const trailing = (call: Call, x: Tensor): number[] => {
  const axis = call.axisAttribute(-1, x.ndim);
  return Array.from({ length: x.ndim - axis }, (_, i) => axis + i);
};

const layerNormalization: Rule = call => {
  const x = call.x(0);
  const eps = call.float('epsilon', 1e-5);
  const dims = trailing(call, x);
  const shape = dims.map(d => x.shape[d]!);
  const fits = [call.x(1), call.optional(2)].every(other => other === null || other.shape.join() === shape.join());
  if (fits && !call.wants(1) && !call.wants(2))
    return call.like(0, F.layerNorm(x, shape, call.x(1), call.optional(2), eps));
  const { y, mean, inverse } = standardised(wide(x), dims, eps);
  const scaled = y.mul(wide(call.x(1)));
  const bias = call.optional(2);
  return [call.like(0, bias ? scaled.add(wide(bias)) : scaled), mean, inverse];
};

const rmsNormalization: Rule = call => {
  const x = call.x(0);
  const input = wide(x);
  const square = input.mul(input).mean(trailing(call, x), { keepdim: true });
  const normal = input.div(square.add(call.float('epsilon', 1e-5)).sqrt());
  return call.like(0, normal.mul(wide(call.x(1))));
};

/** Scale and bias are one per group in opset 18, one per channel from 21. */
const groupNormalization: Rule = call => {
  const x = call.x(0);
  const [n, channels, ...sizes] = x.shape as [number, number, ...number[]];
  const groups = call.int('num_groups');
  if (channels % groups !== 0) call.fail(`${channels} channels do not divide into ${groups} groups`);
  const { y } = standardised(wide(x).reshape([n, groups, -1]), [2], call.float('epsilon', 1e-5));
  const perChannel = (vector: Tensor): Tensor => {
    const each = vector.numel() === channels ? vector : vector.repeatInterleave(channels / groups);
    return along(wide(each), x);
  };
  const normal = y.reshape([n, channels, ...sizes]);
  return call.like(0, normal.mul(perChannel(call.x(1))).add(perChannel(call.x(2))));
};

/** Each element over a power of the sum of squares in the channels around it. */
const localResponse: Rule = call => {
  const x = call.x(0);
  const size = call.int('size');
  const [alpha, beta, bias] = [call.float('alpha', 0.0001), call.float('beta', 0.75), call.float('bias', 1)];
  const before = Math.floor((size - 1) / 2);
  const amounts = [...new Array<number>(2 * (x.ndim - 2)).fill(0), before, size - 1 - before];
  const squares = F.pad(x.mul(x), amounts).unfold(1, size, 1).sum(-1);
  return call.like(
    0,
    x.div(
      squares
        .mul(alpha / size)
        .add(bias)
        .pow(beta),
    ),
  );
};

const lpNormalization: Rule = call => {
  const x = call.x(0);
  const axis = call.axisAttribute(-1, x.ndim);
  const p = call.int('p', 2);
  const norm = p === 1 ? x.abs().sum(axis, { keepdim: true }) : x.mul(x).sum(axis, { keepdim: true }).sqrt();
  return call.like(0, norm.eq(0).where(0, x.div(norm.eq(0).where(1, norm))));
};

const meanVariance: Rule = call => {
  const x = call.x(0);
  const axes = (call.ints('axes') ?? [0, 2, 3]).map(axis => call.axis(axis, x.ndim));
  const centered = x.sub(x.mean(axes, { keepdim: true }));
  const deviation = centered.mul(centered).mean(axes, { keepdim: true }).sqrt();
  return call.like(0, centered.div(deviation.add(1e-9)));
};

export const norms: OperatorTable = {
  BatchNormalization: batchNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LRN: localResponse,
  LayerNormalization: layerNormalization,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
  RMSNormalization: rmsNormalization,
};
