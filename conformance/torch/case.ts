/**
 * A case of PyTorch's operator database: how its JSON reads, and when a result is the expected one (see the suite's
 * README).
 */
import { type DType, isFloat, Parameter, Tensor } from 'tenon';

export interface RawTensor {
  readonly tensor: { readonly dtype: DType; readonly shape: number[]; readonly data: string; readonly grad?: boolean };
}

export interface Case {
  readonly op: string;
  readonly variant?: string;
  readonly index: number;
  readonly args: readonly unknown[];
  readonly kwargs: { readonly [name: string]: unknown };
  readonly outputs?: readonly unknown[];
  readonly cotangents?: readonly RawTensor[];
  readonly grads?: readonly (RawTensor | null)[];
  readonly error?: string;
}

const isTensor = (value: unknown): value is RawTensor =>
  typeof value === 'object' && value !== null && 'tensor' in value;

const ARRAYS = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i64: BigInt64Array,
  i32: Int32Array,
  u8: Uint8Array,
  i8: Int8Array,
  bool: Uint8Array,
} as const;

/** The tensors of a recorded result, depth first. */
export function rawTensors(value: unknown): RawTensor[] {
  if (isTensor(value)) return [value];
  return Array.isArray(value) ? value.flatMap(rawTensors) : [];
}

export function tensorOf(raw: RawTensor): Tensor {
  const { dtype, shape, data } = raw.tensor;
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return Tensor.from(new ARRAYS[dtype](bytes.buffer), { shape, dtype });
}

/** JSON values as ours; tensors marked as leaves become parameters, collected in order. */
export function decode(value: unknown, leaves: Parameter[]): unknown {
  if (isTensor(value)) {
    const tensor = tensorOf(value);
    if (!value.tensor.grad) return tensor;
    const leaf = new Parameter(tensor);
    leaves.push(leaf);
    return leaf;
  }
  if (Array.isArray(value)) return value.map(part => decode(part, leaves));
  if (typeof value !== 'object' || value === null) return value;
  if ('float' in value) {
    const text = String(value.float);
    return text === 'nan' ? Number.NaN : text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if ('dtype' in value) return value.dtype;
  if ('ellipsis' in value) return '...';
  if ('slice' in value) {
    const [start, stop, step] = value.slice as (number | null)[];
    return { start, stop, step };
  }
  if ('dict' in value)
    return Object.fromEntries(Object.entries(value.dict as object).map(([key, part]) => [key, decode(part, leaves)]));
  throw new Error(`unknown value ${JSON.stringify(value)}`);
}

/** Elements, exactly. */
const elements = (tensor: Tensor): ArrayLike<number | bigint> =>
  tensor.dtype === 'f16' || tensor.dtype === 'bf16' ? elements(tensor.to('f32')) : tensor.data();

/** Why `got` is not `want`, or null. */
export function difference(got: Tensor, want: RawTensor, atol: number, rtol: number): string | null {
  const expected = tensorOf(want);
  if (got.dtype !== expected.dtype) return `dtype ${got.dtype}, expected ${expected.dtype}`;
  if (got.shape.join() !== expected.shape.join()) return `shape [${got.shape}], expected [${expected.shape}]`;
  const a = elements(got);
  const b = elements(expected);
  for (let i = 0; i < expected.numel(); i++) {
    const [x, y] = [a[i]!, b[i]!];
    const same = Object.is(x, y) || x === y;
    const near = isFloat(got.dtype) && Math.abs(Number(x) - Number(y)) <= atol + rtol * Math.abs(Number(y));
    if (!same && !near) return `element ${i} is ${x}, expected ${y}`;
  }
  return null;
}
