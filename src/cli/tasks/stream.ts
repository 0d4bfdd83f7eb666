/**
 * What a streaming run trains: its config file, and where its passes come from.
 */
import { readFileSync } from 'node:fs';
import { reasonOf } from '../../formats/atomic.ts';
import {
  avazuFeatures,
  type BatchSchema,
  BrokerSource,
  criteoFeatures,
  DirectorySource,
  type FeatureSpec,
  FORMAT_NAMES,
  type Format,
  type ModelConfig,
  natsBroker,
  type OptimizerConfig,
  type Pooling,
  redisBroker,
  type StreamSource,
  type TableOptions,
} from '../../recsys/index.ts';
import { UsageError } from '../errors.ts';

/** stream.json: how logs are read, what is made of them, and what learns it. */
export interface StreamConfig {
  readonly format: Format;
  readonly features: FeatureSpec;
  readonly model: ModelConfig;
  readonly table?: Partial<TableOptions>;
  readonly pooling?: Readonly<Record<string, Pooling>>;
  readonly optimizer?: OptimizerConfig;
}

const KEYS: readonly string[] = [
  'format',
  'features',
  'model',
  'table',
  'pooling',
  'optimizer',
] satisfies (keyof StreamConfig)[];

/** Public logs whose config is known. */
export const STREAM_PRESETS: Readonly<Record<string, StreamConfig>> = {
  criteo: { format: { type: 'criteo' }, features: criteoFeatures(), model: { model: 'deepfm' } },
  avazu: { format: { type: 'csv' }, features: avazuFeatures(), model: { model: 'deepfm' } },
};

/** @throws UsageError when the file cannot be read or says something that is not known */
export function readStreamConfig(file: string): StreamConfig {
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${reasonOf(error)}`, { cause: error });
  }
  const wrong = (what: string): UsageError => new UsageError(`${file}: ${what}`);
  const unknown = Object.keys(config).find(key => !KEYS.includes(key));
  if (unknown !== undefined) throw wrong(`"${unknown}" came, expected ${KEYS.join(', ')}`);
  for (const key of ['format', 'features', 'model'])
    if (typeof config[key] !== 'object' || config[key] === null) throw wrong(`${key} is missing, expected an object`);
  const { type } = config['format'] as { type?: string };
  if (!FORMAT_NAMES.some(name => name === type))
    throw wrong(`format type ${type} came, expected ${FORMAT_NAMES.join(', ')}`);
  return config as unknown as StreamConfig;
}

export interface SourceOptions {
  readonly data?: string;
  readonly days?: readonly string[];
  readonly interval: number;
  readonly perPass: number;
  readonly doneFile: string;
  readonly redis?: string;
  readonly nats?: string;
  readonly stream?: string;
  readonly field?: string;
  readonly subject?: string;
  readonly group: string;
  readonly passMessages: number;
  readonly passSeconds?: number;
  readonly follow?: boolean;
}

/** The source that the options name. @throws UsageError when they name none, or two */
export async function streamSource(options: SourceOptions): Promise<StreamSource> {
  const { data, redis, nats, stream, group, follow } = options;
  if ([data, redis, nats].filter(Boolean).length !== 1)
    throw new UsageError('stream: give one source: --data FOLDER, --redis URL or --nats URL');
  if (data !== undefined) {
    const { days, interval, perPass, doneFile } = options;
    return new DirectorySource({ folder: data, days, interval, perPass, doneFile, follow });
  }
  if (stream === undefined) throw new UsageError(`stream: --${redis ? 'redis' : 'nats'} needs --stream NAME`);
  const url = (redis ?? nats)!;
  if (!URL.canParse(url))
    throw new UsageError(`stream: "${url}" is not a URL like ${redis ? 'redis' : 'nats'}://127.0.0.1:6379`);
  const broker = redis
    ? await redisBroker({ url, stream, field: options.field, group })
    : await natsBroker({ url, stream, subject: options.subject, consumer: group });
  const { passMessages, passSeconds } = options;
  return new BrokerSource(broker, { passMessages, passSeconds, follow: follow ?? true });
}

/** One line about what is learned. */
export const describeConfig = ({ model, format }: StreamConfig, { slots, dense }: BatchSchema): string =>
  `model ${model.model}, ${slots.length} slots and ${dense.length} dense columns of ${format.type} logs`;
