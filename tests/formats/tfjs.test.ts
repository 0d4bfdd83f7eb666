import { readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadTfjs, modelToOnnx, onnx, openTfjs, openWeights } from '../../src/formats/index.ts';
import type { Json } from '../../src/formats/json.ts';
import { compile, Tensor } from '../../src/tensor/index.ts';
import { unpack } from '../support/modelFiles.ts';
import { testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

interface Given {
  readonly shape: number[];
  readonly dtype: string;
  readonly data: string;
}
interface Case {
  readonly model: Json;
  readonly weights: string;
  readonly inputs: readonly Given[];
  readonly outputs: readonly Given[];
}
const cases: { readonly layers: Record<string, Case>; readonly graphs: Record<string, Case> } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../fixtures/tfjs-models.json'), 'utf8'),
);

const DTYPES = { float32: 'f32', int32: 'i32', bool: 'bool' } as const;
const floats = (text: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);
const tensorOf = ({ shape, data, dtype }: Given): Tensor =>
  Tensor.from(floats(data), { shape }).to(DTYPES[dtype as keyof typeof DTYPES]);

function write({ model, weights }: Case): string {
  folder.write('weights.bin', Buffer.from(weights, 'base64'));
  return folder.write('model.json', JSON.stringify(model));
}

function expectClose(got: Tensor, { shape, data, dtype }: Given): void {
  expect([got.dtype, got.shape]).toEqual([DTYPES[dtype as keyof typeof DTYPES], shape]);
  const want = floats(data);
  for (const [i, value] of Array.from(got.reshape([-1]).data(), Number).entries())
    expect(Math.abs(value - want[i]!), `element ${i}: ${value}, expected ${want[i]}`).toBeLessThanOrEqual(
      1e-5 + 1e-4 * Math.abs(want[i]!),
    );
}

const list = (result: Tensor | readonly Tensor[]): readonly Tensor[] => (result instanceof Tensor ? [result] : result);

describe('layers models give what TensorFlow.js computes', () => {
  test.each(Object.keys(cases.layers))('%s', name => {
    const { inputs, outputs, ...rest } = cases.layers[name]!;
    const model = loadTfjs(write({ inputs, outputs, ...rest })).eval();
    const got = list(model.call(...inputs.map(tensorOf)));
    expect(got.length).toBe(outputs.length);
    for (const [i, output] of outputs.entries()) expectClose(got[i]!, output);
  });
});

describe('copies have weights of their own', () => {
  const all = { ...cases.layers, ...cases.graphs };
  test.each(Object.keys(all))('%s', name => {
    const { inputs, outputs, ...rest } = all[name]!;
    const model = loadTfjs(write({ inputs, outputs, ...rest })).eval();
    const copy = model.clone();
    const given = inputs.map(tensorOf);
    for (const parameter of model.parameters()) parameter.assign(parameter.detach().mul(0).add(2));
    for (const [i, output] of list(copy.call(...given)).entries()) expectClose(output, outputs[i]!);
    expect(model.namedParameters().map(([key]) => key)).toEqual(copy.namedParameters().map(([key]) => key));
  });

  test('and what `to` puts in the place of a weight is what is used', () => {
    const { inputs, outputs, ...rest } = Object.values(cases.layers)[0]!;
    const model = loadTfjs(write({ inputs, outputs, ...rest }))
      .eval()
      .to('f64');
    const [result] = list(model.call(...inputs.map(given => tensorOf(given).to('f64'))));
    expect(result!.dtype).toBe('f64');
  });
});

describe('written as ONNX, layers models and graphs give it still', () => {
  const all = { ...cases.layers, ...cases.graphs };
  test.each(Object.keys(all))('%s', async name => {
    const { inputs, outputs, ...rest } = all[name]!;
    const model = onnx.parse(await modelToOnnx(write({ inputs, outputs, ...rest })), name);
    const given = Object.fromEntries(model.inputs.map((port, i) => [port.name, tensorOf(inputs[i]!)] as const));
    const got = Object.values(model.run(given)) as Tensor[];
    for (const [i, output] of outputs.entries()) expectClose(got[i]!, output);
  });
});

describe('graphs give what TensorFlow.js computes', () => {
  test.each(Object.keys(cases.graphs))('%s', name => {
    const { inputs, outputs, ...rest } = cases.graphs[name]!;
    const model = loadTfjs(write({ inputs, outputs, ...rest }));
    const got = list(model.call(...inputs.map(tensorOf)));
    const compiled = compile((...given: Tensor[]) => list(model.call(...given)));
    const again = compiled(...inputs.map(tensorOf));
    for (const [i, output] of outputs.entries()) {
      expectClose(got[i]!, output);
      expectClose(again[i]!, output);
    }
  });
});

