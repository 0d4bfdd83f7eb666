/**
 * Row optimizers: a row's weights and state lie in one segment, its gradient in the batch's. Each is a plain loop over
 * typed arrays; numbers are computed in f64 and rounded when stored. The formulas are those of options.ts;
 * kernels/rules.ts has them as generated code.
 */
import type { RowOptimizer } from './options.ts';

/**
 * Updates `n` weights at `w[at]`, whose state is at `w[state]`, by the gradient at `g[from]` that came with `shows`
 * shows.
 */
type UpdateRow = (
  w: Float32Array,
  at: number,
  state: number,
  n: number,
  g: Float32Array,
  from: number,
  shows: number,
) => void;

export interface RowRule {
  /** Words of state for `n` weights. */
  stateWords(n: number): number;
  /** Fills the state of a new row. */
  start(w: Float32Array, state: number, n: number): void;
  /** Called before each push; `step` counts from 1. Returns the rate of this push, where it depends on the step. */
  begin(step: number): number;
  readonly update: UpdateRow;
  /** Whether the gradient is divided by the shows, so that a trainer passes gradients of summed losses. */
  readonly perShow: boolean;
}

type Builder<T extends RowOptimizer['type']> = (spec: Extract<RowOptimizer, { type: T }>) => RowRule;

const nothing = (): void => {};
const noRate = (): number => 0;

/** Bias correction of Adam's moments: sqrt(1 - b2^t) / (1 - b1^t). */
export const correction = (beta1: number, beta2: number, step: number): number =>
  Math.sqrt(1 - beta2 ** step) / (1 - beta1 ** step);

const RULES: { readonly [T in RowOptimizer['type']]: Builder<T> } = {
  sgd: ({ lr = 0.05 }) => ({
    stateWords: () => 0,
    start: nothing,
    begin: noRate,
    perShow: false,
    update(w, at, _state, n, g, from) {
      for (let d = 0; d < n; d++) w[at + d] = w[at + d]! - lr * g[from + d]!;
    },
  }),

  rowAdagrad: ({ lr = 0.05, initialG2sum = 3, bound = 10 }) => ({
    stateWords: () => 1,
    start: nothing,
    begin: noRate,
    perShow: true,
    update(w, at, state, n, g, from, shows) {
      const rate = lr * Math.sqrt(initialG2sum / (initialG2sum + w[state]!));
      let squares = 0;
      for (let d = 0; d < n; d++) {
        const gradient = g[from + d]! / shows;
        const moved = w[at + d]! - rate * gradient;
        w[at + d] = moved > bound ? bound : moved < -bound ? -bound : moved;
        squares += gradient * gradient;
      }
      w[state] = w[state]! + squares / n;
    },
  }),

  adagrad: ({ lr = 0.01, initialAccumulator = 0, eps = 1e-10 }) => ({
    stateWords: n => n,
    start(w, state, n) {
      w.fill(initialAccumulator, state, state + n);
    },
    begin: noRate,
    perShow: false,
    update(w, at, state, n, g, from) {
      for (let d = 0; d < n; d++) {
        const gradient = g[from + d]!;
        const sum = w[state + d]! + gradient * gradient;
        w[state + d] = sum;
        w[at + d] = w[at + d]! - (lr * gradient) / (Math.sqrt(sum) + eps);
      }
    },
  }),

  adam: ({ lr = 1e-3, betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 }) => {
    let rate = lr;
    return {
      stateWords: n => 2 * n,
      start: nothing,
      begin(step) {
        rate = lr * correction(beta1, beta2, step);
        return rate;
      },
      perShow: false,
      // PyTorch's SparseAdam adds eps before the bias is corrected.
      update(w, at, state, n, g, from) {
        for (let d = 0; d < n; d++) {
          const gradient = g[from + d]!;
          const first = w[state + d]! + (1 - beta1) * (gradient - w[state + d]!);
          const square = w[state + n + d]!;
          const second = square + (1 - beta2) * (gradient * gradient - square);
          w[state + d] = first;
          w[state + n + d] = second;
          w[at + d] = w[at + d]! - (rate * first) / (Math.sqrt(second) + eps);
        }
      },
    };
  },

  sharedAdam: ({ lr = 1e-3, betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 }) => ({
    stateWords: () => 3,
    start: nothing,
    begin: noRate,
    perShow: false,
    update(w, at, state, n, g, from) {
      const step = w[state + 2]! + 1;
      const rate = lr * correction(beta1, beta2, step);
      const mean = w[state]!;
      const square = w[state + 1]!;
      let firsts = 0;
      let seconds = 0;
      for (let d = 0; d < n; d++) {
        const gradient = g[from + d]!;
        const first = beta1 * mean + (1 - beta1) * gradient;
        const second = beta2 * square + (1 - beta2) * gradient * gradient;
        w[at + d] = w[at + d]! - (rate * first) / (Math.sqrt(second) + eps);
        firsts += first;
        seconds += second;
      }
      w[state] = firsts / n;
      w[state + 1] = seconds / n;
      w[state + 2] = step;
    },
  }),

  ftrl: ({ lr = 0.05, beta = 1, l1 = 0, l2 = 0 }) => ({
    stateWords: n => 2 * n,
    /** z such that the closed form gives the initial weights: found at the first update, when n is still 0. */
    start: nothing,
    begin: noRate,
    perShow: false,
    update(w, at, state, n, g, from) {
      for (let d = 0; d < n; d++) {
        const gradient = g[from + d]!;
        const weight = w[at + d]!;
        const before = w[state + n + d]!;
        const after = before + gradient * gradient;
        // w = -z / (beta / lr + l2) for |z| above l1: a weight that started elsewhere than 0 has the z that gives it.
        let z = w[state + d]!;
        if (before === 0 && z === 0 && weight !== 0) z = -weight * (beta / lr + l2) - Math.sign(weight) * l1;
        z += gradient - ((Math.sqrt(after) - Math.sqrt(before)) / lr) * weight;
        w[state + d] = z;
        w[state + n + d] = after;
        w[at + d] = Math.abs(z) <= l1 ? 0 : (Math.sign(z) * l1 - z) / ((beta + Math.sqrt(after)) / lr + l2);
      }
    },
  }),
};

/** The rule a specification names. @throws Error for a type that is none. */
export function rowRule(spec: RowOptimizer): RowRule {
  const build = RULES[spec.type] as Builder<RowOptimizer['type']> | undefined;
  if (!build)
    throw new TypeError(
      `row optimizer: type ${String(spec.type)} came, expected one of ${Object.keys(RULES).join(', ')}`,
    );
  return build(spec as never);
}
