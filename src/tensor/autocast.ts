/**
 * Mixed precision: which operations compute in a half type while `autocast` is on. Operations ask `lowered` and
 * `raised` about their operands; nothing here knows any operation.
 */
import { changes } from '../graph/changes.ts';
import type { DType } from '../graph/dtype.ts';
import { checkChoice, checkOptions, synchronously } from './options.ts';
import type { Tensor } from './tensor.ts';

export interface AutocastOptions {
  /**
   * The type products are computed in, `'bf16'` by default. With `'f16'` a GradScaler keeps small gradients from
   * vanishing.
   */
  readonly dtype?: 'bf16' | 'f16';
  /** False switches autocast off inside. */
  readonly enabled?: boolean;
}

let active: 'bf16' | 'f16' | null = null;

/** The type products are computed in now; null outside of autocast. */
export const autocastDType = (): 'bf16' | 'f16' | null => active;

/**
 * Runs `fn` with matrix products and convolutions computed in a half type (f32 sums, results of that type), as
 * `torch.autocast` does:
 *
 * - in `dtype`: matmul, mm, bmm, mv, linear, addmm and its kin, einsum, tensordot, all convolutions, attention, and so
 *   the modules made of them
 * - in f32: softmax, logSoftmax, layerNorm, groupNorm, rmsNorm, instanceNorm, all losses, sums, products, norms and
 *   running sums, exp, log, pow, rsqrt and their kin; their results are f32
 * - in the types that come: everything else; f32 meeting a half type gives f32. batchNorm computes in f32 and returns
 *   its input's type
 *
 * f64 and integers are left alone. Parameters stay f32 and are rounded where they are used, so gradients arrive in f32
 * and optimizers work as ever. Convolutions with 3x3 windows may round sums of a few pixels (of images and of their
 * gradients), and of a few weights, to `dtype` on the way (Winograd's transform): about twice the error of rounding the
 * result alone. Call it around the forward pass; `backward` runs in the types that the forward pass used.
 *
 * @example
 * const loss = autocast({ dtype: 'bf16' }, () => F.crossEntropy(model.forward(x), y));
 * loss.backward();
 *
 * @returns what `fn` returns
 * @throws TypeError when `fn` returns a promise: what it does later would not be autocast
 */
export function autocast<R>(options: AutocastOptions, fn: () => R): R {
  checkOptions('autocast', options, ['dtype', 'enabled']);
  const { dtype = 'bf16', enabled = true } = options;
  checkChoice('autocast', 'dtype', dtype, ['bf16', 'f16']);
  const before = active;
  active = enabled ? dtype : null;
  changes.modes++;
  try {
    return synchronously('autocast', 'autocast', fn);
  } finally {
    active = before;
    changes.modes++;
  }
}

const isHalf = (dtype: DType): boolean => dtype === 'bf16' || dtype === 'f16';

/** Operand of a product: f32 and half types become autocast's type. */
export const lowered = (x: Tensor): Tensor =>
  active && x.dtype !== active && (x.dtype === 'f32' || isHalf(x.dtype)) ? x.to(active) : x;

/** Operand of what needs f32: half types become f32 under autocast. */
export const raised = (x: Tensor): Tensor => (active && isHalf(x.dtype) ? x.to('f32') : x);

/** Two tensors that must be of one type: under autocast f32 meeting a half type makes both f32. */
export const level = (x: Tensor, y: Tensor): readonly [Tensor, Tensor] =>
  x.dtype === 'f32' || y.dtype === 'f32' ? [raised(x), raised(y)] : [x, y];
