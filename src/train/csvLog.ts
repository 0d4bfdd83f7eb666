/**
 * A CSV file with one line per epoch.
 */
import { existsSync, readFileSync } from 'node:fs';
import { writeAtomic } from '../formats/index.ts';
import type { Callback, Run } from './run.ts';

/**
 * Writes `epoch,step,seconds,lr,train_loss,...` of every finished epoch. A resumed run goes on where its checkpoint
 * was.
 */
export class CsvLog implements Callback {
  readonly name = 'csvLog';
  readonly #path: string;
  #lines: string[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  onStart(run: Run): void {
    // Lines of epochs after the checkpoint belong to a run that did not survive.
    const old =
      run.position.epoch > 0 && existsSync(this.#path) ? readFileSync(this.#path, 'utf8').trimEnd().split('\n') : [];
    this.#lines = old.filter((line, i) => i === 0 || Number.parseInt(line, 10) <= run.position.epoch);
  }

  onEpoch(run: Run): void {
    const report = run.history.at(-1)!;
    const row = {
      epoch: report.epoch,
      step: report.step,
      seconds: Number(report.seconds.toFixed(3)),
      lr: report.lr,
      ...report.metrics,
    };
    if (this.#lines.length === 0) this.#lines.push(Object.keys(row).join(','));
    this.#lines.push(Object.values(row).join(','));
    writeAtomic(this.#path, [`${this.#lines.join('\n')}\n`]);
  }
}
