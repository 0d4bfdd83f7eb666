/**
 * One step of each recurrent cell, as plain functions, and the cells as modules.
 */
import { F, type Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { checkChoice, checkOptions } from '../tensor/options.ts';
import { blank, uniform_ } from './init.ts';
import { Module } from './module.ts';

export type Nonlinearity = 'tanh' | 'relu';

/** @throws TypeError for another one */
export const checkNonlinearity = (what: string, given: Nonlinearity): void =>
  checkChoice(what, 'nonlinearity', given, ['tanh', 'relu']);

/** The recurrent half of a cell's weights. */
export interface GateWeights {
  /** [gates * hidden, hidden] ([gates * hidden, projected] with a projection) */
  readonly weightHh: Parameter;
  readonly biasHh: Parameter | null;
  /** The projection of LSTM's output, [projected, hidden]. */
  readonly weightHr?: Parameter | null;
}

/** `projected` is W_ih x + b_ih, [N, hidden]. */
export function rnnStep(
  projected: Tensor,
  h: Tensor,
  { weightHh, biasHh }: GateWeights,
  nonlinearity: Nonlinearity,
): Tensor {
  const sum = projected.add(F.linear(h, weightHh, biasHh));
  return nonlinearity === 'tanh' ? sum.tanh() : sum.relu();
}

/** `projected` is [N, 4 * hidden]; returns [h, c]. */
export function lstmStep(
  projected: Tensor,
  h: Tensor,
  c: Tensor,
  { weightHh, biasHh, weightHr }: GateWeights,
): [Tensor, Tensor] {
  const gates = projected.add(F.linear(h, weightHh, biasHh));
  const [input, forget, cell, output] = gates.chunk(4, -1) as [Tensor, Tensor, Tensor, Tensor];
  const next = forget.sigmoid().mul(c).add(input.sigmoid().mul(cell.tanh()));
  const out = output.sigmoid().mul(next.tanh());
  return [weightHr ? F.linear(out, weightHr) : out, next];
}

/** `projected` is [N, 3 * hidden]. */
export function gruStep(projected: Tensor, h: Tensor, { weightHh, biasHh }: GateWeights): Tensor {
  const [resetX, updateX, newX] = projected.chunk(3, -1) as [Tensor, Tensor, Tensor];
  const [resetH, updateH, newH] = F.linear(h, weightHh, biasHh).chunk(3, -1) as [Tensor, Tensor, Tensor];
  const reset = resetX.add(resetH).sigmoid();
  const update = updateX.add(updateH).sigmoid();
  const candidate = newX.add(reset.mul(newH)).tanh();
  return h.sub(candidate).mul(update).add(candidate);
}

/** What the cells share: their weights, and zeros where no state is given. */
abstract class Cell<In extends unknown[], Out> extends Module<In, Out> {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly biasIh: Parameter | null;
  readonly biasHh: Parameter | null;
  readonly hiddenSize: number;

  constructor(gates: number, inputSize: number, hiddenSize: number, bias: boolean) {
    super();
    this.hiddenSize = hiddenSize;
    const bound = 1 / Math.sqrt(hiddenSize);
    const own = (shape: readonly number[]): Parameter => uniform_(blank(shape), -bound, bound);
    this.weightIh = own([gates * hiddenSize, inputSize]);
    this.weightHh = own([gates * hiddenSize, hiddenSize]);
    this.biasIh = bias ? own([gates * hiddenSize]) : null;
    this.biasHh = bias ? own([gates * hiddenSize]) : null;
  }

  /** W_ih x + b_ih of all gates. */
  protected project(x: Tensor): Tensor {
    return F.linear(x, this.weightIh, this.biasIh);
  }

  /** The state where none is given: zeros. */
  protected start(x: Tensor): Tensor {
    return zeros([...x.shape.slice(0, -1), this.hiddenSize], { dtype: x.dtype });
  }
}

export interface CellOptions {
  /** true by default. */
  readonly bias?: boolean;
}

/** One step of RNN: [N, input], [N, hidden] -> [N, hidden]; without N for one sample. */
export class RNNCell extends Cell<[x: Tensor, h?: Tensor], Tensor> {
  readonly nonlinearity: Nonlinearity;

  constructor(
    inputSize: number,
    hiddenSize: number,
    options: CellOptions & { readonly nonlinearity?: Nonlinearity } = {},
  ) {
    const { bias = true, nonlinearity = 'tanh' } = checkOptions('RNNCell', options, ['bias', 'nonlinearity']);
    super(1, inputSize, hiddenSize, bias);
    checkNonlinearity('RNNCell', nonlinearity);
    this.nonlinearity = nonlinearity;
  }

  forward(x: Tensor, h: Tensor = this.start(x)): Tensor {
    return rnnStep(this.project(x), h, this, this.nonlinearity);
  }
}

/** One step of LSTM: [N, input], [h, c] -> [h, c]; without N for one sample. */
export class LSTMCell extends Cell<[x: Tensor, state?: readonly [Tensor, Tensor]], [h: Tensor, c: Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    const { bias = true } = checkOptions('LSTMCell', options, ['bias']);
    super(4, inputSize, hiddenSize, bias);
  }

  forward(x: Tensor, state?: readonly [Tensor, Tensor]): [h: Tensor, c: Tensor] {
    const [h, c] = state ?? [this.start(x), this.start(x)];
    return lstmStep(this.project(x), h, c, this);
  }
}

/** One step of GRU: [N, input], [N, hidden] -> [N, hidden]; without N for one sample. */
export class GRUCell extends Cell<[x: Tensor, h?: Tensor], Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    const { bias = true } = checkOptions('GRUCell', options, ['bias']);
    super(3, inputSize, hiddenSize, bias);
  }

  forward(x: Tensor, h: Tensor = this.start(x)): Tensor {
    return gruStep(this.project(x), h, this);
  }
}
