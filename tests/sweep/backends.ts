/** Runs one function of a tensor on WebAssembly and as machine code of every instruction set there is. */
import { createWasmBackend } from '../../src/backends/wasm/index.ts';
import { createX86Backend } from '../../src/backends/x86/index.ts';
import type { Executable } from '../../src/compiler/program.ts';
import { placeholder } from '../../src/graph/build.ts';
import type { DType, HostArray } from '../../src/graph/dtype.ts';
import { Tensor } from '../../src/index.ts';
import { isas } from '../backends/x86/available.ts';

export interface Runner {
  readonly name: string;
  /** The function over as many elements as every block has. */
  compile(of: (x: Tensor) => Tensor, dtype: DType, elements: number): (x: HostArray) => HostArray;
}

/** `amx` writes the same instructions as `avx512` here. */
export const RUNNERS: readonly Runner[] = [
  { name: 'wasm', backend: createWasmBackend() },
  ...isas.filter(isa => isa !== 'amx').map(isa => ({ name: isa, backend: createX86Backend({ isa }) })),
].map(({ name, backend }) => ({
  name,
  compile(of, dtype, elements) {
    const x = placeholder('x', [elements], dtype);
    const executable: Executable = backend.compile({ leaves: [x], outputs: [of(new Tensor(x)).node], updates: [] });
    return values => executable.run([values])[0]!;
  },
}));
