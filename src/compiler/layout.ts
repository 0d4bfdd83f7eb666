/**
 * The order in which images are kept. Where weights last, channels are innermost (NHWC), and so is everything between
 * convolutions: pixels are then rows of a plain matrix product that is read in place, channels its columns, however
 * small the image. Where they change and channels are few, the batch is innermost (HWCN); where they are many, channels
 * are, with the batch beside them (HWNC). A pass from flow to flow: every value may be kept with its dims in another
 * order, and only what cannot follow is put back. Imports the flow and the reindex algebra.
 */
import { bytesOf } from '../graph/dtype.ts';
import type { Attrs, AxisMap, Primitive } from '../graph/node.ts';
import { identityAxis, isIdentity } from '../graph/reindex.ts';
import { type Flow, isElementwise, Value } from './flow.ts';
import { lastingValues } from './normalise.ts';
import { lanesFor, type Target } from './target.ts';

/** The dims of a value in the order they are kept in: dim i of what is kept is dim order[i]. Null: as they are. */
type Order = readonly number[] | null;

interface Kept {
  readonly value: Value;
  readonly order: Order;
}

const sorted = (order: readonly number[]): Order => (order.every((d, i) => d === i) ? null : order);
const inOrder = <T>(xs: readonly T[], order: Order): readonly T[] => (order ? order.map(d => xs[d]!) : xs);
const positions = (order: Order, rank: number): number[] =>
  Array.from({ length: rank }, (_, d) => (order ? order.indexOf(d) : d));

/**
 * What a convolution's result looks like with its channels last; `crowded` says that channels come in groups too small
 * for vectors of `lanes`.
 */
interface Convolution {
  readonly order: readonly number[];
  readonly crowded: boolean;
}

/**
 * Whether `value` is a convolution (of any rank, or pointwise) by lasting weights: spatial dims of one operand behind
 * channels of the weights.
 */
function asConvolution(value: Value<'contract'>, lasts: Flow['lasts'], lanes: number): Convolution | null {
  const { a, b, out } = value.attrs;
  const [x, w] = value.inputs as readonly [Value, Value];
  if (lasts(x) === lasts(w) || value.shape.length < 3) return null;
  const [pixels, weights] = lasts(w) ? [a, b] : [b, a];
  const isPixel = out.map(label => !weights.includes(label));
  if (!isPixel[out.length - 1]) return null;
  const channels = out.flatMap((_, d) => (isPixel[d] ? [] : [d]));
  const extent = (where: (label: number) => boolean): number =>
    channels.reduce((n, d) => (where(out[d]!) ? n * value.shape[d]! : n), 1);
  const groups = extent(label => pixels.includes(label));
  const each = extent(label => !pixels.includes(label));
  if (groups * each < lanes) return null;
  const order = [...out.flatMap((_, d) => (isPixel[d] ? [d] : [])), ...channels];
  return { order, crowded: groups > 1 && each > 1 && each < lanes };
}

/**
 * Most channels of a convolution that is worth having its batch in vectors: with more of them, packing is shared by
 * rows enough.
 */
const FEW_CHANNELS = 32;

/** A window view that a convolution reads: its source, and the dim that both have their batch in. */
function windowsOf(value: Value): { readonly source: Value; readonly batch: number } | null {
  if (value.leaf >= 0 || !value.is('reindex')) return null;
  const { axes } = value.attrs;
  const source = value.inputs[0]!;
  const slides = axes.some(map => map.terms.length > 1);
  const [first] = axes;
  const whole =
    first?.terms.length === 1 && first.terms[0]![0] === 0 && isIdentity([first], [source.shape[0]!], [value.shape[0]!]);
  return slides && whole ? { source, batch: 0 } : null;
}

const isView = (v: Value): boolean => v.leaf < 0 && (v.op === 'reshape' || v.op === 'reindex');

/** The leaf that views and casts show, if there is one. */
function shownLeaf(value: Value): Value | null {
  let v = value;
  while (isView(v) || (v.leaf < 0 && v.op === 'cast')) v = v.inputs[0]!;
  return v.leaf >= 0 ? v : null;
}

