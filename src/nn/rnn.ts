/**
 * Recurrent networks of several layers and directions. The input projection of all steps is one matmul; only the
 * recurrent half runs step by step. Gate order and parameter names are PyTorch's.
 */
import { shapeText } from '../tensor/convert.ts';
import { cat, F, type Parameter, stack, type Tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { blank, uniform_ } from './init.ts';
import { Module } from './module.ts';
import { PackedSequence, reordered } from './packed.ts';
import { checkNonlinearity, type GateWeights, gruStep, lstmStep, type Nonlinearity, rnnStep } from './rnnSteps.ts';
import { checkSizes } from './sizes.ts';

export interface RecurrentOptions {
  /** Layers stacked on one another; 1 by default. */
  readonly numLayers?: number;
  /** true by default. */
  readonly bias?: boolean;
  /** Whether sequences are [N, T, features] instead of [T, N, features]; false by default. */
  readonly batchFirst?: boolean;
  /** Dropout on the outputs of all layers but the last, in training; 0 by default. */
  readonly dropout?: number;
  /** Whether a second pass runs from the end, its outputs joined to the first's; false by default. */
  readonly bidirectional?: boolean;
}

export interface LSTMOptions extends RecurrentOptions {
  /** Features that each step's output is projected to (Sak et al. 2014); 0, the default, for none. */
  readonly projSize?: number;
}

const OPTIONS = ['numLayers', 'bias', 'batchFirst', 'dropout', 'bidirectional'] as const;

/** Weights of one layer and direction. */
interface Pass extends GateWeights {
  readonly weightIh: Parameter;
  readonly biasIh: Parameter | null;
}

/** One tensor per kind of state: h, and for LSTM c; [N, size] for one pass, [layers * directions, N, size] for all. */
type State = readonly Tensor[];

/** How the rows of all steps lie in one tensor. */
interface Layout {
  readonly split: (rows: Tensor) => readonly Tensor[];
  readonly join: (steps: readonly Tensor[]) => Tensor;
}

/** [T, N, features]. */
const PADDED: Layout = { split: rows => rows.unbind(0), join: steps => stack(steps, 0) };

/** Those of step 0, then of step 1, ...: [sum of sizes, features]. */
const packedLayout = (sizes: readonly number[]): Layout => ({
  split: rows => rows.splitWithSizes(sizes, 0),
  join: steps => cat(steps, 0),
});

/** The walk over layers, directions and steps that all three share; each hidden unit has `gates` rows of weights. */
abstract class Recurrent<In extends unknown[], Out> extends Module<In, Out> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly bias: boolean;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  readonly projSize: number;

  constructor(gates: number, inputSize: number, hiddenSize: number, options: LSTMOptions) {
    super();
    const {
      numLayers = 1,
      bias = true,
      batchFirst = false,
      dropout = 0,
      bidirectional = false,
      projSize = 0,
    } = options;
    const what = this.constructor.name;
    checkSizes(what, { inputSize, hiddenSize, numLayers, projSize });
    if (numLayers === 0) throw new RangeError(`${what}: numLayers 0 came, expected at least 1`);
    if (projSize >= hiddenSize && projSize > 0)
      throw new RangeError(`${what}: projSize ${projSize} came, expected less than hiddenSize ${hiddenSize}`);
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.numLayers = numLayers;
    this.bias = bias;
    this.batchFirst = batchFirst;
    this.dropout = dropout;
    this.bidirectional = bidirectional;
    this.projSize = projSize;
    const outputs = this.outputSize;
    const rows = gates * hiddenSize;
    for (let layer = 0; layer < numLayers; layer++) {
      const width = layer === 0 ? inputSize : outputs * this.suffixes.length;
      for (const suffix of this.suffixes) {
        this.own(`weightIhL${layer}${suffix}`, [rows, width]);
        this.own(`weightHhL${layer}${suffix}`, [rows, outputs]);
        if (bias) {
          this.own(`biasIhL${layer}${suffix}`, [rows]);
          this.own(`biasHhL${layer}${suffix}`, [rows]);
        }
        if (projSize > 0) this.own(`weightHrL${layer}${suffix}`, [projSize, hiddenSize]);
      }
    }
  }

  /** Features of h, and of the output in one direction. */
  private get outputSize(): number {
    return this.projSize || this.hiddenSize;
  }

  /** What parameter names end in, one per direction. */
  private get suffixes(): readonly string[] {
    return this.bidirectional ? ['', 'Reverse'] : [''];
  }

  private own(property: string, shape: readonly number[]): void {
    const bound = 1 / Math.sqrt(this.hiddenSize);
    const value = uniform_(blank(shape), -bound, bound);
    Object.defineProperty(this, property, { value, enumerable: true, configurable: true, writable: true });
  }

  private pass(layer: number, suffix: string): Pass {
    const own = (name: string): Parameter => Reflect.get(this, `${name}L${layer}${suffix}`) as Parameter;
    return {
      weightIh: own('weightIh'),
      weightHh: own('weightHh'),
      biasIh: this.bias ? own('biasIh') : null,
      biasHh: this.bias ? own('biasHh') : null,
      weightHr: this.projSize > 0 ? own('weightHr') : null,
    };
  }

  /** Whether a gate multiplies the recurrent half, its bias included. */
  protected get resetsHidden(): boolean {
    return false;
  }

  /** One step of the cell: the projected input [N, gates * hidden] and the state before to the state after. */
  protected abstract step(projected: Tensor, state: State, weights: GateWeights): State;

  /**
   * Runs all steps of one layer and direction. Sequences of different lengths come sorted by falling length: going on,
   * those that have ended leave with their state; from the end, those that begin join.
   */
  private runPass(
    x: Tensor,
    layout: Layout,
    pass: Pass,
    first: State,
    backwards: boolean,
  ): { readonly outputs: Tensor; readonly last: State } {
    const { weightIh, weightHh, biasIh, biasHh, weightHr } = pass;
    // Where both biases are only added, they are added once for all steps: one gradient instead of one per step.
    const joined = !this.resetsHidden && biasIh && biasHh ? biasIh.add(biasHh) : null;
    const weights = { weightHh, biasHh: joined ? null : biasHh, weightHr };
    const projected = layout.split(F.linear(x, weightIh, joined ?? biasIh));
    const steps = projected.length;
    const outputs: Tensor[] = Array.from({ length: steps });
    let count = projected[backwards ? steps - 1 : 0]!.shape[0]!;
    let state = count === first[0]!.shape[0] ? first : first.map(part => part.narrow(0, 0, count));
    const ended: State[] = [];
    for (let i = 0; i < steps; i++) {
      const t = backwards ? steps - 1 - i : i;
      const size = projected[t]!.shape[0]!;
      if (size > count) state = state.map((part, k) => cat([part, first[k]!.narrow(0, count, size - count)], 0));
      if (size < count) {
        ended.unshift(state.map(part => part.narrow(0, size, count - size)));
        state = state.map(part => part.narrow(0, 0, size));
      }
      count = size;
      state = this.step(projected[t]!, state, weights);
      outputs[t] = state[0]!;
    }
    const last = ended.length === 0 ? state : state.map((part, k) => cat([part, ...ended.map(parts => parts[k]!)], 0));
    return { outputs: layout.join(outputs), last };
  }

  /**
   * Runs the network.
   * @param input [T, N, inputSize] (or [N, T, inputSize] when batchFirst), one sequence [T, inputSize], or a packed
   * batch of sequences
   * @param initial per kind of state [layers * directions, N, size]; zeros by default
   */
  protected run<I extends Tensor | PackedSequence>(
    input: I,
    initial: State | undefined,
    kinds: number,
  ): { readonly output: I; readonly state: State } {
    const what = this.constructor.name;
    const packed = input instanceof PackedSequence ? input : null;
    const given: Tensor = input instanceof PackedSequence ? input.data : input;
    const single = !packed && given.ndim === 2;
    if (given.ndim !== (single || packed ? 2 : 3) || given.shape.at(-1) !== this.inputSize)
      throw new Error(
        `${what}: input ${shapeText(given.shape)} came, expected 3 dimensions (or 2 for one sequence, or packed) with ${this.inputSize} features last`,
      );
    if (given.shape[single || packed || !this.batchFirst ? 0 : 1] === 0)
      throw new Error(`${what}: input ${shapeText(given.shape)} has no steps`);
    let x = single ? given.unsqueeze(1) : this.batchFirst && !packed ? given.transpose(0, 1) : given;
    const batch = packed ? packed.batchSizes[0]! : x.shape[1]!;
    const layout = packed ? packedLayout(packed.batchSizes) : PADDED;
    const sizes = [this.outputSize, this.hiddenSize];
    const start = initial?.map((tensor, kind) => {
      const expected = [this.numLayers * this.suffixes.length, batch, sizes[kind]!];
      const first = single ? tensor.unsqueeze(1) : tensor;
      if (first.shape.join() !== expected.join())
        throw new Error(
          `${what}: state ${shapeText(tensor.shape)} came, expected ${shapeText(single ? expected.filter((_, d) => d !== 1) : expected)}`,
        );
      return reordered(first, 1, packed?.sortedIndices ?? null);
    });

    const last: State[] = [];
    for (let layer = 0; layer < this.numLayers; layer++) {
      const directions = this.suffixes.map((suffix, direction) => {
        const index = layer * this.suffixes.length + direction;
        const first = start
          ? start.map(tensor => tensor.select(0, index))
          : Array.from({ length: kinds }, (_, kind) => zeros([batch, sizes[kind]!], { dtype: x.dtype }));
        const { outputs, last: end } = this.runPass(x, layout, this.pass(layer, suffix), first, direction === 1);
        last.push(end);
        return outputs;
      });
      x = directions.length === 1 ? directions[0]! : cat(directions, x.ndim - 1);
      if (layer < this.numLayers - 1) x = F.dropout(x, { p: this.dropout, training: this.training });
    }
    const state = Array.from({ length: kinds }, (_, kind) => {
      const all = stack(
        last.map(end => end[kind]!),
        0,
      );
      return single ? all.squeeze(1) : reordered(all, 1, packed?.unsortedIndices ?? null);
    });
    const output = packed ? packed.with(x) : single ? x.squeeze(1) : this.batchFirst ? x.transpose(0, 1) : x;
    return { output: output as I, state };
  }
}

