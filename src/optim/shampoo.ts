/**
 * Shampoo (Gupta, Koren and Singer 2018): a preconditioner for each axis of each parameter, from the second moments of
 * its gradients.
 */
import { cond, eye, F, linalg, type Parameter, type Tensor } from '../tensor/index.ts';
import { decayed } from './moments.ts';
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
  /**
   * Longer axes have preconditioners of so many elements each, one after another, and none between them; 128 by
   * default.
   */
  readonly blockSize?: number;
}

type Hyper = Required<ShampooOptions>;

/** An axis with its preconditioner. */
interface Axis {
  readonly parameter: Parameter;
  readonly axis: number;
  /** -1 / (2 * axes of the parameter). */
  readonly power: number;
  readonly factor: Tensor;
}

/**
 * The direction is the gradient times (epsilon + sum of second moments along the axis)^(-1 / (2 * axes)) for each axis.
 */
export class Shampoo extends Optimizer<Hyper> {
  constructor(params: Params<ShampooOptions>, options: ShampooOptions = {}) {
    super(
      params as Params<Hyper>,
      {
        lr: 0.1,
        momentum: 0,
        weightDecay: 0,
        epsilon: 1e-4,
        updateInterval: 1,
        blockSize: 128,
        maximize: false,
      },
      options,
    );
  }

  protected override check({ lr, momentum, weightDecay, epsilon, updateInterval, blockSize }: Hyper): void {
    this.atLeastZero({ lr, momentum, weightDecay });
    if (!(epsilon > 0)) throw new Error(`Shampoo: epsilon ${epsilon} came, expected above 0`);
    for (const [name, value] of Object.entries({ updateInterval, blockSize }))
      if (!Number.isInteger(value) || value < 1)
        throw new Error(`Shampoo: ${name} ${value} came, expected a whole number of at least 1`);
  }

  protected override slotShape(parameter: Parameter, name: string): readonly number[] {
    const axis = /^(?:factor|root)(\d+)$/.exec(name);
    if (!axis) return parameter.shape;
    const { blocks, size } = this.#blocksOf(parameter, Number(axis[1]));
    return [blocks, size, size];
  }

  /** How an axis is divided. */
  #blocksOf(parameter: Parameter, axis: number): { readonly blocks: number; readonly size: number } {
    const { blockSize } = this.paramGroups.find(group => group.params.includes(parameter))!.hyper;
    const length = parameter.shape[axis]!;
    const blocks = Math.max(1, Math.ceil(length / blockSize));
    return { blocks, size: Math.ceil(length / blocks) };
  }

  /** `[blocks, size, rest]`: `x` along one of its axes, with zeros after the last block. */
  #inBlocks(x: Tensor, parameter: Parameter, axis: number): Tensor {
    const { blocks, size } = this.#blocksOf(parameter, axis);
    const rows = x.movedim(axis, 0).reshape([x.shape[axis]!, -1]);
    const missing = blocks * size - rows.shape[0]!;
    return (missing > 0 ? F.pad(rows, [0, 0, 0, missing]) : rows).reshape([blocks, size, -1]);
  }

  protected update(group: ParamGroup<Hyper>, updates: readonly Update[]): void {
    const { momentum, weightDecay } = group.hyper;
    const axes = updates.flatMap(({ parameter, grad }) =>
      parameter.shape.map((_, axis): Axis => {
        const rows = this.#inBlocks(grad, parameter, axis);
        const factor = this.slot(parameter, `factor${axis}`);
        factor.assign(factor.add(rows.matmul(rows.mT)));
        return { parameter, axis, power: -1 / (2 * parameter.ndim), factor: factor.detach() };
      }),
    );
    const roots = this.#roots(group, axes);
    for (const { parameter, grad } of updates) {
      const own = axes.flatMap((axis, i) => (axis.parameter === parameter ? [{ ...axis, root: roots[i]! }] : []));
      const scaled = own.reduce((direction, { axis, root }) => {
        const { shape } = direction.movedim(axis, 0);
        const rows = root.matmul(this.#inBlocks(direction, parameter, axis)).flatten(0, 1);
        return rows.narrow(0, 0, shape[0]!).reshape(shape).movedim(0, axis);
      }, grad);
      const direction = decayed(scaled, parameter, weightDecay);
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

/** (factor + epsilon)^power of symmetric matrices without negative eigenvalues. */
function powerOf(factor: Tensor, epsilon: number, power: number): Tensor {
  const { eigenvalues, eigenvectors } = linalg.eigh(
    factor.add(eye(factor.shape.at(-1)!, undefined, { dtype: factor.dtype }).mul(epsilon)),
  );
  // Rounding may take an eigenvalue below the least there can be.
  return eigenvectors.mul(eigenvalues.clamp(epsilon, null).pow(power).unsqueeze(-2)).matmul(eigenvectors.mT);
}
