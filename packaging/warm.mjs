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
    const { BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential } = await import('tenon/nn');
    const { Adam } = await import('tenon/optim');
    // Enough channels and pixels for every kind of kernel that convolutions have.
    const layer = (from, to, stride) => [
      new Conv2d(from, to, 3, { stride, padding: 1 }),
      new BatchNorm2d(to),
      new ReLU(),
    ];
    const model = new Sequential(
      ...layer(3, 64, 1),
      ...layer(64, 64, 1),
      ...layer(64, 128, 2),
      ...layer(128, 128, 1),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(2048, 3),
    );
    const optimizer = new Adam(model.parameters());
    const labels = Tensor.from(Array(16).fill(2), { dtype: 'i64' });
    const loss = F.crossEntropy(model.forward(ones([16, 3, 16, 16])), labels);
    loss.backward();
    optimizer.step();
    return [loss.item()];
  },
};

const numbers = await WORK[process.argv[2]]();
if (!numbers.every(Number.isFinite)) throw new Error(`warm: came out as ${numbers}`);
