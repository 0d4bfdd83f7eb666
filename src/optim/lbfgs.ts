/**
 * L-BFGS (Liu and Nocedal 1989): curvature from the last steps, with a line search if wished. It decides by the values
 * of losses how far to go, so it drives the loop itself: each evaluation is one program from the cache, and what lies
 * between is arithmetic on vectors.
 */
import { flush, isTracing } from '../runtime/index.ts';
import { type Parameter, Tensor } from '../tensor/index.ts';
import { type BaseHyper, Optimizer, type OptimizerState, type Params } from './optimizer.ts';
import { dot, type Evaluation, largest, strongWolfe } from './strongWolfe.ts';

export interface LBFGSOptions extends Partial<Pick<BaseHyper, 'lr'>> {
  /** Length of a step, or of the first one that the line search tries; 1 by default. */
  readonly lr?: number;
  /** Iterations per `step`; 20 by default. */
  readonly maxIter?: number;
  /** Evaluations per `step`; 1.25 * maxIter by default. */
  readonly maxEval?: number;
  /** Ends when no element of the gradient is larger; 1e-7 by default. */
  readonly toleranceGrad?: number;
  /** Ends when neither parameters nor the loss change by more; 1e-9 by default. */
  readonly toleranceChange?: number;
  /** Steps that are remembered; 100 by default. */
  readonly historySize?: number;
  /** Line search; none by default. */
  readonly lineSearchFn?: 'strong_wolfe' | null;
}

type Hyper = Required<LBFGSOptions>;

/** What one step taught: how the parameters and the gradient changed. */
interface Pair {
  readonly change: Float64Array;
  readonly gradChange: Float64Array;
  /** 1 / (change . gradChange). */
  readonly rho: number;
}

/** Evaluates loss and gradients: clears gradients, computes the loss, calls backward, returns the loss. */
export type Closure = () => Tensor;

/** What goes on from one `step` to the next. */
interface Memory {
  pairs: Pair[];
  direction: Float64Array;
  length: number;
  /** Scale of the first guess of the inverse Hessian. */
  scale: number;
  grad: Float64Array;
  iterations: number;
  evaluations: number;
}

const negated = (x: Float64Array): Float64Array => x.map(v => -v);

/** to += factor * x */
function addScaled(to: Float64Array, factor: number, x: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i] = to[i]! + factor * x[i]!;
}

/** Quasi-Newton steps for full batches and smooth losses. All parameters form one group. */
export class LBFGS extends Optimizer<Hyper> {
  #memory: Memory | null = null;

  constructor(params: Params<LBFGSOptions>, options: LBFGSOptions = {}) {
    const maxIter = options.maxIter ?? 20;
    super(
      params as Params<Hyper>,
      {
        lr: 1,
        maxIter,
        maxEval: Math.floor((maxIter * 5) / 4),
        toleranceGrad: 1e-7,
        toleranceChange: 1e-9,
        historySize: 100,
        lineSearchFn: null,
      },
      options,
    );
    if (this.paramGroups.length !== 1)
      throw new Error(
        `LBFGS: ${this.paramGroups.length} groups came, expected one: the direction is of all parameters together`,
      );
  }

  protected override check(hyper: Hyper): void {
    super.check(hyper);
    const { lineSearchFn, maxIter, historySize } = hyper;
    if (lineSearchFn !== null && lineSearchFn !== 'strong_wolfe')
      throw new Error(`LBFGS: lineSearchFn ${String(lineSearchFn)} came, expected strong_wolfe or null`);
    for (const [name, value] of Object.entries({ maxIter, historySize }))
      if (!Number.isInteger(value) || value < 1)
        throw new Error(`LBFGS: ${name} ${value} came, expected a whole number of at least 1`);
  }

  /** Up to maxIter iterations; `closure` is called for every evaluation. @returns the loss before the first of them */
  override step(closure?: Closure): Tensor {
    if (!closure)
      throw new Error('LBFGS: step: expected a function that computes the loss, calls backward and returns it');
    if (isTracing())
      throw new Error(
        'LBFGS: step was called inside compile: it reads losses to decide on the next step; call it outside',
      );
    const { hyper, lr } = this.paramGroups[0]!;
    const { maxIter, maxEval, toleranceGrad, toleranceChange, historySize, lineSearchFn } = hyper;
    const { loss: first, evaluation } = this.#evaluate(closure);
    let { loss, grad } = evaluation;
    const memory = (this.#memory ??= {
      pairs: [],
      direction: negated(grad),
      length: lr,
      scale: 1,
      grad,
      iterations: 0,
      evaluations: 0,
    });
    let evaluations = 1;
    memory.evaluations++;
    if (largest(grad) <= toleranceGrad) return first;
    for (let i = 1; i <= maxIter; i++) {
      if (memory.iterations++ === 0) memory.direction = negated(grad);
      else {
        remember(memory, grad, historySize);
        memory.direction = directionFrom(memory, grad);
      }
      const { direction } = memory;
      memory.grad = grad;
      const before = loss;
      const norm1 = grad.reduce((sum, g) => sum + Math.abs(g), 0);
      memory.length = memory.iterations === 1 ? Math.min(1, 1 / norm1) * lr : lr;
      // Where the direction no longer leads down there is nothing left to find.
      if (dot(grad, direction) > -toleranceChange) break;
      const start = this.#values();
      const moveTo = (at: number): void => this.#write(start.map((v, k) => v + at * direction[k]!));
      let used = 0;
      if (lineSearchFn) {
        const found = strongWolfe(
          at => {
            moveTo(at);
            return this.#evaluate(closure).evaluation;
          },
          memory.length,
          direction,
          { loss, grad },
          toleranceChange,
        );
        ({ loss, grad } = found);
        memory.length = found.at;
        used = found.evaluations;
        moveTo(found.at);
      } else {
        moveTo(memory.length);
        // The last iteration's end is evaluated by the next step.
        if (i !== maxIter) {
          ({ loss, grad } = this.#evaluate(closure).evaluation);
          used = 1;
        }
      }
      evaluations += used;
      memory.evaluations += used;
      if (evaluations >= maxEval || largest(grad) <= toleranceGrad) break;
      if (largest(direction) * Math.abs(memory.length) <= toleranceChange) break;
      if (Math.abs(loss - before) < toleranceChange) break;
    }
    flush();
    return first;
  }

