/**
 * Sampling images at given places.
 */
import { shapeText } from '../convert.ts';
import { arange, ones } from '../creation.ts';
import { stack } from '../joins.ts';
import { checkFloat, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';

export interface GridSampleOptions {
  /** 'bilinear' by default. */
  readonly mode?: 'bilinear' | 'nearest' | 'bicubic';
  /** What lies outside: zeros, the border, or the reflected image. */
  readonly paddingMode?: 'zeros' | 'border' | 'reflection';
  /** Whether -1 and 1 are the corners' centres (rather than their edges); false by default. */
  readonly alignCorners?: boolean | null;
}

/** Normalised [-1, 1] coordinates as positions in `size` pixels. */
const unnormalise = (at: Tensor, size: number, align: boolean): Tensor =>
  align ? at.add(1).mul((size - 1) / 2) : at.add(1).mul(size).sub(1).div(2);

/** Positions folded back into [lo, hi] as by mirrors at both ends. */
function reflect(at: Tensor, lo: number, hi: number): Tensor {
  if (lo === hi) return at.mul(0);
  const span = hi - lo;
  const distance = at.sub(lo).abs();
  const flips = distance.div(span).floor().detach();
  const rest = distance.sub(flips.mul(span));
  return flips.remainder(2).eq(0).where(rest.add(lo), rest.neg().add(hi));
}

/** Weights of the four pixels around a place t beyond the second one: Keys' cubic convolution (1981) with a = -3/4. */
function cubicWeights(t: Tensor): Tensor[] {
  const a = -0.75;
  const near = (d: Tensor): Tensor =>
    d
      .mul(a + 2)
      .sub(a + 3)
      .mul(d)
      .mul(d)
      .add(1);
  const far = (d: Tensor): Tensor =>
    d
      .mul(a)
      .sub(5 * a)
      .mul(d)
      .add(8 * a)
      .mul(d)
      .sub(4 * a);
  const rest = t.neg().add(1);
  return [far(t.add(1)), near(t), near(rest), far(rest.add(1))];
}

/**
 * The grid for `gridSample` that turns images by matrices theta: [N, 2, 3] and size [N, C, H, W] give [N, H, W, 2], [N,
 * 3, 4] and [N, C, D, H, W] give [N, D, H, W, 3] (Jaderberg et al. 2015).
 */
export function affineGrid(
  theta: Tensor,
  size: readonly number[],
  options: { readonly alignCorners?: boolean | null } = {},
): Tensor {
  checkOptions('affineGrid', options, ['alignCorners']);
  checkFloat('affineGrid', 'theta', theta);
  const dims = size.length - 2;
  if (dims !== 2 && dims !== 3)
    throw new RangeError(`affineGrid: size: expected 4 or 5 numbers, got ${shapeText(size)}`);
  const expected = [size[0]!, dims, dims + 1];
  if (shapeText(theta.shape) !== shapeText(expected))
    throw new RangeError(`affineGrid: theta: expected ${shapeText(expected)}, got ${shapeText(theta.shape)}`);
  const spatial = size.slice(2);
  const places = spatial.map((n, d) => {
    const steps = arange(n, { dtype: theta.dtype }).mul(2);
    const along = options.alignCorners ? (n > 1 ? steps.div(n - 1).sub(1) : steps) : steps.add(1).div(n).sub(1);
    return along.reshape(spatial.map((_, i) => (i === d ? n : 1))).expand(spatial);
  });
  // x comes first, and a one for the shift last.
  const base = stack([...places.reverse(), ones(spatial, { dtype: theta.dtype })], -1).reshape([-1, dims + 1]);
  return base.matmul(theta.mT).reshape([size[0]!, ...spatial, dims]);
}

/**
 * Reads x [N, C, H, W] at grid [N, h, w, 2] of (x, y) places, -1 to 1 from edge to edge: [N, C, h, w] (Jaderberg et al.
 * 2015). Or x [N, C, D, H, W] at grid [N, d, h, w, 3] of (x, y, z); 'bicubic' is for images only.
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  checkOptions('gridSample', options, ['mode', 'paddingMode', 'alignCorners']);
  checkFloat('gridSample', 'input', x);
  checkTensor('gridSample', 'grid', grid);
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = false } = options;
  const dims = x.ndim - 2;
  if ((dims !== 2 && dims !== 3) || grid.ndim !== x.ndim || grid.shape.at(-1) !== dims || grid.shape[0] !== x.shape[0])
    throw new RangeError(
      `gridSample: expected input [N, C, H, W] and grid [N, h, w, 2], or 3 spatial dims, got ${shapeText(x.shape)} and ${shapeText(grid.shape)}`,
    );
  if (mode !== 'bilinear' && mode !== 'nearest' && mode !== 'bicubic')
    throw new TypeError(`gridSample: mode: expected bilinear, nearest or bicubic, got ${String(mode)}`);
  if (mode === 'bicubic' && dims === 3)
    throw new TypeError(`gridSample: mode: bicubic is for 4 dims, got ${shapeText(x.shape)}`);
  if (!['zeros', 'border', 'reflection'].includes(paddingMode))
    throw new TypeError(`gridSample: paddingMode: expected zeros, border or reflection, got ${String(paddingMode)}`);
  const [n, c] = x.shape as [number, number];
  const sizes = x.shape.slice(2);
  const out = grid.shape.slice(1, -1);
  const count = out.reduce((a, m) => a * m, 1);
  const align = alignCorners ?? false;
  /** A position folded back into the image, unless zeros lie outside. */
  const folded = (at: Tensor, size: number): Tensor => {
    if (paddingMode === 'zeros') return at;
    const inside = paddingMode === 'border' ? at : align ? reflect(at, 0, size - 1) : reflect(at, -0.5, size - 0.5);
    return inside.clamp(0, size - 1);
  };
  // The grid names the last dim first.
  const places = sizes.map((size, d) => unnormalise(grid.select(-1, dims - 1 - d), size, align));
  const flat = x.reshape([n, c, sizes.reduce((a, m) => a * m, 1)]);
  /** The pixels at whole positions, one for each dim; zero outside. */
  const pixels = (at: readonly Tensor[]): Tensor => {
    const valid = at
      .map((place, d) => place.ge(0).logicalAnd(place.lt(sizes[d]!)))
      .reduce((a, b) => a.logicalAnd(b))
      .reshape([n, 1, count]);
    const index = at
      .map((place, d) => place.clamp(0, sizes[d]! - 1))
      .reduce((total, place, d) => total.mul(sizes[d]!).add(place))
      .long();
    const picked = flat.gather(2, index.reshape([n, 1, count]).expand([n, c, count]));
    return valid.where(picked, 0).reshape([n, c, ...out]);
  };
  /** Sum over all neighbours, a list of (offset, weight) for each dim. */
  const blended = (start: readonly Tensor[], taps: readonly (readonly Tap[])[], place: Fold): Tensor => {
    const visit = (d: number, at: readonly Tensor[], weight: Tensor | null): Tensor =>
      d === dims
        ? pixels(at).mul(weight!.unsqueeze(1))
        : taps[d]!.map(([offset, own]) =>
            visit(d + 1, [...at, place(start[d]!.add(offset), sizes[d]!)], weight ? weight.mul(own) : own),
          ).reduce((a, b) => a.add(b));
    return visit(0, [], null);
  };
  if (mode === 'bicubic') {
    // Each of the 4 x 4 pixels around is folded back by itself.
    const start = places.map(place => place.detach().floor());
    const taps = places.map((place, d) => cubicWeights(place.sub(start[d]!)).map((weight, k): Tap => [k - 1, weight]));
    return blended(start, taps, folded);
  }
  const inside = places.map((place, d) => folded(place, sizes[d]!));
  if (mode === 'nearest') return pixels(inside.map(place => place.detach().round()));
  const start = inside.map(place => place.detach().floor());
  const taps = inside.map((place, d): Tap[] => {
    const weight = place.sub(start[d]!);
    return [
      [0, weight.neg().add(1)],
      [1, weight],
    ];
  });
  return blended(start, taps, place => place);
}

/** A neighbour's distance from the first position, and its weight. */
type Tap = readonly [offset: number, weight: Tensor];
type Fold = (at: Tensor, size: number) => Tensor;
