/**
 * The streaming loop: for each pass, measure on it while it is unseen, train on it, publish a delta, write a
 * checkpoint; at the end of a day shrink the table and publish a base. A restart goes on from the last done-file, and
 * ends with the bits of a run that was never stopped.
 */
import path from 'node:path';
import { writeAtomic } from '../../formats/index.ts';
import { defaultGenerator } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { breather } from '../../train/breathe.ts';
import type { BatchSchema, SparseBatch } from '../batch.ts';
import { SlotImportance, type SlotImportanceState } from '../importance.ts';
import type { SaveReport } from '../table/sparse-table.ts';
import type { StepResult } from '../train/learner.ts';
import { PassesAhead, type ReadyPass } from './ahead.ts';
import type { DayEvent, PassEvent, StreamProgress } from './events.ts';
import type { StreamOptions, StreamResult } from './options.ts';
import { CARD_FILE, DENSE_FILE, type PublishedCard, TABLE_FILE } from './published.ts';
import { RunFiles, type SavedState } from './runFiles.ts';
import type { Asking, Pass, PassBatches, SourcePosition } from './source.ts';
import { spread, type TaskReports, type TaskStates, TaskValidation } from './tasks.ts';

/** A pass that was stopped in the middle. */
interface Partial {
  readonly end: SourcePosition;
  readonly batches: number;
  readonly lossSum: number;
  readonly examples: number;
  readonly window: TaskReports | null;
}

interface State extends SavedState {
  readonly position: SourcePosition | null;
  readonly day: string | null;
  readonly passes: number;
  readonly total: number;
  readonly generator: { readonly seed: string; readonly counter: string };
  readonly today: TaskStates;
  readonly earlier: TaskStates;
  readonly importance: SlotImportanceState;
  readonly partial: Partial | null;
  /** What the source knew beside its position. */
  readonly source?: unknown;
}

/** Batches after which the pipeline is emptied. */
const PIPELINED = 64;

const OPTIONS = [
  ...([
    'learner',
    'source',
    'reading',
    'seed',
    'shuffleBuffer',
    'folder',
    'card',
    'resume',
    'checkpointEvery',
  ] as const),
  ...(['deltaEvery', 'keep', 'validate', 'pipeline', 'importanceBatches', 'maxPasses', 'signal'] as const),
  ...(['onEvent', 'onNotice', 'onProgress'] as const),
] as const;

/**
 * Trains until the source is over, `maxPasses` are done or the signal comes.
 * @throws Error in one sentence; what was saved before stays loadable
 */
export function streamTrain(options: StreamOptions): Promise<StreamResult> {
  checkOptions('streamTrain', options, OPTIONS);
  return new StreamRun(options).run();
}

class StreamRun {
  private readonly options: StreamOptions;
  private readonly files: RunFiles;
  private readonly never = new AbortController().signal;
  private readonly breathe = breather();
  private position: SourcePosition | null = null;
  /** The day whose passes are being trained on; null when it was ended. */
  private day: string | null = null;
  private passes = 0;
  private total = 0;
  private begun = 0;
  private partial: Partial | null = null;
  /** Of passes that are over; `today` of those of the day, `earlier` of those of the days before. */
  private readonly today: TaskValidation;
  private readonly earlier: TaskValidation;
  private readonly ahead: PassesAhead;
  private readonly importance: SlotImportance;
  /** What happened last: a pass, a part of one, or the end of a day. */
  private last = { day: '', pass: '' };
  /** Whether anything happened since the last checkpoint. */
  private dirty = false;

  constructor(options: StreamOptions) {
    this.options = options;
    this.files = new RunFiles(options.folder, options.keep ?? 2);
    const { tasks, schema } = options.learner.model;
    this.today = new TaskValidation(schema.labels, tasks);
    this.earlier = new TaskValidation(schema.labels, tasks);
    this.ahead = new PassesAhead(options.source, (pass, number) => this.open(pass, number));
    this.importance = new SlotImportance(schema, { seed: options.seed, buckets: 4096, label: tasks[0] });
  }

