/**
 * Which kernels become one chain: a kernel that reduces rows, the products it reads and the products that read what it
 * leaves, where nobody else needs anything of full size between them. Decides by shapes and by who reads what; how a
 * chain runs is lower.ts.
 */
import type { DType } from '../../graph/dtype.ts';
import { type Flow, isGenerated, storage, type Value } from '../flow.ts';
import type { IndexTable } from '../index-expr.ts';
import type { ChainKernel, ContractKernel, Kernel, SpaceKernel } from '../kernels.ts';
import type { Target } from '../target.ts';
import { isBatched } from './recompute.ts';

/** Scores of fewer elements stay in the second cache, and a chain gains nothing. */
const SMALLEST = 1 << 15;
const FEWEST_COLUMNS = 32;

interface Joined {
  readonly kernels: readonly Kernel[];
  readonly chains: readonly ChainKernel[];
}

/** @param fits the last word: whether a chain can be lowered */
export function joinChains(
  flow: Flow,
  kernels: readonly Kernel[],
  home: ReadonlyMap<Value, Kernel>,
  table: IndexTable,
  target: Target,
  fits: (chain: ChainKernel) => boolean,
): Joined {
  const candidates = kernels.filter(
    (kernel): kernel is SpaceKernel => kernel.kind === 'space' && rowsOf(kernel, table) !== null,
  );
  if (candidates.length === 0) return { kernels, chains: [] };
  const stored = new Set(kernels.flatMap(kernel => kernel.stores));
  const pinned = new Set([...flow.outputs, ...flow.updates.map(update => update.value)].map(storage));
  const reads = new Map(kernels.map(kernel => [kernel, readsOf(kernel, stored)]));
  const readers = new Map<Value, Kernel[]>();
  for (const [kernel, values] of reads)
    for (const value of values) readers.set(value, [...(readers.get(value) ?? []), kernel]);
  const joins = ({ value, plan: { a, b } }: ContractKernel): boolean =>
    isChained(value.dtype, target) && [a, b].every(({ base }) => base.dtype === value.dtype);
  const taken = new Set<Kernel>();
  const chains: ChainKernel[] = [];

  const chainOf = (rows: SpaceKernel): ChainKernel | null => {
    const size = rows.shape.reduce((n, s) => n * s, 1);
    const products = [...new Set([...reads.get(rows)!].map(value => home.get(value)))].filter(
      (kernel): kernel is ContractKernel =>
        kernel?.kind === 'contract' && kernel.value.size === size && isBatched(kernel.value) && joins(kernel),
    );
    if (products.length === 0) return null;
    const made = new Set([...products.flatMap(p => p.stores), ...rows.stores.filter(v => v.size === size)]);
    const results = new Set<ContractKernel>();
    for (const value of made) {
      if (pinned.has(value) || !isChained(value.dtype, target)) return null;
      for (const reader of readers.get(value) ?? []) {
        if (reader === rows) continue;
        if (reader.kind !== 'contract' || products.includes(reader) || !joins(reader)) return null;
        results.add(reader);
      }
    }
    if (results.size === 0) return null;
    const parts: Kernel[] = [...products, rows, ...results];
    if (parts.some(part => taken.has(part) || part.lasting)) return null;
    // All else that the results read is there before the rows are: then nothing can wait for itself.
    for (const result of results) {
      const operands = [result.plan.a.base, result.plan.b.base].map(storage).filter(value => made.has(value));
      if (operands.length !== 1) return null;
      for (const value of reads.get(result)!) {
        if (value.leaf >= 0 || made.has(value)) continue;
        const maker = home.get(value)!;
        if (parts.includes(maker) || maker.stage >= rows.stage) return null;
      }
      for (const value of readsOfMembers(result, stored)) if (made.has(value)) return null;
    }
    const stores = [...rows.stores.filter(v => !made.has(v)), ...[...results].flatMap(r => r.stores)];
    const chain: ChainKernel = {
      kind: 'chain',
      stage: rows.stage,
      members: new Map([...products, rows, ...results].flatMap(part => [...part.members])),
      stores,
      lasting: false,
      products,
      rows,
      results: [...results],
      made,
    };
    return fits(chain) ? chain : null;
  };

  for (const rows of candidates) {
    const chain = chainOf(rows);
    if (!chain) continue;
    chains.push(chain);
    for (const part of [...chain.products, chain.rows, ...chain.results]) taken.add(part);
  }
  const byRows = new Map<Kernel, ChainKernel>(chains.map(chain => [chain.rows, chain]));
  return {
    kernels: kernels.flatMap((kernel): Kernel[] => {
      const chain = byRows.get(kernel);
      if (chain) return [chain];
      return taken.has(kernel) ? [] : [kernel];
    }),
    chains,
  };
}

/** Types whose products chains join: half types where the machine multiplies words of them. */
export const isChained = (dtype: DType, target: Target): boolean =>
  dtype === 'f32' || (dtype === 'bf16' && Boolean(target.packedProducts?.bf16));

/**
 * Rows and columns of a kernel whose last dims are reduced and whose members lie as its space does; null for others.
 */
export function rowsOf(kernel: SpaceKernel, table: IndexTable): { rows: number; columns: number } | null {
  const { kept, shape, vars } = kernel;
  if (!kept || kernel.split) return null;
  let rows = 1;
  let columns = 1;
  shape.forEach((n, d) => {
    if (kept[d]) rows *= n;
    else columns *= n;
  });
  if (columns < FEWEST_COLUMNS || rows * columns < SMALLEST) return null;
  if (shape.some((n, d) => n > 1 && kept[d]! && shape.slice(0, d).some((before, i) => before > 1 && !kept[i])))
    return null;
  const full = table.linear(
    vars.map(v => table.ofAtom(v)),
    shape,
  );
  const keptShape = shape.filter((_, d) => kept[d]);
  const row = table.linear(
    vars.filter((_, d) => kept[d]).map(v => table.ofAtom(v)),
    keptShape,
  );
  for (const [value, coords] of kernel.members) {
    const at = coords.length === 0 ? table.zero : table.linear(coords, value.shape);
    if (value.size === rows * columns ? at !== full : value.size !== rows || at !== row) return null;
  }
  return { rows, columns };
}

/** Values in memory that a kernel reads. */
function readsOf(kernel: Kernel, stored: ReadonlySet<Value>): Set<Value> {
  const found = readsOfMembers(kernel, stored);
  if (kernel.kind === 'contract') for (const { base } of [kernel.plan.a, kernel.plan.b]) found.add(storage(base));
  return found;
}

/** The same, without the operands of a contraction. */
function readsOfMembers(kernel: Kernel, stored: ReadonlySet<Value>): Set<Value> {
  const found = new Set<Value>();
  const seen = new Set<Value>();
  const visit = (value: Value): void => {
    if (seen.has(value) || isGenerated(value)) return;
    seen.add(value);
    if (kernel.members.has(value)) return;
    const root = storage(value);
    if (root.leaf >= 0 || (stored.has(root) && !kernel.members.has(root))) found.add(root);
    else for (const input of value.inputs) visit(input);
  };
  for (const value of kernel.members.keys()) {
    if (kernel.kind === 'contract' && value === kernel.value) continue;
    for (const input of value.inputs) visit(input);
  }
  return found;
}
