/**
 * The smallest whole file of every format that Tenon reads, made from the formats' descriptions: what tests damage.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { zipSync } from 'fflate';
import { npyChunks, safetensorsChunks } from '../../src/formats/index.ts';
import { Tensor } from '../../src/tensor/index.ts';
import { perceptron } from '../formats/onnx/models.ts';
import { ggufBytes } from './gguf.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(path.join(import.meta.dirname, '../fixtures', name), 'utf8')) as never;
const pickles: { readonly files: Readonly<Record<string, string>> } = fixture('pickles.json');
interface TfjsCase {
  readonly model: unknown;
  readonly weights: string;
}
const tfjs: Readonly<Record<'layers' | 'graphs', Readonly<Record<string, TfjsCase>>>> = fixture('tfjs-models.json');

const join = (chunks: readonly Uint8Array[]): Buffer => Buffer.concat(chunks);
const weights = { 'fc.weight': Tensor.from([[1, 2], [3, 4]]), step: Tensor.from([7n]), mask: Tensor.from([true, false]) }; // biome-ignore format: one row
const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** A PyTorch zip whose data.pkl is the given pickle of protocol 0. */
export const pytorchZip = (pickle: string, entries: Readonly<Record<string, Uint8Array>> = {}, level: 0 | 9 = 0): Buffer =>
  Buffer.from(zipSync({ 'model/data.pkl': Buffer.from(pickle, 'latin1'), ...entries }, { level })); // biome-ignore format: one call

/** `{'w': tensor}` of a storage of four floats. */
const STATE_DICT =
  "(dS'w'\nctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQI0\n(I2\nI2\nt(I2\nI1\ntI00\nNtRs.";

/** `torch.save({'w': torch.tensor([1., 2.])}, ..., _use_new_zipfile_serialization=False)` of PyTorch 1.13. */
const LEGACY =
  'gAKKCmz8nEb5IGqoUBkugAJN6QMugAJ9cQAoWBAAAABwcm90b2NvbF92ZXJzaW9ucQFN6QNYDQAAAGxpdHRsZV9lbmRpYW5xAohYCgAAAHR5cGVfc2l6ZXNxA31xBChYBQAAAHNob3J0cQVLAlgDAAAAaW50cQZLBFgE' +
  'AAAAbG9uZ3EHSwR1dS6AAn1xAFgBAAAAd3EBY3RvcmNoLl91dGlscwpfcmVidWlsZF90ZW5zb3JfdjIKcQIoKFgHAAAAc3RvcmFnZXEDY3RvcmNoCkZsb2F0U3RvcmFnZQpxBFgJAAAANTI3MDM5NTY4cQVYAwAAAGNw' +
  'dXEGSwJOdHEHUUsASwKFcQhLAYVxCYljY29sbGVjdGlvbnMKT3JkZXJlZERpY3QKcQopUnELdHEMUnENcy6AAl1xAFgJAAAANTI3MDM5NTY4cQFhLgIAAAAAAAAAAACAPwAAAEA=';

/** A Paddle program `y = relu(x + b)` and the record of b. */
function paddle(): { program: Uint8Array; params: Uint8Array } {
  const writer = new BinaryWriter().tag(1, 2).fork().tag(1, 0).int32(0).tag(2, 0).int32(-1);
  writer.tag(3, 2).fork().tag(1, 2).string('b').tag(2, 2).fork().tag(1, 0).int32(7).join().tag(3, 0).bool(true).join();
  const op = (type: string, inputs: Readonly<Record<string, string>>, out: string, column?: number): void => {
    writer.tag(4, 2).fork();
    for (const [parameter, arg] of Object.entries(inputs))
      writer.tag(1, 2).fork().tag(1, 2).string(parameter).tag(2, 2).string(arg).join();
    writer.tag(2, 2).fork().tag(1, 2).string('Out').tag(2, 2).string(out).join().tag(3, 2).string(type);
    if (column !== undefined)
      writer.tag(4, 2).fork().tag(1, 2).string('col').tag(2, 0).int32(0).tag(3, 0).int32(column).join();
    writer.join();
  };
  op('feed', { X: 'feed' }, 'x', 0);
  op('elementwise_add', { X: 'x', Y: 'b' }, 's');
  op('relu', { X: 's' }, 'y');
  op('fetch', { X: 'y' }, 'fetch', 0);
  const desc = new BinaryWriter().tag(1, 0).int32(5).tag(2, 0).int64(2).finish();
  const head = Buffer.alloc(20);
  head.writeInt32LE(desc.length, 16);
  return { program: writer.join().finish(), params: join([head, desc, f32(1, -1)]) };
}