  async run(): Promise<StreamResult> {
    const { source, maxPasses = Number.POSITIVE_INFINITY } = this.options;
    const unlock = this.files.lock();
    let ready: ReadyPass | null = null;
    try {
      this.begin();
      while (!this.stopped && this.begun < maxPasses) {
        ready = await this.ahead.next(this.position, this.passes, { ...this.asking, again: this.partial?.end });
        if (this.stopped) break;
        if (this.day !== null && ready?.pass.day !== this.day) this.endDay();
        if (!ready) break;
        const { pass, batches } = ready;
        if (this.begun + 1 < maxPasses) this.ahead.begin(pass.position, this.passes + 1, this.asking);
        await this.train(pass, batches);
        if (this.stopped && this.partial) break;
        if (pass.endsDay) this.endDay();
      }
      if (this.dirty) await this.checkpoint();
    } finally {
      await ready?.batches.close();
      await this.ahead.close();
      await source.close();
      unlock();
    }
    this.earlier.merge(this.today.state());
    const { auc, logLoss } = spread(this.earlier.compute());
    const rows = this.options.learner.table.size;
    return { passes: this.begun, total: this.total, auc, logLoss, rows, stopped: this.stopped };
  }

  private get asking(): Asking {
    const { signal = this.never, onNotice = () => {} } = this.options;
    return { signal, onNotice };
  }

  /** The batches of a pass; `number` came before it. */
  private open(pass: Pass, number: number): PassBatches {
    const { reading, folder, seed, shuffleBuffer = 262_144 } = this.options;
    const quarantine = path.join(folder, 'quarantine', `${pass.day}-${pass.name}.jsonl`);
    const shuffle = shuffleBuffer > 0 ? { seed, buffer: shuffleBuffer, epoch: number } : undefined;
    return pass.read({ ...reading, badLines: { ...reading.badLines, quarantine }, shuffle });
  }

  private get stopped(): boolean {
    return this.options.signal?.aborted ?? false;
  }

  /** Where the run stands: nowhere, or at its last checkpoint. */
  private begin(): void {
    const { learner, source, resume = false, reading, onEvent } = this.options;
    const found = resume ? this.files.lastCheckpoint() : null;
    // The step is compiled for the largest batch: always the same one, so that a restart computes the same bits.
    learner.predict(emptyBatch(reading.features.schema, reading.batchSize));
    this.files.rewind(found?.state ?? null);
    if (!found) return;
    try {
      learner.load(found.folder);
    } catch (error) {
      throw new Error(
        `${(error as Error).message}: restore it, or take the last line of ${this.files.checkpointDone} away to go on from the one before`,
        { cause: error },
      );
    }
    const state = found.state as State;
    if (state.source !== undefined) source.remember?.(state.source);
    defaultGenerator.setState(state.generator);
    this.position = state.position;
    this.day = state.day;
    this.passes = state.passes;
    this.total = state.total;
    this.partial = state.partial;
    this.today.merge(state.today);
    this.earlier.merge(state.earlier);
    this.importance.merge(state.importance);
    const { day, pass } = found.done;
    this.last = { day, pass };
    onEvent?.({ event: 'resume', day, pass, path: found.folder });
  }

  private async train(pass: Pass, batches: PassBatches): Promise<void> {
    const { learner, reading, validate = 'pass', deltaEvery = 1, checkpointEvery = 1 } = this.options;
    const started = performance.now();
    this.day = pass.day;
    const measured = reading.features.schema.labels.length > 0;
    let window = this.partial?.window ?? null;
    if (measured && validate === 'pass' && !this.partial) {
      if (!(await this.measure(pass, batches))) return;
      window = this.today.endWindow();
    }
    const learned = await this.learn(pass, batches, measured && validate === 'progressive', window);
    if (!learned) return;
    window ??= this.today.endWindow();
    this.partial = null;
    this.position = pass.position;
    this.passes++;
    this.begun++;
    this.total += learned.examples;
    this.dirty = true;
    this.last = { day: pass.day, pass: pass.name };
    this.emit({
      event: 'pass',
      day: pass.day,
      pass: pass.name,
      number: this.passes,
      ...spread(window),
      examples: learned.examples,
      loss: learned.lossSum / learned.examples,
      total: this.total,
      lines: batches.stats.lines,
      bad: batches.stats.bad,
      rows: learner.table.size,
      seconds: (performance.now() - started) / 1000,
      examplesPerSecond: learned.examplesPerSecond,
    });
    if (deltaEvery > 0 && this.passes % deltaEvery === 0) this.publishDelta(pass);
    if (this.passes % checkpointEvery === 0) await this.checkpoint();
  }

