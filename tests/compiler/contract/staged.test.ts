/**
 * Padded copies of operands with axes of one element, or spread out over one: neighbours in memory must stay neighbours in the copy, because kernels read them as
 * vectors. Convolutions and both their gradients against the reference backend.
 */
import { afterEach, expect, it } from 'vitest';
import { F, manualSeed, randn, setBackend, type Tensor, vjp } from '../../../src/index.ts';
import { whyUnavailable } from '../../../src/runtime/backends.ts';

const backends = ['wasm', ...(whyUnavailable('x86') === null ? ['x86'] : [])];
afterEach(() => setBackend('reference'));

const fixed = (shape: readonly number[]): Tensor => {
  const x = randn(shape);
  x.data();
  return x;
};

it.each(
  [1, 3].flatMap(channels =>
    [1, 4].flatMap(height =>
      [1, 3].flatMap(width => [1, 2].map(dilation => [channels, height, width, dilation] as const)),
    ),
  ),
)('%i channels of %i x %i, dilation %i', (channels, height, width, dilation) => {
  const shape = [3, channels, height, width];
  for (const spread of [null, 0, 2, 3])
    for (const padding of [
      [0, 2],
      [2, 2],
    ]) {
      manualSeed(1);
      setBackend('reference');
      const x = fixed(shape.map((n, d) => (d === spread ? 1 : n)));
      const weight = fixed([5, channels, 1, 3]);
      const convolved = (a: Tensor, w: Tensor): Tensor => F.conv2d(a.expand(shape), w, null, { padding, dilation });
      const cotangent = fixed(convolved(x, weight).shape);
      const results = (): number[] => {
        const [y, pullback] = vjp(convolved, x, weight);
        return [y, ...pullback(cotangent)].flatMap(t => Array.from(t!.data(), Number));
      };
      const want = results();
      for (const backend of backends) {
        setBackend(backend);
        const far = results().findIndex((v, i) => !(Math.abs(v - want[i]!) <= 1e-4 * (1 + Math.abs(want[i]!))));
        expect(far, `${backend}, padding ${padding}, spread ${spread}`).toBe(-1);
      }
    }
});
