/**
 * Arrays whose memory the user has given away: one sentence where a value is gone for good, and never a wrong number.
 */
import { expect, it } from 'vitest';
import '../support/backend.ts';
import { compile, ones, Parameter, Tensor } from '../../src/index.ts';

/** As `worker.postMessage(value, [value.buffer])` does it. */
const transfer = (tensor: Tensor): unknown => {
  const { buffer } = tensor.data();
  return structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
};

const LOST =
  /^a tensor of 100 elements has lost its memory: the buffer that data\(\) shows was transferred; transfer a copy/;

it('a transferred tensor says so, wherever it is read', () => {
  const x = ones([100]);
  const double = compile((y: Tensor) => y.mul(2));
  double(x).data();
  transfer(x);
  expect(() => x.data()).toThrow(LOST);
  expect(() => x.sum().item()).toThrow(LOST);
  expect(() => double(x).data()).toThrow(LOST);
  expect(() => String(x)).toThrow(LOST);
  expect(ones([100]).sum().item()).toBe(100);
  const one = ones([]);
  transfer(one);
  expect(() => one.item()).toThrow('a tensor of 1 elements has lost its memory');
});

it('so does a parameter that no program has read; one that lives in the memory of a program goes on', () => {
  const fresh = new Parameter(ones([100]));
  transfer(fresh);
  expect(() => fresh.sum().item()).toThrow(LOST);
  fresh.write(ones([100]));
  expect(fresh.sum().item()).toBe(100);

  const used = new Parameter(ones([100]));
  const step = compile(() => used.assign(used.add(1)));
  for (let i = 0; i < 3; i++) step();
  transfer(used);
  // The reference has no memory but the host's.
  if (process.env.TENON_BACKEND === 'reference') expect(() => used.sum().item()).toThrow(LOST);
  else expect(used.sum().item()).toBe(400);
});

it('tensors copy what they are made of', () => {
  const source = new Float32Array(100).fill(1);
  const x = Tensor.from(source);
  structuredClone(source.buffer, { transfer: [source.buffer] });
  expect(x.sum().item()).toBe(100);
});
