/**
 * The fixed workloads of the peers' benchmark (../shared/peers): their description and the bit-exact generator of
 * weights and data. The folder is found by TENON_SHARED, else beside the project.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32';
  readonly gen: 'affine' | 'integers' | 'bernoulli' | 'zipf_ids';
  readonly mid: number;
  readonly amp: number;
  readonly n: number;
  readonly p: number;
  readonly vocab: number;
  readonly seed0: number;
}

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly mid: number;
  readonly amp: number;
  readonly seed: number;
  readonly buffer: boolean;
}

export interface OptimizerSpec {
  readonly type: 'sgd' | 'adam' | 'adamw' | 'adagrad' | 'split';
  readonly lr: number;
  readonly momentum: number;
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly initial_accumulator: number;
  readonly decay_only_ndim_ge?: number;
  readonly dense: OptimizerSpec;
  readonly embedding: OptimizerSpec;
}

export interface WorkloadSpec {
  readonly kind: 'kernel' | 'train' | 'infer' | 'startup';
  readonly unit: string;
  readonly units_per_call: number;
  readonly flop: number | null;
  readonly bytes: number | null;
  readonly batch: readonly TensorSpec[];
  readonly n_batches?: number;
  readonly optimizer: OptimizerSpec;
  readonly warmup: number;
  readonly reps: number;
  readonly inner_steps?: number;
  readonly params: readonly ParameterSpec[];
  readonly model: {
    readonly block: number;
    readonly layers: number;
    readonly heads: number;
    readonly d: number;
    readonly vocab: number;
  };
  readonly a: number;
  readonly b: number;
  readonly eps: number;
  readonly prompt: readonly number[];
  readonly new_tokens: number;
}

interface Spec {
  readonly order: readonly string[];
  readonly workloads: Readonly<Record<string, WorkloadSpec>>;
}

export const peersFolder = path.join(process.env['TENON_SHARED'] ?? path.resolve('..', 'shared'), 'peers');

/** Reads spec.json. @throws Error when the folder is not there. */
export function readSpec(): Spec {
  const file = path.join(peersFolder, 'spec.json');
  if (!existsSync(file))
    throw new Error(`bench: ${file} is not there; set TENON_SHARED to the folder that holds peers/`);
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** lowbias32 over index + seed * golden ratio, as 24-bit fractions in [0, 1): the generator of workloads.md. */
function fill(seed: number, n: number, write: (i: number, u: number) => void): void {
  const offset = Math.imul(seed, 0x9e3779b9);
  for (let i = 0; i < n; i++) {
    let x = (i + offset) | 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    x = Math.imul(x, 0x846ca68b);
    x ^= x >>> 16;
    write(i, (x >>> 8) * 2 ** -24);
  }
}

const size = (shape: readonly number[]): number => shape.reduce((a, n) => a * n, 1);

export function affine(seed: number, shape: readonly number[], mid: number, amp: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(size(shape));
  fill(seed, out.length, (i, u) => {
    out[i] = mid + amp * (2 * u - 1);
  });
  return out;
}

/** The values of one data tensor in batch number `batch`. */
export function generate(spec: TensorSpec, batch: number): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  const seed = spec.seed0 + 16 * batch;
  const n = size(spec.shape);
  if (spec.gen === 'affine') return affine(seed, spec.shape, spec.mid, spec.amp);
  if (spec.gen === 'bernoulli') {
    const out = new Float32Array(n);
    fill(seed, n, (i, u) => {
      out[i] = u < spec.p ? 1 : 0;
    });
    return out;
  }
  const out = new Int32Array(n);
  if (spec.gen === 'integers') {
    fill(seed, n, (i, u) => {
      out[i] = Math.floor(u * spec.n);
    });
  } else {
    const fields = spec.shape[1]!;
    fill(seed, n, (i, u) => {
      out[i] = (Math.floor(spec.vocab * (u * u * u)) * 40503 + (i % fields) * 7919) % spec.vocab;
    });
  }
  return out;
}
