/**
 * U-Net for segmentation (Ronneberger et al. 2015), padded so that the output is as large as the image, with batch
 * norm; the parameter names are those of the widely used milesial/Pytorch-UNet.
 */
import { BatchNorm2d, Conv2d, ConvTranspose2d, MaxPool2d, Module, ReLU, Sequential, Upsample } from '../../nn/index.ts';
import { cat, F, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';

/** Two 3x3 convolutions, each with batch norm and ReLU. */
class DoubleConv extends Module {
  readonly doubleConv: Sequential;

  constructor(inChannels: number, outChannels: number, midChannels = outChannels) {
    super();
    const half = (from: number, to: number): Module[] => [
      new Conv2d(from, to, 3, { padding: 1, bias: false }),
      new BatchNorm2d(to),
      new ReLU(),
    ];
    this.doubleConv = new Sequential(...half(inChannels, midChannels), ...half(midChannels, outChannels));
  }

  forward(x: Tensor): Tensor {
    return this.doubleConv.call(x);
  }
}

/** Half the size, then two convolutions. */
class Down extends Module {
  readonly maxpoolConv: Sequential;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.maxpoolConv = new Sequential(new MaxPool2d(2), new DoubleConv(inChannels, outChannels));
  }

  forward(x: Tensor): Tensor {
    return this.maxpoolConv.call(x);
  }
}

/** Twice the size, joined with what the way down had at that size, then two convolutions. */
class Up extends Module<[x: Tensor, skip: Tensor]> {
  readonly up: Upsample | ConvTranspose2d;
  readonly conv: DoubleConv;

  constructor(inChannels: number, outChannels: number, bilinear: boolean) {
    super();
    this.up = bilinear
      ? new Upsample({ scaleFactor: 2, mode: 'bilinear', alignCorners: true })
      : new ConvTranspose2d(inChannels, inChannels / 2, 2, { stride: 2 });
    this.conv = new DoubleConv(inChannels, outChannels, bilinear ? inChannels / 2 : outChannels);
  }

  forward(x: Tensor, skip: Tensor): Tensor {
    const large = this.up.call(x);
    // An odd size on the way down leaves a row or column that is missing now.
    const [dh, dw] = [skip.shape[2]! - large.shape[2]!, skip.shape[3]! - large.shape[3]!];
    const [top, left] = [Math.floor(dh / 2), Math.floor(dw / 2)];
    return this.conv.call(cat([skip, F.pad(large, [left, dw - left, top, dh - top])], 1));
  }
}

/** The last 1x1 convolution. */
class OutConv extends Module {
  readonly conv: Conv2d;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.conv = new Conv2d(inChannels, outChannels, 1);
  }

  forward(x: Tensor): Tensor {
    return this.conv.call(x);
  }
}

export interface UNetOptions {
  /** Channels of the image; 3 by default. */
  readonly channels?: number;
  /** Classes of each pixel; 2 by default. */
  readonly numClasses?: number;
  /** Whether the way up resamples instead of learning transposed convolutions; false by default. */
  readonly bilinear?: boolean;
  /** Channels at full size; 64 by default, doubled at each of four halvings. */
  readonly width?: number;
}

/** Images [N, channels, H, W] (at least 16x16) -> logits of each pixel, [N, numClasses, H, W]. */
export class UNet extends Module {
  readonly inc: DoubleConv;
  readonly down1: Down;
  readonly down2: Down;
  readonly down3: Down;
  readonly down4: Down;
  readonly up1: Up;
  readonly up2: Up;
  readonly up3: Up;
  readonly up4: Up;
  readonly outc: OutConv;

  constructor(options: UNetOptions = {}) {
    const {
      channels = 3,
      numClasses = 2,
      bilinear = false,
      width = 64,
    } = checkOptions('UNet', options, ['channels', 'numClasses', 'bilinear', 'width']);
    super();
    const factor = bilinear ? 2 : 1;
    this.inc = new DoubleConv(channels, width);
    this.down1 = new Down(width, 2 * width);
    this.down2 = new Down(2 * width, 4 * width);
    this.down3 = new Down(4 * width, 8 * width);
    this.down4 = new Down(8 * width, (16 * width) / factor);
    this.up1 = new Up(16 * width, (8 * width) / factor, bilinear);
    this.up2 = new Up(8 * width, (4 * width) / factor, bilinear);
    this.up3 = new Up(4 * width, (2 * width) / factor, bilinear);
    this.up4 = new Up(2 * width, width, bilinear);
    this.outc = new OutConv(width, numClasses);
  }

  forward(x: Tensor): Tensor {
    const x1 = this.inc.call(x);
    const x2 = this.down1.call(x1);
    const x3 = this.down2.call(x2);
    const x4 = this.down3.call(x3);
    let y = this.up1.call(this.down4.call(x4), x4);
    y = this.up2.call(y, x3);
    y = this.up3.call(y, x2);
    return this.outc.call(this.up4.call(y, x1));
  }
}
