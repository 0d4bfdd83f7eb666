/**
 * Shampoo (Gupta, Koren and Singer 2018): a preconditioner for each axis of each parameter, from the second moments of its gradients.
 */
import { cond, eye, linalg, type Parameter, type Tensor } from '../tensor/index.ts';
import { type BaseHyper, Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts';

export interface ShampooOptions extends Partial<BaseHyper> {
  /** 0.1 by default. */
  readonly lr?: number;
  /** Share of the old direction that is kept; 0 by default. */
  readonly momentum?: number;
  /** Added to the direction as `weightDecay * parameter`; 0 by default. */
  readonly weightDecay?: number;
  /** What every sum of second moments starts from, times the identity; 1e-4 by default. */
  readonly epsilon?: number;
  /** Steps between two computations of the roots; 1 by default. */
  readonly updateInterval?: number;
  /** Axes longer than this have no preconditioner; 1024 by default. */
  readonly maxDim?: number;
}

type Hyper = Required<ShampooOptions>;

/** An axis with its preconditioner. */
interface Axis {
  readonly parameter: Parameter;
  readonly axis: number;
  /** -1 / (2 * preconditioned axes of the parameter). */
  readonly power: number;
  readonly factor: Tensor;
}

/** The direction is the gradient times (epsilon + sum of second moments along the axis)^(-1 / (2 * axes)) for each axis. */
export class Shampoo extends Optimizer<Hyper> {
  constructor(params: Params<ShampooOptions>, options: ShampooOptions = {}) {
    super(params as Params<Hyper>, {
      lr: 0.1,
      momentum: 0,
      weightDecay: 0,
      epsilon: 1e-4,
      updateInterval: 1,
      maxDim: 1024,
      maximize: false,
      ...options,
    });
  }

  protected override check({ lr, momentum, weightDecay, epsilon, updateInterval, maxDim }: Hyper): void {
    this.atLeastZero({ lr, momentum, weightDecay });
    if (!(epsilon > 0)) throw new Error(`Shampoo: epsilon ${epsilon} came, expected above 0`);
    for (const [name, value] of Object.entries({ updateInterval, maxDim }))
      if (!Number.isInteger(value) || value < 1)
        throw new Error(`Shampoo: ${name} ${value} came, expected a whole number of at least 1`);
  }

  protected override slotShape(parameter: Parameter, name: string): readonly number[] {
    const axis = /^(?:factor|root)(\d+)$/.exec(name);
    if (!axis) return parameter.shape;
    const size = parameter.shape[Number(axis[1])]!;
    return [size, size];
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { momentum, weightDecay, maxDim } = group.hyper;
    const axes = updates.flatMap(({ parameter, grad }): Axis[] => {
      const chosen = parameter.shape.map((_, axis) => axis).filter(axis => parameter.shape[axis]! <= maxDim);
      return chosen.map(axis => {
        const rows = grad.movedim(axis, 0).reshape([parameter.shape[axis]!, -1]);
        const factor = this.slot(parameter, `factor${axis}`);
        factor.assign(factor.add(rows.matmul(rows.T)));
        return { parameter, axis, power: -1 / (2 * chosen.length), factor: factor.detach() };
      });
    });
    const roots = this.#roots(group, axes);
    for (const { parameter, grad } of updates) {
      const own = axes.flatMap((axis, i) => (axis.parameter === parameter ? [{ ...axis, root: roots[i]! }] : []));
      const scaled = own.reduce((direction, { axis, root }) => {
        const first = direction.movedim(axis, 0);
        return root
          .matmul(first.reshape([first.shape[0]!, -1]))
          .reshape(first.shape)
          .movedim(0, axis);
      }, grad);
      const direction = weightDecay === 0 ? scaled : scaled.add(parameter.mul(weightDecay));
      const buffer = momentum === 0 ? null : this.slot(parameter, 'momentumBuffer');
      const step = buffer ? buffer.assign(buffer.mul(group.moving(momentum)).add(direction)) : direction;
      parameter.assign(parameter.sub(step.mul(group.rate)));
    }
  }

  /** The preconditioners: computed anew when it is time, else those of before. */
  #roots(group: ParamGroup<Hyper>, axes: readonly Axis[]): Tensor[] {
    const { epsilon, updateInterval } = group.hyper;
    const compute = (): Tensor[] => axes.map(({ factor, power }) => powerOf(factor, epsilon, power));
    if (updateInterval === 1 || axes.length === 0) return compute();
    const isDue = group.steps.amax().sub(1).remainder(updateInterval).eq(0);
    const kept = axes.map(({ parameter, axis }) => this.slot(parameter, `root${axis}`));
    const roots = cond(isDue, compute, () => kept.map(root => root.detach()));
    for (const [i, root] of roots.entries()) kept[i]!.assign(root);
    return roots;
  }
}

/** (factor + epsilon)^power of a symmetric matrix without negative eigenvalues. */
function powerOf(factor: Tensor, epsilon: number, power: number): Tensor {
  const { eigenvalues, eigenvectors } = linalg.eigh(
    factor.add(eye(factor.shape[0]!, undefined, { dtype: factor.dtype }).mul(epsilon)),
  );
  // Rounding may take an eigenvalue below the least there can be.
  return eigenvectors.mul(eigenvalues.clamp(epsilon, null).pow(power)).matmul(eigenvectors.T);
}
