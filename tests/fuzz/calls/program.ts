/**
 * Programs of calls from a seed: every part of the public API that one compiled function can hold, on values of every
 * dtype, most with gradients, and now and then under vmap, jvp, checkpoint or autocast, with gradients of gradients, or
 * as a step that updates its inputs. Values are computed on the reference backend while drawing, and stay small.
 */
import {
  autocast,
  checkpoint,
  compile,
  grad,
  isFloat,
  jvp,
  Parameter,
  stack,
  Tensor,
  vmap,
} from '../../../src/index.ts';
import { Random } from '../random.ts';
import { CONTROL } from './control.ts';
import { type Call, Draw, type Entry, type Held, type Leaf, type Maker } from './draw.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { INDEXING } from './indexing.ts';
import { MATRICES } from './matrices.ts';
import { NETWORKS } from './networks.ts';
import { REDUCTIONS } from './reductions.ts';
import { SHAPES } from './shapes.ts';

const ROOMS: readonly (readonly Maker[])[] = [
  ELEMENTWISE, ELEMENTWISE, ELEMENTWISE, ELEMENTWISE, SHAPES, SHAPES, SHAPES, SHAPES, INDEXING, INDEXING, REDUCTIONS, REDUCTIONS, NETWORKS, NETWORKS, MATRICES, MATRICES, CONTROL,
]; // biome-ignore format: a table

export const MODES = [
  'values',
  'grad',
  'grad',
  'grad',
  'checkpoint',
  'jvp',
  'vmap',
  'vmap',
  'autocast',
  'assign',
  'second',
] as const;
export type Mode = (typeof MODES)[number];

export interface Program {
  readonly entries: readonly Entry[];
  /** What every entry is on the reference backend. */
  readonly values: readonly Tensor[];
  readonly outputs: readonly number[];
  readonly mode: Mode;
}

export const isLeaf = (entry: Entry): entry is Leaf => 'tensor' in entry;

const LARGEST = 20;

/** The largest magnitude of a float tensor; NaN where it is not finite. */
export function magnitude(x: Tensor): number {
  const data = x.to('f64').data() as Float64Array;
  return data.reduce((most, v) => (Math.abs(v) <= most ? most : Number.isFinite(v) ? Math.abs(v) : Number.NaN), 0);
}

/** What the library refuses does not suit; what JavaScript or the library itself trips over is a finding. */
export function refused(error: unknown): boolean {
  return error instanceof Error && !/^internal|^Cannot |is not (a function|iterable|defined)/.test(error.message);
}

function hold(d: Draw, made: Call): Held | null {
  const value = made.of(...made.from.map(k => d.held[k]!.tensor));
  if (value.numel() > 4 * d.mostElements) return null;
  const held = d.hold(made, value.eval());
  if (!isFloat(value.dtype)) return held;
  const size = magnitude(value);
  if (Number.isNaN(size)) {
    d.entries.pop();
    d.held.pop();
    return null;
  }
  if (size <= LARGEST) return held;
  const smaller: Call = d.r.once(2)
    ? { name: 'tanh', from: [held.at], of: x => x.tanh() }
    : { name: 'div 2^k', from: [held.at], of: x => x.div(2 ** Math.ceil(Math.log2(size))) };
  return hold(d, smaller);
}

export function randomProgram(seed: number): Program {
  const r = new Random(seed);
  const d = new Draw(r);
  d.leaf(d.shape(), d.dtype());
  d.leaf(d.shape(2 + r.int(3)), 'f32');
  for (let left = 2 + r.int(9); left > 0; left--)
    try {
      const made = r.pick(r.pick(ROOMS))(d, d.take());
      if (made) hold(d, made);
    } catch (error) {
      if (!refused(error)) throw error;
    }
  const calls = d.entries.flatMap((entry, k) => (isLeaf(entry) ? [] : [k]));
  const last = calls.at(-1) ?? 0;
  const outputs = [...new Set([last, ...(calls.length > 1 && r.once(2) ? [r.pick(calls)] : [])])];
  return pruned({ entries: d.entries, values: d.held.map(h => h.tensor), outputs, mode: r.pick(MODES) });
}

/** Without what no output needs. */
export function pruned({ entries, values, outputs, mode }: Program): Program {
  const needed = new Set(outputs);
  for (let k = entries.length - 1; k >= 0; k--) {
    const entry = entries[k]!;
    if (needed.has(k) && !isLeaf(entry)) for (const from of entry.from) needed.add(from);
  }
  const kept = [...needed].sort((a, b) => a - b);
  const place = new Map(kept.map((k, i) => [k, i]));
  const moved = (entry: Entry): Entry =>
    isLeaf(entry) ? entry : { ...entry, from: entry.from.map(k => place.get(k)!) };
  return {
    entries: kept.map(k => moved(entries[k]!)),
    values: kept.map(k => values[k]!),
    outputs: outputs.map(k => place.get(k)!),
    mode,
  };
}

/** Changes every result by a little, where it is given. */
export type Disturb = (result: Tensor, entry: number) => Tensor;

/** The outputs as a function of the leaves that are inputs. */
function outputsOf({ entries, outputs }: Program, disturb: Disturb): (...inputs: Tensor[]) => Tensor[] {
  return (...inputs) => {
    let next = 0;
    const values: Tensor[] = [];
    for (const [k, entry] of entries.entries())
      if (isLeaf(entry)) values.push(entry.input ? inputs[next++]! : entry.tensor);
      else values.push(disturb(entry.of(...entry.from.map(i => values[i]!)), k));
    return outputs.map(k => values[k]!);
  };
}

const wide = (x: Tensor): Tensor => x.to(x.dtype === 'f64' ? 'f64' : 'f32');

