/**
 * Where threads meet: only where kernels touch the same memory.
 */
import { bytesOf } from '../../graph/dtype.ts';
import type { Flow } from '../flow.ts';
import type { BufferRef } from '../lower/context.ts';
import type { Place } from '../program.ts';
import type { Step } from './step.ts';

interface Range {
  readonly space: string;
  readonly lo: number;
  readonly hi: number;
  /** Whether only thread 0 touches it. */
  readonly single: boolean;
}

/**
 * Finds out before which kernels threads must meet: where one touches what another has touched since they last did, and
 * one of them writes.
 */
export class Meetings {
  private reads: Range[] = [];
  private writes: Range[] = [];

  enter(flow: Flow, step: Step, places: readonly Place[], commits: boolean): boolean {
    const { lowered } = step;
    const { single } = lowered;
    const reads: Range[] = [];
    const writes: Range[] = [];
    lowered.refs.forEach((ref, i) => {
      const { access } = lowered.loop.buffers[i]!;
      if (access === 'count') return;
      const range = rangeOf(flow, places[i]!, ref, single);
      if (access !== 'write') reads.push(range);
      if (access !== 'read') writes.push(range);
    });
    // Whether an earlier kernel failed is something that kernels write and commits read.
    const failure: Range = { space: 'failure', lo: 0, hi: 1, single };
    if (commits) reads.push(failure);
    const clash = (mine: readonly Range[], theirs: readonly Range[]): boolean =>
      mine.some(a => theirs.some(b => !(single && b.single) && a.space === b.space && a.lo < b.hi && b.lo < a.hi));
    const meet = clash(reads, this.writes) || clash(writes, this.writes) || clash(writes, this.reads);
    if (meet) {
      this.reads = [];
      this.writes = [];
    }
    this.reads.push(...reads);
    this.writes.push(...writes);
    if (lowered.mayFail) this.writes.push(failure);
    return meet;
  }
}

function rangeOf(flow: Flow, place: Place, ref: BufferRef, single: boolean): Range {
  if (place.kind === 'leaf') return { space: `leaf${flow.sameMemory[place.index]}`, lo: 0, hi: 1, single };
  if (place.kind === 'output') return { space: `output${place.index}`, lo: 0, hi: 1, single };
  if (place.kind === 'count' || ref.kind === 'count') throw new Error('internal: a count is no memory');
  const bytes =
    ref.kind === 'value' ? ref.known.size * bytesOf(ref.known.dtype) : ref.kind === 'result' ? 0 : ref.bytes;
  return { space: place.kind, lo: place.offset, hi: place.offset + Math.max(1, bytes), single };
}
