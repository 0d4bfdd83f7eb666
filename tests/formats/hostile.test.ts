/**
 * Every reader on every kind of bad file. What must hold of each row: the file still reads, or one error in plain words
 * names it and a place in it (a byte, or the part that is meant; where the file ends early, always a byte or
 * character); nothing crashes, hangs, executes anything, or allocates more than a hundred times the file's size, or 8
 * MiB.
 */

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { readIdx } from '../../src/data/index.ts';
import { loadPaddle, loadTfjs, npyChunks, onnx, openWeights, safetensorsChunks } from '../../src/formats/index.ts';
import { Tensor } from '../../src/tensor/index.ts';
import { loadTokenizer } from '../../src/text/index.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/train/checkpointFile.ts';
import { type Files, mindsporeValue, pytorchZip, SMALL_FILES, type SmallFile } from '../support/smallFiles.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { model, node, subgraph } from './onnx/models.ts';

const folder = temporaryFolder();

type Open = (file: string) => unknown;

/** Opens a file of weights and reads everything in it. */
const weights: Open = async file => {
  const opened = await openWeights(file);
  try {
    for (const tensor of opened.tensors) tensor.read();
  } finally {
    opened.close();
  }
};

/** A file that must be refused with these words, or why the format has none. */
type Bad = { readonly file: Uint8Array | Files; readonly says: RegExp } | string;

interface Reader {
  readonly files: Files;
  readonly open: Open;
  readonly nested: Bad;
  readonly cyclic: Bad;
  readonly bomb: Bad;
  readonly outside: Bad;
  readonly code: Bad;
}

