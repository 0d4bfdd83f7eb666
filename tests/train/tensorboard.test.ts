/**
 * TensorBoard's event files: published CRC-32C values, framing read back, and fields by their numbers.
 */
import { readFileSync } from 'node:fs';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { describe, expect, it } from 'vitest';
import { EventWriter } from '../../src/train/index.ts';
import { crc32c, maskedCrc } from '../../src/train/tensorboard.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('CRC-32C', () => {
  // RFC 3720, appendix B.4.
  it.each([
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [new TextEncoder().encode('123456789'), 0xe3069283],
  ])('%#', (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });
});

interface Event {
  wallTime?: number;
  step?: number;
  version?: string;
  scalars: Record<string, number>;
}

/** Reads an Event by field number; unknown fields are an error, since we write none. */
function readEvent(bytes: Uint8Array): Event {
  const reader = new BinaryReader(bytes);
  const event: Event = { scalars: {} };
  while (reader.pos < reader.len) {
    const [field] = reader.tag();
    if (field === 1) event.wallTime = reader.double();
    else if (field === 2) event.step = Number(reader.int64());
    else if (field === 3) event.version = reader.string();
    else if (field === 5) {
      const summary = new BinaryReader(reader.bytes());
      while (summary.pos < summary.len) {
        summary.tag();
        const value = new BinaryReader(summary.bytes());
        value.tag();
        const name = value.string();
        value.tag();
        event.scalars[name] = value.float();
      }
    } else throw new Error(`field ${field}`);
  }
  return event;
}

function readEvents(file: Uint8Array): Event[] {
  const events: Event[] = [];
  const view = new DataView(file.buffer, file.byteOffset);
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc(data));
    events.push(readEvent(data));
    at += 16 + length;
  }
  return events;
}

describe('event files', () => {
  it('begin with the version and hold the scalars of each step', () => {
    const writer = new EventWriter(temporaryFolder().path);
    writer.scalars(3, { loss: 0.5, accuracy: 0.25 });
    writer.scalars(2 ** 33, { loss: -1 });
    const events = readEvents(readFileSync(writer.path));
    expect(events.map(({ version, step, scalars }) => ({ version, step, scalars }))).toEqual([
      { version: 'brain.Event:2', step: 0, scalars: {} },
      { version: undefined, step: 3, scalars: { loss: 0.5, accuracy: 0.25 } },
      { version: undefined, step: 2 ** 33, scalars: { loss: -1 } },
    ]);
    expect(Math.abs(events[0]!.wallTime! - Date.now() / 1000)).toBeLessThan(60);
  });
});