test('a loaded model has its weights under their names, trains and compiles', () => {
  const model = loadTfjs(write(cases.layers['norms']!));
  expect(model.namedParameters().map(([name]) => name.replace(/^.*\./, ''))).toEqual([
    'gamma',
    'beta',
    'gamma',
    'beta',
  ]);
  expect(model.namedBuffers().map(([name]) => name.replace(/^.*\./, ''))).toEqual(['moving_mean', 'moving_variance']);
  const x = tensorOf(cases.layers['norms']!.inputs[0]!);
  const step = compile((input: Tensor) => {
    const loss = (model.call(input) as Tensor).square().mean();
    loss.backward();
    return loss;
  });
  expect(step(x).item()).toBeGreaterThan(0);
});

testWithData('models and weights that others published', 'models/tfjs-visible.tar.gz', async () => {
  unpack('models/tfjs-visible.tar.gz', folder.path);
  const graph = loadTfjs(folder.file('e2e-graph_model/model.json'));
  expect(graph.call(Tensor.from([[1, 2], [3, 4]]))).toBeInstanceOf(Tensor); // biome-ignore format: a matrix
  const inference = loadTfjs(folder.file('inference-graph/model.json')).call(Tensor.from([[1, 1], [1, 1]])); // biome-ignore format: a matrix
  expect((inference as Tensor).shape).toEqual([2, 2]);
  const abalone = loadTfjs(folder.file('abalone/model.json'));
  expect(abalone.parameters().reduce((sum, p) => sum + p.numel(), 0)).toBe(8 * 50 + 50 + 50 * 50 + 50 + 50 + 1);
  expect((abalone.call(Tensor.from([[1, 0.455, 0.365, 0.095, 0.514, 0.2245, 0.101, 0.15]])) as Tensor).shape).toEqual([
    1, 1,
  ]);
  const e2e = loadTfjs(folder.file('e2e-layers_model/model.json'));
  expect(
    (
      e2e.call(
        Tensor.from(
          Array.from({ length: 10 }, (_, i) => i),
          { shape: [1, 10] },
        ),
      ) as Tensor
    ).shape,
  ).toEqual([1, 4]);
  renameSync(folder.file('faceapi-tiny_face_detector_model-shard1'), folder.file('tiny_face_detector_model-shard1'));
  const face = await openWeights(folder.file('faceapi-tiny_face_detector_model-weights_manifest.json'));
  expect([face.tensors[0]!.shape, face.tensors[0]!.storedAs]).toEqual([[3, 3, 3, 16], 'float32 in uint8']);
  const filters = face.tensors[0]!.read();
  // 256 steps of the scale from the minimum.
  expect(filters.min().item()).toBeGreaterThanOrEqual(-1.2069439531063 - 1e-6);
  expect(filters.max().item()).toBeLessThanOrEqual(-1.2069439531063 + 255 * 0.0090070443994859 + 1e-6);
  face.close();
});

describe('damaged models are named', () => {
  const dense = cases.layers['dense']!;
  const graph = cases.graphs['matmul']!;
  const changed = (from: Case, change: (text: string) => string): string => {
    folder.write('weights.bin', Buffer.from(from.weights, 'base64'));
    return folder.write('model.json', change(JSON.stringify(from.model)));
  };
  test.each<[string, () => string, RegExp]>([
    ['not JSON', () => changed(dense, text => text.slice(0, -9)), /not valid JSON/],
    ['another JSON', () => folder.write('model.json', '{"a": 1}'), /not a TensorFlow.js model/],
    ['a shard outside', () => changed(dense, text => text.replace('weights.bin', '../x.bin')), /"..\/x.bin" is no file beside/],
    ['a shard cut off', () => { const file = changed(dense, text => text); folder.write('weights.bin', new Uint8Array(8)); return file; }, /ends at byte \d+ of shards of 8 bytes/],
    ['an unknown layer', () => changed(dense, text => text.replaceAll('"Dense"', '"Dance"')), /layers of class Dance cannot be run/],
    ['an unknown operator', () => changed(graph, text => text.replaceAll('"MatMul"', '"MadMul"')), /operators that Tenon cannot run: MadMul/],
    ['a node that is not there', () => changed(graph, text => text.replace('"input":["in0"', '"input":["in9"')), /there is no node "in9"/],
    ['a cycle', () => changed(graph, text => text.replace('"input":["in0"', '"input":["op"')), /"op" is an input of itself/],
    ['no output', () => changed(graph, text => text.replace('"input":["in0"', '"input":["out0"')), /it has no outputs/],
    ['a missing weight', () => changed(dense, text => text.replace('/kernel"', '/colonel"')), /has no weight "kernel"|no weight/],
  ])('%s', (_, file, message) => {
    const run = () => {
      const model = loadTfjs(file());
      model.call(tensorOf(dense.inputs[0]!));
    };
    expect(run).toThrow(message);
  }); // biome-ignore format: a table

  test('cut at every byte', () => {
    const text = JSON.stringify(graph.model);
    for (let end = 0; end < text.length; end++) {
      const file = folder.write('cut.json', text.slice(0, end));
      expect(() => openTfjs(file)).toThrow(file);
    }
  });
});