const LENGTHS = 'its parts have lengths and do not nest';
const NO_REFERENCES = 'nothing in it refers to anything else';
const PLAIN = 'it is not compressed, and tensors are no larger than their bytes';
const ONE_FILE = 'it names no other file';
const NO_CODE = 'it holds data only';
const flat = { nested: LENGTHS, cyclic: NO_REFERENCES, bomb: PLAIN, outside: ONE_FILE, code: NO_CODE };

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const deepJson = text(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
const beside = (name: SmallFile, change: (text: string) => string): Files => {
  const files: Files = SMALL_FILES[name];
  const [main, ...rest] = Object.entries(files);
  return Object.fromEntries([[main![0], text(change(Buffer.from(main![1]).toString('latin1')))], ...rest]);
};

/** Pickles by hand; a PyTorch zip holds the same. */
const DEEP = `${'('.repeat(200_000)}${'t'.repeat(200_000)}.`;
const CYCLE = ']q\x00h\x00a.';
const LAUGHS = `]q\x00N\x61${Array.from({ length: 40 }, (_, i) => `0](h${String.fromCharCode(i)}h${String.fromCharCode(i)}eq${String.fromCharCode(i + 1)}`).join('')}.`;
const SYSTEM = "cos\nsystem\n(S'touch /tmp/x'\ntR.";
const pickle = (body: string): Buffer => text(`\x80\x02${body}`);
const pickled: Omit<Reader, 'files' | 'open'> = {
  nested: { file: pickle(DEEP), says: /deep|nest/ },
  cyclic: { file: pickle(CYCLE), says: /contains itself/ },
  bomb: { file: pickle(LAUGHS), says: /shared too often/ },
  outside: ONE_FILE,
  code: { file: pickle(SYSTEM), says: /asks for os.system, which is not on the list/ },
};
/** The same behind the three pickles that a legacy file starts with. */
const legacy = (body: string): Buffer => {
  const whole = Buffer.from(SMALL_FILES.pytorchLegacy['small.pt']);
  return Buffer.concat([whole.subarray(0, whole.indexOf(text('u.\x80\x02}q')) + 2 ), pickle(body), pickle('].')]); // biome-ignore format: one call
};
const archive = (body: string): { file: Uint8Array } => ({ file: pytorchZip(body) });

/** A protobuf message in field 1 of a message in field 1, ... */
const deepMessages = (depth: number): Buffer => {
  let bytes = Buffer.alloc(0);
  for (let i = 0; i < depth; i++) {
    const length: number[] = [];
    for (let n = bytes.length; ; n >>>= 7) {
      length.push(n < 128 ? n : (n & 127) | 128);
      if (n < 128) break;
    }
    bytes = Buffer.concat([Buffer.from([0x0a, ...length]), bytes]);
  }
  return bytes;
};

/** A GGUF file whose one key is a list of a list of a list ... */
const deepLists = Buffer.concat([
  text('GGUF'),
  Buffer.from(Uint32Array.of(3).buffer),
  Buffer.from(BigUint64Array.of(0n, 1n, 1n).buffer),
  text('k'),
  Buffer.from(Uint32Array.of(9).buffer),
  ...Array.from({ length: 40 }, () => Buffer.from(Uint32Array.of(9, 1, 0).buffer)),
]);

function deepGraph(depth: number): Uint8Array {
  let graph: object = { name: 'leaf', node: [] };
  for (let i = 0; i < depth; i++)
    graph = { name: `g${i}`, node: [node('If', ['c'], ['r'], [subgraph('then_branch', graph)])] };
  return model(graph);
}

const checkpoint = folder.file('whole.safetensors');
writeCheckpoint(checkpoint, { tensors: { w: Tensor.from([1, 2]) }, state: { step: 3 } });

const READERS: Readonly<Record<string, Reader>> = {
  'ONNX': {
    files: SMALL_FILES.onnx,
    open: file => {
      const net = onnx.load(file);
      net.run(Object.fromEntries(net.inputs.map(({ name }) => [name, Tensor.from([[1, 2]])])));
    },
    nested: { file: deepGraph(60), says: /messages nest deeper than 100/ },
    cyclic: { file: model({ name: 'g', node: [node('Relu', ['b'], ['a']), node('Relu', ['a'], ['b'])] as never[], output: [] }), says: /cycle|computed by no node|itself|depend/ },
    bomb: { file: model({ name: 'g', initializer: [{ name: 'w', dims: [1e9], dataType: 1, rawData: new Uint8Array(8) }] as never[] }), says: /raw_data has 8 bytes/ },
    outside: { file: model({ name: 'g', initializer: [{ name: 'w', dims: [1], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: '../../etc/passwd' }] }] as never[] }), says: /etc\/passwd/ },
    code: NO_CODE,
  },
  'PyTorch, zip': {
    files: SMALL_FILES.pytorchZip,
    open: weights,
    nested: { ...archive(DEEP), says: /deep|nest/ },
    cyclic: { ...archive(CYCLE), says: /contains itself/ },
    bomb: { file: pytorchZip('N.', { 'model/data/0': new Uint8Array(5e6) }, 9), says: /over 100 times as much/ },
    outside: 'names of entries are looked up in the archive, and nothing is unpacked',
    code: { ...archive(SYSTEM), says: /asks for os.system/ },
  },
  'PyTorch, legacy': {
    ...pickled,
    files: SMALL_FILES.pytorchLegacy,
    open: weights,
    nested: { file: legacy(DEEP), says: /deep|nest/ },
    cyclic: { file: legacy(CYCLE), says: /contains itself/ },
    bomb: { file: legacy(LAUGHS), says: /shared too often/ },
    code: { file: legacy(SYSTEM), says: /asks for os.system/ },
  },
  'Paddle, pickle': { ...pickled, files: SMALL_FILES.paddlePickle, open: weights },
  'Jittor': { ...pickled, files: SMALL_FILES.jittor, open: weights },
  'MegEngine': { ...pickled, files: SMALL_FILES.megengine, open: weights },
  'safetensors': {
    ...flat,
    files: SMALL_FILES.safetensors,
    open: weights,
    nested: { file: Buffer.concat([Buffer.from(BigUint64Array.of(200_006n).buffer), text('{"a":'), deepJson, text('}')]), says: /nest|deep/ },
  },
  'safetensors, index of shards': {
    ...flat,
    files: SMALL_FILES.shardIndex,
    open: weights,
    nested: { file: text(`{"weight_map":${deepJson.toString('latin1')}}`), says: /nest|deep/ },
    cyclic: { file: beside('shardIndex', s => s.replace('one.safetensors', 'small.safetensors.index.json')), says: /an index itself/ },
    outside: { file: beside('shardIndex', s => s.replace('one.safetensors', '../one.safetensors')), says: /expected a file beside/ },
  },
  'GGUF': {
    ...flat,
    files: SMALL_FILES.gguf,
    open: weights,
    nested: { file: deepLists, says: /nested deeper than 8/ },
  },
  'Paddle, program': {
    ...flat,
    files: SMALL_FILES.paddleProgram,
    open: file => loadPaddle(file).call(Tensor.from([1, 2])),
    nested: { file: deepMessages(300), says: /nest|wire type|field|message|bytes/ },
    outside: 'the parameters beside it have its own name; of the older folder, tests/formats/paddle.test.ts',
  },
  'Paddle, parameters': { ...flat, files: SMALL_FILES.paddleParams, open: weights },
  'TensorFlow.js, layers': {
    ...flat,
    files: SMALL_FILES.tfjsLayers,
    open: file => loadTfjs(file),
    nested: { file: deepJson, says: /nest|deep/ },
    cyclic: 'layers of a Sequential model are a list; of a functional one, tests/formats/tfjs.test.ts',
    outside: { file: beside('tfjsLayers', s => s.replace('weights.bin', '../x.bin')), says: /is no file beside/ },
    code: { file: beside('tfjsLayers', s => s.replaceAll('"Dense"', '"Lambda"')), says: /layers of class Lambda cannot be run/ },
  },
  'TensorFlow.js, graph': {
    ...flat,
    files: SMALL_FILES.tfjsGraph,
    open: file => loadTfjs(file),
    nested: { file: deepJson, says: /nest|deep/ },
    cyclic: { file: beside('tfjsGraph', s => s.replace('"input":["in0"', '"input":["op"')), says: /is an input of itself/ },
    outside: { file: beside('tfjsGraph', s => s.replace('weights.bin', '/etc/passwd')), says: /is no file beside/ },
  },
  'MindSpore': {
    ...flat,
    files: SMALL_FILES.mindspore,
    open: weights,
    nested: { file: deepMessages(300), says: /nest|wire type|field|message|bytes|tensor/ },
    bomb: { file: mindsporeValue('w', [1e12], 'Float32', new Uint8Array(4)), says: /needs 4000000000000 bytes/ },
  },
  'npy': { ...flat, files: SMALL_FILES.npy, open: weights, code: { file: text(Buffer.concat(npyChunks(Tensor.from([1]))).toString('latin1').replace("'<f4'", "'|O' ")), says: /object|pickle|\|O/ } },
  'npz': {
    ...flat,
    files: SMALL_FILES.npz,
    open: weights,
    bomb: { file: zipSync({ 'w.npy': Buffer.concat(npyChunks(Tensor.from(new Float32Array(2e6)))) }, { level: 9 }), says: /over 100 times|times as much/ },
    outside: 'names of entries are names of tensors, and nothing is unpacked',
  },
  'npz, deflated': { ...flat, files: SMALL_FILES.npzDeflated, open: weights, bomb: 'as npz', outside: 'as npz' },
  'checkpoint of a run': {
    ...flat,
    files: { 'run.safetensors': readFileSync(checkpoint) },
    open: file => readCheckpoint(file),
    nested: 'as safetensors',
    code: { file: Buffer.concat(safetensorsChunks({ w: Tensor.from([1]) })), says: /is not a checkpoint/ },
  },
  'tokenizer.json': { ...flat, files: SMALL_FILES.tokenizerJson, open: file => loadTokenizer(file), nested: { file: deepJson, says: /not a tokenizer/ } },
  'SentencePiece': { ...flat, files: SMALL_FILES.sentencePiece, open: file => loadTokenizer(file), nested: { file: deepMessages(300), says: /not a tokenizer/ } },
  'GGUF, vocabulary': { ...flat, files: SMALL_FILES.ggufTokenizer, open: file => loadTokenizer(file), nested: 'as GGUF' },
  'IDX': { ...flat, files: SMALL_FILES.idx, open: file => readIdx(file) },
  'IDX, gzip': {
    ...flat,
    files: SMALL_FILES.idxGzip,
    open: file => readIdx(file),
    bomb: { file: gzipSync(Buffer.concat([SMALL_FILES.idx['small-idx2-ubyte'], Buffer.alloc(5e7)])), says: /unpack|bytes/ },
  },
}; // biome-ignore format: a table