/** Fixed weights of results, so that their sum depends on each of them. */
function weights(shape: readonly number[], dtype: 'f32' | 'f64'): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  return Tensor.from(
    Float64Array.from({ length: n }, (_, i) => Math.cos(1 + 2.3 * i)),
    { shape },
  ).to(dtype);
}

function weighted(results: readonly Tensor[]): Tensor {
  const terms = results.filter(x => isFloat(x.dtype)).map(x => {
    const y = wide(x);
    return y.mul(weights(y.shape, y.dtype as 'f32')).sum();
  }); // biome-ignore format: one list
  return terms.reduce((a, b) => a.add(b));
}

const EXAMPLES = 3;

/** The arguments of the function; under vmap with examples first. */
function argumentsOf({ entries, mode }: Program): Tensor[] {
  const inputs = entries.flatMap(entry => (isLeaf(entry) && entry.input ? [entry.tensor] : []));
  if (mode !== 'vmap') return inputs;
  return inputs.map(x => Tensor.from(Array.from({ length: EXAMPLES }, (_, k) => 1 - 0.4 * k)).to(x.dtype).reshape([EXAMPLES, ...x.shape.map(() => 1)]).mul(x).eval()); // biome-ignore format: one line
}

/** How the program runs: compiled, or one operation after another, where vmap is a loop over examples. */
export type Manner = 'compiled' | 'eager';

/** What the program computes: outputs, and in most modes derivatives. */
export function resultsOf(program: Program, manner: Manner, disturb: Disturb = x => x): Tensor[] {
  const inputs = argumentsOf(program);
  if (program.mode === 'assign') return updated(program, inputs, manner, disturb);
  const of = pure(program, manner, disturb);
  return (manner === 'compiled' ? compile(of) : of)(...inputs);
}

/**
 * Two steps that put their inputs in the place of what their gradients make of them: results, then inputs, after each.
 */
function updated(program: Program, inputs: readonly Tensor[], manner: Manner, disturb: Disturb): Tensor[] {
  const parameters = inputs.map(x => new Parameter(x));
  const outputs = outputsOf(program, disturb);
  const step = (): Tensor[] => {
    // What returns its argument as it is (`to` its own dtype) is the parameter, and changes with it.
    const results = outputs(...parameters).filter(y => !(y instanceof Parameter));
    if (!hasDerivative(program)) return results;
    const gradients = gradientsOf(outputs, parameters);
    // Outside of a compiled step values are read before the parameters they come from change.
    const kept = manner === 'eager' ? results.map(copied) : results;
    if (manner === 'eager') for (const gradient of gradients) gradient.eval();
    for (const [k, p] of parameters.entries()) p.assign(p.mul(0.5).add(gradients[k]!.tanh().mul(0.125)).to(p.dtype));
    return kept;
  };
  const run = manner === 'compiled' ? compile(step) : step;
  const once = (): Tensor[] => [...run().map(copied), ...parameters.map(copied)];
  return [...once(), ...once()];
}

/** Values that later steps do not change. */
const copied = (x: Tensor): Tensor => Tensor.from(x.to('f64').data(), { shape: x.shape }).to(x.dtype);

const hasDerivative = ({ entries, outputs, values }: Program): boolean =>
  entries.some(entry => isLeaf(entry) && entry.input) && outputs.some(k => isFloat(values[k]!.dtype));

const gradientsOf = (of: (...xs: Tensor[]) => Tensor[], inputs: readonly Tensor[]): Tensor[] =>
  grad((...xs: Tensor[]) => weighted(of(...xs)), inputs.map((_, k) => k))(...inputs) as Tensor[]; // biome-ignore format: short

function pure(program: Program, manner: Manner, disturb: Disturb): (...inputs: Tensor[]) => Tensor[] {
  const { mode } = program;
  const outputs = outputsOf(program, disturb);
  return (...inputs) => {
    if (mode === 'vmap' && inputs.length > 0) {
      if (manner === 'compiled') return vmap((...xs: Tensor[]) => outputs(...xs))(...inputs);
      const each = Array.from({ length: EXAMPLES }, (_, k) => outputs(...inputs.map(x => x.select(0, k))));
      return each[0]!.map((_, i) => stack(each.map(results => results[i]!)));
    }
    if (!hasDerivative(program)) return outputs(...inputs);
    switch (mode) {
      case 'grad':
        return [...outputs(...inputs), ...gradientsOf(outputs, inputs)];
      case 'checkpoint':
        return gradientsOf(checkpoint(outputs), inputs);
      case 'second':
        return gradientsOf((...xs) => gradientsOf(outputs, xs), inputs);
      case 'autocast':
        return autocast({ dtype: 'bf16' }, () => [...outputs(...inputs), ...gradientsOf(outputs, inputs)]);
      case 'jvp': {
        const directions = inputs.map(x => weights(x.shape, x.dtype === 'f64' ? 'f64' : 'f32').to(x.dtype));
        const floats = (...xs: Tensor[]): Tensor[] => outputs(...xs).filter(y => isFloat(y.dtype));
        return jvp(floats, inputs, directions)[1];
      }
      default:
        return outputs(...inputs);
    }
  };
}

/** The program as text, a call a line. */
export function printed({ entries, values, outputs, mode }: Program): string {
  const lines = entries.map((entry, k) => {
    const shape = `${values[k]!.dtype} [${values[k]!.shape}]`;
    if (isLeaf(entry)) return `  %${k} = ${entry.input ? 'input' : 'constant'} ${shape}`;
    return `  %${k} = ${entry.name} (${entry.from.map(i => `%${i}`).join(', ')}) : ${shape}`;
  });
  return `${lines.join('\n')}\n  ${mode} of ${outputs.map(k => `%${k}`).join(', ')}`;
}
