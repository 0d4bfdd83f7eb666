/**
 * tenon stream: training on logs as they come, pass after pass and day after day.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { writeAtomic } from '../../formats/index.ts';
import {
  Features,
  learnerOf,
  MODEL_NAMES,
  type ModelName,
  type StreamConfig,
  type StreamEvent,
  type StreamProgress,
  streamTrain,
} from '../../recsys/index.ts';
import { Interrupted, UsageError } from '../errors.ts';
import { interruptible } from '../interrupt.ts';
import { addRunOptions, applyRunOptions, nameList, positiveNumber, type RunOptions, wholeNumber } from '../options.ts';
import { Output, seconds } from '../output.ts';
import { openRun, type RunFolder } from '../runFolder.ts';
import { describeConfig, readStreamConfig, type SourceOptions, STREAM_PRESETS, streamSource } from '../tasks/stream.ts';
import { givenOptions } from './given.ts';

interface StreamCommandOptions extends RunOptions, SourceOptions {
  readonly config?: string;
  readonly preset?: string;
  readonly model?: ModelName;
  readonly batch: number;
  readonly shuffle: number;
  readonly validate: 'pass' | 'progressive';
  readonly importance: number;
  readonly pipeline?: boolean;
  readonly checkpointEvery: number;
  readonly deltaEvery: number;
  readonly keep: number;
  readonly passes?: number;
  readonly readers?: number;
  readonly maxBad: number;
  readonly progressEvery: number;
}

/**
 * Where the data is and how long to go on may change between a run and its resumption; what is learned from it may not.
 */
const FREE = [
  'config',
  'data',
  'redis',
  'nats',
  'stream',
  'group',
  'follow',
  'passes',
  'passSeconds',
  'readers',
  'keep',
  'progressEvery',
];

export const streamCommand = (): Command =>
  addRunOptions(
    new Command('stream')
      .description('Train a click model on logs as they come: days, passes, checkpoints, published models, restart.')
      .option('--config <file>', 'JSON: format, features, model, table, pooling, optimizer, l2, autocast')
      .addOption(new Option('--preset <name>', 'the config of a public log').choices(Object.keys(STREAM_PRESETS)))
      .addOption(new Option('--model <name>', "architecture, instead of the config's").choices(MODEL_NAMES))
      .option('--data <folder>', 'source: DATA/YYYYMMDD/HHMM/ folders, each complete when its done-file is there')
      .option('--days <list>', 'days to train on, YYYYMMDD,...; default: those that are there', nameList)
      .option('--interval <minutes>', 'of data per folder, with --days', wholeNumber(1), 60)
      .option('--per-pass <n>', 'folders that make one pass', wholeNumber(1), 1)
      .option('--done-file <name>', 'the file that says a folder is complete', '_SUCCESS')
      .option('--redis <url>', 'source: a Redis stream (npm install redis)')
      .option(
        '--nats <url>',
        'source: a NATS JetStream stream (npm install @nats-io/transport-node @nats-io/jetstream)',
      )
      .option('--stream <name>', "the stream's key or name")
      .option('--field <name>', "the field of Redis entries that holds the line; default: an entry's first")
      .option('--subject <name>', 'only NATS messages of this subject')
      .option(
        '--key <name>',
        'Redis field or NATS header that tells messages apart: one that comes again is passed over',
      )
      .option('--key-window <n>', 'messages for which a key is remembered', wholeNumber(1), 100_000)
      .option('--group <name>', 'Redis group or NATS consumer that shows how far training has come', 'tenon')
      .option('--pass-messages <n>', 'messages that make a pass', wholeNumber(1), 100_000)
      .option('--pass-seconds <s>', 'end a pass that has messages after this time in any case', positiveNumber())
      .option('--follow', 'wait for more data at the end; default for streams of messages')
      .option('--no-follow', 'stop when all data is read')
      .option('--passes <n>', 'stop after so many passes', wholeNumber(1))
      .option('--batch <n>', 'examples per step', wholeNumber(1), 1000)
      .option('--shuffle <n>', 'examples of the shuffle buffer, 0 for none', wholeNumber(0), 262_144)
      .addOption(
        new Option('--validate <when>', 'measure each pass before training on it, or each batch')
          .choices(['pass', 'progressive'])
          .default('pass'),
      )
      .option(
        '--importance <n>',
        'batches per pass by which slots are shuffled for their importance',
        wholeNumber(0),
        1,
      )
      .option('--pipeline', 'pull, compute and push beside one another: rows are one push older')
      .option('--checkpoint-every <n>', 'passes between checkpoints', wholeNumber(1), 1)
      .option('--delta-every <n>', 'passes between published deltas, 0 for none', wholeNumber(0), 1)
      .option('--keep <n>', 'checkpoints that stay', wholeNumber(1), 2)
      .option('--max-bad <percent>', 'bad lines of a pass that are an error', positiveNumber({ orZero: true }), 5)
      .option('--readers <n>', 'reading threads; results do not depend on it', wholeNumber(0))
      .option(
        '--progress-every <s>',
        'between lines of progress within a pass, outside a terminal',
        positiveNumber(),
        30,
      ),
  ).action(async (options: StreamCommandOptions, command: Command) => {
    await stream(options, givenOptions(command), new Output(options.json ?? false));
  });

