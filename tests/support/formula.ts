/**
 * The numbers of torch_reference.py: values by formula, and probes (weighted sums) of tensors.
 */
import type { AnyModule } from '../../src/nn/index.ts';
import { isFloat, type Parameter, Tensor } from '../../src/tensor/index.ts';

/** Element i of `formula(seed)`, in [-amp, amp). */
function value(seed: number, i: number, amp: number): number {
  let x = (Math.imul(i, 2654435761) + seed * 40503 + 12345) >>> 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d) >>> 0;
  x = (x ^ (x >>> 15)) >>> 0;
  return amp * ((2 * (x >>> 8)) / 16777216 - 1);
}

/** An f64 tensor of formula values. */
export function formula(seed: number, shape: readonly number[], amp = 0.5): Tensor {
  const size = shape.reduce((a, n) => a * n, 1);
  return Tensor.from(
    Float64Array.from({ length: size }, (_, i) => value(seed, i, amp)),
    { shape },
  );
}

/** Two weighted sums of the elements. */
export function probe(tensor: Tensor): [number, number] {
  const data = Array.from(tensor.data() as ArrayLike<number | bigint>, Number);
  const sum = (seed: number): number => data.reduce((s, x, i) => s + x * value(seed, i, 0.5), 0);
  return [sum(901), sum(902)];
}

/**
 * Gives a model's floating-point state formula values, by place in alphabetical order: formula_state in torch_zoo.py,
 * Weights in torch_clicks.py.
 */
export function setFormulaState(model: AnyModule): void {
  const seen = new Set<Tensor>();
  Object.entries(model.stateDict())
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .forEach(([key, tensor], i) => {
      if (!isFloat(tensor.dtype) || seen.has(tensor)) return;
      seen.add(tensor);
      const { shape } = tensor;
      const fan = tensor.numel() / (shape[0] ?? 1);
      const value =
        shape.length >= 2
          ? formula(i + 1, shape, Math.sqrt(3 / fan))
          : /(bias|running_mean)$/.test(key)
            ? formula(i + 1, shape, 0.1)
            : formula(i + 1, shape, 0.2).add(1);
      (tensor as Parameter).assign(value);
    });
}
