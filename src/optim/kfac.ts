/**
 * K-FAC: natural gradients with a Fisher matrix that is a Kronecker product per layer (Martens and Grosse 2015;
 * convolutions as in Grosse and Martens 2016), as MindSpore's THOR has it. Imports modules beside the Tensor API: it
 * looks at what goes into layers.
 */
import type { AnyModule } from '../nn/module.ts';
import { cat, cond, linalg, ones, type Parameter, type Tensor, where } from '../tensor/index.ts';
import { type KroneckerLayer, layersOf } from './kfacLayers.ts';
import { decayed } from './moments.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface KFACOptions extends Partial<BaseHyper> {
  /** 1e-2 by default. */
  readonly lr?: number;
  /** Share of the old direction that is kept; 0.9 by default. */
  readonly momentum?: number;
  /** Added to the direction as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** What is added to the Fisher matrix before it is inverted, shared between its two factors; 1e-2 by default. */
  readonly damping?: number;
  /** Decay of the running means of the factors; 0.95 by default. The first steps weigh equally. */
  readonly statDecay?: number;
  /** Steps between two inversions of the factors; 10 by default. */
  readonly inverseInterval?: number;
  /** Bound on lr^2 * direction . gradient, to which directions are scaled down; 1e-3 by default, null for none. */
  readonly klClip?: number | null;
}

type Hyper = Required<KFACOptions>;

/** The factors of a layer's inverse Fisher matrix. */
interface Inverses {
  readonly input: Tensor;
  readonly output: Tensor;
}

/** A layer with the gradients of this step. */
interface Active {
  readonly layer: KroneckerLayer;
  readonly weight: Update;
  readonly bias: Update | null;
}

/**
 * Second-order steps for Linear and Conv1d/2d layers without groups: direction = output factor⁻¹ · gradient · input
 * factor⁻¹, where the factors are running means of a aᵀ over inputs and of g gᵀ over gradients by outputs. Other
 * parameters take plain steps with momentum. For losses that are means over the batch (the first dim).
 *
 *     const optimizer = new KFAC(model, { lr: 0.05 });
 *
 * Layers compute in training mode as always, and `optimizer.dispose()` lets go of them.
 */
export class KFAC extends Optimizer<Hyper> {
  readonly #layers: ReadonlyMap<Parameter, KroneckerLayer>;

  /**
   * @param model its layers are watched from now on; do not copy or convert it afterwards
   * @param options settings, and `params` for groups with settings of their own; all parameters of the model by default
   */
  constructor(model: AnyModule, { params, ...options }: KFACOptions & { readonly params?: Params<KFACOptions> } = {}) {
    const defaults = {
      lr: 1e-2,
      momentum: 0.9,
      weightDecay: 0,
      damping: 1e-2,
      statDecay: 0.95,
      inverseInterval: 10,
      klClip: 1e-3,
      maximize: false,
    };
    super((params ?? model.parameters()) as Params<Hyper>, defaults, options);
    this.#layers = new Map(layersOf(model).map(layer => [layer.weight, layer]));
  }

  protected override check({ lr, momentum, weightDecay, damping, statDecay, inverseInterval, klClip }: Hyper): void {
    this.atLeastZero({ lr, momentum, weightDecay });
    if (!(damping > 0)) throw new Error(`KFAC: damping ${damping} came, expected above 0`);
    if (!(statDecay >= 0 && statDecay < 1)) throw new Error(`KFAC: statDecay ${statDecay} came, expected 0 to below 1`);
    if (!Number.isInteger(inverseInterval) || inverseInterval < 1)
      throw new Error(`KFAC: inverseInterval ${inverseInterval} came, expected a whole number of at least 1`);
    if (klClip !== null && !(klClip > 0)) throw new Error(`KFAC: klClip ${klClip} came, expected above 0 or null`);
  }

