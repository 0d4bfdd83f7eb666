/**
 * tenon convert: weights of any format Tenon reads as safetensors, .npz, .npy or .pt, and models that run as .onnx.
 */
import { Command, Option } from 'commander';
import { convertWeights, modelToOnnx, openWeights, WRITABLE, writeAtomic } from '../../formats/index.ts';
import type { DType } from '../../tensor/index.ts';
import { UsageError } from '../errors.ts';
import { Output, seconds } from '../output.ts';

interface ConvertCommandOptions {
  readonly dtype?: DType;
  readonly strip?: string;
  readonly json?: boolean;
}

export const convertCommand = (): Command =>
  new Command('convert')
    .description(
      'Convert weights: PyTorch, GGUF, safetensors (sharded too), npy, npz, Paddle, ONNX, ... to safetensors, npz, npy or PyTorch; and models (ONNX, TensorFlow.js, Paddle) to onnx.',
    )
    .argument('<in>', 'a file of weights, told by its content; or the index of a sharded model')
    .argument('<out>', `what to write, by its ending: ${WRITABLE.join(', ')}, .onnx`)
    .addOption(new Option('--dtype <dtype>', 'convert floating tensors to it').choices(['f32', 'f64', 'f16', 'bf16']))
    .option('--strip <prefix>', 'remove it from the front of names that have it, as in "module."')
    .option('--json', 'one JSON object per line, the last with "event":"end"')
    .action(async (from: string, to: string, options: ConvertCommandOptions) => {
      await convert(from, to, options, new Output(options.json ?? false));
    });

async function convert(
  from: string,
  to: string,
  { dtype, strip }: ConvertCommandOptions,
  output: Output,
): Promise<void> {
  const begin = performance.now();
  if (to.endsWith('.onnx')) {
    if (dtype || strip) throw new UsageError('convert: --dtype and --strip are for weights, not for a model');
    output.event('start', { from, to });
    const bytes = await modelToOnnx(from);
    writeAtomic(to, [bytes]);
    output.say(`${from} -> ${to}: ${bytes.length} bytes`);
    output.event('end', { bytes: bytes.length, seconds: seconds(begin) });
    return;
  }
  if (!WRITABLE.some(ending => to.endsWith(ending)))
    throw new UsageError(`convert: ${to} came, expected a name that ends with ${WRITABLE.join(', ')}, .onnx`);
  const file = await openWeights(from);
  try {
    output.event('start', { from, format: file.format, tensors: file.tensors.length, to });
    const live = process.stderr.isTTY;
    const done = convertWeights(file, to, {
      ...(dtype && { dtype }),
      ...(strip !== undefined && { strip }),
      onTensor: (name, index, count) => {
        output.event('tensor', { name, index });
        if (live) process.stderr.write(`\r\x1b[K${index + 1} of ${count}: ${name}`);
      },
    });
    if (live) process.stderr.write('\r\x1b[K');
    output.say(`${from} (${file.format}) -> ${to}: ${done.tensors} tensors, ${done.elements} elements`);
    output.event('end', { ...done, seconds: seconds(begin) });
  } finally {
    file.close();
  }
}
