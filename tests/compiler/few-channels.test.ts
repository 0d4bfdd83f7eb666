/**
 * Networks of few channels keep the batch innermost in f32 alone (src/compiler/layout.ts): f64 says what they must
 * give.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { backendNames, type DType, F, manualSeed, Parameter, randn, setBackend, type Tensor } from '../../src/index.ts';
import { whyUnavailable } from '../../src/runtime/index.ts';

const SHAPES = [[32, 3, 11, 9], [6, 3, 3, 3], [6], [8, 6, 3, 3], [8], [5, 48]];
const compiled = backendNames().filter(name => name !== 'reference' && whyUnavailable(name) === null);

type Net = (...given: readonly Tensor[]) => Tensor;

const corner = (x: Tensor): Tensor => x.slice(2, 0, 3).slice(3, 0, 2).flatten(1);

const nets: Record<string, Net> = {
  'padding, strides, pools that overlap': (x, w1, b1, w2, b2, w3) => {
    const h1 = F.maxPool2d(F.conv2d(x!, w1!, b1, { padding: 1 }).relu(), 3, { stride: 2, padding: 1 });
    const h2 = F.conv2d(h1, w2!, b2, { stride: 2, padding: 1 }).tanh();
    return F.linear(corner(h2), w3!).pow(2).mean();
  },
  'dilation, averages, sums over every dim': (x, w1, b1, w2, b2, w3) => {
    const h1 = F.avgPool2d(F.conv2d(x!, w1!, b1, { padding: 2, dilation: 2 }), 2, { stride: 1 }).sigmoid();
    const h2 = F.conv2d(h1.add(h1.mean(1, { keepdim: true })), w2!, b2);
    const h3 = h2.mul(h2.mean([2, 3], { keepdim: true }).tanh()).sub(h2.mean(0, { keepdim: true }));
    return F.linear(corner(F.maxPool2d(h3, 2)), w3!)
      .pow(2)
      .mean();
  },
};

describe.each(compiled.flatMap(backend => Object.entries(nets).map(([name, net]) => ({ backend, name, net }))))(
  '$backend: $name',
  ({ backend, net }) => {
    beforeAll(() => setBackend(backend));
    const gradients = (dtype: DType): Tensor[] => {
      manualSeed(7);
      const parameters = SHAPES.map(shape => new Parameter(randn(shape).to(dtype)));
      net(...parameters).backward();
      return parameters.map(({ grad }) => grad!.to('f64'));
    };
    test('gradients of f32 are those of f64', () => {
      const exact = gradients('f64');
      for (const [i, got] of gradients('f32').entries()) {
        const most = exact[i]!.abs().max().item() as number;
        expect(got.sub(exact[i]!).abs().max().item() as number).toBeLessThan(1e-5 * most);
      }
    });
  },
);
