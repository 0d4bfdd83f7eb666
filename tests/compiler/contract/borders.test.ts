/**
 * Convolutions and both their gradients at the borders of images, against the reference backend: padded copies of
 * operands with axes of one element, or spread out over one (neighbours in memory must stay neighbours in the copy,
 * because kernels read them as vectors), windows that lie in the border altogether, and strides behind strides.
 */
import { afterEach, expect, it } from 'vitest';
import { F, manualSeed, randn, setBackend, type Tensor, vjp } from '../../../src/index.ts';
import { whyUnavailable } from '../../../src/runtime/backends.ts';

const backends = ['wasm', ...(whyUnavailable('x86') === null ? ['x86'] : [])];
afterEach(() => setBackend('reference'));

const fixed = (shape: readonly number[], dtype: 'f32' | 'f64' = 'f32'): Tensor => {
  const x = randn(shape, { dtype });
  x.data();
  return x;
};

/** Results and gradients of `convolve` are the reference's on every backend; `inputs` are made on it. */
function agree(
  what: string,
  convolve: (x: Tensor, w: Tensor) => Tensor,
  inputs: () => readonly [Tensor, Tensor],
): void {
  manualSeed(1);
  setBackend('reference');
  const [x, weight] = inputs();
  const cotangent = fixed(convolve(x, weight).shape, x.dtype as 'f32' | 'f64');
  const results = (): number[] => {
    const [y, pullback] = vjp(convolve, x, weight);
    return [y, ...pullback(cotangent)].flatMap(t => Array.from(t!.data(), Number));
  };
  const want = results();
  for (const backend of backends) {
    setBackend(backend);
    const far = results().findIndex((v, i) => !(Math.abs(v - want[i]!) <= 1e-4 * (1 + Math.abs(want[i]!))));
    expect(far, `${backend}, ${what}`).toBe(-1);
  }
}

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
    ])
      agree(
        `padding ${padding}, spread ${spread}`,
        (a, w) => F.conv2d(a.expand(shape), w, null, { padding, dilation }),
        () => [fixed(shape.map((n, d) => (d === spread ? 1 : n))), fixed([5, channels, 1, 3])],
      );
});

it.each(['f32', 'f64'] as const)('a window of one row over a border, rows of whole vectors, %s', dtype => {
  for (const groups of [1, 4])
    for (const width of [8, 16])
      for (const kernel of [1, 2])
        agree(
          `${groups} groups, ${width} wide, 1 x ${kernel}`,
          (x, w) => F.conv2d(x, w, null, { padding: [2, 0], groups }),
          () => [fixed([2, 8, 3, width + kernel - 1], dtype), fixed([8, 8 / groups, 1, kernel], dtype)],
        );
});

it('a stride behind a stride: positions a window never reads have no gradient', () => {
  for (const kernel of [1, 2, 5])
    for (const size of [9, 12, 13])
      for (const stride of [2, 3])
        agree(
          `${kernel} x 1 over ${size}, strides of ${stride}`,
          (x, w) => {
            const behind = w.detach().mean([2, 3]).t().reshape([4, 3, 1, 1]);
            return F.conv2d(F.conv2d(x, w.detach(), null, { stride }), behind, null, { stride: 2 });
          },
          () => [fixed([2, 4, size, size], 'f64'), fixed([3, 4, kernel, 1], 'f64')],
        );
});
