/**
 * Writes small GGUF files of version 3: metadata of strings, whole numbers, floats and lists, and f32 tensors.
 */
type Value =
  | string
  | number
  | { readonly float: number }
  | { readonly strings: readonly string[] }
  | { readonly numbers: readonly number[] };

export interface GgufTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const f32 = (...values: readonly number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
const aligned = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);

/** A value with its type number before it: u32 4, f32 6, string 8, list 9. */
function typedValue(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)]);
  if (typeof value === 'number') return Buffer.concat([u32(4), u32(value)]);
  if ('float' in value) return Buffer.concat([u32(6), f32(value.float)]);
  if ('strings' in value) return Buffer.concat([u32(9), u32(8), u64(value.strings.length), ...value.strings.map(text)]);
  return Buffer.concat([u32(9), u32(4), u64(value.numbers.length), ...value.numbers.map(u32)]);
}

export function ggufBytes(
  metadata: Readonly<Record<string, Value>>,
  tensors: Readonly<Record<string, GgufTensor>>,
): Buffer {
  let offset = 0;
  const infos: Buffer[] = [];
  const contents: Buffer[] = [];
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const content = aligned(f32(...data));
    infos.push(Buffer.concat([text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(0), u64(offset)]));
    contents.push(content);
    offset += content.length;
  }
  const pairs = Object.entries(metadata).map(([key, value]) => Buffer.concat([text(key), typedValue(value)]));
  const head = [Buffer.from('GGUF'), u32(3), u64(infos.length), u64(pairs.length), ...pairs, ...infos];
  return Buffer.concat([aligned(Buffer.concat(head)), ...contents]);
}
