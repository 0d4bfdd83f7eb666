/**
 * Models of other frameworks as ONNX files: loaded as the module they are, and exported. Example inputs come from the
 * file's own description; dims it leaves free become dynamic axes.
 */
import type { DType } from '../graph/dtype.ts';
import { type AnyModule, Module } from '../nn/index.ts';
import { type Tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { exportModel } from './onnx/export/index.ts';
import { load, type OnnxModel } from './onnx/model.ts';
import { openWeights } from './open.ts';
import { loadPaddle } from './paddle/index.ts';
import { loadTfjs } from './tfjs/index.ts';
import type { Port } from './weights.ts';

/** Types of ports in the words of the formats that have programs. */
const DTYPES: Readonly<Record<string, DType>> = {
  float: 'f32', float32: 'f32', DT_FLOAT: 'f32', f32: 'f32', double: 'f64', f64: 'f64', float16: 'f16', f16: 'f16', int64: 'i64', DT_INT64: 'i64', i64: 'i64',
  int32: 'i32', DT_INT32: 'i32', i32: 'i32', uint8: 'u8', u8: 'u8', int8: 'i8', i8: 'i8', bool: 'bool', DT_BOOL: 'bool',
}; // biome-ignore format: a table

/** The first whose ScatterND takes the larger and the smaller of two. */
const CONVERTED_OPSET = 18;

/** An ONNX model whose outputs, however many, are the result. */
class AllOutputs extends Module<readonly Tensor[], readonly Tensor[]> {
  readonly model: OnnxModel;

  constructor(model: OnnxModel) {
    super();
    this.model = model;
  }

  /** The parameters keep the names they have in the file. */
  protected override childKey(): string {
    return '';
  }

  override forward(...inputs: readonly Tensor[]): readonly Tensor[] {
    const outputs = this.model.run(Object.fromEntries(inputs.map((x, i) => [this.model.inputs[i]!.name, x])));
    return this.model.outputs.map(({ name }) => outputs[name] as Tensor);
  }
}

function loaded(path: string, format: string): AnyModule {
  if (format === 'ONNX') return new AllOutputs(load(path)).eval();
  if (format.startsWith('TensorFlow.js')) return loadTfjs(path).eval();
  if (format.startsWith('Paddle')) return loadPaddle(path).eval();
  throw new Error(
    `${path} (${format}) holds weights only: to write an ONNX model, load them into a module and export that`,
  );
}

function exampleOf(path: string, { name, type, shape }: Port): Tensor {
  const dtype = DTYPES[type];
  if (!dtype) throw new Error(`${path}: its input "${name}" is ${type}, which cannot be written as an ONNX input here`);
  return zeros(
    shape.map(size => (typeof size === 'number' ? size : 1)),
    { dtype },
  );
}

/**
 * The bytes of an ONNX model that computes what the model file `path` does.
 * @throws Error for files that hold weights only, and naming what cannot be run or written
 */
export async function modelToOnnx(path: string, options: { readonly opset?: number } = {}): Promise<Uint8Array> {
  checkOptions('modelToOnnx', options, ['opset']);
  const file = await openWeights(path);
  const { format, program } = file;
  file.close();
  const module = loaded(path, format);
  if (!program || program.inputs.length === 0) throw new Error(`${path} (${format}) does not say what its inputs are`);
  const { inputs, outputs } = program;
  const free = ({ name, shape }: Port) =>
    shape.flatMap((size, d) => (typeof size === 'number' ? [] : [[d, size ?? `${name}_${d}`] as const]));
  return exportModel(
    module,
    inputs.map(port => exampleOf(path, port)),
    {
      opset: CONVERTED_OPSET,
      ...options,
      inputNames: inputs.map(({ name }) => name),
      ...(outputs.length > 0 && { outputNames: outputs.map(({ name }) => name) }),
      dynamicAxes: Object.fromEntries(
        inputs.filter(port => free(port).length > 0).map(port => [port.name, Object.fromEntries(free(port))]),
      ),
    },
  );
}
