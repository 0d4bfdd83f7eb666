/**
 * Progressive validation of every task of a model: what a run measures before it learns.
 */
import { type ProgressiveReport, type ProgressiveState, ProgressiveValidation } from '../../metrics/index.ts';
import { columnOf, type SparseBatch } from '../batch.ts';

/** A report by label, in the order of the model's tasks. */
export type TaskReports = Readonly<Record<string, ProgressiveReport>>;
export type TaskStates = Readonly<Record<string, ProgressiveState>>;

export class TaskValidation {
  /** Predictions of an example. */
  private readonly width: number;
  private readonly tasks: readonly {
    readonly label: string;
    readonly place: number;
    readonly of: ProgressiveValidation;
  }[];

  /** `tasks` are places among `labels`. Data without labels has none. */
  constructor(labels: readonly string[], tasks: readonly number[]) {
    this.width = tasks.length;
    this.tasks = tasks
      .filter(place => place < labels.length)
      .map(place => ({ label: labels[place]!, place, of: new ProgressiveValidation() }));
  }

  /** `predictions` [size, tasks], made before the batch was learned from. */
  update({ size, labels, schema }: SparseBatch, predictions: Float32Array): void {
    this.tasks.forEach(({ of, place }, t) => {
      of.update(columnOf(predictions, this.width, t, size), columnOf(labels, schema.labels.length, place, size));
    });
  }

  private reports(report: (of: ProgressiveValidation) => ProgressiveReport): TaskReports {
    return Object.fromEntries(this.tasks.map(({ label, of }) => [label, report(of)]));
  }

  endWindow(): TaskReports {
    return this.reports(of => of.endWindow());
  }

  compute(): TaskReports {
    return this.reports(of => of.compute());
  }

  dropWindow(): void {
    for (const { of } of this.tasks) of.dropWindow();
  }

  reset(): void {
    for (const { of } of this.tasks) of.reset();
  }

  state(): TaskStates {
    return Object.fromEntries(this.tasks.map(({ label, of }) => [label, of.state()]));
  }

  merge(states: TaskStates): void {
    for (const { label, of } of this.tasks) if (states[label]) of.merge(states[label]);
  }
}

/** What a report has of all tasks: the first task's own, and of several tasks each by name. */
export function spread(reports: TaskReports): ProgressiveReport & { readonly tasks?: TaskReports } {
  const all = Object.values(reports);
  const first = all[0] ?? new ProgressiveValidation().compute();
  return all.length > 1 ? { ...first, tasks: reports } : first;
}
