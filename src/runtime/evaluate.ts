/**
 * Evaluation of lazy nodes. One evaluation runs one program: the values asked for, the kept ones, and every pending
 * assignment.
 */
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { askedFor, forgetMade } from './asked.ts';
import { type Cell, pendingCells, takeKept } from './cells.ts';
import { bindingOf, type Prepared, prepare, runPrepared, runPreparedAsync } from './programs.ts';
import { activeTrace } from './trace.ts';

/** What one program is to compute and write. */
interface Batch {
  readonly outputs: readonly Node[];
  readonly kept: ReadonlySet<Node>;
  readonly cells: readonly Cell[];
}

/** Gives leaves and free views of leaves their value without a program. */
function settleTrivial(node: Node): boolean {
  if (node.value) return true;
  if (node.is('variable')) {
    bindingOf(node);
    node.value = node.attrs.variable.read();
    return true;
  }
  const passesThrough = node.op === 'reshape' || node.op === 'detach' || node.op === 'barrier' || node.op === 'custom';
  if (passesThrough && node.inputs[0]!.value) {
    node.value = node.inputs[0]!.value;
    return true;
  }
  return false;
}

const gatherBatch = (nodes: readonly Node[], kept: ReadonlySet<Node> = takeKept()): Batch => ({
  outputs: [...new Set([...nodes, ...kept])],
  kept,
  cells: pendingCells(),
});

/** The program of a batch, and which of its outputs it computes; null where there is nothing to run. */
function prepareBatch({
  outputs,
  cells,
}: Batch): { readonly prepared: Prepared; readonly computed: readonly Node[] } | null {
  const computed = outputs.filter(node => !settleTrivial(node));
  if (computed.length === 0 && cells.length === 0) return null;
  const updates = cells.map(cell => ({ leaf: cell.leafNode, node: cell.node }));
  return { prepared: prepare(computed, updates), computed };
}

function finish({ kept, cells }: Batch, computed: readonly Node[], values: readonly HostArray[]): void {
  computed.forEach((node, i) => {
    node.value = values[i]!;
    // The graph below is let go where nothing can need it again: no gradient flows there, or backward() has taken it
    // already.
    if (!node.requiresGrad || kept.has(node)) node.inputs = [];
  });
  for (const cell of cells) cell.settle();
  forgetMade();
}

function run(batch: Batch): void {
  const ready = prepareBatch(batch);
  if (ready) finish(batch, ready.computed, runPrepared(ready.prepared));
}

async function runAsync(batch: Batch): Promise<void> {
  const ready = prepareBatch(batch);
  if (ready) finish(batch, ready.computed, await runPreparedAsync(ready.prepared));
}

/**
 * After a batch that failed: what waited beside the value asked for is computed without it, and assignments that fail
 * themselves are given up. Otherwise every later evaluation of anything would fail with them.
 */
function recover({ kept, cells }: Batch): void {
  if (cells.length === 0) return;
  try {
    run(gatherBatch([], kept));
  } catch {
    for (const cell of cells) cell.settle();
  }
}

function refuseInTrace(): void {
  if (activeTrace())
    throw new Error(
      'compile: a value was read (item, data, toArray, print) inside a compiled function; return it instead',
    );
}

function allKnown(nodes: readonly Node[]): boolean {
  for (let i = 0; i < nodes.length; i++) if (!nodes[i]!.value) return false;
  return true;
}

function runOrRecover(batch: Batch): void {
  try {
    run(batch);
  } catch (error) {
    recover(batch);
    throw error;
  }
}

async function runOrRecoverAsync(batch: Batch): Promise<void> {
  try {
    await runAsync(batch);
  } catch (error) {
    recover(batch);
    throw error;
  }
}

/** Computes `nodes` (their `value` is filled) and writes every pending assignment, in one program. */
export function evaluate(nodes: readonly Node[]): void {
  if (allKnown(nodes)) return;
  refuseInTrace();
  runOrRecover(gatherBatch(nodes));
}

/** Like `evaluate`, without blocking the event loop where the backend can. */
export async function evaluateAsync(nodes: readonly Node[]): Promise<void> {
  if (allKnown(nodes)) return;
  refuseInTrace();
  await runOrRecoverAsync(gatherBatch(nodes));
}

/**
 * Writes every pending assignment (and evaluates what backward() kept). Inside a trace it does nothing: the trace owns
 * the updates.
 */
export function flush(): void {
  if (!activeTrace()) runOrRecover(gatherBatch([]));
}

/**
 * `flush` for updates of parameters, made from the gradients `spent`: also evaluates what the user has asked for and
 * could not be computed from the parameters' new values.
 */
export function flushUpdates(spent: readonly Node[]): void {
  if (activeTrace()) return;
  const kept = takeKept();
  runOrRecover(gatherBatch(askedFor(new Set([...spent, ...kept])), kept));
}