/** Orders of results, and of leaves that are copied into another order first. */
interface Orders {
  readonly results: Map<Value, readonly number[]>;
  readonly leaves: Map<Value, readonly number[]>;
}

/**
 * Orders with the batch innermost, pixels outermost, for networks whose convolutions all have few channels and change
 * their weights: vectors along the batch are whole and aligned whatever the image, so nothing is unfolded or gathered,
 * and pooling is elementwise.
 */
function batchLastOrders(flow: Flow, lanes: number): Orders | null {
  const results = new Map<Value, readonly number[]>();
  const leaves = new Map<Value, readonly number[]>();
  for (const value of flow.values) {
    if (value.leaf >= 0 || !value.is('contract')) continue;
    const { a, b, out } = value.attrs;
    const [x, w] = value.inputs as readonly [Value, Value];
    for (const [pixels, view, labels, others] of [
      [x, windowsOf(x), a, b],
      [w, windowsOf(w), b, a],
    ] as const) {
      const weights = pixels === x ? w : x;
      if (!view || !shownLeaf(weights) || weights.shape.length !== 4) continue;
      const batch = labels[view.batch]!;
      if (out[0] !== batch || others.includes(batch) || value.dtype !== 'f32') continue;
      const isPixel = out.map(label => labels.includes(label) && !others.includes(label));
      const channels = out.flatMap((_, d) => (isPixel[d] ? [] : [d]));
      if (channels.length !== 1 || value.shape[channels[0]!]! > FEW_CHANNELS) return null;
      if (value.shape[0]! % lanes !== 0 || flow.lasts(weights)) return null;
      results.set(value, [...out.flatMap((_, d) => (isPixel[d] && d > 0 ? [d] : [])), ...channels, 0]);
      const { source } = view;
      const rank = source.shape.length;
      if (source.leaf >= 0) leaves.set(source, [...source.shape.keys()].slice(2).concat(1, 0).slice(0, rank));
    }
  }
  return results.size > 0 ? { results, leaves } : null;
}

/** Orders with channels innermost, for convolutions by lasting weights that gain from it. */
function channelsLastOrders(flow: Flow, lanes: number): Orders | null {
  const results = new Map<Value, readonly number[]>();
  for (const value of flow.values) {
    if (value.leaf >= 0 || !value.is('contract')) continue;
    const found = asConvolution(value, flow.lasts, lanes);
    // Groups of few channels want their pixels in vectors, and their neighbours want what they want.
    if (found?.crowded) return null;
    if (found) results.set(value, found.order);
  }
  return results.size > 0 ? { results, leaves: new Map() } : null;
}

/** Channels from which a convolution by transformed tiles is worth its transforms (contract/winograd). */
const MANY_CHANNELS = 32;

/**
 * Whether `view` shows, along two dims, windows of three neighbours that are one apart, of an image that the program
 * makes.
 */
function showsTiles(view: Value): boolean {
  if (view.leaf >= 0 || !view.is('reindex') || shownLeaf(view)) return false;
  const isTap = (d: number, c: number): boolean => Math.abs(c) === 1 && view.shape[d] === 3;
  const axes = view.attrs.axes.filter(({ terms, div }) => {
    const [first, second] = terms;
    if (terms.length !== 2 || div !== 1 || !first || !second) return false;
    return (isTap(...first) && second[1] === 1) || (isTap(...second) && first[1] === 1);
  });
  return axes.length === 2;
}

/**
 * Channels and images from which on a convolution of bf16 is worth its blocks of words, and of which both are multiples
 * (contract/pixels).
 */
const BLOCK = 32;

/**
 * Keeps the narrow copy of weights [out, in, ...window] as [out, ...window, in]: it then packs in whole vectors,
 * forwards and for the gradient, and is gathered from few lines.
 */