  /** Predicts all of a pass; false when it was stopped, and nothing has happened. */
  private async measure(pass: Pass, batches: AsyncIterable<SparseBatch>): Promise<boolean> {
    const { learner } = this.options;
    const progress = this.progress(pass, 'measuring');
    const importance = this.importance.state();
    let number = 0;
    let examples = 0;
    for await (const batch of batches) {
      if (this.stopped) {
        this.today.dropWindow();
        this.importance.reset();
        this.importance.merge(importance);
        return false;
      }
      const predictions = learner.predict(batch);
      if (predictions.some(Number.isNaN))
        throw new Error(
          `${pass.day} ${pass.name}: predictions are NaN, so what was trained before has diverged: take the last line of ${this.files.checkpointDone} away to go on from the one before`,
        );
      this.today.update(batch, predictions);
      this.importanceOf(batch, ++number);
      examples += batch.size;
      progress(examples, Number.NaN);
      await this.breathe();
    }
    return true;
  }

  /** Shuffles the slots of a pass's first batches; `number` is the batch's, from 1. */
  private importanceOf(batch: SparseBatch, number: number): void {
    const { learner, importanceBatches = 1 } = this.options;
    if (number <= importanceBatches && batch.size > 1) this.importance.update(batch, of => learner.predict(of));
  }

  /** Trains on a pass, past the batches of a run that was stopped; null when it was stopped again. */
  private async learn(
    pass: Pass,
    batches: AsyncIterable<SparseBatch>,
    measure: boolean,
    window: TaskReports | null,
  ): Promise<{ lossSum: number; examples: number; examplesPerSecond: number } | null> {
    const { learner, pipeline = false, importanceBatches = 1 } = this.options;
    const progress = this.progress(pass, 'training');
    const skip = this.partial?.batches ?? 0;
    let lossSum = this.partial?.lossSum ?? 0;
    let examples = this.partial?.examples ?? 0;
    const before = examples;
    const started = performance.now();
    let number = 0;
    const learned = async (batch: SparseBatch, { loss, predictions }: StepResult): Promise<void> => {
      number++;
      if (!Number.isFinite(loss))
        throw new Error(
          `${pass.day} ${pass.name}: the loss of batch ${number} is ${loss}: training has diverged, and the last checkpoint stays as it is; lower learning rates help`,
        );
      if (measure) this.today.update(batch, predictions);
      lossSum += loss * batch.size;
      examples += batch.size;
      progress(examples, lossSum / examples);
      await this.breathe();
    };
    const loop = batches[Symbol.asyncIterator]();
    try {
      for (; number < skip; number++) await loop.next();
      for (let over = false; !over; ) {
        if (this.stopped) {
          this.partial = { end: pass.position, batches: number, lossSum, examples, window };
          this.last = { day: pass.day, pass: pass.name };
          this.dirty = true;
          return null;
        }
        // Slots are shuffled outside of the pipeline, because predicting uses what it keeps.
        const importance = measure && number < importanceBatches;
        if (pipeline && learner.train && !importance)
          over = await this.stretch(learner.train.bind(learner), loop, learned);
        else {
          const { value: batch, done } = await loop.next();
          over = done === true;
          if (!batch) continue;
          if (measure) this.importanceOf(batch, number + 1);
          await learned(batch, learner.step(batch));
        }
      }
    } finally {
      await loop.return?.();
    }
    return { lossSum, examples, examplesPerSecond: ((examples - before) * 1000) / (performance.now() - started) };
  }

