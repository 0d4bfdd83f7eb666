/**
 * PyTorch's operator database as a floor: no case fails but the ones listed, each with its reason.
 */
import { expect, test } from 'vitest';
import { suiteFile } from '../../conformance/suiteFile.ts';
import { runOpinfo } from '../../conformance/torch/run.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';

/** Cases that PyTorch 1.13 answers otherwise on purpose, at random or by rounding. */
const KNOWN: readonly (readonly [why: string, ...cases: string[]])[] = [
  ['random masks', 'nn.functional.dropout2d #2', 'nn.functional.dropout2d #12', 'nn.functional.dropout3d #2'],
  ['random masks', 'nn.functional.dropout3d #12', 'nn.functional.feature_alpha_dropout with_train #4'],
  ['random masks', ...[1, 5, 11, 13, 15].map(i => `nn.functional._scaled_dot_product_attention #${i}`)],
  ['random slopes', 'nn.functional.rrelu #0', 'nn.functional.rrelu #2'],
  ['random windows', 'nn.functional.fractional_max_pool2d #10', 'nn.functional.fractional_max_pool2d #16'],
  ['random windows', ...[2, 14, 20, 22, 28].map(i => `nn.functional.fractional_max_pool2d #${i}`)],
  ['the recorded gradient is uninitialised memory', 'sgn #0'],
  ['the recorded gradient flows to elements that were replaced', 'as_strided_scatter #1', 'as_strided_scatter #3'],
  [
    'the recorded gradient takes the matrix for symmetric, which it is not',
    'linalg.pinv hermitian #0',
    'linalg.pinv hermitian #4',
  ],
  ['rounding noise divided by itself', 'nn.functional.group_norm #2', 'native_layer_norm #10', 'cov #6'],
];

/** One element cancels: 2.2e-5 of f32 rounding where 1.4e-5 is allowed. */
const KNOWN_COMPILED = ['nn.functional.conv_transpose2d #10'];

const folder = ['..', 'conformance', 'torch-opinfo'].join('/');
const visible = `${folder}/opinfo-visible.jsonl.gz`;
const errors = `${folder}/opinfo-errors-visible.jsonl.gz`;
const backend = process.env['TENON_BACKEND'] ?? 'reference';

testWithData(
  'values and gradients of PyTorch’s operator database',
  visible,
  () => {
    const results = runOpinfo(sharedData(visible), { backend });
    const known = new Set([
      ...KNOWN.flatMap(([, ...cases]) => cases),
      ...(backend === 'reference' ? [] : KNOWN_COMPILED),
    ]);
    const failed = results.filter(result => result.outcome === 'fail');
    expect(failed.filter(({ op, name }) => !known.has(`${op} ${name}`))).toEqual([]);
    expect(results.filter(result => result.outcome === 'pass').length).toBeGreaterThanOrEqual(2977);
  },
  300_000,
);

/** Calls that are not refused here, or cannot be. */
const ACCEPTED: readonly (readonly [why: string, ...ops: string[]])[] = [
  ['the tensors were on different devices, which the file does not say', 'where'],
  ['1.0 is the number 1', 'linspace', 'logspace'],
  ['PyTorch takes numbers there, too', 'clamp_min', 'clamp_max'],
  ['compilers of CUDA code', 'jiterator_binary', 'jiterator_binary_return_by_ref'],
];

testWithData('the calls that PyTorch refuses', errors, () => {
  const results = runOpinfo(sharedData(errors), { backend });
  const accepted = new Set(ACCEPTED.flatMap(([, ...ops]) => ops));
  expect(results.filter(result => result.outcome === 'fail' && !accepted.has(result.op))).toEqual([]);
  expect(results.filter(result => result.outcome === 'pass').length).toBeGreaterThanOrEqual(265);
});

test('a suite that is not there, or is none, is named in a sentence', () => {
  expect(() => suiteFile('absent.jsonl.gz')).toThrow('There is no such file or folder.');
  expect(() => runOpinfo('package.json')).toThrow('package.json: not gzipped JSON lines: incorrect header check');
});
