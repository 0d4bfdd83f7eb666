/**
 * Stored tensors to values and back: raw bytes (in the file or beside it), typed fields, packed sub-byte integers,
 * small floats. Every count is checked against the bytes that are there before anything is allocated by it.
 */

import { data } from '../../graph/build.ts';
import { type DType, type HostArray, hostArray, hostView } from '../../graph/dtype.ts';
import { bf16Bits, bf16Value, f16Bits, f16Value } from '../../graph/half.ts';
import { Tensor } from '../../tensor/index.ts';
import { encodeElements } from '../elements.ts';
import { isNumeric, type NumericType, TYPES, typeOfCode } from './elementTypes.ts';
import type { Files } from './files.ts';
import { MINI_FLOATS, miniBits, miniValue, scaleValue } from './minifloat.ts';
import type { OptionalProto, SequenceProto, SparseTensorProto, TensorProto } from './proto/schema.ts';
import { NONE, sequence, strings, typed, type Value } from './values.ts';

const decoder = new TextDecoder();

/** Elements of `type` from the little-endian bytes of raw_data. */
export function elementsFromBytes(bytes: Uint8Array<ArrayBuffer>, type: NumericType, count: number): HostArray {
  const { dtype, bits, kind } = TYPES[type];
  const mini = MINI_FLOATS[type];
  if (bits < 8) {
    const mask = 2 ** bits - 1;
    const perByte = 8 / bits;
    const code = (i: number): number => (bytes[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & mask;
    const host = hostArray(dtype, count);
    const signBit = 2 ** (bits - 1);
    for (let i = 0; i < count; i++)
      host[i] = mini ? miniValue(mini, code(i)) : kind === 'int' ? (code(i) ^ signBit) - signBit : code(i);
    return host;
  }
  if (mini) return Float32Array.from(bytes, code => miniValue(mini, code));
  if (type === 'float8e8m0') return Float32Array.from(bytes, scaleValue);
  const { buffer } = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  switch (type) {
    case 'int16':
      return Int32Array.from(new Int16Array(buffer, 0, count));
    case 'uint16':
      return Int32Array.from(new Uint16Array(buffer, 0, count));
    case 'uint32':
      return BigInt64Array.from(new Uint32Array(buffer, 0, count), BigInt);
    case 'bool':
      return Uint8Array.from(bytes, byte => (byte ? 1 : 0));
    default:
      return hostView(dtype, buffer, 0, count);
  }
}

/** The bytes of raw_data for elements held in `host`. */
export function bytesFromElements(host: HostArray, type: NumericType): Uint8Array {
  const { bits } = TYPES[type];
  const mini = MINI_FLOATS[type];
  if (bits < 8) {
    const mask = 2 ** bits - 1;
    const perByte = 8 / bits;
    const bytes = new Uint8Array(Math.ceil(host.length / perByte));
    for (let i = 0; i < host.length; i++) {
      const value = Number(host[i]);
      const code = (mini ? miniBits(mini, value) : value) & mask;
      bytes[Math.floor(i / perByte)]! |= code << ((i % perByte) * bits);
    }
    return bytes;
  }
  if (mini) return Uint8Array.from(host as Float32Array, value => miniBits(mini, value));
  switch (type) {
    case 'float8e8m0':
      return Uint8Array.from(host as Float32Array, value => (Number.isNaN(value) ? 255 : Math.log2(value) + 127));
    case 'int16':
      return new Uint8Array(Int16Array.from(host as Int32Array).buffer);
    case 'uint16':
      return new Uint8Array(Uint16Array.from(host as Int32Array).buffer);
    case 'uint32':
      return new Uint8Array(Uint32Array.from(host as BigInt64Array, Number).buffer);
    default:
      return encodeElements(host);
  }
}

/** Values of the typed fields (float_data, int32_data, ...) in the order of the elements. */
function typedField(
  proto: TensorProto,
  type: NumericType,
): { readonly list: readonly (number | bigint)[]; name: string } {
  if (type === 'float') return { list: proto.floatData, name: 'float_data' };
  if (type === 'double') return { list: proto.doubleData, name: 'double_data' };
  if (type === 'int64') return { list: proto.int64Data, name: 'int64_data' };
  if (type === 'uint32' || type === 'uint64') return { list: proto.uint64Data, name: 'uint64_data' };
  return { list: proto.int32Data, name: 'int32_data' };
}

/**
 * Elements stored as numbers: floats as themselves, halves and small floats as their bits, sub-byte types packed as in
 * raw_data.
 */
function elementsFromField(list: readonly (number | bigint)[], type: NumericType, count: number): HostArray {
  const { dtype, bits, kind } = TYPES[type];
  if (bits < 8 || (bits === 8 && kind === 'float'))
    return elementsFromBytes(
      Uint8Array.from(list as number[], n => n & 255),
      type,
      count,
    );
  const host = hostArray(dtype, count);
  for (let i = 0; i < count; i++) {
    const value = list[i]!;
    if (host instanceof BigInt64Array) host[i] = BigInt.asIntN(64, BigInt(value));
    else host[i] = type === 'bool' ? Number(value !== 0) : Number(value);
  }
  return host;
}

function checkedCount(proto: TensorProto, fail: (what: string) => never): number {
  let count = 1;
  for (const n of proto.dims) {
    if (!Number.isSafeInteger(n) || n < 0) fail(`dims [${proto.dims}] are no sizes`);
    count *= n;
  }
  if (count > 2 ** 31 - 1) fail(`dims [${proto.dims}] hold more than 2^31 - 1 elements`);
  return count;
}

/**
 * The value a TensorProto describes.
 * @throws Error that names the file, the tensor and the field that is wrong
 */
export function tensorFromProto(proto: TensorProto, files: Files, where = 'tensor'): Value {
  const name = proto.name ? `${where} "${proto.name}"` : where;
  const fail = (what: string): never => {
    throw new Error(`${files.name}: ${name}: ${what}`);
  };
  const type = typeOfCode(proto.dataType) ?? fail(`data_type ${proto.dataType} is unknown`);
  const count = checkedCount(proto, fail);
  if (type === 'string') {
    if (proto.stringData.length !== count)
      fail(`string_data has ${proto.stringData.length} elements, dims [${proto.dims}] hold ${count}`);
    return strings(
      proto.stringData.map(bytes => decoder.decode(bytes)),
      proto.dims,
    );
  }
  if (!isNumeric(type)) return fail(`${type} tensors are not supported`);
  const { bits, dtype } = TYPES[type];
  const bytes = Math.ceil((count * bits) / 8);
  const external = proto.dataLocation === 1;
  let host: HostArray;
  if (external || proto.rawData) {
    const got = external ? files.external(proto.externalData, bytes, fail) : files.raw(proto.rawData!, bytes, fail);
    host = elementsFromBytes(got, type, count);
  } else {
    const field = typedField(proto, type);
    const packed = bits < 8 ? bytes : count;
    if (field.list.length !== packed)
      fail(`${field.name} has ${field.list.length} elements, ${type} [${proto.dims}] needs ${packed}`);
    host = elementsFromField(field.list, type, count);
  }
  return typed(new Tensor(data(host, proto.dims, dtype)), type);
}

/** A sparse tensor made dense. */
export function denseFromProto(proto: SparseTensorProto, files: Files, where: string): Value {
  const fail = (what: string): never => {
    throw new Error(`${files.name}: ${where}: ${what}`);
  };
  if (!proto.values || !proto.indices) return fail('a sparse tensor needs values and indices');
  const values = tensorFromProto(proto.values, files, `${where} values`);
  const indices = tensorFromProto(proto.indices, files, `${where} indices`);
  if (values.kind !== 'tensor' || indices.kind !== 'tensor' || indices.type !== 'int64')
    return fail('a sparse tensor needs numeric values and int64 indices');
  const from = values.tensor.data();
  const at = indices.tensor.data() as BigInt64Array;
  const size = proto.dims.reduce((a, n) => a * n, 1);
  if (!proto.dims.every(n => Number.isSafeInteger(n) && n >= 0) || size > Math.max(2 ** 20, 1024 * from.length))
    fail(`dims [${proto.dims}] are too large for ${from.length} values`);
  const host = hostArray(values.tensor.dtype, size);
  const rank = proto.dims.length;
  const flat = indices.tensor.ndim === 2;
  if (at.length !== (flat ? from.length * rank : from.length)) fail('indices and values differ in number');
  for (let i = 0; i < from.length; i++) {
    let position = flat ? 0 : Number(at[i]);
    if (flat) for (let d = 0; d < rank; d++) position = position * proto.dims[d]! + Number(at[i * rank + d]);
    if (!(position >= 0 && position < size)) fail(`index ${position} is outside dims [${proto.dims}]`);
    (host as Float32Array)[position] = from[i] as number;
  }
  return typed(new Tensor(data(host, proto.dims, values.tensor.dtype)), values.type);
}

/** What sequence_N.pb and optional_N.pb files hold. */
export function sequenceFromProto(proto: SequenceProto, files: Files): Value {
  if (proto.elemType === 3) return sequence(proto.sequenceValues.map(value => sequenceFromProto(value, files)));
  if (proto.elemType === 4)
    return sequence(
      proto.mapValues.map(map => {
        const values = map.values ? sequenceFromProto(map.values, files) : sequence([]);
        return {
          kind: 'map',
          keys: map.stringKeys.length > 0 ? map.stringKeys.map(key => decoder.decode(key)) : map.keys,
          values: values.kind === 'sequence' ? values.values : [],
        };
      }),
    );
  if (proto.elemType === 5) return sequence(proto.optionalValues.map(value => optionalFromProto(value, files)));
  return sequence(proto.tensorValues.map(value => tensorFromProto(value, files)));
}

export function optionalFromProto(proto: OptionalProto, files: Files): Value {
  if (proto.tensorValue) return tensorFromProto(proto.tensorValue, files);
  if (proto.sequenceValue) return sequenceFromProto(proto.sequenceValue, files);
  if (proto.optionalValue) return optionalFromProto(proto.optionalValue, files);
  return NONE;
}

/** Numbers of host elements, halves decoded. */
export function numbersOf(host: HostArray, dtype: DType): number[] {
  if (dtype === 'f16') return Array.from(host as Uint16Array, f16Value);
  if (dtype === 'bf16') return Array.from(host as Uint16Array, bf16Value);
  return Array.from(host as ArrayLike<number | bigint>, Number);
}

/** Host elements of numbers: halves rounded, integers truncated. */
export function hostOf(values: ArrayLike<number>, dtype: DType): HostArray {
  const host = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (host instanceof BigInt64Array) host[i] = BigInt(Number.isFinite(value) ? Math.trunc(value) : 0);
    else host[i] = dtype === 'f16' ? f16Bits(value) : dtype === 'bf16' ? bf16Bits(value) : value;
  }
  return host;
}

/** A tensor of host numbers. */
export const tensorOf = (values: ArrayLike<number>, shape: readonly number[], dtype: DType): Tensor =>
  new Tensor(data(hostOf(values, dtype), shape, dtype));
