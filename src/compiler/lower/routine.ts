/**
 * Lowers kernels that are no expressions: routines over contiguous buffers viewed as [outer, n, inner], and copies.
 * Imports the routines.
 */

import { bytesOf } from '../../graph/dtype.ts';
import { sizeOf } from '../../graph/shape.ts';
import { bufferName } from '../describe.ts';
import { storage, type Value } from '../flow.ts';
import { uniform } from '../fold-values.ts';
import type { CopyKernel, RoutineKernel, RoutinePrimitive } from '../kernels.ts';
import { LoopBuilder } from '../loop-builder.ts';
import {
  argReduceScratch,
  argSortScratch,
  concatScratch,
  lowerArgReduce,
  lowerArgSort,
  lowerConcat,
  lowerMatrix,
  lowerRandom,
  lowerScan,
  lowerScatter,
  matrixScratch,
  randomScratch,
  type Scratch,
  scanScratch,
  scatterScratch,
} from '../routines/index.ts';
import type { Target } from '../target.ts';
import { KernelBuffers, type LoweredKernel, type ProgramContext } from './context.ts';

/** A shape around one axis. */
function around(shape: readonly number[], axis: number): { outer: number; n: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), n: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) };
}

/** Where a routine is emitted. */
interface Site {
  readonly context: ProgramContext;
  readonly buffers: KernelBuffers;
  readonly output: number;
  /** Whether a scatter finds its base in the very memory it writes, as a variable is updated. */
  readonly inPlace: boolean;
  /** Emits what `lower` makes of `spec`, in the scratch that `wanted` asks for. */
  readonly run: <S>(
    spec: S,
    wanted: (spec: S, target: Target) => readonly Scratch[],
    lower: (b: LoopBuilder, spec: S, target: Target, scratch: readonly number[]) => void,
  ) => void;
}

/** What is emitted for each primitive. */
const RULES: { readonly [P in RoutinePrimitive]: (value: Value<P>, site: Site) => void } = {
  scan({ attrs: { kind, axis, reverse }, dtype, inputs }, { buffers, output, run }) {
    const [x] = inputs as readonly [Value];
    const spec = { kind, dtype, ...around(x.shape, axis), reverse, input: buffers.read(x), output };
    run(spec, scanScratch, lowerScan);
  },
  argReduce({ attrs: { kind, axis }, inputs }, { buffers, output, run }) {
    const [x] = inputs as readonly [Value];
    const spec = { kind, dtype: x.dtype, ...around(x.shape, axis), input: buffers.read(x), output };
    run(spec, argReduceScratch, lowerArgReduce);
  },
  argSort({ attrs: { axis, descending }, inputs }, { buffers, output, run }) {
    const [x] = inputs as readonly [Value];
    const spec = { dtype: x.dtype, ...around(x.shape, axis), descending, input: buffers.read(x), output };
    run(spec, argSortScratch, lowerArgSort);
  },
  random({ size, inputs }, { buffers, output, run }) {
    run({ size, key: buffers.read(inputs[0]!), output }, randomScratch, lowerRandom);
  },
  matrix({ attrs: { routine }, dtype, shape, inputs }, { buffers, output, run }) {
    const spec = {
      routine,
      dtype: dtype as 'f32' | 'f64',
      batch: sizeOf(shape.slice(0, -2)),
      sizes: inputs.map(input => input.shape.slice(-2) as [number, number]),
      inputs: inputs.map(input => buffers.read(input)),
      output,
    };
    run(spec, matrixScratch, lowerMatrix);
  },
  concat({ attrs: { axis }, dtype, shape, inputs }, { buffers, output, run }) {
    const { outer, inner } = around(shape, axis);
    const parts = inputs.map(part => ({ n: part.shape[axis]!, input: buffers.read(part) }));
    run({ dtype, outer, inner, parts, output }, concatScratch, lowerConcat);
  },
  scatter({ attrs: { kind, axis, what, drop }, dtype, inputs }, { context, buffers, output, inPlace, run }) {
    const [base, index, updates] = inputs as readonly [Value, Value, Value];
    const { outer, n, inner } = around(base.shape, axis);
    const filled = uniform(base);
    const spec = {
      kind,
      dtype,
      indexDtype: index.dtype,
      pre: outer,
      n,
      count: index.size,
      post: inner,
      base: inPlace ? { buffer: output } : filled === null ? { buffer: buffers.read(base) } : { value: filled },
      index: buffers.read(index),
      updates: buffers.read(updates),
      output,
      site: drop ? null : context.site(what, n),
    };
    run(spec, scatterScratch, lowerScatter);
  },
};

