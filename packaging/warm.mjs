/**
 * What the build runs so that V8 has compiled what users call; packaging/bundle.mjs puts the code caches that remain into the package. `node warm.mjs core`
 * computes a first result, `node warm.mjs later` takes a training step, of which most is in the script `later`.
 */
import { F, ones, Tensor } from 'tenon';

const WORK = {
  core() {
    const product = Tensor.from([
      [1, 2],
      [3, 4],
    ]).matmul(ones([2, 2]));
    return product.toArray().flat();
  },
  async later() {
    const { Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential } = await import('tenon/nn');
    const { Adam } = await import('tenon/optim');
    const model = new Sequential(new Conv2d(1, 4, 3), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(36, 3));
    const optimizer = new Adam(model.parameters());
    const loss = F.crossEntropy(model.forward(ones([2, 1, 8, 8])), Tensor.from([0, 2], { dtype: 'i64' }));
    loss.backward();
    optimizer.step();
    return [loss.item()];
  },
};

const numbers = await WORK[process.argv[2]]();
if (!numbers.every(Number.isFinite)) throw new Error(`warm: came out as ${numbers}`);
