/**
 * Whole training steps of random models, compiled, against the same steps taken one operation after another on the
 * reference backend: losses, gradients, and parameters after some steps of a random optimizer, where it can with a
 * batch of another size between; on several threads to the bit what they are on one. TENON_ISA says which machine code.
 */
import { expect, it } from 'vitest';
import { compile, manualSeed, type Parameter, setBackend, setNumThreads, type Tensor } from '../../src/index.ts';
import * as optim from '../../src/optim/index.ts';
import { FIRST, MINUTES, runFor, THREADS } from './budget.ts';
import { randomModel } from './model.ts';
import { Random } from './random.ts';

const RUNS = Number(process.env['TENON_FUZZ'] ?? 20);
const backend = process.env['TENON_BACKEND'] ?? 'x86';

/**
 * Smooth ones: where a sign or a division by next to nothing decides, rounding does.
 * @param scale of the learning rates
 */
function optimizerOf(r: Random, parameters: Parameter[], scale: number): optim.AnyOptimizer {
  const eps = 1e-2;
  const weightDecay = r.once(2) ? 0.01 : 0;
  return r.pick([
    () => new optim.SGD(parameters, { lr: 0.05 * scale, momentum: r.once(2) ? 0.9 : 0, weightDecay }),
    () => new optim.SGD(parameters, { lr: 0.05 * scale, momentum: 0.8, nesterov: true }),
    () => new optim.Adam(parameters, { lr: 0.01 * scale, eps, weightDecay, amsgrad: r.once(2) }),
    () => new optim.AdamW(parameters, { lr: 0.01 * scale, eps, weightDecay }),
    () => new optim.RMSprop(parameters, { lr: 0.01 * scale, eps, centered: r.once(2), momentum: 0.5 }),
    () => new optim.Adagrad(parameters, { lr: 0.05 * scale, eps, initialAccumulatorValue: 0.1 }),
    () => new optim.NAdam(parameters, { lr: 0.01 * scale, eps }),
    // It makes a whole step of any gradient, so of one that is rounding alone (a bias in front of a normalisation), too.
    () => new optim.LAMB(parameters, { lr: 0.001 * scale, eps }),
  ])();
}

interface Outcome {
  readonly narrow: boolean;
  readonly losses: number[];
  /** Gradients of the first step, then parameters and buffers after the last. */
  readonly values: { readonly name: string; readonly data: Float64Array }[];
}

const figures = (tensor: Tensor): Float64Array => tensor.to('f64').data() as Float64Array;

function train(seed: number, dtype: 'f32' | 'f64', scale: number, compiled: boolean): Outcome {
  manualSeed(seed);
  const r = new Random(seed);
  const model = randomModel(r, dtype);
  const parameters = model.modules.flatMap(module => module.parameters());
  const optimizer = optimizerOf(r, parameters, scale);
  const clips = r.once(3);
  const step = (...inputs: Tensor[]): Tensor[] => {
    optimizer.zeroGrad();
    const loss = model.loss(...inputs);
    loss.backward();
    const results = [loss, ...parameters.flatMap(p => p.grad ?? [])];
    // Outside of a compiled step values are read before the parameters they come from change.
    if (!compiled) for (const result of results) result.data();
    if (clips) optim.clipGradNorm(parameters, 1);
    optimizer.step();
    return results;
  };
  const run = compiled ? compile(step) : step;
  const losses: number[] = [];
  const values: Outcome['values'] = [];
  // Where batches may have any size, a smaller one and the same again: other programs, and kernels of many sizes.
  const n = model.inputs[0]!.shape[0]!;
  const fewer = model.anyBatch && n > 2 ? model.inputs.map(x => x.narrow(0, 0, n - 1).eval()) : null;
  const batches = [model.inputs, model.inputs, ...(fewer ? [fewer, model.inputs] : [])];
  for (const [k, inputs] of batches.entries()) {
    const [loss, ...gradients] = run(...inputs);
    losses.push(loss!.item() as number);
    if (k === 0)
      values.push(...gradients.map((grad, i) => ({ name: `gradient ${i} [${grad.shape}]`, data: figures(grad) })));
  }
  values.push(...parameters.map((p, i) => ({ name: `parameter ${i} [${p.shape}]`, data: figures(p) })));
  for (const module of model.modules)
    for (const buffer of module.buffers()) values.push({ name: `buffer [${buffer.shape}]`, data: figures(buffer) });
  return { narrow: model.narrow === true, losses, values };
}

const norm = (x: Float64Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));

/** What differs by more than rounding, in words. */
function difference(got: Outcome, want: Outcome, dtype: 'f32' | 'f64'): string | null {
  const tolerance = dtype === 'f64' ? 1e-8 : want.narrow ? 5e-2 : 3e-3;
  for (const [k, loss] of want.losses.entries())
    if (!(Math.abs(got.losses[k]! - loss) <= tolerance * (1 + Math.abs(loss))))
      return `loss ${k} is ${got.losses[k]}, expected ${loss}`;
  const largest = Math.max(...want.values.filter(v => v.name.startsWith('gradient')).map(v => norm(v.data)));
  for (const [i, { name, data }] of want.values.entries()) {
    const other = got.values[i]!.data;
    const distance = norm(data.map((v, k) => v - other[k]!));
    const size = name.startsWith('gradient') ? largest : norm(data);
    if (!(distance <= tolerance * (1 + size))) return `${name} of size ${size} is off by ${distance}`;
  }
  return null;
}

/** A training whose loss grows so many times blows rounding up with it, and no two backends agree on what it becomes. */
const MOST_GROWTH = 100;

const converges = ({ losses }: Outcome): boolean => losses.every(loss => loss <= MOST_GROWTH * (1 + losses[0]!));

/**
 * The training that `seed` names, as the reference backend does it: with its own learning rate or, where it diverges
 * with that, the largest tenth of a tenth of it that it does not diverge with.
 */
function reference(
  seed: number,
  dtype: 'f32' | 'f64',
  name: string,
): { readonly want: Outcome; readonly scale: number } {
  setBackend('reference');
  for (let scale = 1; ; scale /= 10) {
    const want = train(seed, dtype, scale, false);
    if (converges(want) || scale < 1e-3) return { want, scale };
    console.log(`fuzz: ${name}: losses ${want.losses}, again with a tenth of the learning rate`);
  }
}

function check(seed: number): void {
  const dtype = seed % 3 === 0 ? 'f64' : 'f32';
  const name = `seed ${seed}, ${backend} ${process.env['TENON_ISA'] ?? ''}`;
  const { want, scale } = reference(seed, dtype, name);
  setBackend(backend);
  try {
    const on = (threads: number): Outcome => {
      setNumThreads(threads);
      return train(seed, dtype, scale, true);
    };
    const [first, ...more] = THREADS as [number, ...number[]];
    const one = on(first);
    const message = difference(one, want, dtype);
    if (message) throw new Error(message);
    for (const threads of more) expect(on(threads), `${name}, ${threads} threads`).toEqual(one);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}

it(`compiled training steps equal the reference's (${RUNS} models)`, { timeout: 240_000 }, () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) check(seed);
});

it.skipIf(MINUTES === 0)(`for ${MINUTES} minutes`, { timeout: (MINUTES + 5) * 60_000 }, () => runFor(MINUTES, check));
