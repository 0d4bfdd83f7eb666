/**
 * Sampling images at given places.
 */
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor } from '../operands.ts';
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
 * Reads x [N, C, H, W] at grid [N, h, w, 2] of (x, y) places, -1 to 1 from edge to edge: [N, C, h, w] (Jaderberg et al. 2015).
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  checkFloat('gridSample', 'input', x);
  checkTensor('gridSample', 'grid', grid);
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = false } = options;
  if (x.ndim !== 4 || grid.ndim !== 4 || grid.shape[3] !== 2 || grid.shape[0] !== x.shape[0])
    throw new RangeError(
      `gridSample: expected input [N, C, H, W] and grid [N, h, w, 2], got ${shapeText(x.shape)} and ${shapeText(grid.shape)}`,
    );
  if (mode !== 'bilinear' && mode !== 'nearest' && mode !== 'bicubic')
    throw new TypeError(`gridSample: mode: expected bilinear, nearest or bicubic, got ${String(mode)}`);
  if (!['zeros', 'border', 'reflection'].includes(paddingMode))
    throw new TypeError(`gridSample: paddingMode: expected zeros, border or reflection, got ${String(paddingMode)}`);
  const [n, c, height, width] = x.shape as [number, number, number, number];
  const [, h, w] = grid.shape as [number, number, number, number];
  const align = alignCorners ?? false;
  /** A position folded back into the image, unless zeros lie outside. */
  const folded = (at: Tensor, size: number): Tensor => {
    if (paddingMode === 'zeros') return at;
    const inside = paddingMode === 'border' ? at : align ? reflect(at, 0, size - 1) : reflect(at, -0.5, size - 0.5);
    return inside.clamp(0, size - 1);
  };
  const [atX, atY] = [unnormalise(grid.select(3, 0), width, align), unnormalise(grid.select(3, 1), height, align)];
  const flat = x.reshape([n, c, height * width]);
  /** The pixels at whole positions; zero outside. */
  const pixels = (ix: Tensor, iy: Tensor): Tensor => {
    const valid = ix.ge(0).logicalAnd(ix.lt(width)).logicalAnd(iy.ge(0)).logicalAnd(iy.lt(height));
    const index = iy
      .clamp(0, height - 1)
      .mul(width)
      .add(ix.clamp(0, width - 1))
      .long();
    const picked = flat.gather(2, index.reshape([n, 1, h * w]).expand([n, c, h * w]));
    return valid
      .reshape([n, 1, h * w])
      .where(picked, 0)
      .reshape([n, c, h, w]);
  };
  if (mode === 'bicubic') {
    // The 4 x 4 pixels around, each folded back by itself.
    const [left, top] = [atX.detach().floor(), atY.detach().floor()];
    const [wx, wy] = [cubicWeights(atX.sub(left)), cubicWeights(atY.sub(top))];
    let sum: Tensor | null = null;
    wy.forEach((weightY, j) => {
      const iy = folded(top.add(j - 1), height);
      wx.forEach((weightX, i) => {
        const term = pixels(folded(left.add(i - 1), width), iy).mul(weightX.mul(weightY).unsqueeze(1));
        sum = sum ? sum.add(term) : term;
      });
    });
    return sum!;
  }
  const [px, py] = [folded(atX, width), folded(atY, height)];
  if (mode === 'nearest') return pixels(px.detach().round(), py.detach().round());
  const [x0, y0] = [px.detach().floor(), py.detach().floor()];
  const [wx, wy] = [px.sub(x0).unsqueeze(1), py.sub(y0).unsqueeze(1)];
  const [vx, vy] = [wx.neg().add(1), wy.neg().add(1)];
  return pixels(x0, y0)
    .mul(vx.mul(vy))
    .add(pixels(x0.add(1), y0).mul(wx.mul(vy)))
    .add(pixels(x0, y0.add(1)).mul(vx.mul(wy)))
    .add(pixels(x0.add(1), y0.add(1)).mul(wx.mul(wy)));
}
