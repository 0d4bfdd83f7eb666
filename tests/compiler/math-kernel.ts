/**
 * Runs one elementwise formula over arrays as WebAssembly or machine code, by vectors and element by element; both must
 * give the same bits.
 */
import { expect } from 'vitest';
import { features } from '../../src/backends/wasm/features.ts';
import { LoopBuilder } from '../../src/compiler/loop-builder.ts';
import type { LoopKernel, Reg } from '../../src/compiler/loops.ts';
import { loadValue, storeValue } from '../../src/compiler/math/index.ts';
import { verifyKernel } from '../../src/compiler/verify/index.ts';
import { bytesOf, type DType, type HostArray, hostArray } from '../../src/graph/dtype.ts';
import { isas } from '../backends/x86/available.ts';
import { runKernel } from '../support/run-kernel.ts';
import { runX86Kernel } from '../support/run-x86-kernel.ts';

/** Something that runs kernels on vectors of so many bytes. */
export interface Runner {
  readonly name: string;
  readonly vectorBytes: number;
  run(kernel: LoopKernel, buffers: readonly HostArray[]): void;
}

const wasm = (relaxedMadd: boolean): Runner => ({
  name: relaxedMadd ? 'wasm, fused' : 'wasm',
  vectorBytes: 16,
  run: (kernel, buffers) => runKernel(kernel, buffers, { relaxedMadd }),
});

const PLAIN = wasm(false);

/** Everything that can run here: products and sums rounded twice and once, and the instruction sets of machine code. */
export const RUNNERS: readonly Runner[] = [
  PLAIN,
  ...(features().fusedMadd ? [wasm(true)] : []),
  ...isas
    .filter(isa => isa !== 'amx')
    .map(isa => ({
      name: isa,
      vectorBytes: isa === 'avx2' ? 32 : 64,
      run: (kernel: LoopKernel, buffers: readonly HostArray[]) => {
        runX86Kernel(kernel, buffers, { isa });
      },
    })),
];

export interface Operand {
  readonly dtype: DType;
  readonly value: HostArray;
}

function runWith(
  lanes: number,
  inputs: readonly Operand[],
  out: DType,
  formula: (b: LoopBuilder, ...x: Reg[]) => Reg,
  runner: Runner,
): HostArray {
  const n = inputs[0]!.value.length;
  if (n % lanes) throw new Error(`a length that ${lanes} divides is wanted, ${n} came`);
  const b = new LoopBuilder();
  b.for(0, n, lanes, i => {
    const x = inputs.map(({ dtype }, k) => loadValue(b, dtype, b.addr(k, i), 0, lanes));
    storeValue(b, out, b.addr(inputs.length, i), formula(b, ...x));
  });
  const buffers = [
    ...inputs.map(({ dtype }, k) => ({ name: `x${k}`, dtype, elements: n, access: 'read' as const })),
    { name: 'out', dtype: out, elements: n, access: 'write' as const },
  ];
  const result = hostArray(out, n);
  const kernel = { name: 'formula', buffers, body: b.instructions };
  verifyKernel(kernel);
  runner.run(kernel, [...inputs.map(x => x.value), result]);
  return result;
}

/** The formula over all elements. Lengths are multiples of the runner's lanes: 4 on WebAssembly. */
export function apply(
  inputs: readonly Operand[],
  out: DType,
  formula: (b: LoopBuilder, ...x: Reg[]) => Reg,
  runner = PLAIN,
): HostArray {
  const wide = [...inputs.map(x => x.dtype), out].some(dtype => bytesOf(dtype) === 8);
  const vectors = runWith(runner.vectorBytes / (wide ? 8 : 4), inputs, out, formula, runner);
  const scalars = runWith(1, inputs, out, formula, runner);
  for (let i = 0; i < vectors.length; i++)
    if (!Object.is(vectors[i], scalars[i])) expect(vectors[i], `element ${i}: vector, then scalar`).toBe(scalars[i]);
  return vectors;
}

/** Distance of `value` from `exact` in units of the last place of `bits`-bit floats at `exact`. */
export function ulps(value: number, exact: number, bits: 24 | 53): number {
  if (Object.is(value, exact)) return 0;
  const smallest = bits === 24 ? -149 : -1074;
  const exponent = exact === 0 ? smallest : Math.max(Math.floor(Math.log2(Math.abs(exact))) - bits + 1, smallest);
  return Math.abs(value - exact) / 2 ** exponent;
}
