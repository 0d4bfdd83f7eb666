/**
 * The next pass, asked for and begun to be read while the present one is trained on: its files are opened, parsed and
 * shuffled by the reading threads, which wait once they have filled their blocks. Nothing that is trained depends on
 * it.
 */
import type { SparseBatch } from '../batch.ts';
import type { ReaderStats } from '../read/reader.ts';
import type { Asking, Pass, PassBatches, SourcePosition, StreamSource } from './source.ts';

/** Batches whose first loop begins at once. */
class BegunBatches implements PassBatches {
  private readonly batches: PassBatches;
  private begun: {
    readonly loop: AsyncIterator<SparseBatch>;
    readonly first: Promise<IteratorResult<SparseBatch>>;
  } | null;

  constructor(batches: PassBatches) {
    this.batches = batches;
    const loop = batches[Symbol.asyncIterator]();
    const first = loop.next();
    // What is wrong is said when the pass is trained on.
    first.catch(() => {});
    this.begun = { loop, first };
  }

  get stats(): ReaderStats {
    return this.batches.stats;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SparseBatch, void, undefined> {
    const { begun } = this;
    this.begun = null;
    if (!begun) {
      yield* this.batches;
      return;
    }
    try {
      for (let next = await begun.first; !next.done; next = await begun.loop.next()) yield next.value;
    } finally {
      await begun.loop.return?.();
    }
  }

  /** Gives up a loop that nobody took. */
  async close(): Promise<void> {
    const { begun } = this;
    this.begun = null;
    await begun?.first.catch(() => {});
    await begun?.loop.return?.();
  }
}

/** A pass and its batches, which are under way. */
export interface ReadyPass {
  readonly pass: Pass;
  readonly batches: BegunBatches;
}

interface Upcoming {
  readonly after: string;
  readonly pass: Promise<ReadyPass | null>;
  readonly stop: AbortController;
  /** Tells what is waited for, from now on. */
  speak(onNotice: Asking['onNotice']): void;
}

export class PassesAhead {
  private readonly source: StreamSource;
  private readonly read: (pass: Pass, number: number) => PassBatches;
  private upcoming: Upcoming | null = null;

  /** `read` opens a pass; `number` says how many came before it. */
  constructor(source: StreamSource, read: (pass: Pass, number: number) => PassBatches) {
    this.source = source;
    this.read = read;
  }

  /** Begins with the pass after a position; `next` with the same position gets it. */
  begin(after: SourcePosition, number: number, asking: Asking): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([asking.signal, stop.signal]);
    // Nobody waits yet: what there is to say is said once somebody does.
    let held: string[] = [];
    let say: Asking['onNotice'] = sentence => held.push(sentence);
    const pass = this.ask(after, number, { signal, onNotice: sentence => say(sentence) });
    const over = (): void => {
      held = [];
    };
    pass.then(over, over);
    const speak = (onNotice: Asking['onNotice']): void => {
      for (const sentence of held) onNotice(sentence);
      say = onNotice;
    };
    this.upcoming = { after: JSON.stringify(after), pass, stop, speak };
  }

  /** The pass after a position, as StreamSource has it. */
  async next(after: SourcePosition | null, number: number, asking: Asking): Promise<ReadyPass | null> {
    const { upcoming } = this;
    this.upcoming = null;
    if (upcoming && upcoming.after === JSON.stringify(after)) {
      upcoming.speak(asking.onNotice);
      return upcoming.pass;
    }
    return this.ask(after, number, asking);
  }

  private async ask(after: SourcePosition | null, number: number, asking: Asking): Promise<ReadyPass | null> {
    const pass = await this.source.next(after, asking);
    return pass && { pass, batches: new BegunBatches(this.read(pass, number)) };
  }

  /** Ends what was begun. */
  async close(): Promise<void> {
    const { upcoming } = this;
    this.upcoming = null;
    upcoming?.stop.abort();
    const ready = await upcoming?.pass.catch(() => null);
    await ready?.batches.close();
  }
}
