/**
 * The messages of onnx.proto and onnx-data.proto (v1.22): what each field is on the wire, and its type in TypeScript.
 * One table drives reading and writing.
 */
import { type Range, Schema } from '../../protobuf/schema.ts';

/** What of a file was read, or for writing: the bytes themselves. */
export type RawData = Range | Uint8Array;

export interface Entry {
  key: string;
  value: string;
}

export interface TensorProto {
  dims: number[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  stringData: Uint8Array[];
  int64Data: bigint[];
  name: string;
  rawData: RawData | null;
  doubleData: number[];
  uint64Data: bigint[];
  externalData: Entry[];
  dataLocation: number;
}

export interface SparseTensorProto {
  values: TensorProto | null;
  indices: TensorProto | null;
  dims: number[];
}

export interface DimensionProto {
  dimValue: number | null;
  dimParam: string;
}

export interface TypeProto {
  tensorType: { elemType: number; shape: { dim: DimensionProto[] } | null } | null;
  sequenceType: { elemType: TypeProto | null } | null;
  mapType: { keyType: number; valueType: TypeProto | null } | null;
  sparseTensorType: { elemType: number; shape: { dim: DimensionProto[] } | null } | null;
  optionalType: { elemType: TypeProto | null } | null;
}

export interface ValueInfoProto {
  name: string;
  type: TypeProto | null;
}

export interface AttributeProto {
  name: string;
  refAttrName: string;
  type: number;
  f: number;
  i: bigint;
  s: Uint8Array;
  t: TensorProto | null;
  g: GraphProto | null;
  sparseTensor: SparseTensorProto | null;
  tp: TypeProto | null;
  floats: number[];
  ints: bigint[];
  strings: Uint8Array[];
  tensors: TensorProto[];
  graphs: GraphProto[];
}

export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeProto[];
  domain: string;
  overload: string;
}

export interface GraphProto {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  sparseInitializer: SparseTensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
}

interface OperatorSetIdProto {
  domain: string;
  version: number;
}

export interface FunctionProto {
  name: string;
  input: string[];
  output: string[];
  attribute: string[];
  attributeProto: AttributeProto[];
  node: NodeProto[];
  opsetImport: OperatorSetIdProto[];
  domain: string;
  overload: string;
}

export interface ModelProto {
  irVersion: number;
  opsetImport: OperatorSetIdProto[];
  producerName: string;
  producerVersion: string;
  domain: string;
  modelVersion: number;
  graph: GraphProto | null;
  metadataProps: Entry[];
  functions: FunctionProto[];
}

export interface SequenceProto {
  name: string;
  elemType: number;
  tensorValues: TensorProto[];
  sequenceValues: SequenceProto[];
  mapValues: MapProto[];
  optionalValues: OptionalProto[];
}

interface MapProto {
  name: string;
  keyType: number;
  keys: bigint[];
  stringKeys: Uint8Array[];
  values: SequenceProto | null;
}

export interface OptionalProto {
  name: string;
  elemType: number;
  tensorValue: TensorProto | null;
  sequenceValue: SequenceProto | null;
  mapValue: MapProto | null;
  optionalValue: OptionalProto | null;
}

export interface Messages {
  Entry: Entry;
  TensorProto: TensorProto;
  SparseTensorProto: SparseTensorProto;
  Dimension: DimensionProto;
  Shape: { dim: DimensionProto[] };
  TensorType: { elemType: number; shape: { dim: DimensionProto[] } | null };
  SequenceType: { elemType: TypeProto | null };
  MapType: { keyType: number; valueType: TypeProto | null };
  TypeProto: TypeProto;
  ValueInfoProto: ValueInfoProto;
  AttributeProto: AttributeProto;
  NodeProto: NodeProto;
  GraphProto: GraphProto;
  OperatorSetIdProto: OperatorSetIdProto;
  FunctionProto: FunctionProto;
  ModelProto: ModelProto;
  SequenceProto: SequenceProto;
  MapProto: MapProto;
  OptionalProto: OptionalProto;
}

