/**
 * Small image classifiers. Parameter names are those of the usual PyTorch definitions, so saved weights carry over.
 */
import { Conv2d, Linear, Module } from '../../nn/index.ts';
import { F, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';

/** Three fully connected layers: [N, ...] with `inputs` values per sample -> [N, numClasses]. */
export class MLP extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly fc3: Linear;

  constructor(options: { readonly inputs?: number; readonly hidden?: number; readonly numClasses?: number } = {}) {
    const {
      inputs = 784,
      hidden = 512,
      numClasses = 10,
    } = checkOptions('MLP', options, ['inputs', 'hidden', 'numClasses']);
    super();
    this.fc1 = new Linear(inputs, hidden);
    this.fc2 = new Linear(hidden, hidden);
    this.fc3 = new Linear(hidden, numClasses);
  }

  forward(x: Tensor): Tensor {
    const h1 = this.fc1.call(x.flatten(1)).relu();
    const h2 = this.fc2.call(h1).relu();
    return this.fc3.call(h2);
  }
}

/** LeNet-5 with ReLU and max pooling (after LeCun et al. 1998): [N, channels, 28, 28] -> [N, numClasses]. */
export class LeNet extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly fc1 = new Linear(400, 120);
  readonly fc2 = new Linear(120, 84);
  readonly fc3: Linear;

  constructor(options: { readonly channels?: number; readonly numClasses?: number } = {}) {
    const { channels = 1, numClasses = 10 } = checkOptions('LeNet', options, ['channels', 'numClasses']);
    super();
    this.conv1 = new Conv2d(channels, 6, 5, { padding: 2 });
    this.conv2 = new Conv2d(6, 16, 5);
    this.fc3 = new Linear(84, numClasses);
  }

  forward(x: Tensor): Tensor {
    const c1 = F.maxPool2d(this.conv1.call(x).relu(), 2);
    const c2 = F.maxPool2d(this.conv2.call(c1).relu(), 2);
    const h1 = this.fc1.call(c2.flatten(1)).relu();
    const h2 = this.fc2.call(h1).relu();
    return this.fc3.call(h2);
  }
}
