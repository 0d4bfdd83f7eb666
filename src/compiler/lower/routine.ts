/**
 * Lowers kernels that are no expressions: routines over contiguous buffers viewed as [outer, n, inner], and copies. Imports the routines.
 */

import { bytesOf } from '../../graph/dtype.ts';
import { sizeOf } from '../../graph/shape.ts';
import { bufferName } from '../describe.ts';
import { storage, type Value } from '../flow.ts';
import { uniform } from '../fold-values.ts';
import type { CopyKernel, RoutineKernel } from '../kernels.ts';
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

/** `inPlace`: a scatter finds its base in the very memory it writes, as a variable is updated. */
export function lowerRoutine(
  kernel: RoutineKernel,
  context: ProgramContext,
  name: string,
  inPlace = false,
): LoweredKernel {
  const b = new LoopBuilder(context.target);
  const buffers = new KernelBuffers(context.windows);
  const { target } = context;
  const { value } = kernel;
  const output = buffers.write(value);
  let mayFail = false;

  const run = <S>(
    spec: S,
    wanted: (spec: S, target: Target) => readonly Scratch[],
    lower: (b: LoopBuilder, spec: S, target: Target, scratch: readonly number[]) => void,
  ): void => {
    const scratch = wanted(spec, target).map(({ dtype, elements }, i) =>
      buffers.scratch(`scratch${i}`, dtype, elements, elements * bytesOf(dtype)),
    );
    lower(b, spec, target, scratch);
  };
  const [first] = value.inputs as readonly [Value];
  if (value.is('scan')) {
    const { kind, axis, reverse } = value.attrs;
    const spec = {
      kind,
      dtype: value.dtype,
      ...around(first.shape, axis),
      reverse,
      input: buffers.read(first),
      output,
    };
    run(spec, scanScratch, lowerScan);
  } else if (value.is('argReduce')) {
    const { kind, axis } = value.attrs;
    const spec = { kind, dtype: first.dtype, ...around(first.shape, axis), input: buffers.read(first), output };
    run(spec, argReduceScratch, lowerArgReduce);
  } else if (value.is('argSort')) {
    const { axis, descending } = value.attrs;
    const spec = { dtype: first.dtype, ...around(first.shape, axis), descending, input: buffers.read(first), output };
    run(spec, argSortScratch, lowerArgSort);
  } else if (value.is('random')) {
    run({ size: value.size, key: buffers.read(first), output }, randomScratch, lowerRandom);
  } else if (value.is('matrix')) {
    const spec = {
      routine: value.attrs.routine,
      dtype: value.dtype as 'f32' | 'f64',
      batch: sizeOf(value.shape.slice(0, -2)),
      sizes: value.inputs.map(input => input.shape.slice(-2) as [number, number]),
      inputs: value.inputs.map(input => buffers.read(input)),
      output,
    };
    run(spec, matrixScratch, lowerMatrix);
  } else if (value.is('concat')) {
    const { outer, inner } = around(value.shape, value.attrs.axis);
    const parts = value.inputs.map(part => ({ n: part.shape[value.attrs.axis]!, input: buffers.read(part) }));
    run({ dtype: value.dtype, outer, inner, parts, output }, concatScratch, lowerConcat);
  } else if (value.is('scatter')) {
    const { kind, axis, what, drop } = value.attrs;
    const [base, index, updates] = value.inputs as readonly [Value, Value, Value];
    const { outer, n, inner } = around(base.shape, axis);
    const filled = uniform(base);
    mayFail = !drop;
    const spec = {
      kind,
      dtype: value.dtype,
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
  } else throw new Error(`internal: no routine for ${value.op}`);
  return {
    loop: { name: `${name} ${value.op} [${value.shape}]`, buffers: buffers.buffers, body: b.instructions },
    refs: buffers.refs,
    mayFail,
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
