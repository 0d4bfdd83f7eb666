/**
 * Operators that move elements: views, slices, padding, gathering, blocks.
 */
import { cat, F, stack, type Tensor } from '../../../tensor/index.ts';
import { knownNumbers as numbers } from '../../controlFlow.ts';
import { gatherNd } from '../../gatherNd.ts';
import { channelsLast, channelsSecond } from '../windows.ts';
import { binary, number, type Operator, type Operators } from './operator.ts';

const stridedSlice: Operator = ([x, begin, end, strides], attributes) => {
  const [from, to, step] = [numbers(begin!), numbers(end!), numbers(strides!)];
  const bit = (name: string, i: number): boolean => ((attributes.number(name, 0) >> i) & 1) === 1;
  let y = x!;
  let dim = 0;
  const fresh = from.filter((_, i) => bit('new_axis_mask', i)).length;
  from.forEach((start, i) => {
    if (bit('ellipsis_mask', i)) {
      dim += x!.ndim - (from.length - 1 - fresh);
    } else if (bit('new_axis_mask', i)) {
      y = y.unsqueeze(dim++);
    } else if (bit('shrink_axis_mask', i)) {
      y = y.select(dim, start);
    } else {
      const s = step[i]!;
      const open = [bit('begin_mask', i), bit('end_mask', i)];
      const size = y.shape[dim]!;
      if (s > 0) y = y.slice(dim, open[0] ? null : start, open[1] ? null : to[i]!, s);
      else {
        // Backwards: the same places of the flipped dim.
        const turn = (p: number): number => size - 1 - (p < 0 ? p + size : Math.min(p, size - 1));
        const last = to[i]! < 0 ? to[i]! + size : to[i]!;
        y = y.flip(dim).slice(dim, open[0] ? null : turn(start), open[1] || last < 0 ? null : size - 1 - last, -s);
      }
      dim++;
    }
  });
  return y;
};

/** Pairs in the dims' order as amounts from the last dim on. */
const amountsOf = (pairs: Tensor): number[] => {
  const flat = numbers(pairs);
  return Array.from({ length: flat.length / 2 }, (_, d) => flat.slice(2 * d, 2 * d + 2))
    .reverse()
    .flat();
};

const gatherAlong = (x: Tensor, index: Tensor, axis: number): Tensor => {
  const dim = axis < 0 ? axis + x.ndim : axis;
  const shape = [...x.shape.slice(0, dim), ...index.shape, ...x.shape.slice(dim + 1)];
  return x.indexSelect(dim, index.reshape([-1]).to('i64')).reshape(shape);
};

const spaceToBatch: Operator = ([x, block, pairs]) => {
  const sizes = numbers(block!);
  const flat = numbers(pairs!);
  const padding = sizes
    .map((_, d) => [flat[2 * d]!, flat[2 * d + 1]!])
    .reverse()
    .flat();
  const y = x!.constantPad([...new Array<number>(2 * (x!.ndim - 1 - sizes.length)).fill(0), ...padding]);
  const [n, ...rest] = y.shape as [number, ...number[]];
  const spatial = rest.slice(0, sizes.length);
  const tail = rest.slice(sizes.length);
  const cut = y.reshape([n, ...spatial.flatMap((s, d) => [s / sizes[d]!, sizes[d]!]), ...tail]);
  const blocks = sizes.map((_, d) => 2 + 2 * d);
  const places = sizes.map((_, d) => 1 + 2 * d);
  const tails = tail.map((_, d) => 1 + 2 * sizes.length + d);
  const count = sizes.reduce((a, s) => a * s, 1);
  return cut
    .permute([...blocks, 0, ...places, ...tails])
    .reshape([n * count, ...spatial.map((s, d) => s / sizes[d]!), ...tail]);
};