const CONFIG = 'stream.json';

async function stream(asked: StreamCommandOptions, given: ReadonlySet<string>, output: Output): Promise<void> {
  const started = performance.now();
  // A service restarts with the same command, also when it fell before its first checkpoint.
  const resume = (asked.resume ?? false) && (asked.out === undefined || existsSync(join(asked.out, 'config.json')));
  const { run, options } = openRun('stream', 'stream', { ...asked, resume }, given, { free: FREE });
  const config = configOf(options, resume ? join(run.path, CONFIG) : null);
  applyRunOptions(options);
  const features = new Features(config.features);
  const learner = learnerOf(config, features);
  const source = await streamSource(options);
  run.begin();
  writeAtomic(run.file(CONFIG), [`${JSON.stringify(config, null, 2)}\n`]);
  output.event('start', { task: 'stream', out: run.path, ...options, ...features.schema });
  output.say(`stream: ${describeConfig(config, features.schema)}, into ${run.path}`);
  const display = new Display(output, options.progressEvery);
  const result = await interruptible(async ({ signal, heard }) => {
    const result = await streamTrain({
      learner,
      source,
      reading: {
        format: config.format,
        features,
        batchSize: options.batch,
        threads: options.readers,
        badLines: { maxShare: options.maxBad / 100 },
      },
      seed: options.seed,
      shuffleBuffer: options.shuffle,
      folder: run.path,
      card: config,
      resume,
      checkpointEvery: options.checkpointEvery,
      deltaEvery: options.deltaEvery,
      keep: options.keep,
      validate: options.validate,
      importanceBatches: options.importance,
      pipeline: options.pipeline,
      maxPasses: options.passes,
      signal,
      onEvent: event => display.event(event),
      onNotice: sentence => display.notice(sentence),
      onProgress: progress => display.progress(progress),
    });
    if (result.stopped) throw new Interrupted(stoppedAt(run, display.checkpoint), heard());
    return result;
  });
  output.event('end', {
    passes: result.passes,
    examples: result.total,
    auc: result.auc,
    logloss: result.logLoss,
    rows: result.rows,
    out: run.path,
    seconds: seconds(started),
  });
  output.say(
    `${result.passes} passes, ${result.total} examples in all: ${measured(result)}${result.rows} rows; models in ${run.file('publish')}`,
  );
}

/** What was measured before training; nothing of data without labels. AUC is not there when only one class was. */
function measured({
  auc,
  logLoss,
  copc,
}: {
  readonly auc: number;
  readonly logLoss: number;
  readonly copc?: number;
}): string {
  if (!Number.isFinite(logLoss)) return '';
  const parts = [
    Number.isFinite(auc) ? `AUC ${auc.toFixed(4)}` : 'one class only',
    `log loss ${logLoss.toFixed(4)}`,
    ...(copc !== undefined && Number.isFinite(copc) ? [`COPC ${copc.toFixed(3)}`] : []),
  ];
  return `${parts.join(', ')} before training; `;
}

