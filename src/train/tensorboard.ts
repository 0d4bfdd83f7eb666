/**
 * TensorBoard event files: TFRecord framing (lengths and data with masked CRC-32C) around protobuf `Event`s. Field
 * numbers are those of tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { checkOptions } from '../tensor/options.ts';
import type { Callback, EpochReport, Run, StepReport } from './run.ts';

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord stores checksums rotated and shifted, so that a checksum of data that holds checksums stays good. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** One TFRecord: u64 length, masked checksum of the length, data, masked checksum of the data; all little-endian. */
function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(12 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

/** Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }. */
function event(
  step: number,
  what: { readonly version: string } | { readonly scalars: Readonly<Record<string, number>> },
): Uint8Array {
  const writer = new BinaryWriter()
    .tag(1, 1)
    .double(Date.now() / 1000)
    .tag(2, 0)
    .int64(step);
  if ('version' in what) return writer.tag(3, 2).string(what.version).finish();
  writer.tag(5, 2).fork();
  for (const [tag, value] of Object.entries(what.scalars)) {
    // Summary { repeated Value value = 1 }, Value { string tag = 1; float simple_value = 2 }.
    writer.tag(1, 2).fork().tag(1, 2).string(tag).tag(2, 5).float(value).join();
  }
  return writer.join().finish();
}

/** Writes scalars to an event file in `folder`, which TensorBoard reads while it grows. */
export class EventWriter {
  readonly path: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, `events.out.tfevents.${Math.floor(Date.now() / 1000)}.${hostname()}.${process.pid}`);
    writeFileSync(this.path, tfRecord(event(0, { version: 'brain.Event:2' })));
  }

  /** Adds the values of one step by tag. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    appendFileSync(this.path, tfRecord(event(step, { scalars: values })));
  }
}

/** Loss and rate of every `every` steps (10 by default), and all metrics of every epoch. */
export class TensorBoard implements Callback {
  readonly name = 'tensorBoard';
  readonly #folder: string;
  readonly #every: number;
  #writer: EventWriter | null = null;

  constructor(folder: string, options: { readonly every?: number } = {}) {
    const { every = 10 } = checkOptions('TensorBoard', options, ['every']);
    this.#folder = folder;
    this.#every = every;
  }

  onStart(): void {
    this.#writer = new EventWriter(this.#folder);
  }

  onStep(_run: Run, { step, loss, lr, samplesPerSecond }: StepReport): void {
    if (step % this.#every === 0) this.#writer!.scalars(step, { loss, lr, samples_per_second: samplesPerSecond });
  }

  onEpoch(_run: Run, { step, metrics }: EpochReport): void {
    this.#writer!.scalars(step, metrics);
  }
}
