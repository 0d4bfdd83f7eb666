/**
 * Spans of time, recorded while a profile is being taken, in Chrome's trace event format
 * (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, complete events "X", microseconds).
 */
import { changes } from '../graph/changes.ts';
import { clock } from '../launch/clock.ts';

export interface TraceEvent {
  readonly name: string;
  readonly ph: 'X';
  /** Start and duration, microseconds. */
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: Readonly<Record<string, string | number>>;
}

let events: TraceEvent[] | null = null;

/** Whether a profile is being taken: backends then time their kernels one by one. */
export const isProfiling = (): boolean => events !== null;

/** Adds an event, if a profile is being taken. `start` and `end` are milliseconds of `clock`. */
export function record(name: string, start: number, end: number, args?: TraceEvent['args'], tid = 0): void {
  events?.push({ name, ph: 'X', ts: start * 1e3, dur: (end - start) * 1e3, pid: 1, tid, args });
}

/** Runs `body` as one event. */
export function span<T>(name: string, body: () => T): T {
  if (!events) return body();
  const start = clock();
  try {
    return body();
  } finally {
    record(name, start, clock());
  }
}

/** Collects the events of `body`. Nested profiles are refused. */
export function collect(body: () => void): TraceEvent[] {
  if (events) throw new Error('profile: a profile is being taken already');
  events = [];
  changes.modes++;
  try {
    span('profile', body);
    return events;
  } finally {
    events = null;
  }
}
