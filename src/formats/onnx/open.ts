/**
 * An ONNX file as it lies: its initializers, read one at a time when asked for, and what it computes, whether or not
 * Tenon can run it.
 */
import { readMessage } from '../protobuf/read.ts';
import { type OpenSource, openFile } from '../source.ts';
import type { OperatorCount, Port, StoredTensor, WeightsFile } from '../weights.ts';
import { isNumeric, TYPES, typeOfCode } from './elementTypes.ts';
import { type Files, filesOf } from './files.ts';
import { portOf } from './model.ts';
import { ruleFor } from './ops/index.ts';
import { domainOf, functionKey, opsetsOf } from './plan.ts';
import {
  type GraphProto,
  type ModelProto,
  type NodeProto,
  ONNX,
  type TensorProto,
  type ValueInfoProto,
} from './proto/schema.ts';
import { tensorFromProto } from './tensorData.ts';

function bytesOf(proto: TensorProto): number {
  if (proto.dataLocation === 1) return Number(proto.externalData.find(({ key }) => key === 'length')?.value ?? 0);
  if (proto.rawData) return proto.rawData.length;
  const { floatData, int32Data, int64Data, doubleData, uint64Data, stringData } = proto;
  return (
    4 * (floatData.length + int32Data.length) +
    8 * (int64Data.length + doubleData.length + uint64Data.length) +
    stringData.reduce((sum, text) => sum + text.length, 0)
  );
}

function storedTensor(proto: TensorProto, files: Files): StoredTensor {
  const type = typeOfCode(proto.dataType);
  const dtype = type && isNumeric(type) ? TYPES[type].dtype : null;
  return {
    name: proto.name,
    dtype,
    storedAs: type ?? `type ${proto.dataType}`,
    shape: proto.dims,
    bytes: bytesOf(proto),
    read() {
      const value = tensorFromProto(proto, files, 'initializer');
      if (value.kind !== 'tensor') throw new Error(`${files.name}: initializer "${proto.name}" holds strings`);
      return value.tensor;
    },
  };
}

/** Every operator of the graphs and functions, those of other domains than ai.onnx with their domain. */
function operatorsOf(model: ModelProto): OperatorCount[] {
  const counts = new Map<string, { count: number; runs: boolean }>();
  const functions = new Set(model.functions.map(f => functionKey(f.domain, f.name, f.overload)));
  const walk = (nodes: readonly NodeProto[], opsets: ReadonlyMap<string, number>): void => {
    for (const { domain, opType, overload, attribute } of nodes) {
      const own = domainOf(domain);
      const name = own ? `${own}.${opType}` : opType;
      const runs =
        functions.has(functionKey(domain, opType, overload)) || ruleFor(own, opType, opsets.get(own) ?? 1) !== null;
      const known = counts.get(name);
      counts.set(name, { count: (known?.count ?? 0) + 1, runs: runs && (known?.runs ?? true) });
      for (const { g } of attribute) if (g) walk(g.node, opsets);
    }
  };
  walk(model.graph?.node ?? [], opsetsOf(model.opsetImport));
  for (const { node, opsetImport } of model.functions) walk(node, opsetsOf(opsetImport));
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { count, runs }]) => ({ name, count, runs }));
}

function portsOf(ports: readonly ValueInfoProto[]): Port[] {
  return ports.map(port => {
    const { name, kind, type, shape } = portOf(port);
    return { name, type: type ?? kind, shape: shape ?? [] };
  });
}

function describe(file: OpenSource, path: string): WeightsFile {
  const model = readMessage(file, ONNX, 'ModelProto');
  if (!model.graph) throw new Error(`${path}: it is no ONNX model: there is no graph`);
  const graph: GraphProto = model.graph;
  const files = filesOf(file, path);
  const stored = new Set(graph.initializer.map(({ name }) => name));
  return {
    path,
    format: 'ONNX',
    tensors: graph.initializer.map(proto => storedTensor(proto, files)),
    metadata: {
      producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
      ir_version: model.irVersion,
      ...Object.fromEntries(
        model.opsetImport.map(({ domain, version }) => [`opset of ${domain || 'ai.onnx'}`, version]),
      ),
      ...Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value])),
    },
    program: {
      inputs: portsOf(graph.input.filter(({ name }) => !stored.has(name))),
      outputs: portsOf(graph.output),
      operators: operatorsOf(model),
    },
    close: () => file.close(),
  };
}

/** Opens an ONNX file. @throws Error naming the file, the offset and the field that is wrong */
export function openOnnx(path: string): WeightsFile {
  const file = openFile(path);
  try {
    return describe(file, path);
  } catch (error) {
    file.close();
    throw error;
  }
}
