/**
 * Averages of weights: stochastic weight averaging (Izmailov et al. 2018) and exponential moving averages. Imports
 * modules beside the Tensor API.
 */
import { BatchNorm } from '../nn/batchNorm.ts';
import { type AnyModule, Module } from '../nn/index.ts';
import type { StateDict } from '../nn/state.ts';
import { flush, isTracing } from '../runtime/index.ts';
import { isFloat, noGrad, Parameter, Tensor, where } from '../tensor/index.ts';
import { describe } from '../tensor/operands.ts';
import { checkChoice, checkOptions } from '../tensor/options.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { ANNEALINGS, checkOptimizer, checkSteps, perGroup } from './scheduler.ts';

/**
 * The new average of one tensor, from the old one, the newest value and how many have been averaged so far (an i64
 * scalar).
 */
export type AverageFn = (averaged: Tensor, current: Tensor, count: Tensor) => Tensor;

/** The plain mean of all values: SWA. */
const meanFn: AverageFn = (averaged, current, count) =>
  averaged.add(current.sub(averaged).div(count.add(1).to(averaged.dtype)));

/** decay * averaged + (1 - decay) * current: an exponential moving average. @throws Error unless 0 <= decay <= 1 */
export function getEmaAvgFn(decay = 0.999): AverageFn {
  if (!(decay >= 0 && decay <= 1)) throw new Error(`getEmaAvgFn: decay ${decay} came, expected 0 to 1`);
  return (averaged, current) => averaged.mul(decay).add(current.mul(1 - decay));
}

export interface AveragedModelOptions {
  /** How values are averaged; the plain mean by default, `getEmaAvgFn(decay)` for a moving average. */
  readonly avgFn?: AverageFn;
  /** Whether buffers are averaged too; otherwise they follow the model's. false by default. */
  readonly useBuffers?: boolean;
}

interface Averaged {
  readonly average: Parameter;
  readonly kind: 'parameter' | 'buffer';
}

/** Parameters and buffers of a model by name, as they are now. */
const sourcesOf = (model: AnyModule): Map<string, Parameter> =>
  new Map([...model.namedParameters(), ...model.namedBuffers()]);

/** What is averaged, and how: copies of an AveragedModel have averages of their own, of the same model. */
class Averaging<In extends readonly unknown[], Out> {
  readonly model: Module<In, Out>;
  readonly avgFn: AverageFn;
  readonly useBuffers: boolean;

  constructor(model: Module<In, Out>, avgFn: AverageFn, useBuffers: boolean) {
    this.model = model;
    this.avgFn = avgFn;
    this.useBuffers = useBuffers;
  }
}

/** A symbol: the averages are no fields, they stand under the names of the model's parameters. */
const AVERAGES = Symbol('averages');

/**
 * A model whose weights are averages of another's: call `updateParameters()` after optimizer steps (inside a compiled
 * step as well), `forward` to compute with the averages, `updateBn` before evaluating a model with batch normalisation.
 * The state dict has PyTorch's keys: `n_averaged` and `module.` before every name.
 */
export class AveragedModel<In extends readonly unknown[], Out> extends Module<In, Out> {
  readonly nAveraged: Parameter;
  private readonly averaging: Averaging<In, Out>;
  private readonly [AVERAGES] = new Map<string, Averaged>();

  constructor(model: Module<In, Out>, options: AveragedModelOptions = {}) {
    const { avgFn = meanFn, useBuffers = false } = checkOptions('AveragedModel', options, ['avgFn', 'useBuffers']);
    if (!(model instanceof Module))
      throw new TypeError(`AveragedModel: model: expected a module, got ${describe(model)}`);
    super();
    this.averaging = new Averaging(model, avgFn, useBuffers);
    const add = (kind: Averaged['kind'], named: readonly [string, Parameter][]): void => {
      for (const [name, source] of named) {
        const average = new Parameter(source.detach(), { requiresGrad: false, name: `module.${name}` });
        this[AVERAGES].set(name, { average, kind });
      }
    };
    add('parameter', model.namedParameters());
    add('buffer', model.namedBuffers());
    this.nAveraged = this.registerBuffer('nAveraged', Tensor.from(0n));
  }

  /**
   * Takes the present weights of `model` (the one this was made from, by default) into the averages; the first time the
   * averages become them.
   * @throws Error when another model has not the same names
   */
  updateParameters(model: Module<In, Out> = this.averaging.model): void {
    const own = sourcesOf(model);
    const { avgFn, useBuffers } = this.averaging;
    noGrad(() => {
      const count = this.nAveraged.detach();
      const isFirst = count.eq(0);
      for (const [name, { average, kind }] of this[AVERAGES]) {
        const source = own.get(name);
        if (!source) throw new Error(`AveragedModel: updateParameters: the model has no "${name}"`);
        const current = source.detach();
        const averages = isFloat(source.dtype) && (kind === 'parameter' || useBuffers);
        average.assign(averages ? where(isFirst, current, avgFn(average.detach(), current, count)) : current);
      }
      this.nAveraged.assign(count.add(1));
    });
    flush();
  }

  /**
   * The model's `forward` with the averages, in this module's mode; running statistics are kept apart from the model's.
   */
  forward(...args: In): Out {
    const { model } = this.averaging;
    const modules = model.modules();
    const modes = modules.map(module => module.training);
    for (const module of modules) module.training = this.training;
    try {
      return Parameter.standingIn(this.averageOf(), () => model.call(...args));
    } finally {
      for (const [i, module] of modules.entries()) module.training = modes[i]!;
    }
  }

