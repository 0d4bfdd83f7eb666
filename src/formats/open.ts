/**
 * Any file of weights, told by its content: what it is, its tensors, and what else it says. Endings are not trusted, as
 * `.pkl`, `.pt` and `.ckpt` mean different things in different houses.
 */
import { statSync } from 'node:fs';
import type { Tensor } from '../tensor/index.ts';
import { reasonOf } from './atomic.ts';
import { openGguf } from './gguf/reader.ts';
import { openMindSpore } from './mindspore.ts';
import { openNpy } from './npy.ts';
import { openNpz } from './npz.ts';
import { openOnnx } from './onnx/open.ts';
import { isPaddlePath, openPaddle } from './paddle/index.ts';
import { openPickle } from './pickle/file.ts';
import { openPyTorch } from './pytorch/reader.ts';
import { openSafetensors } from './safetensors.ts';
import { openSharded } from './sharded.ts';
import { withFile } from './source.ts';
import { openTfjs } from './tfjs/index.ts';
import { readAll, type WeightsFile } from './weights.ts';
import { openZip } from './zip.ts';

type Open = (path: string) => WeightsFile | Promise<WeightsFile>;

interface Kind {
  readonly name: string;
  /** Whether the first bytes (up to 64) are this format's. */
  readonly is: (head: Uint8Array, size: number) => boolean;
  readonly open: Open;
}

const text = (head: Uint8Array, from = 0, to = head.length): string =>
  Buffer.from(head.subarray(from, to)).toString('latin1');

/** The legacy stream of PyTorch: PROTO 2, LONG1 of ten bytes, the magic number. */
const LEGACY_PYTORCH = '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19';

const KINDS: readonly Kind[] = [
  { name: 'a zip (PyTorch or npz)', is: head => text(head, 0, 2) === 'PK', open: openZipKind },
  { name: 'PyTorch (legacy)', is: head => text(head).startsWith(LEGACY_PYTORCH), open: openPyTorch },
  { name: 'GGUF', is: head => text(head, 0, 4) === 'GGUF', open: openGguf },
  { name: 'npy', is: head => text(head, 0, 6) === '\x93NUMPY', open: openNpy },
  { name: 'a pickle', is: head => head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5, open: openPickle },
  { name: 'JSON (TensorFlow.js, index of shards)', is: head => /^\s*[[{]/.test(text(head)), open: openJson },
  { name: 'safetensors', is: isSafetensors, open: openSafetensors },
  { name: 'ONNX', is: isOnnx, open: openOnnx },
  { name: 'a Paddle program', is: head => firstField(head) === 0x08, open: openPaddle },
  { name: 'a MindSpore checkpoint', is: head => firstField(head) === 0x0a, open: openMindSpore },
];

function isSafetensors(head: Uint8Array, size: number): boolean {
  if (head.length < 9 || head[8] !== 0x7b) return false;
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return length <= BigInt(size - 8);
}

/** A protobuf message whose field 1 is a small number (ir_version), followed by a field that ModelProto has. */
function isOnnx(head: Uint8Array): boolean {
  const next = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72];
  return head[0] === 0x08 && head[1]! > 0 && head[1]! < 64 && next.includes(head[2]!);
}

/** Of a protobuf message that begins with a message in field 1: the tag of that message's first field, else -1. */
function firstField(head: Uint8Array): number {
  if (head[0] !== 0x0a) return -1;
  let at = 1;
  while (at < 11 && head[at]! >= 0x80) at++;
  return head[at + 1] ?? -1;
}

/** Formats that are known and not read, so that the answer is not "unknown". */
const OTHERS: readonly (readonly [name: string, is: (head: Uint8Array) => boolean])[] = [
  ['a MindSpore Lite graph (.ms)', head => text(head, 4, 8) === 'MSL2'],
  ['a MegEngine graph dump', head => /mgv2|mgbtest0|mgbteset0/.test(text(head, 0, 24))],
  ['an HDF5 file (Keras .h5)', head => text(head, 0, 4) === '\x89HDF'],
  ['a TensorFlow Lite model', head => text(head, 4, 8) === 'TFL3'],
  ['a tar archive; unpack it first', head => text(head, 57, 62) === 'ustar'],
  ['gzip; unpack it first', head => text(head, 0, 2) === '\x1f\x8b'],
];

/** An index of shards says so by its name; everything else is for TensorFlow.js to judge. */
function openJson(path: string): WeightsFile | Promise<WeightsFile> {
  return path.endsWith('.index.json') ? openSharded(path, openWeights) : openTfjs(path);
}

async function openZipKind(path: string): Promise<WeightsFile> {
  const zip = await openZip(path);
  zip.close();
  const names = [...zip.entries.keys()];
  return names.length > 0 && names.every(name => name.endsWith('.npy')) ? openNpz(path) : openPyTorch(path);
}

/**
 * Opens a file of weights of any format Tenon knows: safetensors, PyTorch (`.pt`, `.pth`, zip and legacy, TorchScript),
 * the `*.index.json` of either, GGUF, ONNX, `.npy`, `.npz`, TensorFlow.js (`model.json`), Paddle (`.pdmodel`,
 * `.pdiparams`, the older folder), MindSpore (`.ckpt`), and pickles of arrays (Paddle, Jittor, MegEngine). Nothing but
 * names, shapes and types is read until a tensor is.
 * @throws Error naming the file and what it is instead, or where it is damaged
 */
export async function openWeights(path: string): Promise<WeightsFile> {
  if (isPaddlePath(path)) return openPaddle(path);
  let size: number;
  try {
    size = statSync(path).size;
  } catch (error) {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  const head = withFile(path, source => source.read(0, Math.min(64, size)));
  const kind = KINDS.find(({ is }) => is(head, size));
  if (kind) return kind.open(path);
  const other = OTHERS.find(([, is]) => is(head));
  throw new Error(
    other
      ? `${path} is ${other[0]}, which Tenon does not read`
      : `${path}: not a file of weights Tenon knows: at byte 0 it has ${firstBytes(head)}, expected ${KINDS.map(({ name }) => name).join(', ')}`,
  );
}

/** How a file begins, in hexadecimal. */
const firstBytes = (head: Uint8Array): string =>
  head.length === 0 ? 'nothing' : Array.from(head.subarray(0, 8), byte => byte.toString(16).padStart(2, '0')).join(' ');

/**
 * All tensors of a file of weights, by name, ready for `Module.loadStateDict`.
 * @throws as `openWeights`
 */
export async function loadWeights(path: string): Promise<Record<string, Tensor>> {
  const file = await openWeights(path);
  try {
    return readAll(file);
  } finally {
    file.close();
  }
}
