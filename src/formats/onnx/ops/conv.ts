/** Convolutions: plain, transposed, deformable, causal with a state, and on integers. */
import { cat, F, full, type Tensor } from '../../../tensor/index.ts';
import type { OperatorTable, Rule } from '../call.ts';
import { tensorOf } from '../tensorData.ts';
import { typed } from '../values.ts';
import { convolve, withoutDims } from './convolve.ts';
import { convolvedQuantised } from './integers.ts';
import { windowsOf } from './windows.ts';

type TransposeFunction = typeof F.convTranspose2d;

const TRANSPOSES: readonly TransposeFunction[] = [F.convTranspose1d, F.convTranspose2d, F.convTranspose3d];

const conv: Rule = call => {
  const [x, w, bias] = [call.x(0), call.x(1), call.optional(2)];
  return call.like(0, convolvedQuantised(call, x, w, bias) ?? convolve(call, x, w, bias));
};

const convTranspose: Rule = call => {
  const [x, w] = [call.x(0), call.x(1)];
  const dims = x.ndim - 2;
  const transposed = TRANSPOSES[dims - 1] ?? withoutDims(call, dims);
  const ones = new Array<number>(dims).fill(1);
  const zeros = new Array<number>(dims).fill(0);
  const strides = call.ints('strides') ?? ones;
  const dilations = call.ints('dilations') ?? ones;
  const extra = call.ints('output_padding') ?? zeros;
  const groups = call.int('group', 1);
  const sizes = x.shape.slice(2);
  const reach = sizes.map((_, d) => dilations[d]! * (w.shape[2 + d]! - 1) + 1);
  const auto = call.choice('auto_pad', ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'], 'NOTSET');
  const same = auto.startsWith('SAME');
  const wanted = call.ints('output_shape')?.slice(-dims) ?? (same ? sizes.map((n, d) => n * strides[d]!) : null);
  let before: readonly number[];
  let after: readonly number[];
  if (wanted) {
    const total = sizes.map((n, d) => strides[d]! * (n - 1) + extra[d]! + reach[d]! - wanted[d]!);
    const small = total.map(n => Math.floor(n / 2));
    const large = total.map((n, d) => n - small[d]!);
    [before, after] = auto === 'SAME_UPPER' ? [small, large] : [large, small];
  } else {
    const pads = (auto === 'VALID' ? null : call.ints('pads')) ?? [...zeros, ...zeros];
    [before, after] = [pads.slice(0, dims), pads.slice(dims)];
  }
  // Everything the kernel reaches, then cut or extended to what is asked for.
  const whole = transposed(x, w, null, { stride: strides, dilation: dilations, groups });
  const amounts = sizes.flatMap((_, i) => {
    const d = dims - 1 - i;
    return [-before[d]!, extra[d]! - after[d]!];
  });
  const y = amounts.every(n => n === 0) ? whole : F.pad(whole, amounts);
  const bias = call.optional(2);
  return call.like(0, bias ? y.add(bias.reshape([bias.numel(), ...ones])) : y);
};

/**
 * x sampled between pixels at [n, groups, count] positions; 0 outside. x is [n, groups, c, h, w]; result [n, groups, c,
 * count].
 */
function bilinear(x: Tensor, y: Tensor, at: Tensor): Tensor {
  const [n, groups, c, h, w] = x.shape as [number, number, number, number, number];
  const count = y.shape[2]!;
  const flat = x.reshape([n, groups, c, h * w]);
  const [y0, x0] = [y.detach().floor(), at.detach().floor()];
  const pixel = (py: Tensor, px: Tensor): Tensor => {
    const inside = py.ge(0).logicalAnd(py.lt(h)).logicalAnd(px.ge(0)).logicalAnd(px.lt(w));
    const index = py
      .clamp(0, h - 1)
      .mul(w)
      .add(px.clamp(0, w - 1))
      .long();
    const read = flat.gather(3, index.unsqueeze(2).expand([n, groups, c, count]));
    return inside.unsqueeze(2).where(read, 0);
  };
  const [wy, wx] = [y.sub(y0).unsqueeze(2), at.sub(x0).unsqueeze(2)];
  const [vy, vx] = [wy.neg().add(1), wx.neg().add(1)];
  return pixel(y0, x0)
    .mul(vy.mul(vx))
    .add(pixel(y0, x0.add(1)).mul(vy.mul(wx)))
    .add(pixel(y0.add(1), x0).mul(wy.mul(vx)))
    .add(pixel(y0.add(1), x0.add(1)).mul(wy.mul(wx)));
}

/** Deformable convolution (Dai et al. 2017, with the mask of Zhu et al. 2018), two spatial dims. */
const deformConv: Rule = call => {
  const [x, w, offset] = [call.x(0), call.x(1), call.x(2)];
  if (x.ndim !== 4) call.fail(`${x.ndim - 2} spatial dims are not supported (2 are)`);
  const [bias, mask] = [call.optional(3), call.optional(4)];
  const [n, channels] = x.shape as [number, number];
  const [out, perGroup, kh, kw] = w.shape as [number, number, number, number];
  const group = call.int('group', 1);
  const groups = call.int('offset_group', 1);
  const windows = windowsOf(call, x.shape.slice(2), [kh, kw]);
  const [oh, ow] = windows.out as [number, number];
  const taps = kh * kw;
  // offset [n, groups, taps, 2, oh, ow]: y then x of every tap.
  const moved = offset.reshape([n, groups, taps, 2, oh * ow]);
  const grid = (axis: 0 | 1): Tensor => {
    const base = Float64Array.from({ length: taps * oh * ow }, (_, i) => {
      const tap = Math.floor(i / (oh * ow));
      const place = i % (oh * ow);
      const [k, o] = axis === 0 ? [Math.floor(tap / kw), Math.floor(place / ow)] : [tap % kw, place % ow];
      return o * windows.strides[axis]! - windows.before[axis]! + k * windows.dilations[axis]!;
    });
    return tensorOf(base, [1, 1, taps, oh * ow], x.dtype);
  };
  const place = (axis: 0 | 1): Tensor =>
    moved
      .select(3, axis)
      .add(grid(axis))
      .reshape([n, groups, taps * oh * ow]);
  let seen = bilinear(x.reshape([n, groups, channels / groups, x.shape[2]!, x.shape[3]!]), place(0), place(1));
  if (mask) seen = seen.mul(mask.reshape([n, groups, 1, taps * oh * ow]));
  const columns = seen.reshape([n, group, perGroup * taps, oh * ow]);
  const filters = w.reshape([1, group, out / group, perGroup * taps]);
  const y = filters.matmul(columns).reshape([n, out, oh, ow]);
  return call.like(0, bias ? y.add(bias.reshape([out, 1, 1])) : y);
};

/**
 * A depthwise convolution over time that sees the past only, and the last inputs, which start the next call (opset 27).
 */
const causalConvWithState: Rule = call => {
  const [x, w] = [call.x(0), call.x(1)];
  const [bias, past] = [call.optional(2), call.optional(3)];
  const [n, channels, steps] = x.shape as [number, number, number];
  const kernel = w.shape[w.ndim - 1]!;
  const state = past ?? full([n, channels, kernel - 1], 0, { dtype: x.dtype });
  const padded = cat([state, x], 2);
  const half = x.dtype === 'f16' || x.dtype === 'bf16';
  const wide = (t: Tensor): Tensor => (half ? t.to('f32') : t);
  const y = F.conv1d(wide(padded), wide(w), bias ? wide(bias) : null, { groups: channels });
  const activation = call.text('activation', 'none').toLowerCase();
  if (!['none', '', 'silu', 'swish'].includes(activation))
    call.fail(`activation: expected none, silu or swish, got "${activation}"`);
  const active = activation === 'silu' || activation === 'swish' ? F.silu(y) : y;
  const present = padded.narrow(2, padded.shape[2]! - (kernel - 1), kernel - 1);
  return [call.like(0, active.narrow(2, active.shape[2]! - steps, steps)), typed(present, call.type(0))];
};

export const convolutions: OperatorTable = {
  CausalConvWithState: causalConvWithState,
  Conv: conv,
  ConvTranspose: convTranspose,
  DeformConv: deformConv,
};