  /** The average that stands for each parameter and buffer of the model; what it got since then has none. */
  private averageOf(): Map<Parameter, Parameter> {
    const sources = sourcesOf(this.averaging.model);
    const pairs = [...this[AVERAGES]].map(([name, { average }]) => [sources.get(name), average] as const);
    return new Map(pairs.filter((pair): pair is readonly [Parameter, Parameter] => pair[0] !== undefined));
  }

  private averages(kind: Averaged['kind']): [string, Parameter][] {
    return [...this[AVERAGES]]
      .filter(([, one]) => one.kind === kind)
      .map(([name, one]) => [`module.${name}`, one.average]);
  }

  override namedParameters(): [string, Parameter][] {
    return this.averages('parameter');
  }

  override namedBuffers(): [string, Parameter][] {
    return [['n_averaged', this.nAveraged], ...this.averages('buffer')];
  }

  override stateDict(prefix = ''): StateDict {
    const own = [...this[AVERAGES]].map(
      ([name, { average }]) => [`${prefix && `${prefix}.`}module.${name}`, average] as const,
    );
    return { ...super.stateDict(prefix), ...Object.fromEntries(own) };
  }

  /**
   * Resets the running statistics of the averaged model; batch normalisations average over all batches while `run`
   * runs.
   */
  collectStatistics(run: () => void): void {
    const layers = this.averaging.model.modules().filter(module => module instanceof BatchNorm);
    const averageOf = this.averageOf();
    collecting(layers, buffer => averageOf.get(buffer) ?? buffer, this, run);
  }
}

/** Runs `run` in training mode with plain averages of statistics that start anew. */
function collecting(
  layers: readonly BatchNorm[],
  memoryOf: (buffer: Parameter) => Parameter,
  model: { readonly training: boolean; train(mode?: boolean): unknown },
  run: () => void,
): void {
  const momenta = layers.map(layer => layer.momentum);
  const before = model.training;
  for (const layer of layers) {
    for (const [buffer, start] of [
      [layer.runningMean, 0],
      [layer.runningVar, 1],
      [layer.numBatchesTracked, 0],
    ] as const)
      if (buffer) memoryOf(buffer).assign(buffer.detach().mul(0).add(start));
    layer.momentum = null;
  }
  model.train();
  try {
    noGrad(run);
  } finally {
    for (const [i, layer] of layers.entries()) layer.momentum = momenta[i]!;
    model.train(before);
  }
  flush();
}

/**
 * Computes the running statistics of a model's batch normalisations anew, as plain averages over the batches: averaged
 * weights have other activations than those that were averaged. A batch is the model's input, or a list that starts
 * with it.
 */
export function updateBn(loader: Iterable<Tensor | readonly unknown[]>, model: Module<[Tensor], unknown>): void {
  const run = (): void => {
    for (const batch of loader) {
      const [input] = Array.isArray(batch) ? (batch as readonly unknown[]) : [batch];
      if (!(input instanceof Tensor))
        throw new TypeError('updateBn: expected batches of a tensor, or lists that start with one');
      model.forward(input);
      flush();
    }
  };
  if (isTracing()) throw new Error('updateBn: called inside compile, where no batch has a value; call it outside');
  if (model instanceof AveragedModel) {
    model.collectStatistics(run);
    return;
  }
  const layers = model.modules().filter(module => module instanceof BatchNorm);
  if (layers.length > 0) collecting(layers, buffer => buffer, model, run);
}

export interface SWALROptions {
  /** The rate at the end, for all groups or one per group. */
  readonly swaLr: number | readonly number[];
  /** Steps from the rate it finds to swaLr; 10 by default. */
  readonly annealEpochs?: number;
  /** 'cos' by default. */
  readonly annealStrategy?: 'cos' | 'linear';
}

/** Moves the rates from wherever they are when it is first stepped to a constant one. */
export class SWALR {
  readonly optimizer: AnyOptimizer;
  readonly #options: Required<SWALROptions>;
  #epoch = 0;

  constructor(optimizer: AnyOptimizer, options: SWALROptions) {
    checkOptions('SWALR', options, ['swaLr', 'annealEpochs', 'annealStrategy']);
    this.optimizer = checkOptimizer('SWALR', optimizer);
    this.#options = { annealEpochs: 10, annealStrategy: 'cos', ...options };
    const { annealEpochs, annealStrategy } = this.#options;
    if (annealEpochs !== 0) checkSteps('SWALR: annealEpochs', annealEpochs);
    checkChoice('SWALR', 'annealStrategy', annealStrategy, ANNEALINGS);
  }

  /** Share of swaLr in the rate after `epoch` steps. */
  #share(epoch: number): number {
    const { annealEpochs, annealStrategy } = this.#options;
    const t = Math.max(0, Math.min(1, epoch / Math.max(1, annealEpochs)));
    return annealStrategy === 'cos' ? (1 - Math.cos(Math.PI * t)) / 2 : t;
  }

  /** The groups' present rates. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map(group => group.lr);
  }

  /** Moves every rate on towards `swaLr`. Call it after `optimizer.step()`. */
  step(): void {
    this.#epoch++;
    const before = this.#share(this.#epoch - 1);
    const share = this.#share(this.#epoch);
    this.optimizer.paramGroups.forEach((group, i) => {
      const end = perGroup('SWALR: swaLr', this.#options.swaLr, i);
      // What the rate was before the first step, by what is left of it now.
      const start = before === 1 ? end : (group.lr - before * end) / (1 - before);
      group.lr = end * share + start * (1 - share);
    });
  }

  /** Steps taken, as plain data fit for JSON. */
  stateDict(): { readonly epoch: number } {
    return { epoch: this.#epoch };
  }

  /** The rates themselves are part of the optimizer's state. */
  loadStateDict({ epoch }: { readonly epoch: number }): void {
    this.#epoch = epoch;
  }
}
