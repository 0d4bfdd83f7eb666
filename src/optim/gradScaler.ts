/**
 * Loss scaling for f16 (Micikevicius et al. 2018, Mixed Precision Training): gradients too small for f16 are kept from
 * vanishing by a factor, and steps with overflow are left out. All of it is lazy, so it belongs into a compiled step as
 * well.
 */
import { keepForFlush, quietly } from '../runtime/index.ts';
import { Parameter, type Tensor, tensor, where } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import type { AnyOptimizer } from './optimizer.ts';
import { checkOptimizer } from './scheduler.ts';

export interface GradScalerOptions {
  /** First factor; 65536 by default. */
  readonly initScale?: number;
  /** What it is multiplied by after `growthInterval` steps without overflow; 2 by default. */
  readonly growthFactor?: number;
  /** What it is multiplied by after an overflow; 0.5 by default. */
  readonly backoffFactor?: number;
  /** 2000 by default. */
  readonly growthInterval?: number;
  /** False makes everything pass through; true by default. */
  readonly enabled?: boolean;
}

/** State of a scaler, for checkpoints. */
export interface GradScalerState {
  readonly scale: number;
  readonly growthTracker: number;
}

/**
 * Scales the loss, unscales the gradients, and leaves a step out when a gradient is infinite or NaN.
 *
 * @example
 * const scaler = new GradScaler();
 * const loss = autocast({ dtype: 'f16' }, () => F.crossEntropy(model.forward(x), y));
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 */
export class GradScaler {
  readonly #options: Required<GradScalerOptions>;
  readonly #scale: Parameter;
  readonly #steps: Parameter;
  /** Per optimizer since the last update: whether a gradient overflowed. */
  #found = new Map<AnyOptimizer, Tensor>();

  constructor(options: GradScalerOptions = {}) {
    checkOptions('GradScaler', options, ['initScale', 'growthFactor', 'backoffFactor', 'growthInterval', 'enabled']);
    const {
      initScale = 2 ** 16,
      growthFactor = 2,
      backoffFactor = 0.5,
      growthInterval = 2000,
      enabled = true,
    } = options;
    if (!(initScale > 0)) throw new RangeError(`GradScaler: initScale ${initScale} came, expected more than 0`);
    if (!(growthFactor > 1))
      throw new RangeError(`GradScaler: growthFactor ${growthFactor} came, expected more than 1`);
    if (!(backoffFactor > 0 && backoffFactor < 1))
      throw new RangeError(`GradScaler: backoffFactor ${backoffFactor} came, expected a number between 0 and 1`);
    if (!Number.isInteger(growthInterval) || growthInterval < 1)
      throw new RangeError(`GradScaler: growthInterval ${growthInterval} came, expected a whole number of at least 1`);
    this.#options = { initScale, growthFactor, backoffFactor, growthInterval, enabled };
    this.#scale = new Parameter(tensor(initScale), { requiresGrad: false, name: 'scale' });
    this.#steps = new Parameter(tensor(0, { dtype: 'i32' }), { requiresGrad: false, name: 'growthTracker' });
  }

  /** The loss times the factor, in f32: call `backward` on it. */
  scale(loss: Tensor): Tensor {
    if (!this.#options.enabled) return loss;
    // The loss itself may be read after the step, as without a scaler.
    keepForFlush(loss.node);
    return (loss.dtype === 'f16' || loss.dtype === 'bf16' ? loss.to('f32') : loss).mul(this.#scale);
  }

  /**
   * Divides the optimizer's gradients by the factor, so that they can be clipped before `step`, which otherwise does it
   * itself.
   *
   * @throws Error when they have been unscaled since the last update, or there are none
   */
  unscale(optimizer: AnyOptimizer): void {
    if (!this.#options.enabled) return;
    if (this.#found.has(optimizer))
      throw new Error('GradScaler.unscale: the gradients of this optimizer have been unscaled since the last update');
    checkOptimizer('GradScaler', optimizer);
    const found = quietly(() => this.#unscaled(optimizer));
    if (!found) throw new Error('GradScaler: the optimizer has no gradients; call scale(loss).backward() first');
    keepForFlush(found.node);
    this.#found.set(optimizer, found);
  }

  /** Divides the gradients. @returns whether one of them has overflowed, null where there is none */
  #unscaled(optimizer: AnyOptimizer): Tensor | null {
    const inverse = this.#scale.reciprocal();
    let found: Tensor | null = null;
    for (const parameter of optimizer.parameters) {
      const grad = parameter.gradFor('GradScaler');
      if (!grad) continue;
      const overflow = grad.detach().isfinite().all().logicalNot();
      found = found ? found.logicalOr(overflow) : overflow;
      parameter.grad = grad.mul(inverse.to(grad.dtype));
    }
    return found;
  }

  /** `optimizer.step()`, of which nothing happens when a gradient has overflowed. */
  step(optimizer: AnyOptimizer): void {
    if (!this.#options.enabled) {
      optimizer.step();
      return;
    }
    if (!this.#found.has(optimizer)) this.unscale(optimizer);
    optimizer.stepUnless(this.#found.get(optimizer)!);
  }

  /**
   * Adapts the factor: smaller after an overflow, larger after `growthInterval` steps without one.
   *
   * @throws Error when nothing was stepped or unscaled since the last update
   */
  update(): void {
    if (!this.#options.enabled) return;
    const [first, ...others] = this.#found.values();
    if (!first) throw new Error('GradScaler.update: nothing was stepped since the last update');
    const found = others.reduce((all, one) => all.logicalOr(one), first);
    const { growthFactor, backoffFactor, growthInterval } = this.#options;
    const steps = this.#steps.add(1);
    const grows = steps.ge(growthInterval);
    const scale = this.#scale;
    // As torch's, it does not grow beyond f32: bf16 overflows too seldom to stop it, and nothing shrinks an infinite
    // factor.
    const larger = scale.mul(growthFactor);
    const grown = where(grows.logicalAnd(larger.isfinite()), larger, scale);
    scale.assign(where(found, scale.mul(backoffFactor), grown));
    this.#steps.assign(where(found.logicalOr(grows), 0, steps));
    this.#found = new Map();
  }

  /** The factor now; 1 when not enabled. */
  getScale(): number {
    return this.#options.enabled ? Number(this.#scale.item()) : 1;
  }

  /** The factor and the steps since it changed, as plain data fit for JSON. */
  stateDict(): GradScalerState {
    return { scale: Number(this.#scale.item()), growthTracker: Number(this.#steps.item()) };
  }

  /** Goes on from a saved state. */
  loadStateDict({ scale, growthTracker }: GradScalerState): void {
    this.#scale.assign(tensor(scale));
    this.#steps.assign(tensor(growthTracker, { dtype: 'i32' }));
  }
}
