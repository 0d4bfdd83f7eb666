/**
 * A recurrent classifier of sequences.
 */
import { Linear, LSTM, Module } from '../nn/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';

/** An LSTM over [N, T, inputs] and a linear layer on its last output -> [N, numClasses]. */
export class LSTMNet extends Module {
  readonly lstm: LSTM;
  readonly head: Linear;

  constructor(
    options: {
      readonly inputs?: number;
      readonly hidden?: number;
      readonly numClasses?: number;
      readonly layers?: number;
    } = {},
  ) {
    const {
      inputs = 128,
      hidden = 256,
      numClasses = 10,
      layers = 1,
    } = checkOptions('LSTMNet', options, ['inputs', 'hidden', 'numClasses', 'layers']);
    super();
    this.lstm = new LSTM(inputs, hidden, { numLayers: layers, batchFirst: true });
    this.head = new Linear(hidden, numClasses);
  }

  forward(x: Tensor): Tensor {
    const [outputs] = this.lstm.call(x);
    return this.head.call(outputs.select(1, -1));
  }
}
