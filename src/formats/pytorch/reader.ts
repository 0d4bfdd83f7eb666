/**
 * PyTorch's files: the zip of torch 1.6 and later (`*\/data.pkl` and one entry per storage, TorchScript archives
 * included) and the legacy stream before it (five pickles, then the storages). Layouts: torch/serialization.py.
 */
import { sizeOf } from '../../graph/shape.ts';
import { dtypeFor } from '../elements.ts';
import { arrayTensor } from '../pickle/array.ts';
import { Cursor } from '../pickle/cursor.ts';
import { type Builder, Global, unpickle } from '../pickle/machine.ts';
import { NumpyArray } from '../pickle/numpy.ts';
import { named } from '../pickle/tree.ts';
import { type ByteSource, openFile } from '../source.ts';
import { checkProportion, gathered, rowMajor, type StoredTensor, tensorOf, type WeightsFile } from '../weights.ts';
import { openZip, type ZipArchive } from '../zip.ts';
import { elementType, ModuleBag, type Storage, StoredView, torchGlobal } from './globals.ts';

/** The first pickle of a legacy file. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** Where the bytes of a storage lie. */
interface StorageBytes {
  readonly source: ByteSource;
  /** Of the first element. */
  readonly start: number;
  readonly bytes: number;
}

/** The persistent id of a storage: ('storage', type, key, location, elements[, (root key, offset, elements)]). */
function storageOf(id: unknown, where: string): Storage {
  const parts = Array.isArray(id) ? id : [];
  const [tag, type, key, , length, view] = parts as unknown[];
  const element = type instanceof Global ? elementType(type.name) : null;
  if (tag !== 'storage' || !element || typeof key !== 'string' || typeof length !== 'number' || !(length >= 0))
    throw new Error(`${where}: a persistent id that is no storage`);
  if (view === null || view === undefined) return { key, type: element, length, root: key, offset: 0 };
  const [root, offset, size] = (Array.isArray(view) ? view : []) as unknown[];
  if (typeof offset !== 'number' || typeof size !== 'number' || offset < 0)
    throw new Error(`${where}: storage ${key} is a view without offset and size`);
  return { key: String(root), type: element, length: size, root: key, offset };
}

/**
 * Opens a `.pt`, `.pth` or `.th` file.
 * @throws Error naming file, byte and name for a pickle that asks for anything but tensors and plain containers, and
 * for a damaged file
 */
export async function openPyTorch(path: string): Promise<WeightsFile> {
  const head = peek(path);
  return head[0] === 0x50 && head[1] === 0x4b ? openZipped(path) : openLegacy(path);
}

function peek(path: string): Uint8Array {
  const file = openFile(path);
  try {
    return file.read(0, Math.min(4, file.size));
  } finally {
    file.close();
  }
}

/** The class names of TorchScript archives, as bags of fields; only there, as their code is never looked at. */
const scriptGlobal = (name: string): Builder | null =>
  torchGlobal(name) ??
  (name.startsWith('__torch__.') ? () => new ModuleBag() : null) ??
  (/^torch\.jit\._pickle\.build_(int|tensor|double|bool)list$/.test(name) ? ([list]) => list : null);

async function openZipped(path: string): Promise<WeightsFile> {
  const zip = await openZip(path);
  try {
    const names = [...zip.entries.keys()];
    const pickle = names.find(name => name === 'data.pkl' || name.endsWith('/data.pkl'));
    if (pickle === undefined)
      throw new Error(
        `${path}: not a PyTorch file: no entry of the zip is named data.pkl (it has ${names.slice(0, 5).join(', ')})`,
      );
    const folder = pickle.slice(0, -'data.pkl'.length);
    const script = names.some(name => name.startsWith(`${folder}code/`) || name === `${folder}constants.pkl`);
    const littleEndian = !zip.entries.has(`${folder}byteorder`) || textOf(zip, `${folder}byteorder`).trim() !== 'big';
    const root = unpickle(new Cursor(zip.entries.get(pickle)!.open()), {
      global: script ? scriptGlobal : torchGlobal,
      persistent: id => storageOf(id, path),
    });
    const opened = new Map<string, StorageBytes>();
    const locate = (key: string): StorageBytes => {
      let found = opened.get(key);
      if (!found) {
        const entry = zip.entries.get(`${folder}data/${key}`);
        if (!entry) throw new Error(`${path}: storage ${key} is not in the zip`);
        found = { source: entry.open(), start: 0, bytes: entry.size };
        opened.set(key, found);
      }
      return found;
    };
    return {
      path,
      format: script ? 'TorchScript (zip)' : 'PyTorch (zip)',
      ...contents(path, root, locate, littleEndian, fileSize(path)),
      close: () => zip.close(),
    };
  } catch (error) {
    zip.close();
    throw error;
  }
}

