/**
 * What a streaming run tells of itself: lines of metrics.jsonl and of a command's output. Types only.
 */
import type { ProgressiveReport } from '../../metrics/index.ts';
import type { SlotScore } from '../importance.ts';
import type { SaveReport } from '../table/sparse-table.ts';
import type { TaskReports } from './tasks.ts';

export interface StreamProgress {
  readonly day: string;
  readonly pass: string;
  readonly doing: 'measuring' | 'training';
  readonly examples: number;
  readonly examplesPerSecond: number;
  /** Mean training loss of the pass so far; NaN while measuring. */
  readonly loss: number;
}

export interface PassEvent extends ProgressiveReport {
  readonly event: 'pass';
  readonly day: string;
  readonly pass: string;
  /** Of the whole run, from 1. */
  readonly number: number;
  /** Mean training loss. */
  readonly loss: number;
  /** Learned from, over the whole run. */
  readonly total: number;
  readonly lines: number;
  readonly bad: number;
  readonly rows: number;
  readonly seconds: number;
  /** While training, reading included. */
  readonly examplesPerSecond: number;
  /** Of a model of several tasks: what the event has of the first one, of each by its label. */
  readonly tasks?: TaskReports;
}

export interface DayEvent extends ProgressiveReport {
  readonly event: 'day';
  readonly day: string;
  readonly rows: number;
  readonly deleted: number;
  readonly baseRows: number;
  readonly importance: readonly SlotScore[];
  readonly tasks?: TaskReports;
}

export type StreamEvent =
  | PassEvent
  | DayEvent
  | ({ readonly event: 'delta'; readonly day: string; readonly pass: string } & SaveReport)
  | { readonly event: 'checkpoint'; readonly day: string; readonly pass: string; readonly batches?: number }
  | { readonly event: 'resume'; readonly day: string; readonly pass: string; readonly path: string };
