/**
 * Bad input: each call is refused at once, before anything is computed, in one sentence that names the op, what came
 * and what was expected.
 */
import { expect, test } from 'vitest';
import '../support/backend.ts';
import { arange, einsum, F, ones, stack, type Tensor, tensor, zeros } from '../../src/index.ts';

const long = (...values: number[]): Tensor => tensor(values, { dtype: 'i64' });

test.each<[() => unknown, string]>([
  [() => ones([2, 3]).add(ones([4])), 'add: shapes [2, 3] and [4] do not broadcast: 3 meets 4'],
  [() => ones([2]).add('1' as never), 'add: expected a tensor or a number, got string 1'],
  [() => ones([2]).add(undefined as never), 'add: expected a tensor or a number, got undefined'],
  [() => ones([32, 784]).matmul(ones([512, 10])), 'matmul: inner sizes differ: [32, 784] x [512, 10]'],
  [() => ones([2, 2]).matmul(ones([2, 2], { dtype: 'f64' })), 'matmul: dtypes differ: f32 x f64'],
  [() => ones([2, 2, 2]).mm(ones([2, 2])), 'mm: expected operands of 2 and 2 dims, got [2, 2, 2] x [2, 2]'],
  [() => ones([2, 3]).reshape([4, -1]), 'reshape: shape [4, -1] does not hold the 6 elements of [2, 3]'],
  [() => ones([2, 3]).permute([0, 0]), 'permute: order [0, 0] names a dim twice'],
  [() => ones([2, 3]).transpose(0, 2), 'transpose: dim 2 is out of range for a tensor of 2 dims'],
  [() => ones([2, 3]).expand([2, 4]), 'expand: [2, 3] does not broadcast to [2, 4]'],
  [() => ones([2, 3]).sum([0, 0]), 'sum: dims [0, 0] name a dim twice'],
  [() => ones([2, 3]).sum(2), 'sum: dim 2 is out of range for a tensor of 2 dims'],
  [() => zeros([0, 3]).amax(0), 'amax: input: dims to reduce must not be empty, got shape [0, 3]'],
  [() => zeros([0]).argmax(), 'argmax: input: expected at least one element, got shape [0]'],
  [() => long(1, 2).softmax(0), 'softmax: input: expected a float tensor, got i64'],
  [() => long(1, 2).pow(-1), 'pow: exponent: integers to the negative power -1 are not integers'],
  [() => ones([3]).bitwiseAnd(1), 'bitwiseAnd: expected integers or bool, got f32'],
  [() => tensor([true]).sub(tensor([false])), 'sub: two bool operands: use logicalXor or logicalNot'],
  [() => ones([3]).where(1, 2), 'where: condition: expected bool, got f32'],
  [() => ones([3]).topk(4), 'topk: k 4 exceeds the 3 elements of dim -1'],
  [() => ones([5]).split([2, 2]), 'split: sizes [2, 2] sum to 4, and dim 0 has 5'],
  [() => ones([3]).slice(0, 0, 3, 0), 'slice: step: expected a whole number other than 0, got 0'],
  [() => ones([3]).slice(0, Number.NaN), 'slice: start: expected a whole number, got number NaN'],
  [() => ones([3]).slice(0, 0, 1.5), 'slice: end: expected a whole number, got number 1.5'],
  [() => ones([7, 3]).diagonal(0.5), 'diagonal: offset: expected a whole number, got number 0.5'],
  [() => ones([7, 3]).sliceScatter(zeros([2, 3]), 0, 6), 'sliceScatter: source: expected [1, 3], got [2, 3]'],
  [() => ones([7, 3]).sliceScatter(zeros([2, 3]), 2), 'sliceScatter: dim 2 is out of range for a tensor of 2 dims'],
  [() => ones([7]).indexPut([long(1, 2)], zeros([2, 2])), 'indexPut: values: expected at most [2], got [2, 2]'],
  [() => stack([ones([2]), ones([3])]), 'stack: shapes [2] and [3] differ'],
  [
    () => (ones([2]).repeat as (...sizes: unknown[]) => Tensor)('2'),
    'repeat: sizes: expected an array of whole numbers, got string 2',
  ],
  [() => stack([]), 'stack: expected at least one tensor, got none'],
  [
    () => einsum('ij,jk->ik', ones([2, 3]), ones([4, 5])),
    'einsum: label "j" has sizes 3 and 4 (operand 1 is [4, 5]) in "ij,jk->ik"',
  ],
  [() => einsum('ij->ii', ones([2, 3])), 'einsum: the result "ii" repeats a label in "ij->ii"'],
  [() => einsum('ij', ones([2])), 'einsum: term "ij" names 2 dims of an operand of 1 in "ij"'],
  [() => F.linear(ones([2, 3]), ones([4, 5])), 'linear: inner sizes differ: [2, 3] x weight [4, 5]'],
  [
    () => F.conv2d(ones([1, 3, 8, 8]), ones([4, 2, 3, 3])),
    'conv2d: channels do not match: input [1, 3, 8, 8], weight [4, 2, 3, 3], groups 1',
  ],
  [
    () => F.conv2d(ones([1, 1, 2, 2]), ones([1, 1, 3, 3])),
    'conv2d: windows of [3, 3] do not fit input sizes [2, 2] with padding [0, 0]',
  ],
  [
    () => F.conv2d(ones([1, 1, 4, 4]), ones([1, 1, 3, 3]), null, { stride: 0 }),
    'conv2d: stride: expected whole numbers of at least 1, got [0, 0]',
  ],
  [() => F.conv2d(ones([1, 1, 4, 4]), ones([1, 1, 3, 3]), ones([2])), 'conv2d: bias: expected [1], got [2]'],
  [
    () => F.conv1d(ones([4]), ones([1, 1, 3])),
    'conv1d: input: expected 3 dims (batch, channels, 1 spatial) or 2, got [4]',
  ],
  [
    () => F.maxPool2d(ones([1, 1, 4, 4]), 2, { padding: 2 }),
    'maxPool2d: padding: at most half the kernel, got [2, 2] for [2, 2]',
  ],
  [() => F.avgPool2d(ones([1, 1, 4, 4]), [2, 2, 2]), 'avgPool2d: kernelSize: expected one number or 2, got [2, 2, 2]'],
  [() => F.layerNorm(ones([2, 3]), [4]), "layerNorm: normalizedShape [4] is not the end of the input's shape [2, 3]"],
  [() => F.groupNorm(ones([2, 3]), 2), 'groupNorm: 3 channels do not divide into 2 groups'],
  [
    () => F.batchNorm(ones([1, 3]), null, null, null, null, { training: true }),
    'batchNorm: training needs more than one value per channel, got [1, 3]',
  ],
  [() => F.dropout(ones([2]), { p: 1.5 }), 'dropout: p: expected a probability from 0 to 1, got number 1.5'],
  [() => F.embedding(ones([2]), ones([3, 4])), 'embedding: input: expected an integer tensor, got f32'],
  [
    () => F.crossEntropy(ones([2, 3]), long(0, 1, 2)),
    'crossEntropy: target: expected class indices [2] for input [2, 3], got [3]',
  ],
  [
    () => F.crossEntropy(ones([2, 3]), ones([2, 2])),
    'crossEntropy: target: f32 [2, 2] came for an input [2, 3]: expected probabilities of its shape, or class indices as integers',
  ],
  [
    () => F.crossEntropy(ones([2, 3]), long(0, 1), { weight: ones([2]) }),
    'crossEntropy: weight: expected [3], got [2]',
  ],
  [
    () => F.mseLoss(ones([2]), ones([2]), { reduction: 'avg' as never }),
    'mseLoss: reduction: expected mean, sum or none, got avg',
  ],
  [
    () => F.binaryCrossEntropy(ones([2]), ones([3])),
    "binaryCrossEntropy: target: shape [3] does not match the input's [2]",
  ],
  [
    () => F.pad(ones([1, 2, 3]), [3, 0], { mode: 'reflect' }),
    'pad: reflect: at most 2 elements beside a dim of 3, got 3 and 0',
  ],
  [() => F.pad(ones([2, 3]), [1]), 'pad: amounts: expected pairs of whole numbers, last dim first, got [1]'],
  [() => F.interpolate(ones([1, 1, 2]), {}), 'interpolate: exactly one of size and scaleFactor must be given'],
  [
    () =>
      arange(3)
        .to('f32')
        .scatter(0, long(0), ones([1], { dtype: 'f64' })),
    'scatter: dtypes differ: input f32, src f64',
  ],
])('%#', (call, message) => {
  expect(call).toThrow(message);
});
