/**
 * Support of the contraction tests: runs a spec through the schedules as WebAssembly (any number of simulated threads),
 * and through plain JavaScript loops that share no code with them.
 */
import {
  type ContractOperand,
  type ContractSpec,
  lowerContract,
  type Room,
} from '../../../src/compiler/contract/index.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { Inst, KernelBuffer } from '../../../src/compiler/loops.ts';
import type { Target } from '../../../src/compiler/target.ts';
import type { DType, HostArray } from '../../../src/graph/dtype.ts';
import { hostArray } from '../../../src/graph/dtype.ts';
import { bf16Value, f16Value } from '../../../src/graph/half.ts';
import { runKernel } from '../../support/run-kernel.ts';
import { interpret } from './interpret.ts';

export const WASM: Target = {
  name: 'wasm',
  vectorBytes: 16,
  vectorRegisters: 16,
  fusedMultiplyAdd: true,
  l1Bytes: 32 * 1024,
  l2Bytes: 1024 * 1024,
  pointerBytes: 4,
};

export const AVX2: Target = { ...WASM, name: 'avx2', vectorBytes: 32, keepsOrder: true, pointerBytes: 8 };
export const AVX512: Target = { ...AVX2, name: 'avx512', vectorBytes: 64, vectorRegisters: 32, masksMemory: true };

export interface NamedBuffer {
  readonly name: string;
  readonly dtype: DType;
  readonly data: HostArray;
}

/** Lowers `spec` over `buffers` (by index; scratch is added behind). */
export function buildContract(
  spec: ContractSpec,
  buffers: readonly NamedBuffer[],
  target: Target = WASM,
): { buffers: KernelBuffer[]; body: readonly Inst[] } {
  const all: KernelBuffer[] = buffers.map(x => ({
    name: x.name,
    dtype: x.dtype,
    elements: x.data.length,
    access: 'readwrite',
  }));
  const b = new LoopBuilder(target);
  const room: Room = (name, dtype, elements) => {
    all.push({ name, dtype, elements, access: 'scratch' });
    return all.length - 1;
  };
  // What would be prepared ahead of all runs is done ahead of this one.
  const ahead: Inst[] = [];
  lowerContract(b, spec, target, {
    room,
    kept: room,
    prepare: fill => ahead.push(...b.separate(fill), { op: 'barrier' }),
  });
  return { buffers: all, body: [...ahead, ...b.instructions] };
}

/** Scratch as it may come: full of huge numbers that must not leak into results. */
function stale(buffer: KernelBuffer): HostArray {
  const array = hostArray(buffer.dtype, buffer.elements);
  new Uint8Array(array.buffer).fill(0x7f);
  return array;
}

/**
 * Runs `spec` in place on `buffers`; between barriers the threads run one after the other. Other targets than WASM are
 * interpreted.
 */
export function runContract(
  spec: ContractSpec,
  buffers: readonly NamedBuffer[],
  threads = 1,
  target: Target = WASM,
): void {
  const built = buildContract(spec, buffers, target);
  const arrays = built.buffers.map((buffer, i) => buffers[i]?.data ?? stale(buffer));
  const stages: Inst[][] = [[]];
  for (const inst of built.body) {
    if (inst.op === 'barrier') stages.push([]);
    else stages[stages.length - 1]!.push(inst);
  }
  for (const [i, body] of stages.entries()) {
    if (target === WASM) runKernel({ name: `contract ${i}`, buffers: built.buffers, body }, arrays, { threads });
    else for (let thread = 0; thread < threads; thread++) interpret(body, built.buffers, arrays, thread, threads);
  }
}

const value = (array: HostArray, dtype: DType, i: number): number => {
  const x = array[i];
  if (x === undefined) throw new Error(`read of element ${i} of ${array.length}`);
  if (dtype === 'bf16') return bf16Value(Number(x));
  return dtype === 'f16' ? f16Value(Number(x)) : Number(x);
};

/** What operand `of` shows at `coords`, by the definition of OperandAxis. */
function read(of: ContractOperand, array: HostArray, coords: readonly number[]): number {
  let index = of.offset ?? 0;
  for (const { map, size, stride } of of.axes) {
    const at = map.terms.reduce((sum, [d, c]) => sum + c * coords[d]!, map.offset) / map.div;
    if (!Number.isInteger(at) || at < 0 || at >= size) return 0;
    index += at * stride;
  }
  return value(array, of.dtype, index);
}

/** Every output element, or each `every`th, as [element index, sum of products, sum of absolute products], in f64. */
export function expected(
  spec: ContractSpec,
  a: HostArray,
  b: HostArray,
  every = 1,
): [index: number, sum: number, size: number][] {
  let skip = 0;
  const results: [number, number, number][] = [];
  const coords = spec.dims.map(() => 0);
  const outDims = spec.dims.flatMap((dim, d) => (dim.role === 'k' ? [] : [d]));
  const sumDims = spec.dims.flatMap((dim, d) => (dim.role === 'k' ? [d] : []));
  const loop = (dims: readonly number[], at: number, body: () => void): void => {
    const d = dims[at];
    if (d === undefined) {
      body();
      return;
    }
    for (coords[d] = 0; coords[d]! < spec.dims[d]!.size; coords[d]!++) loop(dims, at + 1, body);
    coords[d] = 0;
  };
  loop(outDims, 0, () => {
    if (skip-- > 0) return;
    skip = every - 1;
    let sum = 0;
    let size = 0;
    loop(sumDims, 0, () => {
      const product = read(spec.a, a, coords) * read(spec.b, b, coords);
      sum += product;
      size += Math.abs(product);
    });
    const index = outDims.reduce((x, d) => x + coords[d]! * spec.out.strides[d]!, spec.out.offset ?? 0);
    results.push([index, sum, size]);
  });
  return results;
}