  /** Learns from the next batches in a pipeline that is empty before and after. @returns whether there are no more */
  private async stretch(
    train: (batches: AsyncIterable<SparseBatch>) => AsyncIterable<StepResult>,
    loop: AsyncIterator<SparseBatch>,
    learned: (batch: SparseBatch, result: StepResult) => Promise<void>,
  ): Promise<boolean> {
    const under: SparseBatch[] = [];
    let over = false;
    const some = async function* (): AsyncGenerator<SparseBatch> {
      for (let k = 0; k < PIPELINED; k++) {
        const { value, done } = await loop.next();
        over = done === true;
        if (over) return;
        under.push(value);
        yield value;
      }
    };
    for await (const result of train(some())) await learned(under.shift()!, result);
    return over;
  }

  private progress(pass: Pass, doing: StreamProgress['doing']): (examples: number, loss: number) => void {
    const { onProgress } = this.options;
    if (!onProgress) return () => {};
    const started = performance.now();
    return (examples, loss) => {
      const examplesPerSecond = (examples * 1000) / (performance.now() - started);
      onProgress({ day: pass.day, pass: pass.name, doing, examples, examplesPerSecond, loss });
    };
  }

  private emit(event: PassEvent | DayEvent): void {
    this.files.event(event);
    this.options.onEvent?.(event);
  }

  private publishDelta({ day, name }: Pass): void {
    const report = this.publish('delta', day, name);
    this.options.onEvent?.({ event: 'delta', day, pass: name, ...report });
  }

  private publish(kind: 'base' | 'delta', day: string, pass: string): SaveReport {
    const { learner, card } = this.options;
    let report: SaveReport = { rows: 0, bytes: 0 };
    this.files.publish(kind, day, pass, folder => {
      report = learner.table.save(path.join(folder, TABLE_FILE), kind);
      learner.saveDense(path.join(folder, DENSE_FILE));
      const content: PublishedCard = { ...card, format: 'tenon-recsys', version: 1 };
      writeAtomic(path.join(folder, CARD_FILE), [`${JSON.stringify(content, null, 2)}\n`]);
    });
    return report;
  }

  /** Shrinks the table, publishes the base model, keeps the whole table and lets its rows grow a day older. */
  private endDay(): void {
    const { learner } = this.options;
    const day = this.day!;
    const { deleted, kept } = learner.table.shrink();
    const base = this.publish('base', day, 'end');
    this.files.batch(day, folder => learner.table.save(path.join(folder, TABLE_FILE), 'batch'));
    const report = spread(this.today.compute());
    this.earlier.merge(this.today.state());
    this.today.reset();
    this.emit({
      event: 'day',
      day,
      ...report,
      rows: kept,
      deleted,
      baseRows: base.rows,
      importance: this.importance.compute(),
    });
    this.importance.reset();
    this.day = null;
    this.dirty = true;
    this.last = { day, pass: 'end' };
  }

  /** Writes a checkpoint and tells the source. */
  private async checkpoint(): Promise<void> {
    const { learner, source, onEvent } = this.options;
    const state: Omit<State, 'lines'> = {
      position: this.position,
      day: this.day,
      passes: this.passes,
      total: this.total,
      generator: defaultGenerator.state(),
      today: this.today.state(),
      earlier: this.earlier.state(),
      importance: this.importance.state(),
      partial: this.partial,
      source: source.memory?.(this.position),
    };
    const batches = this.partial?.batches;
    const line = { ...this.last, batches, position: this.position };
    this.files.checkpoint(line, folder => learner.save(folder), state);
    this.dirty = false;
    onEvent?.({ event: 'checkpoint', ...this.last, batches });
    if (this.position) await source.commit(this.position);
  }
}

/** A batch of examples without anything. */
function emptyBatch(schema: BatchSchema, size: number): SparseBatch {
  return {
    schema,
    size,
    hi: new Uint32Array(0),
    lo: new Uint32Array(0),
    offsets: new Uint32Array(size * schema.slots.length + 1),
    dense: new Float32Array(size * schema.dense.length),
    labels: new Float32Array(size * schema.labels.length),
  };
}