const stoppedAt = (run: RunFolder, checkpoint: string): string =>
  `stopped ${checkpoint ? `at ${checkpoint}` : 'before the first checkpoint'}; go on with --resume --out ${run.path}`;

/** The config in force: the run's own when it is resumed, else the file's or the preset's. */
function configOf({ config, preset, model }: StreamCommandOptions, own: string | null): StreamConfig {
  if (config !== undefined && preset !== undefined) throw new UsageError('stream: give --config or --preset, not both');
  if (config === undefined && preset === undefined && own === null)
    throw new UsageError('stream: give --config FILE, or --preset NAME');
  const asked = config !== undefined ? readStreamConfig(config) : preset !== undefined ? STREAM_PRESETS[preset] : null;
  // Another architecture takes its own options, not the config's.
  const wanted = asked && model !== undefined && model !== asked.model.model ? { ...asked, model: { model } } : asked;
  if (own === null) return wanted!;
  const saved = readStreamConfig(own);
  if (wanted && JSON.stringify(wanted) !== JSON.stringify(saved))
    throw new UsageError(
      `--resume: ${config ?? preset} says something else than ${own}, which the run was started with`,
    );
  return saved;
}

/** What people and programs see of a run. */
class Display {
  /** Where the last checkpoint is: day and pass. */
  checkpoint = '';
  private readonly output: Output;
  private shown = performance.now();
  private readonly live: boolean;
  /** Milliseconds between two showings of progress. */
  private readonly interval: number;

  /** `every`: seconds between lines of progress where they stay: outside of a terminal, and for programs. */
  constructor(output: Output, every: number) {
    this.output = output;
    this.live = !output.json && process.stderr.isTTY;
    this.interval = this.live ? 500 : every * 1000;
  }

  event(event: StreamEvent): void {
    const { event: name, ...fields } = event;
    this.output.event(name, fields);
    this.clear();
    this.shown = performance.now();
    switch (event.event) {
      case 'pass':
        this.output.say(
          `${event.day} ${event.pass}: ${measured(event)}${event.examples} examples, loss ${event.loss.toFixed(4)}, ${Math.round(event.examplesPerSecond)} a second; ${event.rows} rows${event.bad ? `; ${event.bad} bad lines` : ''}`,
        );
        break;
      case 'day':
        this.output.say(
          `${event.day} is over: ${measured(event)}${event.deleted} rows deleted, ${event.rows} kept, ${event.baseRows} published`,
        );
        break;
      case 'checkpoint':
        this.checkpoint = `${event.day} ${event.pass}${event.batches === undefined ? '' : `, batch ${event.batches}`}`;
        break;
      case 'resume':
        this.checkpoint = `${event.day} ${event.pass}`;
        this.output.notice(`resumed from ${event.path}`);
        break;
      case 'delta':
        break;
    }
  }

  notice(sentence: string): void {
    this.clear();
    this.output.event('waiting', { message: sentence });
    this.output.notice(sentence);
  }

  progress(progress: StreamProgress): void {
    if (performance.now() - this.shown < this.interval) return;
    this.shown = performance.now();
    this.output.event('progress', { ...progress });
    if (this.output.json) return;
    const { day, pass, doing, examples, examplesPerSecond, loss } = progress;
    const learned = Number.isNaN(loss) ? '' : `, loss ${loss.toFixed(4)}`;
    const line = `${day} ${pass}: ${doing}, ${examples} examples, ${Math.round(examplesPerSecond)} a second${learned}`;
    if (this.live) process.stderr.write(`\r\x1b[K${line}`);
    else this.output.notice(line);
  }

  private clear(): void {
    if (this.live) process.stderr.write('\r\x1b[K');
  }
}
