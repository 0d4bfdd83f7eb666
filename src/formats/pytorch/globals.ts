/**
 * The names a PyTorch file may ask for and what they stand for here: tensors over storages, parameters, plain
 * containers (the list of torch/_weights_only_unpickler.py, and torch.nn's own layers as bags of their fields).
 */
import { shapeText } from '../../tensor/convert.ts';
import type { FileType } from '../elements.ts';
import { type Builder, Global, type Stateful } from '../pickle/machine.ts';
import { isShape, numpyGlobal, pythonGlobal } from '../pickle/numpy.ts';
import { type Branch, Opaque } from '../pickle/tree.ts';

/**
 * Elements of one storage, in the file. `root` and `offset` (elements): legacy files have storages that are parts of
 * others.
 */
export interface Storage {
  readonly key: string;
  readonly type: ElementType;
  /** Elements. */
  readonly length: number;
  readonly root: string;
  readonly offset: number;
}

/** A view of a storage; strides and offset in elements. */
export class StoredView {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly type: ElementType;

  constructor(
    storage: Storage,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
    type = storage.type,
  ) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    this.type = type;
  }
}

/** A whole pickled layer of torch.nn: its fields, by name. Its code is never looked at. */
export class ModuleBag implements Stateful, Branch {
  private readonly fields = new Map<unknown, unknown>();

  setState(state: unknown): void {
    if (state instanceof Map) for (const [key, value] of state) this.fields.set(key, value);
  }

  /** Tensors and layers by name. Eager layers keep them in three dicts, TorchScript ones as fields. */
  branches(): [string, unknown][] {
    const own = [...this.fields].filter(([, value]) => value instanceof StoredView || value instanceof ModuleBag);
    const held = HOLDERS.flatMap(name => {
      const fields = this.fields.get(name);
      return fields instanceof Map ? [...fields].filter(([, value]) => value !== null) : [];
    });
    return [...held, ...own].map(([key, value]) => [String(key), value]);
  }
}

/** Fields of an eager layer. */
const HOLDERS = ['_parameters', '_buffers', '_modules'] as const;

/** A storage's element type: what PyTorch calls it, its bytes, and ours where there is one. */
export interface ElementType {
  readonly name: string;
  readonly bytes: number;
  readonly type: FileType | null;
}

const element = (name: string, bytes: number, type: FileType | null): ElementType => ({ name, bytes, type });

const ELEMENTS = {
  Float: element('F32', 4, 'f32'),
  Double: element('F64', 8, 'f64'),
  Half: element('F16', 2, 'f16'),
  BFloat16: element('BF16', 2, 'bf16'),
  Long: element('I64', 8, 'i64'),
  Int: element('I32', 4, 'i32'),
  Short: element('I16', 2, 'i16'),
  Char: element('I8', 1, 'i8'),
  Byte: element('U8', 1, 'u8'),
  Bool: element('BOOL', 1, 'bool'),
  ComplexFloat: element('C64', 8, null),
  ComplexDouble: element('C128', 16, null),
  QInt8: element('QI8', 1, null),
  QUInt8: element('QU8', 1, null),
  QInt32: element('QI32', 4, null),
  Float8_e4m3fn: element('F8_E4M3', 1, null),
  Float8_e5m2: element('F8_E5M2', 1, null),
  Untyped: element('U8', 1, 'u8'),
} as const;

/** Names of `torch.dtype`s. */
const DTYPES: Readonly<Record<string, ElementType>> = {
  float32: ELEMENTS.Float, float: ELEMENTS.Float, float64: ELEMENTS.Double, double: ELEMENTS.Double,
  float16: ELEMENTS.Half, half: ELEMENTS.Half, bfloat16: ELEMENTS.BFloat16,
  int64: ELEMENTS.Long, long: ELEMENTS.Long, int32: ELEMENTS.Int, int: ELEMENTS.Int, int16: ELEMENTS.Short,
  short: ELEMENTS.Short, int8: ELEMENTS.Char, uint8: ELEMENTS.Byte, bool: ELEMENTS.Bool,
  uint16: element('U16', 2, 'u16'), uint32: element('U32', 4, 'u32'), uint64: element('U64', 8, 'u64'),
  complex64: ELEMENTS.ComplexFloat, complex128: ELEMENTS.ComplexDouble,
  float8_e4m3fn: ELEMENTS.Float8_e4m3fn, float8_e5m2: ELEMENTS.Float8_e5m2,
  qint8: ELEMENTS.QInt8, quint8: ELEMENTS.QUInt8, qint32: ELEMENTS.QInt32,
}; // biome-ignore format: a table