function orderWeights(kernel: Value, orders: Map<Value, readonly number[]>): void {
  let v = kernel;
  while (isView(v)) v = v.inputs[0]!;
  if (v.leaf < 0 && v.op === 'cast' && v.shape.length > 2) orders.set(v, [0, ...[...v.shape.keys()].slice(2), 1]);
}

/**
 * Orders with channels innermost and the batch beside them, pixels outermost, for networks that change their weights
 * where most products are convolutions by transformed tiles (f32, and `bf16` by dot products), or of blocks of words
 * (bf16, where products take them): those read and write vectors of channels, and to all others the pixels of all
 * images are even rows.
 */
function channelsInnermostOrders(flow: Flow, lanes: number, bf16: 'tiles' | 'dot' | null): Orders | null {
  const results = new Map<Value, readonly number[]>();
  let [served, others, images] = [0, 0, 0];
  for (const value of flow.values) {
    if (value.leaf >= 0 || !value.is('contract') || value.shape.length < 3) continue;
    const { a, b, out } = value.attrs;
    const [x, w] = value.inputs as readonly [Value, Value];
    const [pixels, weights, view, kernel] = a.includes(out[0]!) ? [a, b, x, w] : [b, a, w, x];
    const leaf = shownLeaf(kernel);
    const ofWeights = out.flatMap((label, d) => (weights.includes(label) ? [d] : []));
    // The gradient of windows of one pixel still has the window's dims.
    const channels = ofWeights.filter(d => value.shape[d] !== 1);
    const rank = value.shape.length - ofWeights.length + channels.length;
    if (weights.includes(out[0]!) || leaf?.shape.length !== rank) continue;
    const [channel] = channels;
    const narrow = bf16 !== null && value.dtype === 'bf16' && view.dtype === 'bf16';
    const wide = view.dtype === 'f32' && value.dtype === 'f32';
    if (channels.length !== 1 || channel === undefined || !(narrow || wide)) continue;
    if (flow.lasts(kernel) || pixels.includes(out[channel]!) || value.shape[channel]! % lanes !== 0) return null;
    results.set(value, [...out.flatMap((_, d) => (d > 0 && d !== channel ? [d] : [])), 0, channel]);
    if (narrow) orderWeights(kernel, results);
    const work = (value.size * kernel.size) / value.shape[channel]!;
    const inBlocks = narrow && [value.shape[0]!, ...leaf.shape.slice(0, 2)].every(n => n % BLOCK === 0);
    const inTiles = !(narrow && bf16 === 'tiles') && showsTiles(view) && value.shape[channel]! >= MANY_CHANNELS;
    const suits = inBlocks || inTiles;
    if (suits) {
      served += work;
      images++;
    } else others += work;
  }
  return images > 1 && served > others ? { results, leaves: new Map() } : null;
}

/** The flow with its images in the order that its convolutions gain most from. */
export function arrange(flow: Flow, target: Target): Flow {
  const lanes = lanesFor(target, bytesOf('f32'));
  const bf16 = target.packedProducts?.bf16 ?? null;
  const orders =
    channelsLastOrders(flow, lanes) ?? batchLastOrders(flow, lanes) ?? channelsInnermostOrders(flow, lanes, bf16);
  return orders ? new Relayout(flow, orders).run() : flow;
}

class Relayout {
  private readonly flow: Flow;
  private readonly orders: Orders;
  private readonly values: Value[] = [];
  private readonly kept = new Map<Value, Kept>();
  private readonly leaves = new Map<Value, Value>();
  private readonly others = new Map<Value, Map<string, Value>>();

  constructor(flow: Flow, orders: Orders) {
    this.flow = flow;
    this.orders = orders;
  }

  run(): Flow {
    const { flow } = this;
    for (const value of flow.values) this.kept.set(value, this.visit(value));
    const outputs = flow.outputs.map(value => this.as(value, null));
    const updates = flow.updates.map(({ leaf, value }) => ({ leaf, value: this.as(value, null) }));
    const leaves = flow.leaves.map(leaf => leaf && this.leaves.get(leaf)!);
    const lasting = flow.leaves.map(leaf => leaf !== null && flow.lasts(leaf));
    const { sameMemory } = flow;
    return { values: this.values, leaves, outputs, updates, sameMemory, lasts: lastingValues(this.values, lasting) };
  }

