/**
 * Networks of many channels keep them innermost in f32 alone (src/compiler/layout.ts): f64 says what they must give.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { backendNames, type DType, F, manualSeed, Parameter, randn, setBackend, type Tensor } from '../../src/index.ts';
import { whyUnavailable } from '../../src/runtime/index.ts';

const SHAPES = [
  [4, 3, 9, 7],
  [32, 3, 3, 3],
  [32, 32, 3, 3],
  [64, 32, 3, 3],
  [64, 32, 1, 1],
  [64, 64, 3, 3],
  [5, 64],
];
const compiled = backendNames().filter(name => name !== 'reference' && whyUnavailable(name) === null);

/** Channels of unit variance. */
const normal = (x: Tensor): Tensor => {
  const centred = x.sub(x.mean([0, 2, 3], { keepdim: true }));
  return centred.div(centred.pow(2).mean([0, 2, 3], { keepdim: true }).add(1e-3).sqrt());
};

/** Residual blocks: one that keeps the size of the image, one that halves it. */
function loss([x, stem, same, wider, shortcut, again, head]: readonly Tensor[]): Tensor {
  const padding = 1;
  const h0 = F.conv2d(x!, stem!, null, { padding }).tanh();
  const h1 = normal(F.conv2d(h0, same!, null, { padding }))
    .add(h0)
    .tanh();
  const h2 = F.conv2d(normal(F.conv2d(h1, wider!, null, { padding, stride: 2 })).tanh(), again!, null, { padding });
  const h3 = h2.add(F.conv2d(h1, shortcut!, null, { stride: 2 })).tanh();
  const h4 = F.conv2d(F.conv2d(h3, again!, null, { padding }).tanh(), again!, null, { padding });
  return F.linear(h4.mean([2, 3]), head!)
    .pow(2)
    .mean();
}

describe.each(compiled)('%s', backend => {
  beforeAll(() => setBackend(backend));
  const gradients = (dtype: DType): Tensor[] => {
    manualSeed(7);
    const parameters = SHAPES.map(shape => new Parameter(randn(shape).mul(0.3).to(dtype)));
    loss(parameters).backward();
    return parameters.map(({ grad }) => grad!.to('f64'));
  };
  test('gradients of f32 are those of f64', () => {
    const exact = gradients('f64');
    for (const [i, got] of gradients('f32').entries()) {
      const most = exact[i]!.abs().max().item() as number;
      expect(got.sub(exact[i]!).abs().max().item() as number, `parameter ${i}`).toBeLessThan(2e-5 * most);
    }
  });
});
