/**
 * The kernel workloads: inputs stay in the backend's memory (cells), and so does the output, which the host then reads.
 */
import { compile, F, Parameter, Tensor, zeros } from 'tenon';
import { type Options, type Result, samples, timed } from './report.ts';
import { generate, type WorkloadSpec } from './spec.ts';

function formula(name: string, spec: WorkloadSpec, inputs: Readonly<Record<string, Tensor>>): Tensor {
  const { a, b, x, weight, bias } = inputs;
  if (name.startsWith('matmul')) return a!.matmul(b!);
  if (name.startsWith('elementwise_gelu')) return F.gelu(x!.mul(spec.a).add(spec.b), { approximate: 'tanh' });
  if (name.startsWith('softmax')) return x!.softmax(-1);
  if (name.startsWith('layernorm')) return F.layerNorm(x!, [1024], weight, bias, spec.eps);
  throw new Error(`bench: no kernel workload is named ${name}`);
}

export function runKernel(name: string, spec: WorkloadSpec, options: Options): Result {
  const resident = (value: Tensor): Parameter => new Parameter(value, { requiresGrad: false });
  const inputs = Object.fromEntries(
    spec.batch.map(t => {
      const value = Tensor.from(generate(t, 0), { shape: t.shape });
      return [t.name, resident(name.includes('bf16') ? value.to('bf16') : value)];
    }),
  );
  const like = formula(name, spec, inputs);
  const output = resident(zeros(like.shape, { dtype: like.dtype }));
  // Arguments, not constants of the function: what a function closes over is computed once for all calls.
  const names = Object.keys(inputs);
  const program = compile((...args: readonly Tensor[]): void => {
    output.assign(formula(name, spec, Object.fromEntries(names.map((input, i) => [input, args[i]!]))));
  });
  const call = (): void => program(...Object.values(inputs));
  const times = timed(options, spec, call);
  return { ...times, check: samples(output.to('f32').data()) };
}