  private make<P extends Primitive>(
    like: Value,
    op: P,
    attrs: Attrs[P],
    inputs: readonly Value[],
    shape: readonly number[],
  ): Value {
    const value = new Value(this.values.length, op, attrs, inputs, shape, like.dtype, like.leaf, like.born, like.group);
    this.values.push(value as unknown as Value);
    return value as unknown as Value;
  }

  /** `value` with its dims in `order`: as it is kept, or seen through a view. */
  private as(value: Value, order: Order): Value {
    const { value: now, order: has } = this.kept.get(value)!;
    const key = (order ?? []).join();
    if (key === (has ?? []).join()) return now;
    let known = this.others.get(value);
    if (!known) this.others.set(value, (known = new Map()));
    let seen = known.get(key);
    if (!seen) {
      seen = this.view(value, order);
      known.set(key, seen);
    }
    return seen;
  }

  private view(value: Value, order: Order): Value {
    const rank = value.shape.length;
    const at = positions(order, rank);
    const shape = inOrder(value.shape, order);
    if (value.leaf < 0 && value.is('reindex')) return this.reindexed(value, at, shape);
    const { value: now, order: has } = this.kept.get(value)!;
    const axes = inOrder(at, has).map(identityAxis);
    return this.make(unleafed(value), 'reindex', { axes, fill: 0 }, [now], shape);
  }

  /** A reindex of what its input is kept as, with its own dims moved to the positions `at`. */
  private reindexed(value: Value<'reindex'>, at: readonly number[], shape: readonly number[]): Value {
    const { value: input, order } = this.kept.get(value.inputs[0]!)!;
    const moved = value.attrs.axes.map((map): AxisMap => ({ ...map, terms: map.terms.map(([d, c]) => [at[d]!, c]) }));
    const axes = inOrder(moved, order);
    if (isIdentity(axes, input.shape, shape)) return input;
    return this.make(value, 'reindex', { axes, fill: value.attrs.fill }, [input], shape);
  }

  private visit(value: Value): Kept {
    if (value.leaf >= 0) return this.leaf(value);
    if (value.is('contract')) return this.contract(value);
    if (value.is('reindex')) return this.reindex(value);
    if (value.is('reshape')) return this.reshape(value);
    if (value.is('reduce')) return this.reduce(value);
    if (isElementwise(value) || value.op === 'concat') return this.alike(value);
    const inputs = value.inputs.map(input => this.as(input, null));
    return { value: this.make(value, value.op, value.attrs, inputs, value.shape), order: null };
  }

  private leaf(value: Value): Kept {
    const leaf = this.make(value, value.op, value.attrs, [], value.shape);
    this.leaves.set(value, leaf);
    const order = this.orders.leaves.get(value) ?? null;
    if (!order) return { value: leaf, order };
    const axes = positions(order, value.shape.length).map(identityAxis);
    const shape = inOrder(value.shape, order);
    const view = this.make(unleafed(value), 'reindex', { axes, fill: 0 }, [leaf], shape);
    // A cast to its own type is a copy, which no contraction sees through.
    return { value: this.make(view, 'cast', {}, [view], shape), order };
  }

  private contract(value: Value<'contract'>): Kept {
    const [x, w] = value.inputs.map(input => this.kept.get(input)!) as [Kept, Kept];
    const { a, b, out } = value.attrs;
    const order = this.orders.results.get(value) ?? null;
    const attrs = { a: inOrder(a, x.order), b: inOrder(b, w.order), out: inOrder(out, order) };
    return { value: this.make(value, 'contract', attrs, [x.value, w.value], inOrder(value.shape, order)), order };
  }

