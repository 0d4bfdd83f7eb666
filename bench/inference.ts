/**
 * The inference workloads: a batch of one image through a convolutional network in evaluation mode, and greedy decoding
 * with a key-value cache, each token read back.
 */
import { compile, F, noGrad, Tensor } from 'tenon';
import { GPT } from 'tenon/models';
import { buildInference } from './models.ts';
import { quantise } from './quantise.ts';
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
    tokens = model.generate(spec.prompt, { maxNewTokens: spec.new_tokens, temperature: 0 });
  });
  return { ...times, check: tokens };
}

const cosine = (a: Tensor, b: Tensor): number => F.cosineSimilarity(a, b, { dim: 1 }).item() as number;

function quantised(spec: WorkloadSpec, options: Options): Result {
  const model = buildInference('resnet50_int8_infer_b1');
  initialise(model, spec);
  model.eval();
  const x = Tensor.from(generate(spec.batch[0]!, 0), { shape: spec.batch[0]!.shape });
  const exact = noGrad(() => model.forward(x));
  exact.data();
  quantise(model, x);
  const infer = compile((input: Tensor): Tensor => noGrad(() => model.forward(input)));
  let output = x;
  const times = timed(options, spec, () => {
    output = infer(x);
    output.data();
  });
  return {
    ...times,
    check: samples(output.data()),
    extra: {
      method: 'int8 weights per channel, uint8 activations per tensor, i32 sums',
      cosine_vs_f32: cosine(output, exact),
      top1_same: output.argmax().item() === exact.argmax().item(),
    },
  };
}

export function runInference(name: string, spec: WorkloadSpec, options: Options): Result {
  if (name === 'resnet50_int8_infer_b1') return quantised(spec, options);
  return name === 'gpt_nano_decode' ? decode(spec, options) : image(name, spec, options);
}
