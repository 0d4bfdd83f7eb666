/**
 * Resizing and sampling: every dim of Resize is a matrix of weights made from its coordinates (separable), grids sample
 * between pixels of any number of dims.
 */

import * as build from '../../../graph/build.ts';
import { isFloat } from '../../../graph/dtype.ts';
import { axis as axisMap, identityAxis } from '../../../graph/reindex.ts';
import { shapeText } from '../../../tensor/convert.ts';
import { full, stack, Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { tensorOf } from '../tensorData.ts';
import { int64s, typed } from '../values.ts';

/** Which inputs one output position reads, and with what weights; none when it lies outside and is filled. */
type Taps = readonly (readonly [at: number, weight: number])[];

interface Settings {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly coordinates: string;
  readonly nearest: string;
  readonly a: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
}

/** Where output `x` lies in the input (ONNX Resize, coordinate_transformation_mode). */
function original(
  settings: Settings,
  x: number,
  size: number,
  out: number,
  scale: number,
  roi: readonly [number, number],
): number {
  const wide = scale * size;
  switch (settings.coordinates) {
    case 'align_corners':
      return wide === 1 ? 0 : (x * (size - 1)) / (wide - 1);
    case 'asymmetric':
      return x / scale;
    case 'tf_crop_and_resize': {
      const [from, to] = roi;
      const inside = wide === 1 ? ((to - from) * (size - 1)) / 2 : (x * (to - from) * (size - 1)) / (wide - 1);
      return inside + from * (size - 1);
    }
    case 'pytorch_half_pixel':
      return out > 1 ? (x + 0.5) / scale - 0.5 : 0;
    case 'tf_half_pixel_for_nn':
      return (x + 0.5) / scale;
    case 'half_pixel_symmetric':
      return (size / 2) * (1 - out / wide) + (x + 0.5) / scale - 0.5;
    default:
      return (x + 0.5) / scale - 0.5;
  }
}

function nearestOf(mode: string, x: number, scale: number): number {
  const floor = Math.floor(x);
  if (x === floor) return floor;
  switch (mode) {
    case 'before 11':
      // Opset 10 says nothing; its cases and onnxruntime go up when they shrink.
      return scale < 1 ? floor + 1 : floor;
    case 'floor':
      return floor;
    case 'ceil':
      return floor + 1;
    case 'round_prefer_ceil':
      return x - floor < 0.5 ? floor : floor + 1;
    default:
      return x - floor <= 0.5 ? floor : floor + 1;
  }
}

const cubicWeight = (a: number, distance: number): number => {
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
};

function tapsAt(settings: Settings, x: number, size: number, scale: number): Taps {
  const limit = (at: number): number => Math.min(Math.max(at, 0), size - 1);
  if (settings.mode === 'nearest') return [[limit(nearestOf(settings.nearest, x, scale)), 1]];
  // The neighbour to the left is preferred: a whole position lies at the right end of its interval.
  const base = Number.isInteger(x) ? x - 1 : Math.floor(x);
  const ratio = x - base;
  const radius = settings.mode === 'linear' ? 1 : 2;
  const stretch = settings.antialias ? Math.min(scale, 1) : 1;
  const start = Math.floor(-radius / stretch) + 1;
  const raw = Array.from({ length: 2 - 2 * start }, (_, i) => {
    const distance = (start + i - ratio) * stretch;
    const weight = settings.mode === 'linear' ? Math.max(0, 1 - Math.abs(distance)) : cubicWeight(settings.a, distance);
    return [base + start + i, weight] as const;
  });
  const kept = settings.excludeOutside
    ? raw.map(([at, weight]) => [at, at < 0 || at >= size ? 0 : weight] as const)
    : raw;
  const normalise =
    settings.antialias || settings.excludeOutside ? kept.reduce((sum, [, weight]) => sum + weight, 0) : 1;
  return kept.map(([at, weight]) => [limit(at), weight / normalise] as const);
}

/** One dim through its taps: picked where each output has one source of weight 1, a matrix otherwise. */
function resampleDim(x: Tensor, d: number, taps: readonly Taps[]): Tensor {
  const size = x.shape[d]!;
  if (taps.every(list => list.length === 1)) return x.indexSelect(d, int64s(taps.map(([tap]) => tap![0])));
  const weights = new Float64Array(size * taps.length);
  taps.forEach((list, i) => {
    for (const [at, weight] of list) weights[at * taps.length + i]! += weight;
  });
  const matrix = tensorOf(weights, [size, taps.length], x.dtype);
  const labels = x.shape.map((_, i) => i);
  return new Tensor(
    build.contract(x.node, matrix.node, labels, [d, x.ndim], labels.map(label => (label === d ? x.ndim : label))), // biome-ignore format: one call
  );
}

function resized(
  call: Call,
  settings: Settings,
  scales: readonly number[],
  sizes: readonly number[],
  roi: readonly number[],
  axes: readonly number[],
  fill: number,
): Tensor {
  const input = call.x(0);
  const linear = settings.mode !== 'nearest';
  let x = linear && !isFloat(input.dtype) ? input.to('f32') : linear && input.dtype !== 'f64' ? input.to('f32') : input;
  let outside: Tensor | null = null;
  axes.forEach((axis, i) => {
    const size = input.shape[axis]!;
    const out = sizes[i]!;
    const crops = settings.coordinates === 'tf_crop_and_resize';
    if (out === size && scales[i] === 1 && !crops) return;
    const window = [roi[i] ?? 0, roi[i + axes.length] ?? 1] as const;
    const positions = Array.from({ length: out }, (_, o) => original(settings, o, size, out, scales[i]!, window));
    x = resampleDim(
      x,
      axis,
      positions.map(at => tapsAt(settings, at, size, scales[i]!)),
    );
    if (!crops) return;
    const beyond = positions.map(at => Number(at < 0 || at > size - 1));
    if (!beyond.includes(1)) return;
    const mask = tensorOf(beyond, input.shape.map((_, d) => (d === axis ? out : 1)), 'bool'); // biome-ignore format: one line
    outside = outside ? outside.logicalOr(mask) : mask;
  });
  if (outside) x = (outside as Tensor).where(fill, x);
  if (!isFloat(input.dtype) && linear) return x.round();
  return x;
}

const resize: Rule = call => {
  const x = call.x(0);
  const old = call.opset < 11;
  const axes = (call.ints('axes') ?? x.shape.map((_, d) => d)).map(axis => call.axis(axis, x.ndim));
  const settings: Settings = {
    mode: call
      .choice('mode', ['nearest', 'linear', 'cubic', 'bilinear'] as const, 'nearest')
      .replace('bilinear', 'linear') as Settings['mode'],
    coordinates: old ? 'asymmetric' : call.text('coordinate_transformation_mode', 'half_pixel'),
    nearest: old ? 'before 11' : call.text('nearest_mode', 'round_prefer_floor'),
    a: call.float('cubic_coeff_a', -0.75),
    antialias: call.flag('antialias'),
    excludeOutside: call.flag('exclude_outside'),
  };
  const given = call.has(old ? 1 : 2) ? call.numbers(old ? 1 : 2) : [];
  const wanted = !old && call.has(3) ? call.numbers(3) : [];
  const input = axes.map(axis => x.shape[axis]!);
  let scales: number[];
  let sizes: number[];
  if (wanted.length > 0) {
    const policy = call.choice('keep_aspect_ratio_policy', ['stretch', 'not_larger', 'not_smaller'], 'stretch');
    const ratios = wanted.map((n, i) => n / input[i]!);
    if (policy === 'stretch') [scales, sizes] = [ratios, wanted];
    else {
      const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
      scales = ratios.map(() => scale);
      sizes = input.map(n => Math.floor(scale * n + 0.5));
    }
  } else {
    if (given.length !== axes.length) call.fail(`scales [${given}] for ${axes.length} axes`);
    scales = given;
    sizes = input.map((n, i) => Math.floor(n * given[i]!));
  }
  const roi = !old && call.has(1) ? call.numbers(1) : [];
  return call.like(0, resized(call, settings, scales, sizes, roi, axes, call.float('extrapolation_value', 0)));
};

/** The ancestor of Resize: nearest by floor, linear, both from the corner. */
const upsample: Rule = call => {
  const x = call.x(0);
  const scales =
    call.floats('scales') ??
    (call.has(1) ? call.numbers(1) : [1, 1, call.float('height_scale', 1), call.float('width_scale', 1)]);
  const mode = call.choice('mode', ['nearest', 'linear', 'bilinear'], 'nearest') === 'nearest' ? 'nearest' : 'linear';
  const settings: Settings = {
    mode,
    coordinates: 'asymmetric',
    nearest: 'floor',
    a: -0.75,
    antialias: false,
    excludeOutside: false,
  };
  const axes = x.shape.map((_, d) => d);
  return call.like(0, resized(call, settings, scales, x.shape.map((n, d) => Math.floor(n * scales[d]!)), [], axes, 0)); // biome-ignore format: one line
};

/**
 * Positions folded back into [0, size) by mirrors: at the centres of the corner pixels when they align, at their edges
 * otherwise.
 */
function reflected(at: Tensor, size: number, align: boolean): Tensor {
  const [low, span] = align ? [0, size - 1] : [-0.5, size];
  if (span === 0) return at.mul(0);
  const distance = at.sub(low).abs();
  const flips = distance.div(span).floor();
  const rest = distance.sub(flips.mul(span));
  return flips
    .remainder(2)
    .eq(0)
    .where(rest.add(low), rest.neg().add(low + span))
    .round()
    .clamp(0, size - 1);
}

const gridSample: Rule = call => {
  const input = call.x(0);
  const x = input.dtype === 'f16' || input.dtype === 'bf16' ? input.to('f32') : input;
  const grid = call.x(1).to(isFloat(x.dtype) ? x.dtype : 'f32');
  const sizes = x.shape.slice(2);
  const dims = sizes.length;
  const [n, c] = x.shape as [number, number];
  const places = grid.shape.slice(1, -1);
  const count = places.reduce((a, b) => a * b, 1);
  const mode = call
    .choice('mode', ['linear', 'bilinear', 'nearest', 'cubic', 'bicubic'] as const, 'linear')
    .replace('bi', '');
  const padding = call.choice('padding_mode', ['zeros', 'border', 'reflection'], 'zeros');
  const align = call.flag('align_corners');
  /** Per dim: positions of the taps and their weights, each [n, count]. */
  const taps = sizes.map((size, d) => {
    const at = grid.select(-1, dims - 1 - d).reshape([n, count]);
    const position = align ? at.add(1).mul((size - 1) / 2) : at.add(1).mul(size).sub(1).div(2);
    const placed = (whole: Tensor, weight: Tensor | null) => {
      const inside = padding === 'zeros' ? whole.ge(0).logicalAnd(whole.lt(size)) : null;
      const index = padding === 'reflection' ? reflected(whole, size, align) : whole.clamp(0, size - 1);
      return { index: index.long(), weight, inside };
    };
    if (mode === 'nearest') return [placed(position.detach().round(), null)];
    const base = position.detach().floor();
    const ratio = position.sub(base);
    if (mode === 'linear') return [placed(base, ratio.neg().add(1)), placed(base.add(1), ratio)];
    const a = -0.75;
    const near = (t: Tensor): Tensor =>
      t
        .mul(a + 2)
        .sub(a + 3)
        .mul(t)
        .mul(t)
        .add(1);
    const far = (t: Tensor): Tensor =>
      t
        .mul(a)
        .sub(5 * a)
        .mul(t)
        .add(8 * a)
        .mul(t)
        .sub(4 * a);
    const back = ratio.neg().add(1);
    return [
      placed(base.sub(1), far(ratio.add(1))),
      placed(base, near(ratio)),
      placed(base.add(1), near(back)),
      placed(base.add(2), far(back.add(1))),
    ];
  });
  const flat = x.reshape([n, c, sizes.reduce((a, b) => a * b, 1)]);
  let total: Tensor | null = null;
  const walk = (d: number, index: Tensor | null, weight: Tensor | null, inside: Tensor | null): void => {
    if (d === dims) {
      const read = flat.gather(2, index!.reshape([n, 1, count]).expand([n, c, count]));
      const seen = inside ? inside.unsqueeze(1).where(read, 0) : read;
      const part = weight ? seen.mul(weight.unsqueeze(1)) : seen;
      total = total ? total.add(part) : part;
      return;
    }
    for (const tap of taps[d]!)
      walk(
        d + 1,
        index ? index.mul(sizes[d]!).add(tap.index) : tap.index,
        weight && tap.weight ? weight.mul(tap.weight) : (tap.weight ?? weight),
        inside && tap.inside ? inside.logicalAnd(tap.inside) : (tap.inside ?? inside),
      );
  };
  walk(0, null, null, null);
  return call.like(0, total!.reshape([n, c, ...places]));
};

/** Places from -1 to 1 along each dim through an affine map per image. */
const affineGrid: Rule = call => {
  const theta = call.x(0);
  const [n, , ...sizes] = call.numbers(1) as [number, number, ...number[]];
  const align = call.flag('align_corners');
  const count = sizes.reduce((a, b) => a * b, 1);
  const wide = theta.dtype === 'f64' ? 'f64' : 'f32';
  const along = sizes.map((size, d) => {
    const step = Float64Array.from({ length: size }, (_, i) =>
      align ? (size > 1 ? -1 + (2 * i) / (size - 1) : 0) : -1 + (2 * i + 1) / size,
    );
    return tensorOf(step, sizes.map((_, e) => (e === d ? size : 1)), wide).expand(sizes).reshape([count]); // biome-ignore format: one line
  });
  // x first: the last dim.
  const points = stack([...along.reverse(), full([count], 1, { dtype: wide })], 1);
  const mapped = points.matmul(theta.to(wide).transpose(1, 2));
  return call.like(0, mapped.reshape([n, ...sizes, sizes.length]));
};

/** Columns added up where their blocks lie. */
const col2Im: Rule = call => {
  const x = call.x(0);
  const [image, kernel] = [call.numbers(1), call.numbers(2)];
  const dims = image.length;
  const strides = call.ints('strides') ?? image.map(() => 1);
  const dilations = call.ints('dilations') ?? image.map(() => 1);
  const pads = call.ints('pads') ?? new Array<number>(2 * dims).fill(0);
  const out = image.map(
    (size, d) =>
      Math.floor((size + pads[d]! + pads[d + dims]! - dilations[d]! * (kernel[d]! - 1) - 1) / strides[d]!) + 1,
  );
  const block = kernel.reduce((a, b) => a * b, 1);
  const [n, rows] = x.shape as [number, number];
  const c = rows / block;
  if (!Number.isInteger(c) || x.shape[2] !== out.reduce((a, b) => a * b, 1))
    call.fail(`input ${shapeText(x.shape)} does not hold blocks [${kernel}] of image [${image}]`);
  const order = [0, 1, ...out.map((_, d) => 2 + dims + d), ...kernel.map((_, d) => 2 + d)];
  const columns = x.reshape([n, c, ...kernel, ...out]).permute(order);
  const axes = image.map((_, d) =>
    axisMap(
      [
        [2 + d, strides[d]!],
        [2 + dims + d, dilations[d]!],
      ],
      -pads[d]!,
    ),
  );
  const summed = build.reindexTranspose(columns.node, [identityAxis(0), identityAxis(1), ...axes], [n, c, ...image]);
  return typed(new Tensor(summed), call.type(0));
};

/** Regions cut out and averaged (or maximised) over samples between the pixels (He et al. 2017). */
const roiAlign: Rule = call => {
  const x = call.x(0);
  const rois = call.numbers(1);
  const batches = call.numbers(2);
  const half = call.opset >= 16 && call.text('coordinate_transformation_mode', 'half_pixel') === 'half_pixel';
  const [oh, ow] = [call.int('output_height', 1), call.int('output_width', 1)];
  const ratio = call.int('sampling_ratio', 0);
  const scale = call.float('spatial_scale', 1);
  const average = call.choice('mode', ['avg', 'max'], 'avg') === 'avg';
  const [, c, height, width] = x.shape as [number, number, number, number];
  const regions = batches.map((batch, r) => {
    const [x1, y1, x2, y2] = rois.slice(4 * r, 4 * r + 4).map(v => v * scale - (half ? 0.5 : 0)) as [
      number,
      number,
      number,
      number,
    ];
    const size = (from: number, to: number): number => (half ? to - from : Math.max(to - from, 1));
    const [binH, binW] = [size(y1, y2) / oh, size(x1, x2) / ow];
    const [gridH, gridW] = [ratio > 0 ? ratio : Math.ceil(binH), ratio > 0 ? ratio : Math.ceil(binW)];
    const samples = gridH * gridW;
    const positions: number[] = [];
    const weights: number[] = [];
    for (let p = 0; p < oh * ow; p++)
      for (let s = 0; s < samples; s++) {
        const y = y1 + Math.floor(p / ow) * binH + ((Math.floor(s / gridW) + 0.5) * binH) / gridH;
        const at = x1 + (p % ow) * binW + (((s % gridW) + 0.5) * binW) / gridW;
        const [py, px] = [edges(y, height), edges(at, width)];
        const outside = y < -1 || y > height || at < -1 || at > width;
        for (const [yi, wy] of py)
          for (const [xi, wx] of px) {
            positions.push(yi * width + xi);
            weights.push(outside ? 0 : wy * wx);
          }
      }
    const read = x
      .select(0, batch)
      .reshape([c, height * width])
      .indexSelect(1, int64s(positions));
    const weighted = read.mul(tensorOf(weights, [weights.length], x.dtype)).reshape([c, oh, ow, samples * 4]);
    return average ? weighted.sum(3).div(Math.max(samples, 1)) : weighted.amax(3);
  });
  return call.like(0, regions.length > 0 ? stack(regions, 0) : full([0, c, oh, ow], 0, { dtype: x.dtype }));
};

/** The two pixels around a position, and their weights. */
function edges(position: number, size: number): readonly (readonly [number, number])[] {
  const at = Math.max(position, 0);
  const low = Math.floor(at);
  if (low >= size - 1) return [[size - 1, 1], [size - 1, 0]]; // biome-ignore format: one line
  return [[low, 1 - (at - low)], [low + 1, at - low]]; // biome-ignore format: one line
}

export const resample: OperatorTable = {
  AffineGrid: affineGrid,
  Col2Im: col2Im,
  GridSample: gridSample,
  Resize: resize,
  RoiAlign: roiAlign,
  Upsample: upsample,
};