  protected update(): never {
    throw new Error('internal: LBFGS updates in step');
  }

  #evaluate(closure: Closure): { readonly loss: Tensor; readonly evaluation: Evaluation } {
    const loss = closure();
    const value = loss.item();
    return { loss, evaluation: { loss: value, grad: this.#flat(parameter => parameter.grad) } };
  }

  #values(): Float64Array {
    return this.#flat(parameter => parameter);
  }

  /** One tensor of every parameter (zeros where there is none) as one vector. */
  #flat(tensorOf: (parameter: Parameter) => Tensor | null): Float64Array {
    const parameters = this.parameters;
    const flat = new Float64Array(parameters.reduce((sum, parameter) => sum + parameter.numel(), 0));
    let at = 0;
    for (const parameter of parameters) {
      const tensor = tensorOf(parameter);
      if (tensor) flat.set(tensor.detach().to('f64').data() as Float64Array, at);
      at += parameter.numel();
    }
    return flat;
  }

  #write(values: Float64Array): void {
    let at = 0;
    for (const parameter of this.parameters) {
      const own = values.slice(at, at + parameter.numel());
      parameter.assign(Tensor.from(own, { shape: parameter.shape }).to(parameter.dtype));
      at += parameter.numel();
    }
  }

  override stateDict(): OptimizerState {
    const state = super.stateDict();
    if (!this.#memory) return state;
    const { pairs, direction, grad, length, scale, iterations, evaluations } = this.#memory;
    const rows = (list: readonly Float64Array[]): Tensor => {
      const all = new Float64Array(list.length * direction.length);
      for (const [i, row] of list.entries()) all.set(row, i * direction.length);
      return Tensor.from(all, { shape: [list.length, direction.length] });
    };
    const tensors = {
      ...state.tensors,
      'lbfgs.changes': rows(pairs.map(pair => pair.change)),
      'lbfgs.gradChanges': rows(pairs.map(pair => pair.gradChange)),
      'lbfgs.direction': Tensor.from(direction),
      'lbfgs.grad': Tensor.from(grad),
      'lbfgs.numbers': Tensor.from(Float64Array.of(length, scale, iterations, evaluations)),
    };
    return { ...state, tensors };
  }

  override loadStateDict(state: OptimizerState): void {
    const isOwn = ([key]: [string, Tensor]): boolean => key.startsWith('lbfgs.');
    const entries = Object.entries(state.tensors);
    super.loadStateDict({ ...state, tensors: Object.fromEntries(entries.filter(entry => !isOwn(entry))) });
    const own = Object.fromEntries(entries.filter(isOwn).map(([key, tensor]) => [key.slice(6), tensor]));
    const { changes, gradChanges, direction, grad, numbers } = own;
    if (!changes || !gradChanges || !direction || !grad || !numbers) {
      this.#memory = null;
      return;
    }
    const size = this.parameters.reduce((sum, parameter) => sum + parameter.numel(), 0);
    if (direction.numel() !== size)
      throw new Error(`LBFGS.loadStateDict: a direction of ${direction.numel()} numbers came, expected ${size}`);
    const vector = (tensor: Tensor): Float64Array => Float64Array.from(tensor.to('f64').data() as Float64Array);
    const [all, allGrads] = [vector(changes), vector(gradChanges)];
    const [length, scale, iterations, evaluations] = vector(numbers) as unknown as [number, number, number, number];
    const pairs = Array.from({ length: changes.size(0) }, (_, i) => {
      const row = (of: Float64Array): Float64Array => of.slice(i * size, (i + 1) * size);
      return pairOf(row(all), row(allGrads));
    });
    this.#memory = {
      pairs,
      direction: vector(direction),
      grad: vector(grad),
      length,
      scale,
      iterations,
      evaluations,
    };
  }
}

const pairOf = (change: Float64Array, gradChange: Float64Array): Pair => ({
  change,
  gradChange,
  rho: 1 / dot(change, gradChange),
});

/** Takes the last step into the memory, unless the curvature along it is not positive. */
function remember(memory: Memory, grad: Float64Array, historySize: number): void {
  const gradChange = grad.map((g, k) => g - memory.grad[k]!);
  const change = memory.direction.map(d => d * memory.length);
  const product = dot(gradChange, change);
  if (!(product > 1e-10)) return;
  if (memory.pairs.length === historySize) memory.pairs.shift();
  memory.pairs.push(pairOf(change, gradChange));
  memory.scale = product / dot(gradChange, gradChange);
}

/** The inverse Hessian of the memory times the negative gradient: the two-loop recursion. */
function directionFrom({ pairs, scale }: Memory, grad: Float64Array): Float64Array {
  const q = negated(grad);
  const weights = new Float64Array(pairs.length);
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { change, gradChange, rho } = pairs[i]!;
    weights[i] = dot(change, q) * rho;
    addScaled(q, -weights[i]!, gradChange);
  }
  const r = q.map(v => v * scale);
  for (const [i, { change, gradChange, rho }] of pairs.entries())
    addScaled(r, weights[i]! - dot(gradChange, r) * rho, change);
  return r;
}