  /** Stops watching the layers. */
  dispose(): void {
    for (const layer of this.#layers.values()) layer.release();
  }

  override zeroGrad(options: { readonly setToNone?: boolean } = {}): void {
    super.zeroGrad(options);
    for (const layer of this.#layers.values()) layer.forget();
  }

  protected override slotShape(parameter: Parameter, name: string): readonly number[] {
    const layer = this.#layers.get(parameter);
    if (layer && name.startsWith('input')) return [layer.inputs, layer.inputs];
    if (layer && name.startsWith('output')) return [layer.outputs, layer.outputs];
    return parameter.shape;
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const byParameter = new Map(updates.map(update => [update.parameter, update]));
    const active = updates.flatMap((weight): Active[] => {
      const layer = this.#layers.get(weight.parameter);
      if (!layer?.hasStatistics) return [];
      const bias = layer.bias ? byParameter.get(layer.bias) : null;
      return bias === undefined ? [] : [{ layer, weight, bias }];
    });
    const directions = this.#directions(group, active);
    const { momentum, weightDecay } = group.hyper;
    for (const { parameter, grad } of updates) {
      const plain = directions.get(parameter) ?? grad;
      const direction = decayed(plain, parameter, weightDecay);
      const buffer = this.slot(parameter, 'momentumBuffer');
      buffer.assign(buffer.mul(group.moving(momentum)).add(direction));
      parameter.assign(parameter.sub(buffer.mul(group.rate)));
    }
  }

  /** Natural gradients of the layers' parameters, scaled down together where they would go too far. */
  #directions(group: ParamGroup<Hyper>, active: readonly Active[]): Map<Parameter, Tensor> {
    const directions = new Map<Parameter, Tensor>();
    if (active.length === 0) return directions;
    const inverses = this.#inverses(group, active);
    let product: Tensor | null = null;
    for (const [i, { layer, weight, bias }] of active.entries()) {
      const { input, output } = inverses[i]!;
      const rows = weight.grad.reshape([layer.outputs, -1]);
      const slope = bias ? cat([rows, bias.grad.unsqueeze(1)], 1) : rows;
      const natural = output.matmul(slope).matmul(input);
      const along = natural.mul(slope).sum();
      product = product ? product.add(along) : along;
      const width = rows.shape[1]!;
      directions.set(weight.parameter, natural.narrow(1, 0, width).reshape(weight.grad.shape));
      if (bias) directions.set(bias.parameter, natural.select(1, width));
    }
    const { klClip } = group.hyper;
    if (klClip === null) return directions;
    const change = product!.mul(group.rate).mul(group.rate).abs();
    const scale = where(change.gt(klClip), change.reciprocal().mul(klClip).sqrt(), 1);
    for (const [parameter, direction] of directions) directions.set(parameter, direction.mul(scale));
    return directions;
  }

  /** Moves the factors on by this step's statistics, and inverts them when it is time. */
  #inverses(group: ParamGroup<Hyper>, active: readonly Active[]): Inverses[] {
    const { statDecay, inverseInterval, damping } = group.hyper;
    const factors = active.map(({ layer, weight: { parameter, index } }): Inverses => {
      // The mean of all steps so far until that is slower than the decay.
      const decay = group.steps.select(0, index).reciprocal().neg().add(1).clamp(null, statDecay);
      const moved = (name: string, newest: Tensor): Tensor => {
        const factor = this.slot(parameter, name);
        return factor.assign(factor.mul(decay).add(newest.mul(decay.neg().add(1)))).detach();
      };
      const { input, output } = layer.takeStatistics();
      return { input: moved('inputFactor', input), output: moved('outputFactor', output) };
    });
    const invert = (): Inverses[] => factors.map(own => damped(own, damping));
    if (inverseInterval === 1) return invert();
    const isDue = group.steps.amax().sub(1).remainder(inverseInterval).eq(0);
    const kept = active.map(({ weight }) => ({
      input: this.slot(weight.parameter, 'inputInverse'),
      output: this.slot(weight.parameter, 'outputInverse'),
    }));
    const due = cond(
      isDue,
      () => invert().map(({ input, output }) => ({ input, output })),
      () => kept.map(({ input, output }) => ({ input: input.detach(), output: output.detach() })),
    );
    for (const [i, { input, output }] of due.entries()) {
      kept[i]!.input.assign(input);
      kept[i]!.output.assign(output);
    }
    return due;
  }
}

/**
 * Inverses of both factors with the damping shared between them: pi is the root of the ratio of their mean eigenvalues.
 */
function damped({ input, output }: Inverses, damping: number): Inverses {
  const meanEigenvalue = (factor: Tensor): Tensor => factor.diagonal().mean();
  const pi = meanEigenvalue(input).div(meanEigenvalue(output)).sqrt();
  // Where nothing has flowed (a factor of zeros) there is no ratio.
  const share = where(pi.isfinite().logicalAnd(pi.gt(0)), pi, 1);
  const root = Math.sqrt(damping);
  const inverse = (factor: Tensor, amount: Tensor): Tensor =>
    // Damped, it is not singular: nothing to check.
    linalg.invEx(factor.add(ones([factor.shape[0]!], { dtype: factor.dtype }).mul(amount).diag())).inverse;
  return { input: inverse(input, share.mul(root)), output: inverse(output, share.reciprocal().mul(root)) };
}
