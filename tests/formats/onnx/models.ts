/** Small ONNX files for the tests, written by our own writer. */
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from '../../../src/formats/onnx/proto/schema.ts';
import { writeMessage } from '../../../src/formats/onnx/proto/write.ts';

const FLOAT = 1;
const encoder = new TextEncoder();

export const port = (name: string, shape: readonly (number | string)[], elemType = FLOAT): ValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: {
        dim: shape.map(n => (typeof n === 'number' ? { dimValue: n, dimParam: '' } : { dimValue: null, dimParam: n })),
      },
    },
    sequenceType: null,
    mapType: null,
    sparseTensorType: null,
    optionalType: null,
  },
});

export const floats = (name: string, dims: readonly number[], values: readonly number[]): Partial<TensorProto> => ({
  name,
  dims: [...dims],
  dataType: FLOAT,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});

export const node = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly Partial<AttributeProto>[] = [],
  more: Partial<NodeProto> = {},
): Partial<NodeProto> => ({
  opType,
  input: [...input],
  output: [...output],
  attribute: attribute as AttributeProto[],
  ...more,
});

export const text = (name: string, value: string): Partial<AttributeProto> => ({
  name,
  type: 3,
  s: encoder.encode(value),
});
export const int = (name: string, value: number): Partial<AttributeProto> => ({ name, type: 2, i: BigInt(value) });
export const subgraph = (name: string, graph: Partial<GraphProto>): Partial<AttributeProto> => ({
  name,
  type: 5,
  g: graph as GraphProto,
});

export function model(graph: Partial<GraphProto>, more: Partial<ModelProto> = {}): Uint8Array {
  return writeMessage('ModelProto', {
    irVersion: 10,
    opsetImport: [{ domain: '', version: 21 }],
    graph: graph as GraphProto,
    ...more,
  });
}

/** y = relu(x w + b): x [batch, 2]. */
export const perceptron = (): Uint8Array =>
  model({
    name: 'perceptron',
    input: [port('x', ['batch', 2])],
    output: [port('y', ['batch', 3])],
    initializer: [
      floats('layer.weight', [2, 3], [1, 2, 3, 4, 5, 6]),
      floats('layer.bias', [3], [0.5, 0, -1]),
    ] as TensorProto[],
    node: [
      node('MatMul', ['x', 'layer.weight'], ['h']),
      node('Add', ['h', 'layer.bias'], ['s']),
      node('Relu', ['s'], ['y']),
    ] as NodeProto[],
  });
