/**
 * Every layer against PyTorch in f64: state-dict keys and shapes, outputs, gradients of parameters and inputs, buffers.
 * Figures: python3 tests/support/torch_nn.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { isFloat, type Parameter, Tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';
import { callCase, type Input, inputOf, MODULES } from './cases.ts';

type Probe = readonly [number, number];

interface Case {
  readonly inputs: readonly Input[];
  readonly keys: Readonly<Record<string, readonly number[]>>;
  readonly outputs: readonly { readonly shape: readonly number[]; readonly probe: Probe }[];
  readonly grads: Readonly<Record<string, Probe>>;
  readonly input_grads: readonly (Probe | null)[];
  readonly buffers: Readonly<Record<string, Probe>>;
  /** Parameters after the call, where it changes them. */
  readonly weights: Readonly<Record<string, Probe>> | null;
}

const CASES = JSON.parse(readFileSync(new URL('../fixtures/nn.json', import.meta.url), 'utf8')) as Record<string, Case>;

/** All tensors of a result, in order. */
const flat = (result: unknown): Tensor[] =>
  result instanceof Tensor ? [result] : Object.values(result as object).flatMap(flat);

function expectProbe(tensor: Tensor, [a, b]: Probe, what: string): void {
  const [x, y] = probe(tensor);
  expect(Math.abs(x - a), `${what}: ${x} instead of ${a}`).toBeLessThan(1e-9 * (1 + Math.abs(a)));
  expect(Math.abs(y - b), `${what}: ${y} instead of ${b}`).toBeLessThan(1e-9 * (1 + Math.abs(b)));
}

describe('layers that PyTorch 1.13 lacks', () => {
  it('RMSNorm divides by the root of the mean square', () => {
    const norm = new nn.RMSNorm(2, { eps: 0 }).to('f64');
    norm.weight!.assign(Tensor.from(new Float64Array([1, 2])));
    // Mean square of (3, 4) is 12.5.
    const [a, b] = norm.call(Tensor.from(new Float64Array([3, 4]))).toArray() as [number, number];
    expect(a).toBeCloseTo(3 / Math.sqrt(12.5), 12);
    expect(b).toBeCloseTo(8 / Math.sqrt(12.5), 12);
  });
});

describe('layers agree with PyTorch', () => {
  it('covers every case of the fixture', () => {
    expect(Object.keys(MODULES).sort()).toEqual(Object.keys(CASES).sort());
  });

  it.each(Object.keys(CASES))('%s', name => {
    const expected = CASES[name]!;
    const module = MODULES[name]!().to('f64');
    const shapes = Object.entries(module.stateDict()).map(([key, { shape }]) => [key, [...shape]]);
    expect(Object.fromEntries(shapes)).toEqual(expected.keys);

    module.namedParameters().forEach(([, parameter], i) => {
      parameter.assign(formula(i + 1, parameter.shape));
    });
    module.namedBuffers().forEach(([key, buffer], i) => {
      if (/_[uv]$/.test(key)) buffer.assign(formula(300 + i, buffer.shape));
    });
    const inputs = expected.inputs.map(inputOf);
    const outputs = flat(callCase(name, module, inputs));
    const loss = outputs
      .flatMap((output, i) => (isFloat(output.dtype) ? [output.mul(formula(700 + i, output.shape)).sum()] : []))
      .reduce((a, b) => a.add(b));
    loss.backward();

    expect(outputs.map(output => [...output.shape])).toEqual(expected.outputs.map(({ shape }) => shape));
    const grads = module.namedParameters().map(([key, parameter]) => [key, parameter.grad!] as const);
    expect(grads.map(([key]) => key).sort()).toEqual(Object.keys(expected.grads).sort());
    outputs.forEach((output, i) => {
      expectProbe(output, expected.outputs[i]!.probe, `output ${i}`);
    });
    for (const [key, grad] of grads) expectProbe(grad, expected.grads[key]!, `gradient of ${key}`);
    expected.input_grads.forEach((grad, i) => {
      if (grad) expectProbe((inputs[i] as Parameter).grad!, grad, `gradient of input ${i}`);
    });
    for (const [key, weight] of module.namedParameters())
      if (expected.weights) expectProbe(weight, expected.weights[key]!, `${key} afterwards`);
    for (const [key, buffer] of module.namedBuffers()) expectProbe(buffer, expected.buffers[key]!, `buffer ${key}`);
  });
});
