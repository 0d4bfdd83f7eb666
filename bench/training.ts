/**
 * The training workloads: one call is forward, backward, update, and the loss read back. `verifyTraining` gives the
 * norms verify.mjs compares with PyTorch's float64 run.
 */
import { autocast, compile, type Parameter, Tensor } from 'tenon';
import type { AnyModule } from 'tenon/nn';
import { Adagrad, Adam, AdamW, GradScaler, type Optimizer, SGD } from 'tenon/optim';
import { type Batch, buildTraining } from './models.ts';
import { type Options, type Result, timed } from './report.ts';
import { affine, generate, type OptimizerSpec, type WorkloadSpec } from './spec.ts';

/** Fills a model with the workload's generated weights. */
export function initialise(model: AnyModule, spec: WorkloadSpec): void {
  const own = model.stateDict();
  // The workload's MobileNetV2 has a bare classifier, torchvision's a dropout before it.
  const keyOf = (name: string): string => (name in own ? name : name.replace('classifier.', 'classifier.1.'));
  const state = Object.fromEntries(
    spec.params.map(p => [keyOf(p.name), Tensor.from(affine(p.seed, p.shape, p.mid, p.amp), { shape: p.shape })]),
  );
  const counters = Object.entries(own).filter(([name]) => name.endsWith('num_batches_tracked'));
  model.loadStateDict({ ...Object.fromEntries(counters), ...state });
}

function optimizer(parameters: readonly Parameter[], spec: OptimizerSpec): Optimizer {
  switch (spec.type) {
    case 'sgd':
      return new SGD(parameters, { lr: spec.lr, momentum: spec.momentum, weightDecay: spec.weight_decay });
    case 'adam':
      return new Adam(parameters, { lr: spec.lr, betas: spec.betas, eps: spec.eps, weightDecay: spec.weight_decay });
    case 'adagrad':
      return new Adagrad(parameters, { lr: spec.lr, initialAccumulatorValue: spec.initial_accumulator, eps: spec.eps });
    case 'adamw': {
      const decayed = parameters.filter(p => p.ndim >= (spec.decay_only_ndim_ge ?? 0));
      const rest = parameters.filter(p => p.ndim < (spec.decay_only_ndim_ge ?? 0));
      return new AdamW(
        [
          { params: decayed, weightDecay: spec.weight_decay },
          { params: rest, weightDecay: 0 },
        ],
        { lr: spec.lr, betas: spec.betas, eps: spec.eps },
      );
    }
    case 'split':
      throw new Error('bench: a split optimizer is two');
  }
}

function optimizers(model: AnyModule, spec: OptimizerSpec): Optimizer[] {
  const named = [...model.namedParameters()];
  if (spec.type !== 'split')
    return [
      optimizer(
        named.map(([, p]) => p),
        spec,
      ),
    ];
  const tables = named.filter(([name]) => name.startsWith('emb'));
  const dense = named.filter(([name]) => !name.startsWith('emb'));
  return [
    optimizer(
      dense.map(([, p]) => p),
      spec.dense,
    ),
    optimizer(
      tables.map(([, p]) => p),
      spec.embedding,
    ),
  ];
}

const batches = (spec: WorkloadSpec): Batch[] =>
  Array.from({ length: spec.n_batches ?? 1 }, (_, b) =>
    Object.fromEntries(spec.batch.map(t => [t.name, Tensor.from(generate(t, b), { shape: t.shape })])),
  );

export function runTraining(name: string, spec: WorkloadSpec, options: Options): Result {
  const { model, loss } = buildTraining(name, spec);
  initialise(model, spec);
  const all = optimizers(model, spec.optimizer);
  const data = batches(spec);
  const scaler = new GradScaler({ enabled: options.autocast === 'f16' });
  const step = compile((batch: Batch): Tensor => {
    for (const o of all) o.zeroGrad();
    const { autocast: dtype } = options;
    const value = dtype ? autocast({ dtype }, () => loss(batch)) : loss(batch);
    scaler.scale(value).backward();
    for (const o of all) scaler.step(o);
    scaler.update();
    return value;
  });
  const losses: number[] = [];
  let steps = 0;
  const one = (): void => {
    const value = step(data[steps++ % data.length]!).item() as number;
    if (losses.length < 5) losses.push(value);
  };
  const inner = spec.inner_steps;
  if (!inner) return { ...timed(options, spec, one), losses };
  const many = (): void => {
    for (let i = 0; i < inner; i++) one();
  };
  return { ...timed(options, spec, many, 1 / inner), losses };
}

const norm = (values: ArrayLike<number | bigint>, minus?: ArrayLike<number | bigint>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (Number(values[i]) - Number(minus?.[i] ?? 0)) ** 2;
  return Math.sqrt(sum);
};

/**
 * Five steps without `compile`, as a hand-written loop runs them, with the norms of gradients, changes and running
 * statistics.
 */
export function verifyTraining(name: string, spec: WorkloadSpec): Record<string, unknown> {
  const { model, loss } = buildTraining(name, spec);
  initialise(model, spec);
  const all = optimizers(model, spec.optimizer);
  const data = batches(spec);
  const named = [...model.namedParameters()];
  const before = new Map(named.map(([key, p]) => [key, p.data().slice()]));
  const gradients: Record<string, number> = {};
  const losses: number[] = [];
  for (let s = 0; s < 5; s++) {
    for (const o of all) o.zeroGrad();
    const value = loss(data[s % data.length]!);
    value.backward();
    if (s === 0) for (const [key, p] of named) gradients[key] = norm(p.grad!.data());
    for (const o of all) o.step();
    losses.push(value.item() as number);
  }
  const statistics = [...model.namedBuffers()].filter(([key]) => /running_(mean|var)$/.test(key));
  return {
    peer: 'ours',
    workload: name,
    losses,
    grad_l2_step0: gradients,
    delta_l2_after5: Object.fromEntries(named.map(([key, p]) => [key, norm(p.data(), before.get(key)!)])),
    buffer_l2_after5: Object.fromEntries(statistics.map(([key, b]) => [key, norm(b.data())])),
  };
}
