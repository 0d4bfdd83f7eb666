/**
 * What a streaming run trains: its config file or preset, and where its passes come from.
 */
import { existsSync, readFileSync } from 'node:fs';
import { reasonOf } from '../../formats/atomic.ts';
import {
  avazuFeatures,
  type BatchSchema,
  BrokerSource,
  checkConfig,
  criteoFeatures,
  DirectorySource,
  natsBroker,
  redisBroker,
  type StreamConfig,
  type StreamSource,
} from '../../recsys/index.ts';
import { UsageError } from '../errors.ts';

/** Public logs whose config is known. */
export const STREAM_PRESETS: Readonly<Record<string, StreamConfig>> = {
  criteo: { format: { type: 'criteo' }, features: criteoFeatures(), model: { model: 'deepfm' } },
  avazu: { format: { type: 'csv' }, features: avazuFeatures(), model: { model: 'deepfm' } },
};

/** @throws UsageError when the file cannot be read or says something that is not known */
export function readStreamConfig(file: string): StreamConfig {
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    return checkConfig(file, config);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
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
  readonly key?: string;
  readonly keyWindow: number;
  readonly group: string;
  readonly passMessages: number;
  readonly passSeconds?: number;
  readonly follow?: boolean;
}

/** The source that the options name. @throws UsageError when they name none, two, or a folder that is not there */
export async function streamSource(options: SourceOptions): Promise<StreamSource> {
  const { data, redis, nats, stream, group, key, follow } = options;
  if ([data, redis, nats].filter(Boolean).length !== 1)
    throw new UsageError('stream: give one source: --data FOLDER, --redis URL or --nats URL');
  if (data !== undefined) {
    if (!existsSync(data)) throw new UsageError(`cannot read ${data}: no such file or folder`);
    const { days, interval, perPass, doneFile } = options;
    return new DirectorySource({ folder: data, days, interval, perPass, doneFile, follow });
  }
  if (stream === undefined) throw new UsageError(`stream: --${redis ? 'redis' : 'nats'} needs --stream NAME`);
  const url = (redis ?? nats)!;
  if (!URL.canParse(url))
    throw new UsageError(`stream: "${url}" is not a URL like ${redis ? 'redis' : 'nats'}://127.0.0.1:6379`);
  const broker = redis
    ? await redisBroker({ url, stream, field: options.field, key, group })
    : await natsBroker({ url, stream, subject: options.subject, key, consumer: group });
  const { passMessages, passSeconds, keyWindow } = options;
  return new BrokerSource(broker, { passMessages, passSeconds, keyWindow, follow: follow ?? true });
}

/** One line about what is learned. */
export const describeConfig = ({ model, format }: StreamConfig, { slots, dense }: BatchSchema): string =>
  `model ${model.model}, ${slots.length} slots and ${dense.length} dense columns of ${format.type} logs`;