/** `inPlace`: a scatter finds its base in the very memory it writes, as a variable is updated. */
export function lowerRoutine(
  kernel: RoutineKernel,
  context: ProgramContext,
  name: string,
  inPlace = false,
): LoweredKernel {
  const { target } = context;
  const { value } = kernel;
  const b = new LoopBuilder(target);
  const buffers = new KernelBuffers(context.windows);
  const site: Site = {
    context,
    buffers,
    output: buffers.write(value),
    inPlace,
    run(spec, wanted, lower) {
      const scratch = wanted(spec, target).map(({ dtype, elements }, i) =>
        buffers.scratch(`scratch${i}`, dtype, elements, elements * bytesOf(dtype)),
      );
      lower(b, spec, target, scratch);
    },
  };
  const emit = RULES[value.op] as (value: Value<RoutinePrimitive>, site: Site) => void;
  emit(value, site);
  return {
    loop: { name: `${name} ${value.op} [${value.shape}]`, buffers: buffers.buffers, body: b.instructions },
    refs: buffers.refs,
    mayFail: value.is('scatter') && !value.attrs.drop,
    single: false,
    inPlace: [],
    describe: () => [`v${value.id} = ${value.op}(${value.inputs.map(v => bufferName(storage(v))).join(', ')})`],
  };
}

/** Elements copied per task. */
const BLOCK = 16_384;

export function lowerCopy(kernel: CopyKernel, context: ProgramContext, name: string): LoweredKernel {
  const b = new LoopBuilder(context.target);
  const buffers = new KernelBuffers(context.windows);
  const { from, to } = kernel;
  const { dtype, size } = from;
  const source = buffers.read(from);
  const target = buffers.result(to.kind, to.index, dtype, size);
  const bytes = bytesOf(dtype);
  // Bits are moved in registers of their own width, so that NaNs keep their payload.
  const lanes = bytes >= 4 ? context.target.vectorBytes / bytes : 1;
  const mem = dtype === 'f16' || dtype === 'bf16' ? dtype : dtype === 'bool' ? 'u8' : dtype;
  const move = (
    lo: number | ReturnType<LoopBuilder['i32']>,
    hi: number | ReturnType<LoopBuilder['i32']>,
    wide: number,
  ) => b.for(lo, hi, wide, i => b.store(mem, b.addr(target, i), b.load(mem, b.addr(source, i), 0, wide)));
  const whole = size - (size % BLOCK);
  const single = whole === 0;
  if (!single)
    b.parallel(whole / BLOCK, task => {
      const lo = b.mul(task, b.i32(BLOCK));
      move(lo, b.add(lo, b.i32(BLOCK)), lanes);
    });
  if (size > whole)
    b.once(() => {
      const vectors = size - (size % lanes);
      if (vectors > whole) move(whole, vectors, lanes);
      if (size > vectors) move(vectors, size, 1);
    });
  return {
    loop: { name: `${name} copy [${size}]`, buffers: buffers.buffers, body: b.instructions },
    refs: buffers.refs,
    mayFail: false,
    single,
    inPlace: [],
    describe: () => [`${to.kind}${to.index} = ${bufferName(from)}`],
  };
}