export interface RNNOptions extends RecurrentOptions {
  /** 'tanh' by default. */
  readonly nonlinearity?: Nonlinearity;
}

/** h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Returns the outputs of all steps and the last state. */
export class RNN extends Recurrent<[input: Tensor, hx?: Tensor], [output: Tensor, hn: Tensor]> {
  readonly nonlinearity: Nonlinearity;

  constructor(inputSize: number, hiddenSize: number, options: RNNOptions = {}) {
    super(1, inputSize, hiddenSize, options);
    checkOptions('RNN', options, [...OPTIONS, 'nonlinearity']);
    this.nonlinearity = options.nonlinearity ?? 'tanh';
    checkNonlinearity('RNN', this.nonlinearity);
  }

  protected step(projected: Tensor, [h]: State, weights: GateWeights): State {
    return [rnnStep(projected, h!, weights, this.nonlinearity)];
  }

  /** A packed batch gives a packed output. */
  forward<I extends Tensor | PackedSequence = Tensor>(input: I, hx?: Tensor): [output: I, hn: Tensor] {
    const { output, state } = this.run(input, hx && [hx], 1);
    return [output, state[0]!];
  }
}

/**
 * Long short-term memory; gates in the order input, forget, cell, output. The state is [h, c]; with `projSize`, h and
 * the outputs have that many features.
 */
