/**
 * The ONNX project's backend cases as a floor: no case fails but the listed ones, each with its reason; and the models
 * other projects made.
 */
import { expect } from 'vitest';
import { runOnnx } from '../../conformance/onnx/run.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';

/** Cases that cannot pass here. */
const KNOWN: Readonly<Record<string, string>> = {
  'node/test_image_decoder_decode_jpeg2k_rgb': 'JPEG 2000 is not decoded',
  'node/test_dft_inverse': 'expects rounding noise of 1.9e-7 where the exact result is 0',
  'node/test_dft_inverse_opset19': 'expects rounding noise of 1.9e-7 where the exact result is 0',
  qtdnn_10x5_101_i32_biases: 'its expected output pads frames that its auto_pad of VALID does not',
};

const suite = (name: string): string => `../conformance/onnx/onnx-${name}-visible.tar.gz`;
const models = (name: string): string => `models/onnx/${name}.tar.gz`;

/** Archives, the least that must pass, and the most that may be skipped. */
const SUITES: readonly (readonly [title: string, file: string, passed: number, skipped: number])[] = [
  ['operators', suite('node'), 1192, 5],
  ['small floats, strings, sequences, classical models, training', suite('node-exotic'), 201, 0],
  ['PyTorch’s exports', suite('simple-pytorch'), 105, 0],
  ['whole topologies', suite('light'), 7, 0],
  ['operators of early opsets', suite('node-legacy'), 827, 5],
  ['models of burn', models('burn-onnx-visible'), 222, 36],
  ['models of ezkl', models('ezkl-networks-visible'), 35, 2],
  ['models of tract', models('tract-test-cases-visible'), 9, 0],
  ['a face detector', models('face-RFB-320'), 1, 0],
  ['MNIST by CNTK', models('mnist-cntk'), 1, 0],
  ['MNIST by PyTorch', models('mnist-mlp-pytorch'), 1, 0],
  ['voice activity (If, LSTM)', models('silero-vad-16k-op15'), 1, 0],
  ['super resolution', models('super-resolution-pytorch'), 1, 0],
  ['a sine by TensorFlow Lite', models('tfl-helloworld'), 1, 0],
];

/** What takes minutes when it is interpreted. */
const HEAVY = [suite('light'), models('face-RFB-320'), models('super-resolution-pytorch')];
const interpreted = process.env['TENON_BACKEND'] === 'reference';
/** A second run of machine code, for processors without AVX-512. */
const older = process.env['TENON_ISA'] !== undefined;

for (const [title, file, least, skipped] of SUITES.filter(([, name]) => !interpreted || !HEAVY.includes(name)))
  testWithData(`ONNX: ${title}`, file, () => {
    const passed = older ? 0 : least;
    const results = runOnnx(sharedData(file), older ? { every: 8 } : {});
    const count = (outcome: string): number => results.filter(result => result.outcome === outcome).length;
    expect(results.filter(({ outcome, name }) => outcome === 'fail' && !(name in KNOWN))).toEqual([]);
    expect(count('pass')).toBeGreaterThanOrEqual(passed);
    expect(count('skip')).toBeLessThanOrEqual(skipped);
  });
