/** Writes messages of the schema as protobuf, fields in order of their numbers, repeated numbers packed. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Field } from '../../protobuf/schema.ts';
import { type MessageName, type Messages, ONNX } from './schema.ts';

const isMessage = (type: Field['type']): type is MessageName => ONNX.isMessage(type);

const isAbsent = (value: unknown): boolean =>
  value === null || value === undefined || value === 0 || value === 0n || value === '' ||
  (value instanceof Uint8Array && value.length === 0); // biome-ignore format: one test

function scalar(writer: BinaryWriter, type: Field['type'], value: unknown): void {
  switch (type) {
    case 'float':
      writer.float(value as number);
      return;
    case 'double':
      writer.double(value as number);
      return;
    case 'int32':
      writer.int32(value as number);
      return;
    case 'uint64':
      writer.uint64(value as bigint);
      return;
    case 'size':
      writer.int64(value as number);
      return;
    case 'int64':
      writer.int64(value as bigint);
      return;
    default:
      throw new Error(`internal: ${type} is no number`);
  }
}

const wireOf = (type: Field['type']): WireType =>
  type === 'float' ? WireType.Bit32 : type === 'double' ? WireType.Bit64 : WireType.Varint;

function field(writer: BinaryWriter, number: number, { type }: Field, value: unknown): void {
  if (isMessage(type)) {
    writer.tag(number, WireType.LengthDelimited).fork();
    fields(writer, type, value as Messages[MessageName]);
    writer.join();
  } else if (type === 'string') writer.tag(number, WireType.LengthDelimited).string(value as string);
  else if (type === 'bytes' || type === 'range')
    writer.tag(number, WireType.LengthDelimited).bytes(value as Uint8Array);
  else scalar(writer.tag(number, wireOf(type)), type, value);
}

function fields(writer: BinaryWriter, name: MessageName, message: Messages[MessageName]): void {
  const values = message as unknown as Readonly<Record<string, unknown>>;
  for (const [number, described] of [...ONNX.fields(name)].sort(([a], [b]) => a - b)) {
    const value = values[described.name];
    if (!described.repeated) {
      if (described.optional ? value !== null && value !== undefined : !isAbsent(value))
        field(writer, number, described, value);
      continue;
    }
    const list = (value ?? []) as readonly unknown[];
    const packs = !isMessage(described.type) && described.type !== 'string' && described.type !== 'bytes';
    if (packs && list.length > 0) {
      writer.tag(number, WireType.LengthDelimited).fork();
      for (const item of list) scalar(writer, described.type, item);
      writer.join();
    } else if (!packs) for (const item of list) field(writer, number, described, item);
  }
}

/** The bytes of a message; absent fields may be left out. */
export function writeMessage<M extends MessageName>(name: M, message: Partial<Messages[M]>): Uint8Array {
  const writer = new BinaryWriter();
  fields(writer, name, message as Messages[M]);
  return writer.finish();
}
