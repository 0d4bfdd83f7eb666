/**
 * The order of kernels: that in which the program was written, as far as their inputs are there; updates as soon as
 * nothing needs the old value and nothing can fail any more.
 */
import type { JoinedParts } from '../concats.ts';
import type { Flow, Value } from '../flow.ts';
import type { Place } from '../program.ts';
import { leafWritten, makersOf, type Step } from './step.ts';

/** A binary heap of step numbers, least key first. */
class Queue {
  private readonly heap: number[] = [];
  private readonly key: readonly number[];

  constructor(key: readonly number[]) {
    this.key = key;
  }

  get size(): number {
    return this.heap.length;
  }

  private before(a: number, b: number): boolean {
    const d = this.key[a]! - this.key[b]!;
    return d < 0 || (d === 0 && a < b);
  }

  push(item: number): void {
    const { heap } = this;
    let i = heap.push(item) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!this.before(heap[i]!, heap[up]!)) break;
      [heap[i], heap[up]] = [heap[up]!, heap[i]!];
      i = up;
    }
  }

  pop(): number {
    const { heap } = this;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      let i = 0;
      for (;;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2])
          if (child < heap.length && this.before(heap[child]!, heap[least]!)) least = child;
        if (least === i) break;
        [heap[i], heap[least]] = [heap[least]!, heap[i]!];
        i = least;
      }
    }
    return top;
  }
}

/** Orders the steps: inputs first, then as the program was written; commits as early as they may. */
export function order(
  flow: Flow,
  steps: readonly Step[],
  place: ReadonlyMap<Value, Place>,
  joined: JoinedParts,
): Step[] {
  const makers = makersOf(steps, joined);
  const position = new Map(steps.map((step, i) => [step, i]));
  const waits = steps.map(() => 0);
  const next: number[][] = steps.map(() => []);
  const edge = (from: number, to: number): void => {
    if (from === to) return;
    next[from]!.push(to);
    waits[to]!++;
  };
  const readers = new Map<number, number[]>();
  steps.forEach((step, i) => {
    for (const value of step.reads) {
      for (const maker of makers(value)) edge(position.get(maker)!, i);
      if (value.leaf < 0) continue;
      const memory = flow.sameMemory[value.leaf]!;
      const list = readers.get(memory);
      if (list) list.push(i);
      else readers.set(memory, [i]);
    }
  });
  const key = steps.map(({ kernel }) => {
    let born = kernel.kind === 'copy' ? kernel.from.born : kernel.kind === 'pack' ? kernel.born : 0;
    for (const value of kernel.members.keys()) born = Math.max(born, value.born);
    return born;
  });
  const commits = steps.map(step => leafWritten(step, place));
  const failing = steps.flatMap((step, i) => (step.mayFail ? [i] : []));
  // All failing steps pass through one gate, so that commits wait for one thing only.
  let failuresLeft = failing.length;
  const gated: number[] = [];
  commits.forEach((leaves, i) => {
    if (leaves.length === 0) return;
    key[i] = -1;
    for (const leaf of leaves) for (const reader of readers.get(flow.sameMemory[leaf]!) ?? []) edge(reader, i);
    if (failuresLeft > 0) {
      gated.push(i);
      waits[i]!++;
    }
  });
  const ready = new Queue(key);
  waits.forEach((n, i) => {
    if (n === 0) ready.push(i);
  });
  const result: Step[] = [];
  const release = (i: number): void => {
    if (--waits[i]! === 0) ready.push(i);
  };
  while (ready.size > 0) {
    const i = ready.pop();
    const step = steps[i]!;
    result.push(step);
    for (const after of next[i]!) release(after);
    if (step.mayFail && --failuresLeft === 0) for (const commit of gated) release(commit);
  }
  if (result.length !== steps.length) throw new Error('internal: kernels wait for each other');
  return result;
}
