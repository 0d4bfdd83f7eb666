/**
 * Runs a compiled program on one thread in a memory of its own, and the same graph on the reference backend.
 */

import { referenceBackend } from '../../src/backends/reference/index.ts';
import { CONTROL, HEAP_START, PAGE } from '../../src/backends/wasm/control.ts';
import { features } from '../../src/backends/wasm/features.ts';
import { emitProgram } from '../../src/backends/wasm/program-module.ts';
import { compileGraph } from '../../src/compiler/compile.ts';
import type { GraphProgram, LoopProgram, Place } from '../../src/compiler/program.ts';
import type { Target } from '../../src/compiler/target.ts';
import { verifyProgram } from '../../src/compiler/verify/index.ts';
import { bytesOf, type HostArray, hostArray, hostView } from '../../src/graph/dtype.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';

export const TARGET: Target = {
  name: 'wasm',
  vectorBytes: 16,
  vectorRegisters: 16,
  fusedMultiplyAdd: features().fusedMadd,
  l1Bytes: 32 * 1024,
  l2Bytes: 1024 * 1024,
  pointerBytes: 4,
};

/** Leaves of a graph in order of first appearance. */
export function leavesOf(roots: readonly Node[]): Node[] {
  const seen = new Set<Node>();
  const leaves: Node[] = [];
  const stack = [...roots].reverse();
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.value || node.op === 'variable' || node.op === 'placeholder') leaves.push(node);
    else stack.push(...node.inputs.toReversed());
  }
  return leaves;
}

export function programOf(outputs: readonly Node[], updates: readonly { leaf: Node; node: Node }[] = []): GraphProgram {
  const leaves = leavesOf([...outputs, ...updates.map(u => u.node), ...updates.map(u => u.leaf)]);
  return { leaves, outputs, updates: updates.map(u => ({ leaf: leaves.indexOf(u.leaf), node: u.node })) };
}

const hostOf = (leaf: Node): HostArray => (leaf.is('variable') ? leaf.attrs.variable.read() : leaf.value!);

/** Runs a loop program; returns outputs, and what was written to leaves. Throws on failure as a backend does. */
export function runLoops(
  program: LoopProgram,
  bindings: readonly HostArray[],
): { outputs: HostArray[]; leaves: HostArray[] } {
  const module = emitProgram(program.kernels, { relaxedMadd: features().fusedMadd, shared: false });
  let end = HEAP_START + align(module.argsBytes);
  const take = (bytes: number): number => {
    const at = end;
    end += align(Math.max(1, bytes)) + 64;
    return at;
  };
  const leafAt = program.leaves.map(leaf => take(leaf.elements * bytesOf(leaf.dtype)));
  const outAt = program.outputs.map(out => take(out.elements * bytesOf(out.dtype)));
  const arenaAt = take(program.arenaBytes);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(end / PAGE) + 1 });
  const bytes = new Uint8Array(memory.buffer);
  bytes.fill(0xa5, HEAP_START);
  const word = (place: Place): number => {
    if (place.kind === 'count') return place.value;
    return 'offset' in place ? arenaAt + place.offset : (place.kind === 'leaf' ? leafAt : outAt)[place.index]!;
  };
  const words = new DataView(memory.buffer);
  program.kernels.forEach((kernel, k) => {
    kernel.places.forEach((place, i) => {
      words.setUint32(HEAP_START + module.argsOffsets[k]! + 4 * i, word(place), true);
    });
  });
  bindings.forEach((host, i) => {
    bytes.set(new Uint8Array(host.buffer, host.byteOffset, host.byteLength), leafAt[i]!);
  });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes), { env: { memory } });
  (instance.exports['run'] as (args: number, thread: number, threads: number) => void)(HEAP_START, 0, 1);
  if (words.getInt32(CONTROL.failed, true)) {
    const site = program.failSites[words.getInt32(CONTROL.failSite, true)]!;
    const value = words.getBigInt64(CONTROL.failValue, true);
    throw new Error(`${site.what}: index ${value} is out of range for ${site.size} elements`);
  }
  const copyOut = (at: number, { dtype, elements }: { dtype: Node['dtype']; elements: number }): HostArray => {
    const host = hostArray(dtype, elements);
    const view = hostView(dtype, memory.buffer, at, elements);
    (host as Float32Array).set(view as Float32Array);
    return host;
  };
  return {
    outputs: program.outputs.map((out, i) => copyOut(outAt[i]!, out)),
    leaves: program.leaves.map((leaf, i) => copyOut(leafAt[i]!, leaf)),
  };
}

const align = (n: number): number => Math.ceil(n / 64) * 64;

/** Values of outputs, then new values of updated variables: compiled, and from the reference. */
export function both(
  outputs: readonly Node[],
  updates: readonly { leaf: Node; node: Node }[] = [],
): { compiled: HostArray[]; reference: HostArray[]; program: LoopProgram } {
  const graph = programOf(outputs, updates);
  const program = compileGraph(graph, TARGET);
  verifyProgram(program);
  const bindings = graph.leaves.map(hostOf);
  const ran = runLoops(program, bindings);
  const expected = referenceBackend
    .compile(graph)
    .run(
      graph.leaves.map((leaf, i) =>
        leaf.is('variable') ? new Variable(leaf.shape, leaf.dtype, bindings[i]!.slice() as HostArray) : bindings[i]!,
      ),
    );
  const updated = referenceBackend
    .compile({ leaves: graph.leaves, outputs: graph.updates.map(u => u.node), updates: [] })
    .run(bindings);
  return {
    compiled: [...ran.outputs, ...graph.updates.map(u => ran.leaves[u.leaf]!)],
    reference: [...expected, ...updated],
    program,
  };
}