/** What engines say when a program, not a file, is wrong. */
const CRASHES =
  /internal:|undefined|is not a function|Cannot read prop|Invalid array length|call stack|out of memory|is not iterable/i;
/** A place in the bytes, and a part of the content by its name. */
const OFFSET = /(byte|character|element) \d|\d+ bytes|data_offsets \[/;
const PART =
  /"[^"]+"|\b(node|layers?|group|storage|operators|variable|tensor|inputs?|output|weights? manifest|modelTopology|tokenizer\.ggml|entry|(Pre)?[Tt]okenizer|Normalizer|version|protocol|parts|contains itself|nested deeper)\b/;
/"[^"]+"|\b(node|layer|group|storage|operators|variable|tensor|input|output|weight|modelTopology|tokenizer\.ggml)\b/;
/**
 * What cannot tell a place: zlib's checksums and ours are of a whole, and a library that stumbles over a definition
 * says where in itself.
 */
const WHOLE =
  /gzip data is damaged|agree with its checksum|is not a checkpoint|a part of its definition is missing|the definition has no model|no such file|there is no graph|without blocks/;
/gzip data is damaged|agree with its checksum|is not a checkpoint|a part of its definition is missing|the definition has no model|no such file/;
const MAX_TIMES = 100;
const FREE_BYTES = 8 << 20;