const batchToSpace: Operator = ([x, block, crops]) => {
  const sizes = numbers(block!);
  const [n, ...rest] = x!.shape as [number, ...number[]];
  const spatial = rest.slice(0, sizes.length);
  const tail = rest.slice(sizes.length);
  const count = sizes.reduce((a, s) => a * s, 1);
  const cut = x!.reshape([...sizes, n / count, ...spatial, ...tail]);
  const order = [
    sizes.length,
    ...sizes.flatMap((_, d) => [sizes.length + 1 + d, d]),
    ...tail.map((_, d) => 2 * sizes.length + 1 + d),
  ];
  let y = cut.permute(order).reshape([n / count, ...spatial.map((s, d) => s * sizes[d]!), ...tail]);
  const flat = numbers(crops!);
  sizes.forEach((_, d) => {
    y = y.narrow(1 + d, flat[2 * d]!, y.shape[1 + d]! - flat[2 * d]! - flat[2 * d + 1]!);
  });
  return y;
};

const depthToSpace: Operator = ([x], attributes) => {
  const b = attributes.number('block_size');
  const [n, h, w, c] = x!.shape as [number, number, number, number];
  return x!
    .reshape([n, h, w, b, b, c / (b * b)])
    .permute([0, 1, 3, 2, 4, 5])
    .reshape([n, h * b, w * b, c / (b * b)]);
};

export const SHAPES: Operators = {
  Reshape: ([x, shape]) => x!.reshape(numbers(shape!)),
  Squeeze: ([x], attributes) => {
    const dims =
      attributes.numbers('squeeze_dims').length > 0 ? attributes.numbers('squeeze_dims') : attributes.numbers('axis');
    return dims.length > 0 ? x!.squeeze([...dims]) : x!.squeeze();
  },
  ExpandDims: ([x, axis]) => x!.unsqueeze(number(axis!)),
  Transpose: ([x, order]) => x!.permute(numbers(order!)),
  BroadcastTo: ([x, shape]) => x!.expand(numbers(shape!)),
  Tile: ([x, times]) => x!.tile(numbers(times!)),
  Concat: ([axis, ...parts]) => cat(parts, number(axis!)),
  ConcatV2: inputs => cat(inputs.slice(0, -1), number(inputs.at(-1)!)),
  Pack: (inputs, attributes) => stack(inputs, attributes.number('axis', 0)),
  Unpack: ([x], attributes) => x!.unbind(attributes.number('axis', 0)),
  Split: ([axis, x], attributes) => x!.chunk(attributes.number('num_split'), number(axis!)),
  SplitV: ([x, sizes, axis]) => {
    const dim = number(axis!);
    const wanted = numbers(sizes!);
    const rest = x!.shape.at(dim)! - wanted.filter(n => n >= 0).reduce((a, n) => a + n, 0);
    return x!.split(
      wanted.map(n => (n < 0 ? rest : n)),
      dim,
    );
  },
  Slice: ([x, begin, size]) => {
    const sizes = numbers(size!);
    return numbers(begin!).reduce(
      (y, from, d) => y.narrow(d, from, sizes[d]! < 0 ? y.shape[d]! - from : sizes[d]!),
      x!,
    );
  },
  StridedSlice: stridedSlice,
  Pad: ([x, pairs]) => x!.constantPad(amountsOf(pairs!)),
  PadV2: ([x, pairs, value]) => x!.constantPad(amountsOf(pairs!), number(value!)),
  MirrorPad: ([x, pairs], attributes) => {
    if (attributes.text('mode') !== 'REFLECT')
      throw new Error(`mode ${attributes.text('mode')} came, expected REFLECT`);
    // Batch and channels are not padded where this is used; the spatial dims move to the end.
    return channelsLast(F.pad(channelsSecond(x!), amountsOf(pairs!).slice(2, -2), { mode: 'reflect' }));
  },
  Reverse: ([x, dims]) => x!.flip(numbers(dims!)),
  ReverseV2: ([x, dims]) => x!.flip(numbers(dims!)),
  Gather: ([x, index]) => gatherAlong(x!, index!, 0),
  GatherV2: ([x, index, axis]) => gatherAlong(x!, index!, number(axis!)),
  GatherNd: binary(gatherNd),
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  DepthToSpace: depthToSpace,
};
