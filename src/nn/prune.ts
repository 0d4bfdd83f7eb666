/**
 * Pruning (torch.nn.utils.prune): a weight becomes `weightOrig`, which is trained, times `weightMask`, a buffer of
 * zeros and ones. Pruning again prunes of what is left. State-dict keys are PyTorch's: weight_orig, weight_mask.
 */
import { shapeText } from '../tensor/convert.ts';
import { ones, Parameter, rand, Tensor } from '../tensor/index.ts';
import type { AnyModule } from './module.ts';
import { addParts, partOf, replace, restore, weightOf } from './parametrize.ts';

/** Below 1 a part of what is left (rounded as Python rounds), from 1 on a whole number of elements or channels. */
export type Amount = number;

const maskOf = (module: AnyModule, name: string): Parameter | null => {
  const mask: unknown = Reflect.get(module, partOf(name, 'mask'));
  return mask instanceof Parameter ? mask : null;
};

function countOf(op: string, amount: Amount, left: number): number {
  if (!(amount >= 0) || (amount > 1 && !Number.isInteger(amount)))
    throw new RangeError(`${op}: amount: expected a part below 1 or a whole number, got ${amount}`);
  if (amount >= 1) {
    if (amount > left) throw new RangeError(`${op}: amount: ${amount} of ${left} that are left`);
    return amount;
  }
  const exact = amount * left;
  const floor = Math.floor(exact);
  // As Python rounds: halves go to the even number.
  if (exact - floor === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(exact);
}

/**
 * Zeroes the weight `name` where `mask` is 0, beside what was pruned before.
 * @throws RangeError where the shapes differ
 */
export function customFromMask<M extends AnyModule>(module: M, name: string, mask: Tensor): M {
  const before = maskOf(module, name);
  const weight = before ?? weightOf('customFromMask', module, name);
  if (mask.shape.join() !== weight.shape.join())
    throw new RangeError(`customFromMask: mask ${shapeText(mask.shape)} came, expected ${shapeText(weight.shape)}`);
  const kept = mask.ne(0).to(weight.dtype);
  if (before) {
    before.assign(before.mul(kept));
    return module;
  }
  const [orig, buffer] = [partOf(name, 'orig'), partOf(name, 'mask')];
  replace(module, name, { [orig]: weight }, owner => {
    const own = Reflect.get(owner, orig) as Parameter;
    return own.mul(Reflect.get(owner, buffer) as Parameter);
  });
  module.registerBuffer(buffer, kept);
  addParts(module, name, buffer);
  return module;
}

/** Nothing is pruned yet, but the weight has its mask of ones. */
export const identity = <M extends AnyModule>(module: M, name: string): M => {
  const weight = Reflect.get(module, name) as Tensor;
  return customFromMask(module, name, ones(weight.shape, { dtype: weight.dtype }));
};

/** A mask that leaves out those of `count` places with the lowest scores, of places that `left` holds. */
function lowest(scores: ArrayLike<number | bigint>, left: (place: number) => boolean, count: number): Set<number> {
  const places = Array.from({ length: scores.length }, (_, i) => i).filter(left);
  places.sort((a, b) => Number(scores[a]) - Number(scores[b]) || a - b);
  return new Set(places.slice(0, count));
}

/** Prunes single elements by falling score from the bottom. */
function unstructured<M extends AnyModule>(op: string, module: M, name: string, amount: Amount, scores: Tensor): M {
  const before = maskOf(module, name)?.data();
  const isLeft = (i: number): boolean => !before || Number(before[i]) !== 0;
  const values = scores.data();
  const left = Array.from({ length: values.length }, (_, i) => i).filter(isLeft).length;
  const gone = lowest(values, isLeft, countOf(op, amount, left));
  const mask = Float32Array.from({ length: values.length }, (_, i) => Number(!gone.has(i)));
  return customFromMask(module, name, Tensor.from(mask, { shape: [...scores.shape] }));
}

const weightIn = (module: AnyModule, name: string): Tensor => {
  const weight: unknown = Reflect.get(module, name);
  if (!(weight instanceof Tensor)) throw new TypeError(`prune: ${module.constructor.name}.${name} is no parameter of the module`);
  return weight.detach();
}; // biome-ignore format: one sentence

/** Prunes the elements of the least magnitude; by `importanceScores` where given. */
export const l1Unstructured = <M extends AnyModule>(module: M, name: string, amount: Amount, importanceScores?: Tensor): M =>
  unstructured('l1Unstructured', module, name, amount, (importanceScores ?? weightIn(module, name)).abs()); // biome-ignore format: a signature

/** Prunes elements at random. */
export const randomUnstructured = <M extends AnyModule>(module: M, name: string, amount: Amount): M =>
  unstructured('randomUnstructured', module, name, amount, rand(weightIn(module, name).shape));

/** Prunes whole slices along `dim` by falling score from the bottom; scores are [size of dim]. */
function structured<M extends AnyModule>(op: string, module: M, name: string, amount: Amount, dim: number, scores: Tensor): M {
  const weight = weightIn(module, name);
  const before = maskOf(module, name);
  const others = weight.shape.map((_, d) => d).filter(d => d !== (dim + weight.ndim) % weight.ndim);
  const open = before ? before.sum(others).data() : null;
  const isLeft = (i: number): boolean => !open || Number(open[i]) !== 0;
  const size = weight.shape.at(dim)!;
  const left = Array.from({ length: size }, (_, i) => i).filter(isLeft).length;
  const gone = lowest(scores.data(), isLeft, countOf(op, amount, left));
  const kept = Tensor.from(Float32Array.from({ length: size }, (_, i) => Number(!gone.has(i))));
  const mask = kept.reshape(weight.shape.map((_, d) => (others.includes(d) ? 1 : size))).expand(weight.shape);
  return customFromMask(module, name, mask);
} // biome-ignore format: a signature

function checkDim(op: string, weight: Tensor, dim: number): void {
  if (!Number.isInteger(dim) || dim < -weight.ndim || dim >= weight.ndim)
    throw new RangeError(`${op}: dim: ${dim} is out of range for ${shapeText(weight.shape)}`);
}

/** Prunes the slices along `dim` (channels) of the least `n`-norm. */
export function lnStructured<M extends AnyModule>(module: M, name: string, amount: Amount, n: number, dim: number): M {
  const weight = weightIn(module, name);
  checkDim('lnStructured', weight, dim);
  const slices = weight.movedim(dim, 0).flatten(1);
  return structured('lnStructured', module, name, amount, dim, slices.norm(n, 1));
}

/** Prunes slices along `dim` (channels) at random. */
export function randomStructured<M extends AnyModule>(module: M, name: string, amount: Amount, dim: number): M {
  const weight = weightIn(module, name);
  checkDim('randomStructured', weight, dim);
  return structured('randomStructured', module, name, amount, dim, rand([weight.shape.at(dim)!]));
}

/** Prunes the elements of the least magnitude among all the given weights together. */
export function globalL1Unstructured(weights: readonly (readonly [module: AnyModule, name: string])[], amount: Amount): void {
  const parts = weights.map(([module, name]) => {
    const before = maskOf(module, name)?.data();
    const magnitudes = Array.from(weightIn(module, name).abs().data(), Number);
    return magnitudes.map((value, i) => (before && Number(before[i]) === 0 ? Number.NaN : value));
  });
  const all = parts.flat();
  const isLeft = (i: number): boolean => !Number.isNaN(all[i]);
  const gone = lowest(all, isLeft, countOf('globalL1Unstructured', amount, all.filter((_, i) => isLeft(i)).length));
  let at = 0;
  for (const [k, [module, name]] of weights.entries()) {
    const { shape } = weightIn(module, name);
    const mask = Float32Array.from(parts[k]!, (_, i) => Number(!gone.has(at + i)));
    at += mask.length;
    customFromMask(module, name, Tensor.from(mask, { shape: [...shape] }));
  }
} // biome-ignore format: a signature

/** Makes a pruned weight one parameter again, with its zeros. */
export function remove<M extends AnyModule>(module: M, name: string): M {
  restore('prune.remove', module, name);
  return module;
}

/** Whether a weight of the module, or of one in it, is pruned. */
export const isPruned = (module: AnyModule): boolean =>
  module.namedBuffers().some(([key]) => /(^|\.)[^.]*_mask$/.test(key));
