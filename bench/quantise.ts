/**
 * Static int8 for the quantised inference workload: weights are int8 per output channel, symmetric; activations go to a
 * uint8 grid per tensor, calibrated by the range seen on one input. Batch norm is folded first. Products are summed in
 * i32.
 */
import { F, noGrad, Parameter, type Tensor } from 'tenon';
import { type AnyModule, BatchNorm2d, Conv2d, Identity, Module, Sequential } from 'tenon/nn';

/** A convolution with batch norm folded in: plain f32 until `freeze`, int8 from then on. */
class QuantisedConv2d extends Module {
  readonly weight: Parameter;
  readonly scale: Parameter;
  readonly bias: Parameter;
  readonly geometry: Conv2d['geometry'];
  private readonly exact: Tensor;
  private lowest = 0;
  private highest = 0;
  private frozen = false;

  constructor(conv: Conv2d, norm: BatchNorm2d) {
    super();
    const { weight, bias, runningMean, runningVar, eps } = norm;
    const gain = weight!.div(runningVar!.add(eps).sqrt());
    this.exact = conv.weight.mul(gain.reshape([-1, 1, 1, 1])).detach();
    const scale = this.exact.abs().amax([1, 2, 3]).div(127);
    const held = (value: Tensor): Parameter => new Parameter(value.detach(), { requiresGrad: false });
    this.scale = held(scale);
    this.weight = held(
      this.exact
        .div(scale.reshape([-1, 1, 1, 1]))
        .round()
        .to('i8'),
    );
    this.bias = held(bias!.sub(runningMean!.mul(gain)));
    this.geometry = conv.geometry;
  }

  freeze(): void {
    this.frozen = true;
  }

  forward(x: Tensor): Tensor {
    if (!this.frozen) {
      this.lowest = Math.min(this.lowest, x.amin().item() as number);
      this.highest = Math.max(this.highest, x.amax().item() as number);
      return F.conv2d(x, this.exact, this.bias, this.geometry);
    }
    const step = (this.highest - this.lowest) / 255;
    const zero = Math.round(-this.lowest / step);
    const grid = x
      .mul(1 / step)
      .round()
      .add(zero)
      .clamp(0, 255)
      .to('u8');
    const perChannel = (t: Tensor): Tensor => t.reshape([1, -1, 1, 1]);
    return this.products(grid, zero)
      .to('f32')
      .mul(perChannel(this.scale.mul(step)))
      .add(perChannel(this.bias));
  }

  /** Sums of (grid - zero) * weight, i32; outside of the image grid is `zero`. */
  private products(grid: Tensor, zero: number): Tensor {
    const weight = this.weight.to('i32');
    if (zero === 0) return F.conv2d(grid.to('i32'), weight, null, this.geometry);
    const [top, left] = this.geometry.padding as number[];
    const padded = F.pad(grid, [left, left, top, top], { value: zero }).to('i32');
    const sums = F.conv2d(padded, weight, null, { ...this.geometry, padding: 0 });
    return sums.sub(weight.sum([1, 2, 3]).to('i32').mul(zero).reshape([1, -1, 1, 1]));
  }
}

/** Replaces every convolution that a batch norm follows, calibrating on `input`; the model is changed in place. */
export function quantise(model: Module, input: Tensor): void {
  const layers: QuantisedConv2d[] = [];
  const fold = (conv: AnyModule | undefined, norm: AnyModule | undefined): QuantisedConv2d | null => {
    if (!(conv instanceof Conv2d) || !(norm instanceof BatchNorm2d)) return null;
    const layer = new QuantisedConv2d(conv, norm);
    layers.push(layer);
    return layer;
  };
  for (const parent of model.modules()) {
    const fields = Object.entries(parent).filter((entry): entry is [string, AnyModule] => entry[1] instanceof Module);
    fields.forEach(([name, field], i) => {
      // A projection shortcut is a pair in a Sequential; elsewhere the batch norm is the next field.
      const pair = field instanceof Sequential && field.length === 2 ? fold(field.at(0), field.at(1)) : null;
      if (pair) Object.assign(parent, { [name]: pair });
      if (parent instanceof Sequential) return;
      const [nextName, next] = fields[i + 1] ?? [];
      const layer = fold(field, next);
      if (layer) Object.assign(parent, { [name]: layer, [nextName!]: new Identity() });
    });
  }
  noGrad(() => model.call(input).data());
  for (const layer of layers) layer.freeze();
}
