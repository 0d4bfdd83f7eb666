/**
 * Training on a stream, pass after pass and day after day: sources, checkpoints and publishing with done-files,
 * restart. Knows a learner by its interface; knows nothing of the command line.
 */
export { type Broker, type BrokerPassOptions, BrokerRefusal, BrokerSource, type Message } from './broker.ts';
export { type DirectoryOptions, DirectorySource } from './directory.ts';
export { type DoneLine, readDone } from './done.ts';
export type { DayEvent, PassEvent, StreamEvent, StreamProgress } from './events.ts';
export { type NatsOptions, natsBroker } from './nats.ts';
export type { StreamLearner, StreamOptions, StreamResult } from './options.ts';
export { type PublishedCard, PublishedModel } from './published.ts';
export { type RedisOptions, redisBroker } from './redis.ts';
export type { Asking, Pass, PassBatches, PassReading, SourcePosition, StreamSource } from './source.ts';
export { streamTrain } from './train.ts';