export class LSTM extends Recurrent<
  [input: Tensor, hx?: readonly [Tensor, Tensor]],
  [output: Tensor, state: [Tensor, Tensor]]
> {
  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions = {}) {
    super(4, inputSize, hiddenSize, options);
    checkOptions('LSTM', options, [...OPTIONS, 'projSize']);
  }

  protected step(projected: Tensor, [h, c]: State, weights: GateWeights): State {
    return lstmStep(projected, h!, c!, weights);
  }

  /** A packed batch gives a packed output. */
  forward<I extends Tensor | PackedSequence = Tensor>(
    input: I,
    hx?: readonly [Tensor, Tensor],
  ): [output: I, state: [Tensor, Tensor]] {
    const { output, state } = this.run(input, hx, 2);
    return [output, [state[0]!, state[1]!]];
  }
}

/** Gated recurrent unit; gates in the order reset, update, new. */
export class GRU extends Recurrent<[input: Tensor, hx?: Tensor], [output: Tensor, hn: Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(3, inputSize, hiddenSize, options);
    checkOptions('GRU', options, OPTIONS);
  }

  protected override get resetsHidden(): boolean {
    return true;
  }

  protected step(projected: Tensor, [h]: State, weights: GateWeights): State {
    return [gruStep(projected, h!, weights)];
  }

  /** A packed batch gives a packed output. */
  forward<I extends Tensor | PackedSequence = Tensor>(input: I, hx?: Tensor): [output: I, hn: Tensor] {
    const { output, state } = this.run(input, hx && [hx], 1);
    return [output, state[0]!];
  }
}