/** One value of a MindSpore checkpoint. */
export function mindsporeValue(tag: string, dims: readonly number[], type: string, content: Uint8Array): Uint8Array {
  const writer = new BinaryWriter().tag(1, 2).fork().tag(1, 2).string(tag).tag(2, 2).fork();
  for (const n of dims) writer.tag(1, 0).int64(n);
  return writer.tag(2, 2).string(type).tag(3, 2).bytes(content).join().join().finish();
}

function sentencePiece(): Uint8Array {
  const writer = new BinaryWriter();
  const pieces = [['<unk>', 0, 2], ['▁a', -1, 1], ['b', -2, 1], ['ab', -3, 1]] as const; // biome-ignore format: one row
  for (const [piece, score, type] of pieces)
    writer.tag(1, 2).fork().tag(1, 2).string(piece).tag(2, 5).float(score).tag(3, 0).int32(type).join();
  return writer.tag(2, 2).fork().tag(3, 0).int32(1).join().finish();
}

const GGUF_WORDS = {
  'tokenizer.ggml.model': 'llama',
  'tokenizer.ggml.tokens': { strings: ['<unk>', '▁a', 'b'] },
  'tokenizer.ggml.token_type': { numbers: [2, 1, 1] },
} as const;

const TOKENIZER = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '[UNK]', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 9, vocab: { '[UNK]': 0, a: 1, '##b': 2 } },
}; // biome-ignore format: a table

const idx = (): Buffer => Buffer.from([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]);

/** Files by name; the first is the one that is opened. */
export type Files = Readonly<Record<string, Uint8Array>>;

const tfjsFiles = ({ model, weights: data }: TfjsCase): Files => ({
  'model.json': Buffer.from(JSON.stringify(model)),
  'weights.bin': Buffer.from(data, 'base64'),
});

/** By format; where a format is several files, each is the first of one entry. */
export const SMALL_FILES = {
  onnx: { 'small.onnx': perceptron() },
  pytorchZip: { 'small.pt': pytorchZip(STATE_DICT, { 'model/data/0': f32(1, 2, 3, 4) }) },
  pytorchLegacy: { 'small.pt': Buffer.from(LEGACY, 'base64') },
  paddlePickle: { 'small.pdparams': Buffer.from(pickles.files['paddle.2.pdparams']!, 'base64') },
  jittor: { 'small.pkl': Buffer.from(pickles.files['jittor.pkl']!, 'base64') },
  megengine: { 'small.mge': Buffer.from(pickles.files['megengine.4.mge']!, 'base64') },
  safetensors: { 'small.safetensors': join(safetensorsChunks(weights, { note: 'x' })) },
  shardIndex: {
    'small.safetensors.index.json': Buffer.from(JSON.stringify({ weight_map: { step: 'one.safetensors' } })),
    'one.safetensors': join(safetensorsChunks({ step: weights.step })),
  },
  gguf: { 'small.gguf': ggufBytes({ name: 'n', list: { strings: ['a', 'b'] } }, { w: { shape: [2], data: Float32Array.of(1, 2) } }) },
  paddleProgram: { 'small.pdmodel': paddle().program, 'small.pdiparams': paddle().params },
  paddleParams: { 'small.pdiparams': paddle().params, 'small.pdmodel': paddle().program },
  tfjsLayers: tfjsFiles(tfjs.layers['dense']!),
  tfjsGraph: tfjsFiles(tfjs.graphs['matmul']!),
  mindspore: { 'small.ckpt': join([mindsporeValue('w', [2], 'Float32', f32(1, 2)), mindsporeValue('n', [0], 'Int32', new Uint8Array(4))]) },
  npy: { 'small.npy': join(npyChunks(weights['fc.weight'])) },
  npz: { 'small.npz': Buffer.from(zipSync({ 'w.npy': join(npyChunks(weights.step)) }, { level: 0 })) },
  npzDeflated: { 'small.npz': Buffer.from(zipSync({ 'w.npy': join(npyChunks(weights.step)) }, { level: 9 })) },
  tokenizerJson: { 'tokenizer.json': Buffer.from(JSON.stringify(TOKENIZER)) },
  sentencePiece: { 'small.model': sentencePiece() },
  ggufTokenizer: { 'words.gguf': ggufBytes(GGUF_WORDS, {}) },
  idx: { 'small-idx2-ubyte': idx() },
  idxGzip: { 'small-idx2-ubyte.gz': gzipSync(idx()) },
} satisfies Readonly<Record<string, Files>>; // biome-ignore format: a table

export type SmallFile = keyof typeof SMALL_FILES;
