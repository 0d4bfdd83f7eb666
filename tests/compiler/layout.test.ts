/**
 * Which convolutions keep their channels last, and what happens around them; numbers are checked by
 * tests/tensor/inference.test.ts.
 */
import { F, grad, type Tensor, zeros } from 'tenon';
import { expect, it } from 'vitest';
import type { Flow } from '../../src/compiler/flow.ts';
import { arrange } from '../../src/compiler/layout.ts';
import { normalise } from '../../src/compiler/normalise.ts';
import { programOf } from './support.ts';

const TARGET = {
  name: 'test',
  vectorBytes: 64,
  vectorRegisters: 32,
  fusedMultiplyAdd: true,
  l1Bytes: 49_152,
  l2Bytes: 2_097_152,
  pointerBytes: 8,
} as const;

/** The flow of `result` where `weights` last, before and after the pass. */
function flows(result: Tensor, weights: readonly Tensor[]): { before: Flow; after: Flow } {
  const program = programOf([result.node]);
  const lasting = program.leaves.map(leaf => weights.some(weight => weight.node === leaf));
  const before = normalise({ ...program, lasting });
  return { before, after: arrange(before, TARGET) };
}

const data = (shape: readonly number[]): Tensor => {
  const tensor = zeros(shape);
  tensor.data();
  return tensor;
};

const contractions = (flow: Flow): string[] =>
  flow.values.filter(value => value.is('contract')).map(value => value.shape.join(' '));

it('keeps the channels of convolutions by lasting weights last, and gives results back as they were', () => {
  const [x, w, v] = [data([1, 16, 8, 8]), data([32, 16, 3, 3]), data([32, 1, 3, 3])];
  const y = F.conv2d(F.conv2d(x, w, null, { padding: 1 }).relu(), v, null, { groups: 32 });
  const { before, after } = flows(y, [w, v]);
  expect(contractions(before)).toEqual(['1 32 8 8', '1 32 1 6 6']);
  expect(contractions(after)).toEqual(['1 8 8 32', '1 6 6 32 1']);
  expect(after.outputs.map(value => value.shape)).toEqual([[1, 32, 6, 6]]);
});

it('leaves a flow alone where weights do not last, channels fill no vector, or groups are small', () => {
  const [x, w] = [data([1, 16, 8, 8]), data([32, 16, 3, 3])];
  const trained = flows(F.conv2d(x, w), []);
  expect(trained.after).toBe(trained.before);
  const few = data([6, 16, 3, 3]);
  const narrow = flows(F.conv2d(x, few), [few]);
  expect(narrow.after).toBe(narrow.before);
  const grouped = data([32, 4, 3, 3]);
  const crowded = flows(F.conv2d(F.conv2d(x, w).narrow(1, 0, 16), grouped, null, { groups: 4 }), [w, grouped]);
  expect(crowded.after).toBe(crowded.before);
});

it('keeps channels innermost where weights change and most products are 3x3 windows of many channels', () => {
  const [x, v] = [data([2, 3, 8, 8]), data([32, 3, 3, 3])];
  const weights = [data([32, 32, 3, 3]), data([64, 32, 3, 3]), data([64, 64, 3, 3])];
  const loss = (...ws: readonly Tensor[]): Tensor =>
    ws.reduce((h, w) => F.conv2d(h.relu(), w, null, { padding: 1 }), F.conv2d(x, v, null, { padding: 1 })).sum();
  const { after } = flows(grad(loss)(...weights), []);
  const [narrow, wide] = ['8 8 2 32', '8 8 2 64'];
  expect(contractions(after)).toEqual([narrow, narrow, wide, wide, narrow, '32 32 3 3']);
});
