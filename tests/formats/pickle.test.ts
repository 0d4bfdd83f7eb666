import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadWeights, openPickle, openWeights } from '../../src/formats/index.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

interface Fixture {
  readonly tensors: Readonly<Record<string, { shape: number[]; values: number[] }>>;
  readonly files: Readonly<Record<string, string>>;
}
const { tensors, files }: Fixture = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../fixtures/pickles.json'), 'utf8'),
);
const write = (name: string): string => folder.write(name, Buffer.from(files[name]!, 'base64'));

const FORMATS: Readonly<Record<string, string>> = {
  paddle: 'Paddle (pickle)',
  jittor: 'Jittor (pickle)',
  megengine: 'MegEngine (pickle)',
};

describe('pickles of arrays, as the frameworks write them', () => {
  test.each(Object.keys(files).filter(name => name !== 'nested.pkl'))('%s', async name => {
    const file = await openWeights(write(name));
    const format = FORMATS[name.split('.')[0]!];
    if (name !== 'paddle.pdopt') expect(file.format).toBe(format);
    const found = Object.fromEntries(
      file.tensors.map(tensor => {
        const read = tensor.read();
        return [tensor.name, { shape: [...read.shape], values: Array.from(read.reshape([-1]).data(), Number) }];
      }),
    );
    expect(found).toMatchObject(
      Object.fromEntries(
        Object.entries(tensors)
          .filter(([key]) => key !== 'half')
          .map(([key, value]) => [key, value]),
      ),
    );
    expect(
      file.tensors
        .find(tensor => tensor.name === 'half')!
        .read()
        .toArray(),
    ).toEqual([1.5, -2]);
    file.close();
  });

  test('nested names are joined, and what is no array is kept beside', async () => {
    const file = openPickle(write('nested.pkl'));
    expect(file.tensors.map(tensor => tensor.name)).toEqual(['model.fc.weight', 'list.0', 'list.1']);
    expect({ ...file.metadata }).toEqual({ epoch: 12 });
    expect(file.tensors.map(tensor => tensor.read().toArray())).toEqual([
      [
        [-1.25, -0.75, -0.25],
        [0.25, 0.75, 1.25],
      ],
      7,
      [true, false],
    ]);
    file.close();
  });
});

test('a file is what its content says, whatever its ending', async () => {
  const weights = await loadWeights(folder.write('model.onnx', Buffer.from(files['jittor.pkl']!, 'base64')));
  expect(Object.keys(weights)).toEqual(Object.keys(tensors));
  const graph = folder.write('net.mge', Buffer.concat([Buffer.from('mgbtest0'), Buffer.alloc(60)]));
  await expect(openWeights(graph)).rejects.toThrow(`${graph} is a MegEngine graph dump, which Tenon does not read`);
  const unknown = folder.write('x.bin', 'hello');
  await expect(openWeights(unknown)).rejects.toThrow(`${unknown}: not a file of weights Tenon knows`);
  await expect(openWeights(folder.file('none'))).rejects.toThrow(/cannot read .*none: no such file/);
});
