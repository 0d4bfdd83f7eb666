/**
 * MobileNetV2 (Sandler et al. 2018).
 */
import { BatchNorm2d, Conv2d, Linear, Module, ReLU6, Sequential } from '../nn/index.ts';
import type { Tensor } from '../tensor/index.ts';

const convBnRelu6 = (inChannels: number, outChannels: number, kernel: number, stride: number, groups = 1): Sequential =>
  new Sequential(
    new Conv2d(inChannels, outChannels, kernel, { stride, padding: (kernel - 1) / 2, groups, bias: false }),
    new BatchNorm2d(outChannels),
    new ReLU6(),
  );

/** Widen, filter each channel by itself, narrow; the input is added where the shapes agree. */
export class InvertedResidual extends Module {
  readonly conv: Sequential;
  readonly useResidual: boolean;

  constructor(inChannels: number, outChannels: number, stride: number, expand: number) {
    super();
    const hidden = inChannels * expand;
    this.useResidual = stride === 1 && inChannels === outChannels;
    this.conv = new Sequential(
      ...(expand === 1 ? [] : [convBnRelu6(inChannels, hidden, 1, 1)]),
      convBnRelu6(hidden, hidden, 3, stride, hidden),
      new Conv2d(hidden, outChannels, 1, { bias: false }),
      new BatchNorm2d(outChannels),
    );
  }

  forward(x: Tensor): Tensor {
    const y = this.conv.call(x);
    return this.useResidual ? x.add(y) : y;
  }
}

/** Rows of the paper's table 2: expansion, channels, repeats, stride of the first. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** [N, 3, H, W] -> [N, classes]; 3.5 million parameters with 1000 classes. */
export class MobileNetV2 extends Module {
  readonly features: Sequential;
  readonly classifier: Linear;

  constructor({ classes = 1000 } = {}) {
    super();
    this.features = new Sequential(convBnRelu6(3, 32, 3, 2));
    let inChannels = 32;
    for (const [expand, channels, repeats, stride] of STAGES) {
      for (let i = 0; i < repeats; i++) {
        this.features.append(new InvertedResidual(inChannels, channels, i === 0 ? stride : 1, expand));
        inChannels = channels;
      }
    }
    this.features.append(convBnRelu6(inChannels, 1280, 1, 1));
    this.classifier = new Linear(1280, classes);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.call(this.features.call(x).mean([2, 3]));
  }
}
