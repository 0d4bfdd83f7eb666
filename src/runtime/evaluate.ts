/**
 * Evaluation of lazy nodes. One evaluation runs one program: the values asked for, the kept ones, and every pending assignment.
 */
import type { HostArray } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { type Cell, pendingCells, takeKept } from './cells.ts';
import { bindingOf, type Prepared, prepare, runPrepared, runPreparedAsync } from './programs.ts';
import { activeTrace } from './trace.ts';

interface Batch {
  readonly prepared: Prepared;
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

function gatherBatch(nodes: readonly Node[]): Batch | null {
  const cells = pendingCells();
  const kept = takeKept();
  const outputs = [...new Set([...nodes, ...kept])].filter(node => !settleTrivial(node));
  if (outputs.length === 0 && cells.length === 0) return null;
  const updates = cells.map(cell => ({ leaf: cell.leafNode, node: cell.node }));
  return { prepared: prepare(outputs, updates), outputs, kept, cells };
}

function finish(batch: Batch, values: readonly HostArray[]): void {
  batch.outputs.forEach((node, i) => {
    node.value = values[i]!;
    // The graph below is let go where nothing can need it again: no gradient flows there, or backward() has taken it already.
    if (!node.requiresGrad || batch.kept.has(node)) node.inputs = [];
  });
  for (const cell of batch.cells) cell.settle();
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

/** Computes `nodes` (their `value` is filled) and writes every pending assignment, in one program. */
export function evaluate(nodes: readonly Node[]): void {
  if (allKnown(nodes)) return;
  refuseInTrace();
  const batch = gatherBatch(nodes);
  if (batch) finish(batch, runPrepared(batch.prepared));
}

/** Like `evaluate`, without blocking the event loop where the backend can. */
export async function evaluateAsync(nodes: readonly Node[]): Promise<void> {
  if (allKnown(nodes)) return;
  refuseInTrace();
  const batch = gatherBatch(nodes);
  if (batch) finish(batch, await runPreparedAsync(batch.prepared));
}

/** Writes every pending assignment (and evaluates what backward() kept). Inside a trace it does nothing: the trace owns the updates. */
export function flush(): void {
  if (activeTrace()) return;
  const batch = gatherBatch([]);
  if (batch) finish(batch, runPrepared(batch.prepared));
}

export async function flushAsync(): Promise<void> {
  if (activeTrace()) return;
  const batch = gatherBatch([]);
  if (batch) finish(batch, await runPreparedAsync(batch.prepared));
}
