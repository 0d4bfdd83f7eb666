/** Pools: maximum (with positions), average, p-norm, over windows or everything, and the way back from positions. */
import * as build from '../../../graph/build.ts';
import { isFloat } from '../../../graph/dtype.ts';
import { windows as windowView } from '../../../tensor/functional/geometry.ts';
import { F, full, stack, Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { tensorOf } from '../tensorData.ts';
import { int64s, typed } from '../values.ts';
import { padAmounts, type Windows, windowsOf } from './windows.ts';

const MAX_POOLS = [F.maxPool1d, F.maxPool2d, F.maxPool3d];

function prepare(call: Call): { x: Tensor; sizes: readonly number[]; windows: Windows; dims: number } {
  const x = call.x(0);
  const sizes = x.shape.slice(2);
  const kernel = call.ints('kernel_shape') ?? call.fail('attribute kernel_shape is missing');
  return { x, sizes, windows: windowsOf(call, sizes, kernel), dims: sizes.length };
}

/** x seen through its windows: [n, c, ...out, ...kernel]. */
function seen(x: Tensor, { kernel, strides, dilations, before, out }: Windows): Tensor {
  const window = { kernel, stride: strides, padding: before, dilation: dilations };
  return new Tensor(windowView(x.node, kernel.length, out, window));
}

const kernelDims = (dims: number): number[] => Array.from({ length: dims }, (_, d) => 2 + dims + d);

const maxPool: Rule = call => {
  const { x, sizes, windows, dims } = prepare(call);
  const pool = MAX_POOLS[dims - 1] ?? call.fail(`${dims} spatial dims are not supported (1 to 3 are)`);
  const floating = isFloat(x.dtype) ? x : x.to('f32');
  // Minus infinity around: then every window lies inside, and nothing of it ever wins.
  const padded = F.pad(floating, padAmounts(windows, sizes), { value: Number.NEGATIVE_INFINITY });
  const options = { stride: windows.strides, dilation: windows.dilations };
  if (!call.wants(1)) return call.like(0, pool(padded, windows.kernel, options));
  const { values, indices } = pool(padded, windows.kernel, { ...options, returnIndices: true });
  return [call.like(0, values), originalPositions(call, indices, padded.shape, x.shape, windows.before)];
};

/** Positions in the padded channel as positions in the whole input. */
function originalPositions(
  call: Call,
  index: Tensor,
  padded: readonly number[],
  shape: readonly number[],
  before: readonly number[],
): Tensor {
  const dims = before.length;
  const columnMajor = call.flag('storage_order');
  let rest = index;
  const coordinates: Tensor[] = new Array(dims);
  for (let d = dims - 1; d >= 0; d--) {
    coordinates[d] = rest.remainder(padded[2 + d]!).sub(before[d]!);
    rest = rest.div(padded[2 + d]!, { roundingMode: 'floor' });
  }
  const order = columnMajor ? coordinates.map((_, d) => dims - 1 - d) : coordinates.map((_, d) => d);
  let flat: Tensor | null = null;
  for (const d of order) flat = flat === null ? coordinates[d]! : flat.mul(shape[2 + d]!).add(coordinates[d]!);
  const [n, c] = shape as [number, number];
  const channel = shape.slice(2).reduce((a, size) => a * size, 1);
  const start = int64s(Array.from({ length: n * c }, (_, i) => i * channel)).reshape([
    n,
    c,
    ...new Array<number>(dims).fill(1),
  ]);
  return flat!.add(start);
}

/** How many elements of each window along dim d count. */
function counts(
  { kernel, strides, dilations, before, after, out }: Windows,
  sizes: readonly number[],
  d: number,
  includePad: boolean,
): number[] {
  const [low, high] = includePad ? [-before[d]!, sizes[d]! + after[d]!] : [0, sizes[d]!];
  return Array.from({ length: out[d]! }, (_, o) => {
    let count = 0;
    for (let k = 0; k < kernel[d]!; k++) {
      const at = o * strides[d]! - before[d]! + k * dilations[d]!;
      if (at >= low && at < high) count++;
    }
    return count;
  });
}

const averagePool: Rule = call => {
  const { x, sizes, windows, dims } = prepare(call);
  const wide = x.dtype === 'f16' || x.dtype === 'bf16' ? x.to('f32') : x;
  const total = new Tensor(build.reduce('sum', seen(wide, windows).node, kernelDims(dims)));
  const includePad = call.flag('count_include_pad');
  const divisor = sizes.reduce<Tensor>(
    (product, _, d) => {
      const along = counts(windows, sizes, d, includePad);
      return product.mul(tensorOf(along, sizes.map((_, i) => (i === d ? along.length : 1)), wide.dtype)); // biome-ignore format: one line
    },
    full([], 1, { dtype: wide.dtype }),
  );
  return call.like(0, total.div(divisor));
};

/** (sum |x|^p)^(1/p) over the given dims. */
function pNorm(x: Tensor, p: number, dims: readonly number[]): Tensor {
  if (p === 1) return x.abs().sum(dims);
  if (p === 2) return x.mul(x).sum(dims).sqrt();
  return x
    .abs()
    .pow(p)
    .sum(dims)
    .pow(1 / p);
}

const lpPool: Rule = call => {
  const { x, windows, dims } = prepare(call);
  return call.like(0, pNorm(seen(x, windows), call.int('p', 2), kernelDims(dims)));
};

/** Everything but batch and channel at once, the dims kept. */
const global =
  (fn: (x: Tensor, dims: number[], call: Call) => Tensor): Rule =>
  call => {
    const x = call.x(0);
    const dims = x.shape.map((_, d) => d).slice(2);
    return call.like(0, fn(x, dims, call).reshape(x.shape.map((n, d) => (d < 2 ? n : 1))));
  };

const maxUnpool: Rule = call => {
  const [x, index] = [call.x(0), call.x(1)];
  const sizes = x.shape.slice(2);
  const kernel = call.ints('kernel_shape') ?? call.fail('attribute kernel_shape is missing');
  const strides = call.ints('strides') ?? sizes.map(() => 1);
  const pads = call.ints('pads') ?? new Array<number>(2 * sizes.length).fill(0);
  const natural = sizes.map((n, d) => (n - 1) * strides[d]! - pads[d]! - pads[d + sizes.length]! + kernel[d]!);
  const shape = [...x.shape.slice(0, 2), ...natural];
  const target = call.has(2) ? call.numbers(2) : shape;
  const count = (list: readonly number[]): number => list.reduce((a, n) => a * n, 1);
  const flat = full([count(shape)], 0, { dtype: x.dtype }).scatter(
    0,
    index.reshape([x.numel()]),
    x.reshape([x.numel()]),
  );
  // Positions count in the shape the windows imply; a larger one asked for has zeros beyond.
  const amounts = shape.flatMap((_, i) => [0, target[shape.length - 1 - i]! - shape[shape.length - 1 - i]!]);
  return typed(F.pad(flat.reshape(shape), amounts), call.type(0));
};

const maxRoiPool: Rule = call => {
  const [x, rois] = [call.x(0), call.x(1)];
  const [ph, pw] = (call.ints('pooled_shape') ?? call.fail('attribute pooled_shape is missing')) as [number, number];
  const scale = call.float('spatial_scale', 1);
  const [, c, h, w] = x.shape as [number, number, number, number];
  const boxes = call.numbers(1);
  const parts: Tensor[] = [];
  for (let r = 0; r < rois.shape[0]!; r++) {
    const [batch, x1, y1, x2, y2] = boxes
      .slice(5 * r, 5 * r + 5)
      .map((v, i) => (i === 0 ? v : Math.round(v * scale))) as [number, number, number, number, number];
    const [rh, rw] = [Math.max(y2 - y1 + 1, 1), Math.max(x2 - x1 + 1, 1)];
    const cells: Tensor[] = [];
    for (let i = 0; i < ph; i++)
      for (let j = 0; j < pw; j++) {
        const limit = (v: number, most: number): number => Math.min(Math.max(v, 0), most);
        const [top, bottom] = [limit(Math.floor((i * rh) / ph) + y1, h), limit(Math.ceil(((i + 1) * rh) / ph) + y1, h)];
        const [left, right] = [limit(Math.floor((j * rw) / pw) + x1, w), limit(Math.ceil(((j + 1) * rw) / pw) + x1, w)];
        const cell = x
          .select(0, batch)
          .narrow(1, top, Math.max(bottom - top, 0))
          .narrow(2, left, Math.max(right - left, 0));
        cells.push(cell.numel() === 0 ? full([c], 0, { dtype: x.dtype }) : cell.amax([1, 2]));
      }
    parts.push(stack(cells, 1).reshape([c, ph, pw]));
  }
  return call.like(0, parts.length === 0 ? full([0, c, ph, pw], 0, { dtype: x.dtype }) : stack(parts, 0));
};

export const pools: OperatorTable = {
  AveragePool: averagePool,
  GlobalAveragePool: global((x, dims) => x.mean(dims)),
  GlobalLpPool: global((x, dims, call) => pNorm(x, call.int('p', 2), dims)),
  GlobalMaxPool: global((x, dims) => x.amax(dims)),
  LpPool: lpPool,
  MaxPool: maxPool,
  MaxRoiPool: maxRoiPool,
  MaxUnpool: maxUnpool,
};
