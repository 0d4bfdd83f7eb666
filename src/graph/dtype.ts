/**
 * Element types and PyTorch's promotion rules between them.
 * The lowest file of the house: imports nothing.
 */

export type DType = 'f32' | 'f64' | 'f16' | 'bf16' | 'i32' | 'i64' | 'u8' | 'i8' | 'bool';

/** Host storage of one tensor: f16 and bf16 keep their bits in a Uint16Array, bool is one byte of 0 or 1. */
export type HostArray = Float32Array | Float64Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

type Kind = 'bool' | 'int' | 'float';

interface DTypeInfo {
  readonly bytes: number;
  readonly kind: Kind;
  readonly array: {
    new (length: number): HostArray;
    new (buffer: ArrayBufferLike, byteOffset: number, length: number): HostArray;
  };
}

const INFO: { readonly [D in DType]: DTypeInfo } = {
  f32: { bytes: 4, kind: 'float', array: Float32Array },
  f64: { bytes: 8, kind: 'float', array: Float64Array },
  f16: { bytes: 2, kind: 'float', array: Uint16Array },
  bf16: { bytes: 2, kind: 'float', array: Uint16Array },
  i32: { bytes: 4, kind: 'int', array: Int32Array },
  i64: { bytes: 8, kind: 'int', array: BigInt64Array },
  u8: { bytes: 1, kind: 'int', array: Uint8Array },
  i8: { bytes: 1, kind: 'int', array: Int8Array },
  bool: { bytes: 1, kind: 'bool', array: Uint8Array },
};

/** Every dtype there is. */
export const DTYPES = Object.keys(INFO) as readonly DType[];

/** Whether a value is the name of a dtype. */
export const isDType = (value: unknown): value is DType => typeof value === 'string' && value in INFO;
export const bytesOf = (dtype: DType): number => INFO[dtype].bytes;
/** Whether a dtype is f32, f64, f16 or bf16. */
export const isFloat = (dtype: DType): boolean => INFO[dtype].kind === 'float';
export const isInt = (dtype: DType): boolean => INFO[dtype].kind === 'int';
export const kindOf = (dtype: DType): Kind => INFO[dtype].kind;

/** A zeroed host array of `length` elements. */
export function hostArray(dtype: DType, length: number): HostArray {
  return new INFO[dtype].array(length);
}

/** A typed view over existing bytes (no copy). */
export function hostView(dtype: DType, buffer: ArrayBufferLike, byteOffset: number, length: number): HostArray {
  return new INFO[dtype].array(buffer, byteOffset, length);
}

const KIND_RANK: { readonly [K in Kind]: number } = { bool: 0, int: 1, float: 2 };
const INT_RANK: Partial<Record<DType, number>> = { u8: 0, i8: 0, i32: 2, i64: 3 };

/** The dtype PyTorch computes in when two tensors of one rank class meet (`torch.promote_types`). */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (ka !== kb) return KIND_RANK[ka] > KIND_RANK[kb] ? a : b;
  if (ka === 'float') {
    if (a === 'f64' || b === 'f64') return 'f64';
    // f16 with bf16 has no common half type: PyTorch widens to f32.
    return 'f32';
  }
  const ra = INT_RANK[a]!;
  const rb = INT_RANK[b]!;
  // u8 with i8: neither holds the other; PyTorch says i16, and i32 is the narrowest such type here.
  if (ra === rb) return 'i32';
  return ra > rb ? a : b;
}

/** An operand of `resultType`: a tensor with dimensions, a zero-dimensional tensor, or a plain JavaScript number. */
export interface Operand {
  readonly dtype: DType;
  readonly rank: 'dimensioned' | 'zeroDim' | 'scalar';
}

/** `torch.result_type`: a lower rank class only matters when its kind (bool < int < float) is higher. */
export function resultType(operands: readonly Operand[]): DType {
  const within = (rank: Operand['rank']): DType | null =>
    operands
      .filter(o => o.rank === rank)
      .reduce<DType | null>((acc, o) => (acc ? promote(acc, o.dtype) : o.dtype), null);
  let result: DType | null = null;
  for (const rank of ['dimensioned', 'zeroDim', 'scalar'] as const) {
    const next = within(rank);
    if (!next) continue;
    if (!result) result = next;
    else if (KIND_RANK[kindOf(next)] > KIND_RANK[kindOf(result)]) result = next;
  }
  return result ?? 'f32';
}
