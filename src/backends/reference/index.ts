/**
 * The reference backend: interprets a graph node by node in plain JavaScript, slow and obvious. It is the oracle for
 * every other backend, and what runs where nothing else does. Imports graph and the compiler's contracts; compiles
 * nothing.
 */
import type { Backend, Binding, Executable, GraphProgram } from '../../compiler/program.ts';
import type { HostArray } from '../../graph/dtype.ts';
import { Variable, whole } from '../../graph/storage.ts';
import { interpret } from './interpret.ts';
import { planOf } from './plan.ts';
import { fromHost, toHost } from './values.ts';

function compile(program: GraphProgram): Executable {
  const plan = planOf(program);
  const leafTypes = program.leaves.map(leaf => ({ dtype: leaf.dtype, size: leaf.size }));
  const updated = program.updates.map(update => update.leaf);

  const read = (binding: Binding, i: number): ReturnType<typeof fromHost> => {
    const host = binding instanceof Variable ? binding.read() : binding;
    const { dtype, size } = leafTypes[i]!;
    return fromHost(whole(host, size), dtype);
  };

  const run = (bindings: readonly Binding[]): HostArray[] => {
    if (bindings.length !== leafTypes.length)
      throw new Error(`internal: ${leafTypes.length} leaves, ${bindings.length} bindings`);
    const results = interpret(plan, bindings.map(read));
    const hosts = results.map((values, i) => toHost(values, plan.roots[i]!.dtype));
    // Variables change only here, after nothing can fail any more.
    updated.forEach((leaf, i) => {
      (bindings[leaf] as Variable).write(hosts[program.outputs.length + i]!);
    });
    return hosts.slice(0, outputs);
  };
  const outputs = program.outputs.length;
  return { run, runAsync: async bindings => run(bindings), free() {} };
}

/** Plain JavaScript on one thread. */
export const referenceBackend: Backend = { name: 'reference', compile, threads: 1 };
