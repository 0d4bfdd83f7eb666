/**
 * What the build runs so that V8 has compiled what users call; packaging/bundle.mjs puts the code caches that remain into the package. `node warm.mjs core`
 * computes a first result, `node warm.mjs later` takes training steps, of which most is in the script `later`.
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
    const { BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential } = await import('tenon/nn');
    const { Adam } = await import('tenon/optim');
    const layer = (from, to, stride) => [
      new Conv2d(from, to, 3, { stride, padding: 1 }),
      new BatchNorm2d(to),
      new ReLU(),
    ];
    const labels = Tensor.from(Array(16).fill(2), { dtype: 'i64' });
    const losses = [];
    // Convolutions of few channels and of many have kernels of different kinds.
    for (const channels of [32, 64]) {
      const model = new Sequential(
        ...layer(3, channels, 1),
        ...layer(channels, channels, 1),
        ...layer(channels, channels, 1),
        ...layer(channels, 2 * channels, 2),
        new MaxPool2d(2),
        new Flatten(),
        new Linear(32 * channels, 3),
      );
      const optimizer = new Adam(model.parameters());
      const loss = F.crossEntropy(model.forward(ones([16, 3, 16, 16])), labels);
      loss.backward();
      optimizer.step();
      losses.push(loss.item());
    }
    return losses;
  },
};

const numbers = await WORK[process.argv[2]]();
if (!numbers.every(Number.isFinite)) throw new Error(`warm: came out as ${numbers}`);
