/**
 * AlexNet in the one-column form of Krizhevsky 2014, with torchvision's parameter names.
 */
import { AdaptiveAvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, Module, ReLU, Sequential } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { ClassifierOptions } from './blocks.ts';

export interface AlexNetOptions extends ClassifierOptions {
  /** Dropout before the first two linear layers; 0.5 by default. */
  readonly dropout?: number;
  /** Divides all channels and hidden features: for experiments; 1 by default. */
  readonly shrink?: number;
}

/** [N, 3, H, W] (at least 63x63; made for 224x224) -> [N, numClasses]; 61.1 million parameters. */
export class AlexNet extends Module {
  readonly features: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d(6);
  classifier: Sequential;

  constructor(options: AlexNetOptions = {}) {
    const {
      numClasses = 1000,
      dropout = 0.5,
      shrink = 1,
    } = checkOptions('AlexNet', options, ['dropout', 'shrink', 'numClasses']);
    super();
    const [c1, c2, c3, c4, hidden] = [64, 192, 384, 256, 4096].map(n => n / shrink) as [
      number,
      number,
      number,
      number,
      number,
    ];
    this.features = new Sequential(
      new Conv2d(3, c1, 11, { stride: 4, padding: 2 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
      new Conv2d(c1, c2, 5, { padding: 2 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
      new Conv2d(c2, c3, 3, { padding: 1 }),
      new ReLU(),
      new Conv2d(c3, c4, 3, { padding: 1 }),
      new ReLU(),
      new Conv2d(c4, c4, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
    );
    this.classifier = new Sequential(
      new Dropout(dropout),
      new Linear(c4 * 36, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, hidden),
      new ReLU(),
      new Linear(hidden, numClasses),
    );
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(this.avgpool.call(this.features.call(x)).flatten(1));
  }
}

/** AlexNet for 224x224 images. */
export const alexnet = (options: AlexNetOptions = {}): AlexNet => new AlexNet(options);
