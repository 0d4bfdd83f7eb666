/**
 * What K-FAC watches of a layer: the second moments of what goes in and of the gradients that come back.
 */
import { Conv1d, Conv2d, edges } from '../nn/conv.ts';
import { Linear } from '../nn/linear.ts';
import type { AnyModule } from '../nn/module.ts';
import { keepForFlush } from '../runtime/index.ts';
import { cat, customGrad, F, ones, Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { isInsideTransform } from '../tensor/symbolic.ts';

/** Second moments of one step. */
export interface Statistics {
  /** a aᵀ, added up over positions, the mean over the batch; [inputs, inputs]. */
  readonly input: Tensor;
  /** g gᵀ of the gradients of single samples, the mean over positions and the batch; [outputs, outputs]. */
  readonly output: Tensor;
}

/** What differs between linear layers and convolutions. */
interface Kind {
  /** Inputs of all positions as rows, [batch * positions, inputs]. */
  readonly inputRows: (x: Tensor) => Tensor;
  /** The layer's output with a probe: backward adds the second moment of its gradient to the probe's. */
  readonly probed: (output: Tensor, probe: Tensor) => Tensor;
}

/**
 * An identity of an output that lets gradients through and gives their second moment as the gradient of a probe. The
 * loss is a mean over the batch, so the gradient of a single sample is batch times as large as what arrives.
 */
const probing = (outputRows: (ct: Tensor) => Tensor): Kind['probed'] =>
  customGrad((output: Tensor, _probe: Tensor) => output, {
    vjp: ct => {
      const rows = outputRows(ct);
      const batch = ct.shape[0]!;
      const positions = rows.shape[0]! / batch;
      return [ct, rows.T.matmul(rows).mul(batch / positions)];
    },
  });

const lastAsRows = (x: Tensor): Tensor => x.reshape([-1, x.shape.at(-1)!]);
const channelsAsRows = (x: Tensor): Tensor => lastAsRows(x.flatten(2).transpose(1, 2));

const LINEAR: Kind = { inputRows: lastAsRows, probed: probing(lastAsRows) };
const probedConvolution = probing(channelsAsRows);

/** The patches that a convolution multiplies by its kernel, one a row. */
function patches(layer: Conv1d | Conv2d, x: Tensor): Tensor {
  const { kernelSize } = layer;
  const [padded, geometry] = layer.padded(x);
  const { stride, dilation } = geometry;
  // Padding as amounts at both ends, so that 'same' needs no case of its own.
  const whole = F.pad(padded, edges(kernelSize, geometry));
  const flat = kernelSize.length === 1;
  const image = flat ? whole.unsqueeze(2) : whole;
  const both = (values: readonly number[]): number[] => (flat ? [1, values[0]!] : [...values]);
  return channelsLast(F.unfold(image, both(kernelSize), { stride: both(stride), dilation: both(dilation) }));
}

/** [batch, inputs, positions] as rows. */
const channelsLast = (columns: Tensor): Tensor => lastAsRows(columns.transpose(1, 2));

/** One watched layer. */
export class KroneckerLayer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  /** Sizes of the factors; the bias counts as the weight of an input that is 1. */
  readonly inputs: number;
  readonly outputs: number;
  readonly #layer: Linear | Conv1d | Conv2d;
  readonly #kind: Kind;
  readonly #probe: Parameter;
  #moments: Tensor[] = [];

  constructor(layer: Linear | Conv1d | Conv2d) {
    const { weight, bias } = layer;
    this.weight = weight;
    this.bias = bias;
    this.outputs = weight.shape[0]!;
    this.inputs = weight.numel() / this.outputs + (bias ? 1 : 0);
    this.#layer = layer;
    this.#kind = layer instanceof Linear ? LINEAR : { inputRows: x => patches(layer, x), probed: probedConvolution };
    this.#probe = new Parameter(zeros([this.outputs, this.outputs], { dtype: weight.dtype }));
    const plain = (x: Tensor): Tensor => (Object.getPrototypeOf(layer) as Linear).forward.call(layer, x);
    // An own property, so that it is seen however the layer is called; not enumerable, as it is no state.
    Object.defineProperty(layer, 'forward', {
      value: (x: Tensor) => (layer.training && !isInsideTransform() ? this.#watch(x, plain(x)) : plain(x)),
      configurable: true,
    });
  }

  #watch(x: Tensor, output: Tensor): Tensor {
    const given = this.#kind.inputRows(x.detach());
    const rows = this.bias ? cat([given, ones([given.shape[0]!, 1], { dtype: given.dtype })], 1) : given;
    const moment = rows.T.matmul(rows).div(x.shape[0]!);
    keepForFlush(moment.node);
    this.#moments.push(moment);
    return this.#kind.probed(output, this.#probe);
  }

  /** Whether the layer ran and gradients came back since the last step. */
  get hasStatistics(): boolean {
    return this.#moments.length > 0 && this.#probe.grad !== null;
  }

  /** The moments of all uses of the layer in this step. */
  takeStatistics(): Statistics {
    const input = this.#moments.reduce((a, b) => a.add(b));
    const output = this.#probe.grad!.detach();
    this.forget();
    return { input, output };
  }

  /** Drops what was collected. */
  forget(): void {
    this.#moments = [];
    this.#probe.grad = null;
  }

  /** Lets go of the layer. */
  release(): void {
    this.forget();
    Reflect.deleteProperty(this.#layer, 'forward');
  }
}

/** The layers of a model that K-FAC knows: linear ones and convolutions without groups whose weights are trained. */
export function layersOf(model: AnyModule): KroneckerLayer[] {
  const seen = new Set<Parameter>();
  return model.modules().flatMap(module => {
    const isConvolution = module instanceof Conv1d || module instanceof Conv2d;
    if (!isConvolution && !(module instanceof Linear)) return [];
    if (isConvolution && module.geometry.groups !== 1) return [];
    // A weight that two modules share has no single input.
    if (!module.weight.requiresGrad || seen.has(module.weight)) return [];
    seen.add(module.weight);
    return [new KroneckerLayer(module)];
  });
}