export type MessageName = keyof Messages;

/** Fields of every message (see Schema for how they are described). */
export const ONNX = new Schema<Messages>({
  Entry: { 1: 'key string', 2: 'value string' },
  TensorProto: {
    1: 'dims size[]',
    2: 'dataType int32',
    4: 'floatData float[]',
    5: 'int32Data int32[]',
    6: 'stringData bytes[]',
    7: 'int64Data int64[]',
    8: 'name string',
    9: 'rawData range',
    10: 'doubleData double[]',
    11: 'uint64Data uint64[]',
    13: 'externalData Entry[]',
    14: 'dataLocation int32',
  },
  SparseTensorProto: { 1: 'values TensorProto', 2: 'indices TensorProto', 3: 'dims size[]' },
  Dimension: { 1: 'dimValue size?', 2: 'dimParam string' },
  Shape: { 1: 'dim Dimension[]' },
  TensorType: { 1: 'elemType int32', 2: 'shape Shape' },
  SequenceType: { 1: 'elemType TypeProto' },
  MapType: { 1: 'keyType int32', 2: 'valueType TypeProto' },
  TypeProto: {
    1: 'tensorType TensorType',
    4: 'sequenceType SequenceType',
    5: 'mapType MapType',
    8: 'sparseTensorType TensorType',
    9: 'optionalType SequenceType',
  },
  ValueInfoProto: { 1: 'name string', 2: 'type TypeProto' },
  AttributeProto: {
    1: 'name string',
    2: 'f float',
    3: 'i int64',
    4: 's bytes',
    5: 't TensorProto',
    6: 'g GraphProto',
    7: 'floats float[]',
    8: 'ints int64[]',
    9: 'strings bytes[]',
    10: 'tensors TensorProto[]',
    11: 'graphs GraphProto[]',
    14: 'tp TypeProto',
    20: 'type int32',
    21: 'refAttrName string',
    22: 'sparseTensor SparseTensorProto',
  },
  NodeProto: {
    1: 'input string[]',
    2: 'output string[]',
    3: 'name string',
    4: 'opType string',
    5: 'attribute AttributeProto[]',
    7: 'domain string',
    8: 'overload string',
  },
  GraphProto: {
    1: 'node NodeProto[]',
    2: 'name string',
    5: 'initializer TensorProto[]',
    11: 'input ValueInfoProto[]',
    12: 'output ValueInfoProto[]',
    13: 'valueInfo ValueInfoProto[]',
    15: 'sparseInitializer SparseTensorProto[]',
  },
  OperatorSetIdProto: { 1: 'domain string', 2: 'version size' },
  FunctionProto: {
    1: 'name string',
    4: 'input string[]',
    5: 'output string[]',
    6: 'attribute string[]',
    7: 'node NodeProto[]',
    9: 'opsetImport OperatorSetIdProto[]',
    10: 'domain string',
    11: 'attributeProto AttributeProto[]',
    13: 'overload string',
  },
  ModelProto: {
    1: 'irVersion size',
    2: 'producerName string',
    3: 'producerVersion string',
    4: 'domain string',
    5: 'modelVersion size',
    7: 'graph GraphProto',
    8: 'opsetImport OperatorSetIdProto[]',
    14: 'metadataProps Entry[]',
    25: 'functions FunctionProto[]',
  },
  SequenceProto: {
    1: 'name string',
    2: 'elemType int32',
    3: 'tensorValues TensorProto[]',
    5: 'sequenceValues SequenceProto[]',
    6: 'mapValues MapProto[]',
    7: 'optionalValues OptionalProto[]',
  },
  MapProto: {
    1: 'name string',
    2: 'keyType int32',
    3: 'keys int64[]',
    4: 'stringKeys bytes[]',
    5: 'values SequenceProto',
  },
  OptionalProto: {
    1: 'name string',
    2: 'elemType int32',
    3: 'tensorValue TensorProto',
    5: 'sequenceValue SequenceProto',
    6: 'mapValue MapProto',
    7: 'optionalValue OptionalProto',
  },
});
