/**
 * The messages of Paddle's framework.proto that inference programs use.
 */
import { Schema } from '../protobuf/schema.ts';

export interface Attr {
  name: string;
  type: number;
  i: number;
  f: number;
  s: string;
  ints: number[];
  floats: number[];
  strings: string[];
  b: number;
  bools: number[];
  blockIdx: number;
  l: number;
  longs: number[];
  float64: number;
  float64s: number[];
}

interface OpVar {
  parameter: string;
  arguments: string[];
}

export interface OpDesc {
  type: string;
  inputs: OpVar[];
  outputs: OpVar[];
  attrs: Attr[];
}

export interface TensorDesc {
  dataType: number;
  dims: number[];
}

export interface VarDesc {
  name: string;
  type: { type: number; lodTensor: { tensor: TensorDesc | null; lodLevel: number } | null } | null;
  persistable: number;
}

export interface BlockDesc {
  idx: number;
  parentIdx: number;
  vars: VarDesc[];
  ops: OpDesc[];
}

export interface ProgramDesc {
  blocks: BlockDesc[];
  version: { version: number } | null;
}

interface Messages {
  Attr: Attr;
  OpVar: OpVar;
  OpDesc: OpDesc;
  TensorDesc: TensorDesc;
  LodTensorDesc: { tensor: TensorDesc | null; lodLevel: number };
  VarType: VarDesc['type'];
  VarDesc: VarDesc;
  BlockDesc: BlockDesc;
  Version: { version: number };
  ProgramDesc: ProgramDesc;
}

export const SCHEMA = new Schema<Messages>({
  Attr: {
    1: 'name string',
    2: 'type int32',
    3: 'i int32',
    4: 'f float',
    5: 's string',
    6: 'ints int32[]',
    7: 'floats float[]',
    8: 'strings string[]',
    10: 'b int32',
    11: 'bools int32[]',
    12: 'blockIdx int32',
    13: 'l size',
    15: 'longs size[]',
    16: 'float64s double[]',
    19: 'float64 double',
  },
  OpVar: { 1: 'parameter string', 2: 'arguments string[]' },
  OpDesc: { 1: 'inputs OpVar[]', 2: 'outputs OpVar[]', 3: 'type string', 4: 'attrs Attr[]' },
  TensorDesc: { 1: 'dataType int32', 2: 'dims size[]' },
  LodTensorDesc: { 1: 'tensor TensorDesc', 2: 'lodLevel int32' },
  VarType: { 1: 'type int32', 3: 'lodTensor LodTensorDesc' },
  VarDesc: { 1: 'name string', 2: 'type VarType', 3: 'persistable int32' },
  BlockDesc: { 1: 'idx int32', 2: 'parentIdx int32', 3: 'vars VarDesc[]', 4: 'ops OpDesc[]' },
  Version: { 1: 'version size' },
  ProgramDesc: { 1: 'blocks BlockDesc[]', 4: 'version Version' },
});