  /** Dims follow the axes they read, so that walking the result in order walks what is read. */
  private reindex(value: Value<'reindex'>): Kept {
    const { order: read } = this.kept.get(value.inputs[0]!)!;
    const axes = inOrder(value.attrs.axes, read);
    const reads = (d: number): number => axes.findIndex(map => map.terms.some(([dim]) => dim === d));
    const dims = value.shape.map((_, d) => d);
    const order = read ? sorted(dims.sort((x, y) => reads(x) - reads(y) || x - y)) : null;
    const at = positions(order, value.shape.length);
    return { value: this.reindexed(value, at, inOrder(value.shape, order)), order };
  }

  /** Elementwise values are kept as most of what they read is; concat likewise. */
  private alike(value: Value): Kept {
    let order: Order = this.orders.results.get(value) ?? null;
    for (const input of order ? [] : value.inputs) {
      const kept = this.kept.get(input)!;
      if (!kept.order) continue;
      order = kept.order;
      if (input.op !== 'reindex') break;
    }
    const attrs =
      order && value.is('concat') ? { axis: order.indexOf(value.attrs.axis) } : (value.attrs as Attrs[Primitive]);
    const inputs = value.inputs.map(input => this.as(input, order));
    return { value: this.make(value, value.op, attrs as never, inputs, inOrder(value.shape, order)), order };
  }

  private reduce(value: Value<'reduce'>): Kept {
    const { value: input, order } = this.kept.get(value.inputs[0]!)!;
    if (!order) return { value: this.make(value, 'reduce', value.attrs, [input], value.shape), order };
    const { kind, axes } = value.attrs;
    const at = order.flatMap((d, i) => (axes.includes(d) ? [i] : []));
    const left = order.filter(d => !axes.includes(d)).map(d => d - axes.filter(axis => axis < d).length);
    const attrs = { kind, axes: at };
    return { value: this.make(value, 'reduce', attrs, [input], inOrder(value.shape, left)), order: sorted(left) };
  }

  /**
   * A reshape that splits and joins dims which are kept together works on what is kept; any other puts its input back
   * first.
   */
  private reshape(value: Value<'reshape'>): Kept {
    const source = value.inputs[0]!;
    const { value: input, order } = this.kept.get(source)!;
    const after = order && reshapedOrder(source.shape, value.shape, order);
    if (order && !after) {
      return { value: this.make(value, 'reshape', value.attrs, [this.as(source, null)], value.shape), order: null };
    }
    return {
      value: this.make(value, 'reshape', value.attrs, [input], inOrder(value.shape, after)),
      order: after && sorted(after),
    };
  }
}

/** A value's data without its place among the leaves. */
const unleafed = (value: Value): Value =>
  value.leaf < 0
    ? value
    : new Value(value.id, value.op, value.attrs, [], value.shape, value.dtype, -1, value.born, value.group);

/**
 * The order in which a reshape of dims kept in `order` leaves the new dims, or null where it does not leave whole ones.
 */
function reshapedOrder(from: readonly number[], to: readonly number[], order: readonly number[]): number[] | null {
  const real = (shape: readonly number[]): number[] => shape.flatMap((n, d) => (n === 1 ? [] : [d]));
  const [old, fresh] = [real(from), real(to)];
  // Smallest runs of dims with as many elements on both sides, by their first old dim.
  const blocks = new Map<number, { readonly old: readonly number[]; readonly fresh: readonly number[] }>();
  let [i, j] = [0, 0];
  while (i < old.length) {
    const [start, first] = [i, j];
    let [before, behind] = [from[old[i++]!]!, to[fresh[j++]!]!];
    while (before !== behind) {
      if (before < behind) before *= from[old[i++]!]!;
      else behind *= to[fresh[j++]!]!;
    }
    blocks.set(old[start]!, { old: old.slice(start, i), fresh: fresh.slice(first, j) });
  }
  const walked = order.filter(d => from[d] !== 1);
  const result = to.flatMap((n, d) => (n === 1 ? [d] : []));
  for (let at = 0; at < walked.length; ) {
    const block = blocks.get(walked[at]!);
    if (!block?.old.every((d, k) => walked[at + k] === d)) return null;
    result.push(...block.fresh);
    at += block.old.length;
  }
  return result;
}
