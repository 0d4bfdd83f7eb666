/**
 * Packed sequences: packing and padding against PyTorch's documented example, recurrent layers against each sequence
 * run by itself.
 */
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { manualSeed, randn, type Tensor, tensor } from '../../src/tensor/index.ts';

/** The example of torch.nn.utils.rnn.pad_packed_sequence. */
const SEQUENCES = tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]]); // biome-ignore format: a matrix

describe('packing', () => {
  it('is what PyTorch documents', () => {
    const packed = nn.packPaddedSequence(SEQUENCES, [2, 1, 3], { batchFirst: true, enforceSorted: false });
    expect(packed.data.toArray()).toEqual([4, 1, 3, 5, 2, 6]);
    expect(packed.batchSizes).toEqual([3, 2, 1]);
    expect([packed.sortedIndices, packed.unsortedIndices]).toEqual([[2, 0, 1], [1, 2, 0]]); // biome-ignore format: a pair
    const [padded, lengths] = nn.padPackedSequence(packed, { batchFirst: true });
    expect(padded.toArray()).toEqual(SEQUENCES.toArray());
    expect(lengths).toEqual([2, 1, 3]);
    const [longer] = nn.padPackedSequence(packed, { paddingValue: -1, totalLength: 4 });
    expect(longer.toArray()).toEqual([[1, 3, 4], [2, -1, 5], [-1, -1, 6], [-1, -1, -1]]); // biome-ignore format: a matrix
  });

  it('of sequences as they are, and back', () => {
    const list = [tensor([1, 2]), tensor([3]), tensor([4, 5, 6])];
    const packed = nn.packSequence(list, { enforceSorted: false });
    expect(nn.unpackSequence(packed).map(one => one.toArray())).toEqual([[1, 2], [3], [4, 5, 6]]);
    expect(nn.padSequence(list, { batchFirst: true }).toArray()).toEqual(SEQUENCES.toArray());
  });

  it.each<[() => unknown, string]>([
    [() => nn.packPaddedSequence(SEQUENCES, [2, 1, 3], { batchFirst: true }), 'lengths: expected to fall'],
    [() => nn.packPaddedSequence(SEQUENCES, [3, 1], { batchFirst: true }), 'lengths: expected 3, one for each sequence, got 2'],
    [() => nn.packPaddedSequence(SEQUENCES, [3, 0, 0]), 'expected whole numbers from 1 to 3, got 0'],
    [() => nn.padPackedSequence(nn.packPaddedSequence(SEQUENCES, [3, 2, 2]), { totalLength: 2 }), 'expected at least the 3 steps there are, got 2'],
    [() => new nn.PackedSequence(tensor([1, 2]), [2, 1]), 'data [2] came, expected 3 rows'],
    [() => nn.padSequence([]), 'expected at least one'],
  ])('refused: %#', (make, message) => {
    expect(make).toThrow(message);
  }); // biome-ignore format: messages
});

const close = (a: Tensor, b: Tensor): void => {
  expect([...a.shape]).toEqual([...b.shape]);
  expect(a.sub(b).abs().amax().item()).toBeLessThan(1e-12);
};

/** Out of order, with two that are equal; every step is a part of one program here, so they are short. */
const lengths = [2, 3, 1, 3];
const options = { numLayers: 2, bidirectional: true };

describe('recurrent layers run each sequence as if it were alone', () => {
  const inputs = (): Tensor => randn([3, 4, 3], { dtype: 'f64' });

  it.each([
    ['RNN', () => new nn.RNN(3, 4, options)],
    ['GRU', () => new nn.GRU(3, 4, options)],
    ['GRU, one direction', () => new nn.GRU(3, 4)],
  ] as const)('%s', (_, make) => {
    manualSeed(1);
    const layer = make().to('f64');
    const x = inputs();
    const h0 = randn([layer.numLayers * (layer.bidirectional ? 2 : 1), 4, 4], { dtype: 'f64' });
    const [packed, hn] = layer.forward(nn.packPaddedSequence(x, lengths, { enforceSorted: false }), h0);
    const outputs = nn.unpackSequence(packed);
    lengths.forEach((n, i) => {
      const [alone, state] = layer.forward(x.select(1, i).narrow(0, 0, n), h0.select(1, i));
      close(outputs[i]!, alone);
      close(hn.select(1, i), state);
    });
  });

  it('LSTM, and its gradients', () => {
    manualSeed(2);
    const layer = new nn.LSTM(3, 4, { ...options, projSize: 2 }).to('f64');
    const x = inputs();
    const [packed, [hn, cn]] = layer.forward(nn.packPaddedSequence(x, lengths, { enforceSorted: false }));
    const outputs = nn.unpackSequence(packed);
    const alone = lengths.map((n, i) => layer.forward(x.select(1, i).narrow(0, 0, n)));
    alone.forEach(([output, [h, c]], i) => {
      close(outputs[i]!, output);
      close(hn.select(1, i), h);
      close(cn.select(1, i), c);
    });
    packed.data.square().sum().add(cn.sum()).backward();
    const want = layer.parameters().map(parameter => parameter.grad!);
    layer.parameters().forEach(parameter => {
      parameter.grad = null;
    });
    alone.map(([output, [, c]]) => output.square().sum().add(c.sum())).reduce((a, b) => a.add(b)).backward(); // biome-ignore format: one sum
    layer.parameters().forEach((parameter, i) => {
      close(parameter.grad!, want[i]!);
    });
  });
});