/**
 * The element type of a storage class (`torch.FloatStorage`) or dtype (`torch.float32`), by its whole name; null for
 * other names.
 */
export function elementType(name: string): ElementType | null {
  const last = name.slice(name.lastIndexOf('.') + 1);
  const storage = /^torch\.(?:cuda\.|storage\.)?(\w+)Storage$/.exec(name)?.[1];
  if (storage && Object.hasOwn(ELEMENTS, storage)) return ELEMENTS[storage as keyof typeof ELEMENTS];
  return name === `torch.${last}` && Object.hasOwn(DTYPES, last) ? DTYPES[last]! : null;
}

const isStorage = (value: unknown): value is Storage => typeof value === 'object' && value !== null && 'root' in value;

const isWhole = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value);

/** (storage, offset, size, stride, ...): `_rebuild_tensor`, `_rebuild_tensor_v2`. */
function rebuild([storage, offset, shape, strides]: readonly unknown[]): StoredView {
  if (!isStorage(storage)) throw new Error('its first argument is no storage');
  if (!isWhole(offset) || offset < 0) throw new Error('the offset of a tensor is no number');
  if (!isShape(shape)) throw new Error('the size of a tensor is no tuple of sizes');
  if (!Array.isArray(strides) || strides.length !== shape.length || !strides.every(s => isWhole(s) && s >= 0))
    throw new Error(`strides of a tensor of ${shape.length} dims are no tuple of as many`);
  let end = offset + 1;
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 0) end = Number.NEGATIVE_INFINITY;
    end += (shape[d]! - 1) * strides[d]!;
  }
  if (end > storage.length)
    throw new Error(`a tensor ${shapeText(shape)} ends at element ${end} of a storage of ${storage.length}`);
  return new StoredView(storage, offset, shape, strides as number[]);
}

/** _rebuild_tensor_v3: the storage is untyped and the dtype comes at the end. */
function rebuildTyped(args: readonly unknown[]): StoredView {
  const type = args[6] instanceof Global ? elementType(args[6].name) : null;
  if (!type || !isStorage(args[0])) throw new Error('a tensor without dtype');
  const storage = { ...args[0], type, length: Math.floor((args[0].length * args[0].type.bytes) / type.bytes) };
  return rebuild([storage, ...args.slice(1)]);
}

const BUILDERS: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['torch._utils._rebuild_tensor', rebuild],
  ['torch._utils._rebuild_tensor_v2', rebuild],
  ['torch._utils._rebuild_tensor_v3', rebuildTyped],
  ['torch._utils._rebuild_parameter', ([data]) => data],
  ['torch._utils._rebuild_parameter_with_state', ([data]) => data],
  // (function, type, arguments, state): a tensor subclass, of which the data counts.
  [
    'torch._tensor._rebuild_from_type_v2',
    ([build, , args]) => {
      if (!(build instanceof Global) || !Array.isArray(args)) throw new Error('a tensor without a way to build it');
      return build.build(args);
    },
  ],
  ['torch._utils._rebuild_sparse_tensor', () => new Opaque('sparse tensor')],
  ['torch._utils._rebuild_qtensor', () => new Opaque('quantised tensor')],
  ['torch.nn.parameter.Parameter', ([data]) => data],
  ['torch.nn.Parameter', ([data]) => data],
  ['torch.Tensor', () => new Opaque('tensor without data')],
  ['torch.Size', ([sizes]) => sizes],
  ['torch.device', ([kind]) => new Opaque(`device ${String(kind)}`)],
  ['torch.serialization._get_layout', ([name]) => new Opaque(`layout ${String(name)}`)],
]);

/** Constants of torch that stand beside tensors: quantisation schemes, layouts, memory formats. */
const CONSTANT =
  /^torch\.(?:per_(?:tensor|channel)_(?:affine|symmetric)|strided|sparse_\w+|\w+_format|channels_last(?:_3d)?)$/;

/** The builder of a name that PyTorch files may hold; null where it is refused. */
export function torchGlobal(name: string): Builder | null {
  const known = BUILDERS.get(name) ?? pythonGlobal(name) ?? numpyGlobal(name);
  if (known) return known;
  if (/^torch\.nn\.modules\.\w+\.\w+$/.test(name)) return () => new ModuleBag();
  if (elementType(name) || CONSTANT.test(name)) return () => new Opaque(name);
  return null;
}
