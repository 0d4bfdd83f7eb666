/**
 * A convolution of a part of an image and its gradients are those of a copy of the part: borders of the window and of
 * the part are borders of the same positions.
 */
import { expect, it } from 'vitest';
import '../support/backend.ts';
import { compile, F, Tensor, vjp } from '../../src/index.ts';

/** Small whole numbers, so that sums are exact in any order. */
const numbers = (shape: readonly number[], step: number): Tensor =>
  Tensor.from(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * step) % 13) - 6), { shape }); // biome-ignore format: short

it.each([
  [1, 1, 3, 15, [1, 3], [0, 1]],
  [1, 5, 3, 16, [3, 3], [1, 1]],
  [4, 2, 3, 31, [3, 3], [1, 1]],
  [1, 32, 15, 15, [4, 2], [3, 1]],
  [32, 5, 4, 17, [3, 2], [2, 1]],
] as const)('%i results of %i channels, %i x %i', (outputs, channels, height, width, kernel, padding) => {
  const whole = numbers([2, channels, height + 2, width + 1], 7919);
  const part = (x: Tensor): Tensor => x.narrow(2, 1, height).narrow(3, 0, width);
  const weight = numbers([outputs, channels, ...kernel], 31);
  const of = (x: Tensor, w: Tensor): Tensor => F.conv2d(x, w, null, { padding: [...padding] });
  const up = numbers(of(part(whole), weight).shape, 37);
  const gradients = (f: (x: Tensor, w: Tensor) => Tensor) =>
    compile((x: Tensor, w: Tensor) => {
      const [y, pullback] = vjp(f, x, w);
      const [dx, dw] = pullback(up);
      return [y, dx, dw] as const;
    });
  const [y, dx, dw] = gradients((x, w) => of(part(x), w))(whole, weight);
  const [copyY, copyDx, copyDw] = gradients(of)(part(whole).eval(), weight);
  expect(y.data()).toEqual(copyY.data());
  expect(part(dx).data()).toEqual(copyDx.data());
  expect(dw.data()).toEqual(copyDw.data());
});
