/**
 * Every file of shared/data/models, archives unpacked: it opens, all its tensors read and every operator of its program
 * runs here, or one sentence names the file and why.
 */
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { openWeights } from '../../src/formats/index.ts';
import { unpack } from '../support/modelFiles.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const folder = temporaryFolder();

const within = (dir: string): string[] => readdirSync(dir, { recursive: true, encoding: 'utf8' }).map(name => path.join(dir, name)).filter(file => statSync(file).isFile()); // biome-ignore format: one chain

/** Files of a model: not the inputs and outputs beside it, nor the parts that its first file names. */
const isModel = (file: string): boolean => /\.(onnx|pt|pth|th|safetensors|npy|npz|pdmodel)$|model\.json$/.test(file) && !/broken|external_data_offset|mixed_data/.test(file); // biome-ignore format: one test

testWithData('every model file opens, reads and runs here', 'models/onnx/burn-onnx-visible.tar.gz', async () => {
  const archives = within(sharedData('models')).filter(file => file.endsWith('.tar.gz'));
  for (const archive of archives) {
    const into = folder.file(path.basename(archive, '.tar.gz'));
    mkdirSync(into);
    unpack(path.relative(sharedData(''), archive), into);
  }
  const files = [...within(sharedData('models')), ...within(folder.path)];
  let tensors = 0;
  let opened = 0;
  for (const file of files) {
    try {
      const weights = await openWeights(file);
      for (const tensor of weights.tensors) {
        if (tensor.dtype === null) continue;
        tensor.read();
        tensors++;
      }
      expect(weights.program?.operators.filter(({ runs }) => !runs) ?? [], file).toEqual([]);
      weights.close();
      opened++;
    } catch (error) {
      expect(isModel(file), `${file}: ${(error as Error).message}`).toBe(false);
      expect((error as Error).message).toContain(path.basename(file).slice(0, 4));
    }
  }
  expect(opened).toBeGreaterThan(300);
  expect(tensors).toBeGreaterThan(1000);
});
