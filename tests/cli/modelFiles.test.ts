import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadNpz, loadSafetensors, onnx, saveSafetensors } from '../../src/formats/index.ts';
import { Linear, ReLU, Sequential } from '../../src/nn/index.ts';
import { Tensor } from '../../src/tensor/index.ts';
import { tenon } from '../support/runTenon.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();
const weights = {
  'module.fc.weight': Tensor.from([[1.5, -2], [0.25, 1e-9]]), // biome-ignore format: a matrix
  'module.fc.bias': Tensor.from([1, 2], { dtype: 'f64' }),
  steps: Tensor.from([7], { dtype: 'i64' }),
};

test('convert: names, dtypes and values', async () => {
  const from = folder.file('a.safetensors');
  saveSafetensors(from, weights);
  const to = folder.file('b.npz');
  const { code, events } = await tenon('convert', from, to, '--strip', 'module.', '--dtype', 'f16', '--json');
  expect(code).toBe(0);
  expect(events.at(-1)).toMatchObject({ event: 'end', tensors: 3, elements: 7 });
  const read = loadNpz(to);
  expect(Object.keys(read)).toEqual(['fc.bias', 'steps', 'fc.weight']);
  expect([read['fc.weight']!.dtype, read['fc.bias']!.dtype, read['steps']!.dtype]).toEqual(['f16', 'f16', 'i64']);
  expect(read['fc.weight']!.toArray()).toEqual([
    [1.5, -2],
    [0.25, 0],
  ]);
  const back = folder.file('c.safetensors');
  expect((await tenon('convert', to, back)).code).toBe(0);
  expect(loadSafetensors(back).tensors['fc.bias']!.toArray()).toEqual([1, 2]);
});

test('convert leaves nothing behind when it fails', async () => {
  const from = folder.file('twins.safetensors');
  saveSafetensors(from, { 'a.w': Tensor.from([1]), w: Tensor.from([2]) });
  const { code, stderr } = await tenon('convert', from, folder.file('twins.npz'), '--strip', 'a.');
  expect([code, stderr]).toEqual([1, `tenon: ${from}: two tensors would be named "w"\n`]);
  expect(readdirSync(folder.path).filter(name => name.startsWith('twins'))).toEqual(['twins.safetensors']);
});

test('inspect: a table for people, objects for programs', async () => {
  const file = folder.file('d.safetensors');
  saveSafetensors(file, weights, { note: 'x'.repeat(200) });
  const { code, stdout } = await tenon('inspect', file);
  expect(code).toBe(0);
  expect(stdout.replace(file, 'FILE')).toMatchInlineSnapshot(`
    "FILE: safetensors
      note: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
    tensor            type  shape   elements  bytes
    module.fc.bias    F64   [2]            2     16
    steps             I64   [1]            1      8
    module.fc.weight  F32   [2, 2]         4     16
    3 in all                               7     40
    "
  `);
  const { events } = await tenon('inspect', file, '--json');
  expect(events.map(event => event['event'])).toEqual(['file', 'metadata', 'tensor', 'tensor', 'tensor', 'end']);
  expect(events.at(-1)).toMatchObject({ tensors: 3, elements: 7, bytes: 40, unreadable: [] });
});

testWithData('inspect: a file PyTorch wrote', 'models/pytorch/resnet20-cifar10.th', async () => {
  const { events } = await tenon('inspect', sharedData('models/pytorch/resnet20-cifar10.th'), '--json');
  expect(events[0]).toMatchObject({ format: 'PyTorch (legacy)' });
  // 269,722 parameters, as published, and the running means and variances of 688 channels.
  expect(events.at(-1)).toMatchObject({ tensors: 97, elements: 269_722 + 2 * 688 });
});

test('an ONNX model: what it computes, its weights, and a copy of it', async () => {
  const file = folder.file('net.onnx');
  onnx.save(file, new Sequential(new Linear(2, 3), new ReLU()).eval(), Tensor.from([[1, 2]]), {
    dynamicAxes: { input: { 0: 'batch' } },
  });
  const { events } = await tenon('inspect', file, '--json');
  expect(events[0]).toMatchObject({ format: 'ONNX' });
  expect(events.filter(({ event }) => event === 'input')).toMatchObject([{ name: 'input', shape: ['batch', 2] }]);
  expect(events.filter(({ event }) => event === 'operator')).toMatchObject([
    { name: 'Gemm', count: 1, runs: true },
    { name: 'Relu', count: 1, runs: true },
  ]);
  expect(events.at(-1)).toMatchObject({ tensors: 2, elements: 9, unsupported: [] });
  const weights = folder.file('net.safetensors');
  expect((await tenon('convert', file, weights)).code).toBe(0);
  const copy = folder.file('copy.onnx');
  expect((await tenon('convert', file, copy)).code).toBe(0);
  const [a, b] = [onnx.load(file), onnx.load(copy)];
  expect(Object.keys(loadSafetensors(weights).tensors).sort()).toEqual(a.namedParameters().map(([name]) => name).sort()); // biome-ignore format: one line
  expect(b.namedParameters().map(([name]) => name)).toEqual(a.namedParameters().map(([name]) => name)); // biome-ignore format: one line
  const x = Tensor.from([[1, -2], [0.5, 3], [2, 2]]); // biome-ignore format: a matrix
  expect(b.forward(x).toArray()).toEqual(a.forward(x).toArray());
});

test('convert to ONNX refuses what is weights only', async () => {
  const from = folder.file('only.safetensors');
  saveSafetensors(from, weights);
  const { code, stderr } = await tenon('convert', from, folder.file('only.onnx'));
  expect([code, stderr]).toEqual([
    1,
    `tenon: ${from} (safetensors) holds weights only: to write an ONNX model, load them into a module and export that\n`,
  ]);
});
