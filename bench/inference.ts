/**
 * The inference workloads: a batch of one image through a convolutional network in evaluation mode, and greedy decoding with a
 * key-value cache, each token read back.
 */
import { compile, noGrad, Tensor } from 'tenon';
import { GPT } from 'tenon/models';
import { buildInference } from './models.ts';
import { type Options, type Result, samples, timed } from './report.ts';
import { generate, type WorkloadSpec } from './spec.ts';
import { initialise } from './training.ts';

function image(name: string, spec: WorkloadSpec, options: Options): Result {
  const model = buildInference(name);
  initialise(model, spec);
  model.eval();
  const x = Tensor.from(generate(spec.batch[0]!, 0), { shape: spec.batch[0]!.shape });
  const infer = compile((input: Tensor): Tensor => noGrad(() => model.forward(input)));
  let output = x;
  const times = timed(options, spec, () => {
    output = infer(x);
    output.data();
  });
  return { ...times, check: samples(output.data()) };
}

function decode(spec: WorkloadSpec, options: Options): Result {
  const model = new GPT(spec.model);
  initialise(model, spec);
  let tokens: number[] = [];
  const times = timed(options, spec, () => {
    tokens = model.generate(spec.prompt, { newTokens: spec.new_tokens, temperature: 0 });
  });
  return { ...times, check: tokens };
}

export function runInference(name: string, spec: WorkloadSpec, options: Options): Result {
  return name === 'gpt_nano_decode' ? decode(spec, options) : image(name, spec, options);
}