const fileSize = (path: string): number => {
  const file = openFile(path);
  file.close();
  return file.size;
};

const textOf = (zip: ZipArchive, name: string): string => {
  const source = zip.entries.get(name)!.open();
  return new TextDecoder().decode(source.read(0, Math.min(source.size, 16)));
};

function openLegacy(path: string): WeightsFile {
  const file = openFile(path);
  try {
    const cursor = new Cursor(file);
    const plainOnly = { global: () => null };
    const magic = unpickle(cursor, plainOnly);
    if (magic !== LEGACY_MAGIC)
      throw new Error(`${path}: not a PyTorch file: its first pickle is not the magic number`);
    const protocol = unpickle(cursor, plainOnly);
    if (protocol !== LEGACY_PROTOCOL)
      throw new Error(`${path}: legacy protocol ${String(protocol)}, expected ${LEGACY_PROTOCOL}`);
    const system = unpickle(cursor, plainOnly);
    const littleEndian = !(system instanceof Map) || system.get('little_endian') !== false;
    const sizes = new Map<string, number>();
    const root = unpickle(cursor, {
      global: torchGlobal,
      persistent: id => {
        if (Array.isArray(id) && id[0] === 'module') return id[1];
        const storage = storageOf(id, path);
        sizes.set(storage.root, storage.type.bytes);
        return storage;
      },
    });
    const keys = unpickle(cursor, plainOnly);
    if (!Array.isArray(keys)) throw new Error(`${path}: the list of storages at byte ${cursor.at} is none`);
    const where = new Map<string, StorageBytes>();
    for (const key of keys) {
      const size = sizes.get(String(key));
      if (size === undefined)
        throw new Error(`${path}: storage ${String(key)} belongs to no tensor, so its type is unknown`);
      const bytes = cursor.u64() * size;
      where.set(String(key), { source: file, start: cursor.skip(bytes).offset, bytes });
    }
    const locate = (key: string): StorageBytes =>
      where.get(key) ??
      (() => {
        throw new Error(`${path}: storage ${key} is not in the file`);
      })();
    return {
      path,
      format: 'PyTorch (legacy)',
      ...contents(path, root, locate, littleEndian, file.size),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Tensors and the rest of what was saved, named by the path to them. */
function contents(
  path: string,
  root: unknown,
  locate: (key: string) => StorageBytes,
  littleEndian: boolean,
  fileBytes: number,
): Pick<WeightsFile, 'tensors' | 'metadata'> {
  const tensors: StoredTensor[] = [];
  const metadata: Record<string, unknown> = Object.create(null);
  for (const [name, value] of named(root, fileBytes, path)) {
    const where = `${path}: tensor ${JSON.stringify(name)}`;
    if (value instanceof StoredView) tensors.push(viewTensor(name, value, where, locate, littleEndian, fileBytes));
    else if (value instanceof NumpyArray) tensors.push(arrayTensor(name, value, where, fileBytes));
    else metadata[name] = value;
  }
  return { tensors, metadata };
}

function viewTensor(
  name: string,
  view: StoredView,
  where: string,
  locate: (key: string) => StorageBytes,
  littleEndian: boolean,
  fileBytes: number,
): StoredTensor {
  const { shape, strides, storage, type } = view;
  const read = () => {
    if (!type.type) throw new Error(`${where} is ${type.name}, which Tenon has no dtype for`);
    const { source, start, bytes } = locate(storage.root);
    const elements = sizeOf(shape);
    checkProportion(where, elements * type.bytes, fileBytes);
    // The run of the storage that the view touches.
    const span = elements === 0 ? 0 : shape.reduce((end, n, d) => end + (n - 1) * strides[d]!, 1);
    const first = storage.offset + view.offset;
    if ((first + span) * type.bytes > bytes)
      throw new Error(`${where} ends at byte ${(first + span) * type.bytes} of a storage of ${bytes}`);
    const run = source.read(start + first * type.bytes, span * type.bytes);
    const row = rowMajor(shape);
    const contiguous = elements === 0 || shape.every((n, d) => n === 1 || strides[d] === row[d]);
    return tensorOf(
      contiguous ? run : gathered(run, type.bytes, shape, strides),
      type.type,
      shape,
      where,
      littleEndian,
    );
  };
  return {
    name,
    dtype: type.type && dtypeFor(type.type),
    storedAs: type.name,
    shape,
    bytes: sizeOf(shape) * type.bytes,
    read,
  };
}