/** What the reader says of the files: null where they read. Holds what must hold of every answer. */
async function answer(open: Open, files: Files): Promise<string | null> {
  const [main] = Object.keys(files);
  const paths = Object.entries(files).map(([name, bytes]) => folder.write(name, bytes));
  const size = Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0);
  const before = process.memoryUsage().arrayBuffers;
  const started = performance.now();
  let message: string | null = null;
  try {
    await open(paths[0]!);
  } catch (error) {
    expect(error, main).toBeInstanceOf(Error);
    message = (error as Error).message;
    if (!OFFSET.test(message) && !PART.test(message)) expect(message).toMatch(WHOLE);
    // A file beside the first may be the one that is meant; a model that runs names its node, or its inputs.
    if (!/^(node "|PaddleProgram: )/.test(message)) expect(message).toContain(folder.path);
    expect(message.replaceAll(/"(\\.|[^"\\])*"/g, '""'), message).not.toMatch(CRASHES);
  }
  expect(process.memoryUsage().arrayBuffers - before, message ?? 'it reads').toBeLessThan(MAX_TIMES * size + FREE_BYTES);
  expect(performance.now() - started, message ?? 'it reads').toBeLessThan(10_000);
  return message;
} // biome-ignore format: messages

/** Numbers that follow from a seed. */
function drawing(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

describe.each(Object.entries(READERS))('%s', (_, reader) => {
  const [main, ...rest] = Object.entries(reader.files);
  const [name, whole] = main!;
  const others = Object.fromEntries(rest);
  const damaged = (bytes: Uint8Array): Promise<string | null> => answer(reader.open, { [name]: bytes, ...others });

  test('reads as it is', async () => {
    expect(await damaged(whole)).toBeNull();
  });

  test('cut at every byte', async () => {
    let refused = 0;
    for (let end = 0; end < whole.length; end++) {
      const message = await damaged(whole.subarray(0, end));
      if (message === null) continue;
      refused++;
      // A model that was cut between two of its nodes lacks what the next one reads.
      if (!/^.{0,200}: node "|: output "/.test(message) && !WHOLE.test(message)) expect(message).toMatch(OFFSET);
    }
    expect(refused).toBeGreaterThan(0.8 * whole.length);
  });

  test('bytes changed, and nothing but noise', async () => {
    const draw = drawing(1);
    for (let round = 0; round < 300; round++) {
      const copy = Uint8Array.from(whole);
      for (let k = 0; k < 1 + (round % 4); k++) copy[draw(copy.length)] = draw(256);
      await damaged(copy);
      await damaged(Uint8Array.from({ length: draw(200) }, () => draw(256)));
      const begun = Uint8Array.from(whole);
      for (let at = Math.min(16, whole.length); at < begun.length; at++) begun[at] = draw(256);
      if (round < 50) await damaged(begun);
    }
  });

  test('lengths that lie, at every place', async () => {
    const step = Math.max(1, Math.floor(whole.length / 400));
    for (let at = 0; at < whole.length; at += step)
      for (const lie of [[0xff, 0xff, 0xff, 0x7f], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0, 1, 0, 0, 0], [...text('99999999')]]) {
        const copy = Uint8Array.from(whole);
        copy.set(lie.slice(0, whole.length - at), at);
        await damaged(copy);
      }
  }); // biome-ignore format: a table

  test.each(['nested', 'cyclic', 'bomb', 'outside', 'code'] as const)('%s', async row => {
    const bad = reader[row];
    if (typeof bad === 'string') {
      expect(bad.length).toBeGreaterThan(0);
      return;
    }
    const files = bad.file instanceof Uint8Array ? { [name]: bad.file, ...others } : bad.file;
    expect(await answer(reader.open, files)).toMatch(bad.says);
  });
});
