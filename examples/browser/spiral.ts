/**
 * What the browser example trains: three noisy spirals and a small network. Tensors only, no page, so that tests run
 * the same lines in Node and in a browser and compare the bits.
 */
import { cat, compile, F, full, linspace, manualSeed, noGrad, randn, stack, type Tensor } from 'tenon';
import { Linear, Sequential, Tanh } from 'tenon/nn';
import { AdamW } from 'tenon/optim';

export const ARMS = 3;

/** Points f32 [3 n, 2] in the square from -1 to 1, and their arms i32 [3 n]. */
export function spirals(n: number): { readonly points: Tensor; readonly arms: Tensor } {
  const radius = linspace(0.05, 0.95, n);
  const arm = (index: number): Tensor => {
    const angle = radius.mul(4.5).add((index * 2 * Math.PI) / ARMS);
    return stack([radius.mul(angle.cos()), radius.mul(angle.sin())], 1);
  };
  const indices = [...Array(ARMS).keys()];
  return {
    points: cat(indices.map(arm)).add(randn([ARMS * n, 2]).mul(0.015)),
    arms: cat(indices.map(index => full([n], index, { dtype: 'i32' }))),
  };
}

export interface Classifier {
  /** Positions f32 [3 n, 2] and labels i32 [3 n] of the training points. */
  readonly points: Tensor;
  readonly arms: Tensor;
  /** One training step; the mean loss before its update, f32 []. `step.async()` leaves the page free meanwhile. */
  readonly step: { (): Tensor; async(): Promise<Tensor> };
  /** Probability of each arm, f32 [n, 2] -> f32 [n, 3]. */
  readonly probabilities: (points: Tensor) => Tensor;
}

/** Draws `n` points per arm and a network for them, the same for the same seed. */
export function createClassifier(n: number, seed: number): Classifier {
  manualSeed(seed);
  const { points, arms } = spirals(n);
  const model = new Sequential(new Linear(2, 64), new Tanh(), new Linear(64, 64), new Tanh(), new Linear(64, ARMS));
  const optimizer = new AdamW(model.parameters(), { lr: 0.01 });
  const step = compile(() => {
    optimizer.zeroGrad();
    const loss = F.crossEntropy(model.forward(points), arms);
    loss.backward();
    optimizer.step();
    return loss;
  });
  return { points, arms, step, probabilities: x => noGrad(() => model.forward(x).softmax(1)) };
}
