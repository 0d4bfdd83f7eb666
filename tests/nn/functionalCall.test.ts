/** Modules as functions of their parameters. */
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { compile, F, grad, hessian, randn, stack, type Tensor, tensor, vmap, zeros } from '../../src/index.ts';
import { BatchNorm1d, functionalCall, Linear, Sequential, stackModuleState, Tanh } from '../../src/nn/index.ts';

const network = (): Sequential => new Sequential(new Linear(3, 4), new Tanh(), new Linear(4, 2)).to('f64');
const close = (got: Tensor, want: Tensor): void => {
  expect(got.shape).toEqual(want.shape);
  expect(got.sub(want).abs().amax().item()).toBeLessThan(1e-12);
};

describe('functionalCall', () => {
  const model = network();
  const xs = randn([5, 3], { dtype: 'f64' });
  const ys = randn([5, 2], { dtype: 'f64' });

  it('computes with other values and leaves the module as it is', () => {
    const bias = model.getParameter('2.bias');
    const before = bias.toArray();
    const shifted = functionalCall(model, { '2.bias': bias.add(1) }, xs);
    close(shifted, model.forward(xs).add(1));
    expect(bias.toArray()).toEqual(before);
  });

  it('per-sample gradients: vmap of grad, against a loop over the samples', () => {
    const params = Object.fromEntries(model.namedParameters()) as Record<string, Tensor>;
    const loss = (p: typeof params, x: Tensor, y: Tensor): Tensor => F.mseLoss(functionalCall(model, p, x), y);
    const perSample = compile(vmap(grad(loss), { inAxes: [null, 0, 0] }))(params, xs, ys);
    for (const [name, parameter] of model.namedParameters()) {
      const each = Array.from({ length: 5 }, (_, i) => {
        model.zeroGrad();
        F.mseLoss(model.forward(xs.select(0, i)), ys.select(0, i)).backward();
        return parameter.grad!.eval();
      });
      close(perSample[name]!, stack(each));
    }
  });

  it('an ensemble of models runs as one', () => {
    const models = [network(), network(), network()];
    const { parameters } = stackModuleState(models);
    const together = vmap((p: typeof parameters) => functionalCall(model, p, xs))(parameters);
    close(together, stack(models.map(one => one.forward(xs))));
  });

  it('second derivatives by parameters', () => {
    const single = new Linear(2, 1, { bias: false }).to('f64');
    const x = tensor([[1, 2]]).to('f64');
    const blocks = hessian((p: { weight: Tensor }) => functionalCall(single, p, x).square().sum(), { argnums: 0 })({
      weight: single.weight,
    }) as { weight: { weight: Tensor } };
    // (w x)^2 has the Hessian 2 x x^T
    expect(blocks.weight.weight.reshape([2, 2]).toArray()).toEqual([
      [2, 4],
      [4, 8],
    ]);
  });

  it('what is assigned to a replaced buffer is forgotten', () => {
    const norm = new BatchNorm1d(2);
    const buffers = Object.fromEntries(norm.namedBuffers());
    const copies = Object.fromEntries(Object.entries(buffers).map(([name, buffer]) => [name, buffer.add(0)]));
    functionalCall(norm, copies, randn([8, 2])).eval();
    expect(norm.runningMean!.toArray()).toEqual([0, 0]);
  });

  it('says what does not fit', () => {
    expect(() => functionalCall(model, { nothing: xs }, xs)).toThrow(
      'functionalCall: Sequential has no parameter or buffer "nothing"',
    );
    expect(() => functionalCall(model, { '2.bias': zeros([3]) }, xs)).toThrow(
      '"2.bias": f32 [3] came, expected f64 [2]',
    );
    expect(() => stackModuleState([network(), new Linear(3, 4)] as never)).toThrow(
      'stackModuleState: module 1 differs from the first',
    );
  });
});
