/** Pruning against torch.nn.utils.prune of PyTorch 1.13 (figures from there). */
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { manualSeed, Parameter, tensor } from '../../src/tensor/index.ts';

const { prune } = nn;

/** weight[i] = (7 i mod 12) - 5.5, [3, 4] */
function linear(): nn.Linear {
  const layer = new nn.Linear(4, 3);
  const weight = tensor(Array.from({ length: 12 }, (_, i) => ((i * 7) % 12) - 5.5));
  layer.weight.assign(weight.reshape([3, 4]));
  layer.bias!.assign(tensor([0.1, -0.2, 0.3]));
  return layer;
}
// + 0 makes the zeros of negative weights plain ones.
const shown = (layer: nn.Linear) => layer.weight.add(0).toArray();

describe('prune', () => {
  it('elements of the least magnitude, and of what is left', () => {
    const layer = prune.l1Unstructured(linear(), 'weight', 6);
    expect(shown(layer)).toEqual([[-5.5, 0, -3.5, 3.5], [0, 5.5, 0, -4.5], [0, 0, 4.5, 0]]); // biome-ignore format: a matrix
    prune.l1Unstructured(layer, 'weight', 0.4);
    // 0.4 of 6 is 2.4.
    expect(shown(layer)).toEqual([[-5.5, 0, 0, 0], [0, 5.5, 0, -4.5], [0, 0, 4.5, 0]]); // biome-ignore format: a matrix
    expect(Object.keys(layer.stateDict()).sort()).toEqual(['bias', 'weight_mask', 'weight_orig']);
  });

  it('channels of the least norm', () => {
    const layer = prune.lnStructured(linear(), 'weight', 1, 2, 0);
    expect(shown(layer)).toEqual([[-5.5, 1.5, -3.5, 3.5], [-1.5, 5.5, 0.5, -4.5], [0, 0, 0, 0]]); // biome-ignore format: a matrix
    prune.lnStructured(layer, 'weight', 0.5, 1, 1);
    expect(shown(layer)).toEqual([[0, 1.5, 0, 3.5], [0, 5.5, 0, -4.5], [0, 0, 0, 0]]); // biome-ignore format: a matrix
  });

  it('the least of several weights together', () => {
    const [a, b] = [linear(), linear()];
    prune.globalL1Unstructured([[a, 'weight'], [b, 'bias']], 6); // biome-ignore format: a list
    expect(shown(a)).toEqual([[-5.5, 0, -3.5, 3.5], [-1.5, 5.5, 0, -4.5], [2.5, -2.5, 4.5, 0]]); // biome-ignore format: a matrix
    expect(b.bias!.add(0).toArray()).toEqual([0, 0, 0]);
  });

  it('at random: as many as asked for; the mask holds while the weight trains', () => {
    manualSeed(1);
    const layer = prune.randomUnstructured(linear(), 'weight', 0.25);
    const zeros = () => layer.weight.eq(0).sum().item();
    expect(zeros()).toBe(3);
    expect(prune.randomStructured(linear(), 'weight', 2, 1).weight.abs().sum(0).eq(0).sum().item()).toBe(2);
    layer.forward(tensor([[1, 2, 3, 4]])).sum().backward(); // biome-ignore format: one line
    const orig = layer.getParameter('weight_orig');
    orig.assign(orig.sub(orig.grad!));
    expect(zeros()).toBe(3);
    expect(prune.isPruned(new nn.Sequential(layer))).toBe(true);
    prune.remove(layer, 'weight');
    expect(layer.weight).toBeInstanceOf(Parameter);
    expect([zeros(), prune.isPruned(layer)]).toEqual([3, false]);
  });

  it.each<[() => unknown, string]>([
    [() => prune.l1Unstructured(linear(), 'weight', 1.5), 'l1Unstructured: amount: expected a part below 1 or a whole number, got 1.5'],
    [() => prune.l1Unstructured(linear(), 'weight', 13), 'l1Unstructured: amount: 13 of 12 that are left'],
    [() => prune.lnStructured(linear(), 'weight', 1, 2, 2), 'lnStructured: dim: 2 is out of range'],
    [() => prune.customFromMask(linear(), 'weight', tensor([1])), 'customFromMask: mask [1] came, expected [3, 4]'],
    [() => prune.remove(linear(), 'weight'), 'Linear.weight (weight) is not parametrised'],
  ])('refused: %#', (make, message) => {
    expect(make).toThrow(message);
  }); // biome-ignore format: messages
});
