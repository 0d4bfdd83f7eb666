/**
 * Progress for people: a bar with time left and throughput on a terminal, plain lines elsewhere.
 */
import type { Callback, EpochReport, Run, StepReport } from './run.ts';

/** Where the text goes: `process.stdout` or anything like it. */
export interface TextStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Prints the text as it is. */
  write(text: string): unknown;
}

const WIDTH = 20;
/** Milliseconds between two drawings. */
const INTERVAL = 100;

/** 75 -> 1:15, 3700 -> 1:01:40. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const pad = (n: number): string => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

const short = (x: number): string =>
  x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4)));

/** Draws `epoch 2/5 [=====>    ] 120/500 loss 0.312 1840/s 0:31 left`, and one line per finished epoch. */
export class ProgressBar implements Callback {
  readonly name = 'progressBar';
  readonly #stream: TextStream;
  #drawn = 0;

  constructor(stream: TextStream = process.stdout) {
    this.#stream = stream;
  }

  onStep(run: Run, report: StepReport): void {
    const now = performance.now();
    if (!this.#stream.isTTY || now - this.#drawn < INTERVAL) return;
    this.#drawn = now;
    const { batch, batches, meanLoss, samplesPerSecond, samples } = report;
    const parts = [`epoch ${report.epoch}/${run.epochs}`];
    if (batches === undefined) parts.push(`batch ${batch}`);
    else {
      const done = Math.min(WIDTH, Math.floor((batch / batches) * WIDTH));
      parts.push(
        `[${'='.repeat(done)}${done < WIDTH ? '>' : ''}${' '.repeat(Math.max(0, WIDTH - done - 1))}]`,
        `${batch}/${batches}`,
      );
    }
    parts.push(`loss ${short(meanLoss)}`, `${short(samplesPerSecond)}/s`);
    if (batches !== undefined) parts.push(`${clock(((batches - batch) * samples) / samplesPerSecond)} left`);
    this.#stream.write(`\r\x1b[K${parts.join(' ').slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }

  onEpoch(run: Run, { epoch, metrics, seconds, samplesPerSecond }: EpochReport): void {
    const values = Object.entries(metrics).map(([name, value]) => `${name} ${short(value)}`);
    const line = [`epoch ${epoch}/${run.epochs}`, ...values, `${short(samplesPerSecond)}/s`, clock(seconds)].join('  ');
    this.#stream.write(`${this.#stream.isTTY ? '\r\x1b[K' : ''}${line}\n`);
  }

  onEnd(run: Run): void {
    if (run.stopped) this.#stream.write(`${this.#stream.isTTY ? '\r\x1b[K' : ''}stopped: ${run.stopped}\n`);
  }
}
